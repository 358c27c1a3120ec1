"""The counting itself: a fault that was not survived turns the test red, and is in the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.faults.tally import added

INNER = """
from tests.faults.conftest import *

def test_good(tally):
    tally("kills").note("before event 1", "survived")

def test_bad(tally):
    one = tally("kills")
    one.note("before event 2", "lost", "no checkpoint")
    one.note("before event 3", "survived")

def test_broken(tally):
    tally("kills").note("before event 4", "survived")
    assert 1 == 2, "event 5"

def test_nothing(tally):
    tally("floods")
"""


def test_what_did_not_survive_fails_its_test_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.faults.conftest import *\n")
    (tmp_path / "test_inner.py").write_text(INNER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FAULTS_RESULTS": str(tmp_path / "faults.json"),
        },
        capture_output=True,
        text=True,
    )
    assert "before event 2: lost (no checkpoint)" in done.stdout
    assert "no fault was injected" in done.stdout
    found = json.loads((tmp_path / "faults.json").read_text())
    assert found["rows"]["kills"] == {
        "injected": 5, "survived": 3, "lost": 2, "silent": 0, "traceback": 0, "escaped": 0
    }  # fmt: skip
    assert found["all"]["injected"] == 5
    assert found["machine"]


def test_counts_of_one_kind_are_added() -> None:
    rows = added([("a", {"survived": 2}), ("b", {"silent": 1}), ("a", {"survived": 1, "lost": 1})])
    assert rows["a"]["injected"] == 4
    assert rows["b"]["silent"] == rows["b"]["injected"] == 1
