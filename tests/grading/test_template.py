"""The starting file for one's own derivation."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhw.errors import UsageError
from mlhw.grading import template
from mlhw.maths.network import Network
from tests.grading.handed_in import graded


def test_the_template_runs_and_says_that_nothing_is_derived_yet(tmp_path: Path) -> None:
    network = Network((4, 3, 2), ("relu",), "softmax", "cross_entropy", True)
    path = tmp_path / "mine.py"
    template.write(path, network)
    found = graded(tmp_path, path.read_text(), network)
    assert found.verdict == "wrong"
    assert found.diagnosis == ["layer_missing"]
    assert "nothing is derived there yet" in found.message
    assert "W^(1)  shape (3, 5)" in path.read_text()
    with pytest.raises(UsageError, match="is there already"):
        template.write(path, network)
