"""The experiments by name, each with the question that ``mlhw --help`` shows for it.

``lr-sweep`` lives in ``mlhw.experiments.lr_sweep.experiment``. A module has, in this order: a docstring (the
question as its first line, the mathematics, the command, the number to expect), ``QUESTION``,
``Config``, helpers, ``run``, ``CLAIMS`` and the figures. Every module of this package is an experiment,
but for those whose name begins with ``_``: they hold an experiment's larger parts.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlhw.config.model import ExperimentConfig
    from mlhw.result.claims import Claims
    from mlhw.result.recorder import Recorder
    from mlhw.result.result import Result

_COURSE = ("softmax-regions", "backprop-check", "vanishing", "lr-sweep", "sgd-sweep", "finetune")


def _questions() -> dict[str, str]:
    """The first line of each module, read and not imported: ``mlhw --help`` has to be quick."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*/experiment.py")):
        with open(path, encoding="utf-8") as file:
            found[path.parent.name.replace("_", "-")] = file.readline().strip().strip('"')
    return {name: found[name] for name in (*_COURSE, *found)}


EXPERIMENTS: dict[str, str] = _questions()
"""In the order of the course, what is not of the course last."""


class Experiment(Protocol):
    """What a module of this package offers."""

    QUESTION: str
    Config: type[ExperimentConfig]
    CLAIMS: Claims[Any]

    def run(self, config: Any, recorder: Recorder) -> Result: ...


def module_name(name: str) -> str:
    return name.replace("-", "_")


def experiment(name: str) -> Experiment:
    """The module of the experiment called ``name`` on the command line."""
    module: Experiment = importlib.import_module(f"mlhw.experiments.{module_name(name)}.experiment")
    return module
