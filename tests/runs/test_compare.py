"""Runs beside each other when their folders hold what nobody expects."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.runs.compare import as_csv, as_markdown, compare, unique_names
from mlhw.runs.history import Run
from mlhw.runs.overlay import overlay


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


def test_runs_of_one_name_are_told_apart_by_where_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "eta,iteration,nll\n0.5,0,{}\n0.5,1,1\n"
    runs = [
        made(Path(place) / "runs" / "x", metrics=text.format(i))
        for i, place in enumerate(("here", "there"))
    ]
    (runs[1].folder / "config.yaml").write_text("seed: 1\n")
    names = ["here/runs/x", "there/runs/x"]
    assert unique_names(runs) == names
    assert unique_names([runs[0], made(Path("here") / "runs" / "y")]) == ["x", "y"]
    assert unique_names([runs[0], runs[0]]) == ["x", "x (2)"]
    assert main(["runs", "compare", *names, "--json", "--no-plots"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"]["seed"] == dict(zip(names, (None, 1), strict=True))
    (legend,) = overlay(runs).draw().legends
    assert [text.get_text() for text in legend.get_texts()] == names


def test_no_format_of_a_comparison_commands_a_terminal_or_breaks_a_row() -> None:
    runs = [made(Path("runs") / name) for name in ("a\x1b[31m\nb", "c")]
    (runs[0].folder / "config.yaml").write_text('"k\\x1b[2J": "one | line\\nand\\e[2J another"\n')
    found = compare(runs)
    lines = as_markdown(found).splitlines()
    assert len({len(line.replace("\\|", "").split("|")) for line in lines}) == 1
    assert len(lines) == 4
    for text in ("\n".join(lines), as_csv(found)):
        assert "\x1b" not in text
        assert "\\x1b[2J" in text
    assert {len(row) for row in csv.reader(io.StringIO(as_csv(found)))} == {4}


def test_a_figure_lands_where_it_is_said_and_takes_no_others_place_in_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("a", "b"):
        made(Path("runs") / name, "softmax-regions")
    words = ["runs", "compare", "a", "b"]
    usual = Path("runs") / "compare" / "compare.png"
    for before in ("", ", in place of the one before"):
        assert main(words) == 0
        assert capsys.readouterr().err == f"figure: {usual}{before}\n"
    assert main([*words, "--out", "mine"]) == 0
    assert capsys.readouterr().err == "figure: mine/compare.png\n"
    Path("mine/compare.png").write_text("kept")
    assert main([*words, "--out", "mine"]) == 2
    found = capsys.readouterr()
    assert found.err == (
        "error: --out mine: compare.png is there already and stays as it is; give another folder\n"
    )
    assert not found.out
    assert Path("mine/compare.png").read_text() == "kept"
    assert main([*words, "--out", "mine", "--no-plots"]) == 2
    assert "--out: would do nothing beside --no-plots" in capsys.readouterr().err
