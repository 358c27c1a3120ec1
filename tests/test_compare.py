"""Runs beside each other when their folders hold what nobody expects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.cli import main
from mlhw.history import Run
from mlhw.overlay import overlay


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)


def made(folder: Path, experiment: str = "lr-sweep", **files: str) -> Run:
    """A finished run in this folder, with tables of these texts."""
    folder.mkdir(parents=True)
    record = {"experiment": experiment, "status": "finished"}
    (folder / "run.json").write_text(json.dumps(record))
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return Run(folder, record)


def test_dollar_signs_in_cells_and_folder_names_are_drawn_as_they_are() -> None:
    table = "activation,network,layer,log10_median\n$\\frac$,chain,1,-2\n$\\frac$,chain,2,-4\n"
    runs = [made(Path("runs") / name, "vanishing", gradients=table) for name in ("a$x_{$", "b$y^$")]
    assert main(["runs", "compare", *(str(run.folder) for run in runs)]) == 0
    figure = overlay(runs).draw()
    (axes,) = figure.axes
    assert axes.get_title().replace("\\$", "$") == "$\\frac$ chain"

    bars = [made(Path("runs") / f"c{i}$x_{{$", "softmax-regions") for i in range(2)]
    assert main(["runs", "compare", *(str(run.folder) for run in bars)]) == 0


def test_a_number_too_long_for_a_float_is_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = {"accuracy": 10**401, "vertices": [], "boundaries": [], "regions": []}
    for name in ("a", "b"):
        run = made(Path("runs") / name, "softmax-regions")
        (run.folder / "result.json").write_text(json.dumps({"summary": summary, "claims": []}))
        (run.folder / "run.json").write_text(json.dumps(run.record | {"seconds": 10**401}))
    assert main(["runs", "compare", "a", "b"]) == 0
    assert main(["runs", "list"]) == 0
    assert "accuracy" in capsys.readouterr().out
    runs = [Run(Path("runs") / name, {"experiment": "softmax-regions"}) for name in ("a", "b")]
    labels = [axes.get_xlabel() for axes in overlay(runs).draw().axes]
    assert labels == ["vertices", "boundaries", "empty regions"]
