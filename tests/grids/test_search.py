"""Optuna's points are the same for a seed, whatever happens between them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.runs.history import Run, all_runs


def test_without_optuna_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["grid", "vanishing", "--over", "depth=4:9:lin6", "--optuna", "3"]) == 2
    line = "error: --optuna: Optuna is not installed; pip install 'mlhw[optuna]'\n"
    assert capsys.readouterr().err == line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_seed_chooses_the_points_and_a_grid_that_goes_on_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="needs the extra: pip install 'mlhw[optuna]'")
    monkeypatch.chdir(tmp_path)
    sys.stdout.flush()
    asked = (
        "sgd-sweep",
        "--over",
        "etas=[0.5],[0.1]",
        "--over",
        "epochs=1:9:lin9",
        "--optuna",
        "6",
    )
    quiet = ("--no-plots", "--quiet")
    assert main(["grid", *asked, "--engine", "local:1", *quiet]) == 0
    (first,) = all_runs(tmp_path / "runs")
    numbers = (first.folder / "grid.csv").read_bytes()
    rows = list(csv.DictReader(numbers.decode().splitlines()))
    assert [row["point"] for row in rows] == list("123456")
    assert {row["etas"] for row in rows} <= {"[0.5]", "[0.1]"}
    assert {int(row["epochs"]) for row in rows} <= set(range(1, 10))
    chosen = json.loads((first.folder / "chosen.json").read_text())
    assert [one["epochs"] for one in chosen] == [int(row["epochs"]) for row in rows]

    # As after a kill: the second round has begun, and of the first one folder is torn.
    (first.folder / "chosen.json").write_text(json.dumps(chosen[:4]))
    (first.folder / "points" / "0002" / "result.json").unlink()
    before = {run.name: run.record for run in first.points}
    assert main(["grid", "--resume", str(first.folder), "--engine", "local:2", *quiet]) == 0
    assert (first.folder / "grid.csv").read_bytes() == numbers
    again = {run.name: run.record for run in Run(first.folder, first.record).points}
    assert {name for name in before if before[name] != again[name]} == {"0002"}
