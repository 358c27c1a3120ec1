"""What docs/adapters.md shows is taken as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlhw.config.load import from_keywords
from mlhw.experiments.backprop_check.experiment import Config
from mlhw.experiments.backprop_check.network_config import network_of
from mlhw.grading.asking import Adapter, Asking
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation
from mlhw.grading.options import PRESETS, asking_of
from mlhw.grading.questions import plan
from mlhw.maths.network import Network
from tests.conftest import ROOT
from tests.grading.handed_in import runner

PAGE = (ROOT / "docs" / "adapters.md").read_text()
BLOCKS = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.M | re.S))


def test_every_preset_has_its_example() -> None:
    assert set(BLOCKS) == {*PRESETS, "own"}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_example_of_a_preset_is_right_with_the_options_beside_it(preset: str) -> None:
    (options,) = re.findall(
        rf"^`mlhw backprop-check .*--adapter {preset}( --layers .*)`$", PAGE, re.M
    )
    words = dict(re.findall(r"--([\w-]+)(?: ([^\s-]\S*))?", options))
    keys = {key: value or True for key, value in words.items()}
    config = from_keywords(Config, {**keys, "adapter": preset})
    files = {"theirs.py": BLOCKS[preset].encode()}
    one = Implementation(Path("theirs.py"), "backprop", files=files)
    asked = plan(network_of(config), config.batch, 0, config.targets)
    found = grade(one, asked, asking_of(config, config.bias), runner())
    assert (found.verdict, found.batch, found.general) == ("correct", "right", "right"), (
        found.message
    )


THEIRS = """
import numpy as np
class Net:
    def __init__(self, sizes): pass
    def set_weights(self, weights): self.weights = weights
    def fit_one(self, x, t):
        V, W = self.weights
        z = np.tanh(x @ V)
        d = z @ W - t
        self.gradients = [np.outer(x, (W @ d) * (1 - z * z)), np.outer(z, d)]
"""


def test_the_adapter_that_the_page_shows_works() -> None:
    files = {"theirs.py": THEIRS.encode()}
    one = Implementation(Path("theirs.py"), "backprop", files=files)
    asking = Asking(adapter=Adapter("mine.py", BLOCKS["own"]))
    network = Network((3, 4, 2), ("tanh",), "identity", "half_squared_error", False)
    found = grade(one, plan(network, 1, 0), asking, runner())
    assert found.verdict == "correct", found.message
