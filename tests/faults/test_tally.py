"""The counting itself: a fault that was not survived turns the test red, and is in the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.faults.tally import added, gathered

INNER = """
from tests.faults.conftest import *

def test_good(tally):
    tally("kills").note("before event 1", "survived")

def test_bad(tally):
    one = tally("kills")
    one.note("before event 2", "lost", "no checkpoint")
    one.note("before event 3", "survived")

def test_broken(tally):
    one = tally("kills")
    one.note("before event 4", "survived")
    one.seconds += [0.1, 0.2, 0.7]
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
    kills = found["files"]["test_inner"]["kills"]
    counts = {"injected": 5, "survived": 3, "lost": 2, "silent": 0, "traceback": 0, "escaped": 0}
    took = {"count": 3, "median": 0.2, "largest": 0.7, "soon": 0.6667}
    counted = {**counts, "date": kills["date"], "machine": kills["machine"]}
    assert kills == {**counted, "times": took}
    assert found["rows"]["kills"] == {**counts, "date": kills["date"]}
    assert found["all"] == counts


def test_a_file_that_is_tried_again_leaves_the_figures_of_the_others() -> None:
    one, two = (added([("kills", {"survived": count})]) for count in (1, 2))
    first = gathered({}, {"a": one, "b": two}, date="2026-11-25", machine="m")
    assert first["rows"]["kills"]["survived"] == 3
    again = gathered(first["files"], {"a": two}, date="2026-11-26", machine="n")
    assert again["rows"]["kills"]["survived"] == again["all"]["injected"] == 4
    # A sum is as old as its oldest part.
    assert again["rows"]["kills"]["date"] == "2026-11-25"
    assert [again["files"][file]["kills"]["machine"] for file in "ab"] == ["n", "m"]


def test_counts_of_one_kind_are_added() -> None:
    rows = added([("a", {"survived": 2}), ("b", {"silent": 1}), ("a", {"survived": 1, "lost": 1})])
    assert rows["a"]["injected"] == 4
    assert rows["b"]["silent"] == rows["b"]["injected"] == 1
