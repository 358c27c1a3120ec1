"""One run from start to end, with a seventh experiment made of one module and one config."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mlhw
from mlhw.commands.main import main
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.runs.history import Run
from mlhw.system import streams

DICE = '''
"""How often does a die show a six?"""
from typing import Annotated
import numpy as np
from pydantic import Field
from mlhw.result import plots
from mlhw.config.model import ExperimentConfig
from mlhw.errors import DataError, RunError
from mlhw.result.claims import Claims, check
from mlhw.result.plots import Plot
from mlhw.result.result import Result

QUESTION = "How often does a die show a <six>?"

class Config(ExperimentConfig):
    throws: Annotated[int, Field(ge=1, description="number of throws")] = 600
    trouble: Annotated[str, Field(description="what goes wrong")] = "none"

CLAIMS = Claims()

@CLAIMS.claim("fair", "a six comes up <one> time in six")
def fair(share):
    return check(abs(share - 1 / 6) < 0.1, measured=share, expected=1 / 6, tolerance=0.1)

def run(config, recorder):
    if config.trouble == "data":
        raise DataError("dice.csv:3: no such die")
    recorder.begin(config, data_digest="sha256:0")
    table = recorder.table("throws", ["throw", "face"])
    faces = np.random.default_rng(config.seed).integers(1, 7, config.throws).tolist()
    table.extend(enumerate(faces))
    if config.trouble == "late data":
        raise DataError("dice.csv:9: unreadable")
    if config.trouble == "nan":
        raise RunError("step 3: the loss is NaN; try a smaller rate")
    if config.trouble == "bug":
        return 1 / 0
    if config.trouble == "long words":
        raise ValueError("shapes differ:\\n  (2, 3)\\n\\n  (4,)")
    if config.trouble == "memory":
        raise MemoryError
    if config.trouble == "disk":
        raise OSError(28, "No space left on device", "throws.csv")
    share = 1.0 if config.trouble == "loaded" else faces.count(6) / len(faces)
    def draw():
        figure = plots.new_figure()
        axes = figure.add_subplot()
        axes.bar(range(1, 7), [faces.count(f) for f in range(1, 7)])
        axes.set(xlabel="face", ylabel="throws")
        return figure
    return Result("dice", {"share": share}, CLAIMS.judge(share), ["sixes: some"],
                  recorder.tables, [Plot("faces", "Faces", "see", "six <bars>", draw)])
'''


@pytest.fixture(autouse=True)
def dice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module, its config file and its one line in the registry."""
    module = ModuleType("mlhw.experiments.dice.experiment")
    exec(compile(DICE, "dice.py", "exec", dont_inherit=True), module.__dict__)
    for part in ("experiment", "claims", "report", "figures"):
        monkeypatch.setitem(sys.modules, f"mlhw.experiments.dice.{part}", module)
    monkeypatch.setitem(EXPERIMENTS, "dice", "how often a die shows a six")
    (tmp_path / "dice.yaml").write_text("throws: 60\nseed: 3\n")
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    mlhw.__dict__.pop("dice", None)


def only_run() -> Path:
    (folder,) = [path for path in Path("runs").iterdir() if not path.is_symlink()]
    return folder


def test_a_new_experiment_gets_command_folder_claims_and_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dice", "--config", "dice.yaml", "--name", "first"]) == 0
    out = capsys.readouterr().out
    folder = only_run()
    assert folder.name.endswith("-dice-first")
    assert "sixes: some" in out
    assert "  holds: a six comes up <one> time in six\n\n" in out
    assert f"run folder: {folder}" in out
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "run.json",
        "log.txt",
        "throws.csv",
        "result.json",
        "plots",
        "report.html",
    }
    assert (folder / "plots" / "faces.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "plots" / "faces.svg").read_text()
    assert len((folder / "throws.csv").read_text().splitlines()) == 61
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["data_digest"]) == (
        "finished",
        0,
        "sha256:0",
    )
    report = (folder / "report.html").read_text()
    assert "a six comes up &lt;one&gt; time in six" in report
    assert "six &lt;bars&gt;" in report
    assert 'class="drawing" role="img"' in report
    assert (Path("runs") / "latest").resolve() == folder.resolve()


def test_a_new_experiment_is_listed_and_has_its_options_and_python_function(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    assert "how often a die shows a six" in capsys.readouterr().out
    assert main(["dice", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--throws INTEGER" in shown
    assert "How often does a die show a <six>?" in shown
    result = mlhw.dice(throws=12)
    assert len(result.tables["throws"]) == 12
    assert not Path("runs").exists()
    assert "dice" in dir(mlhw)


def test_json_is_result_json_plus_three_keys_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dice", "--json", "--no-plots"]) == 0
    printed = json.loads(capsys.readouterr().out)
    folder = only_run()
    assert not (folder / "plots").exists()
    stored = json.loads((folder / "result.json").read_text())
    assert printed == stored | {"run": str(folder), "status": "finished", "exit_code": 0}
    assert set(stored) == {"experiment", "summary", "claims", "observations"}
    assert {"id", "statement", "verdict", "measured", "expected", "tolerance"} <= set(
        stored["claims"][0]
    )


def test_a_failing_claim_exits_3_unless_it_is_not_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dice", "--trouble", "loaded", "--json"]) == 3
    printed = json.loads(capsys.readouterr().out)
    assert (printed["status"], printed["exit_code"]) == ("finished", 3)
    assert main(["dice", "--trouble", "loaded", "--no-check", "-q"]) == 0
    assert "fails: a six" in capsys.readouterr().out


def test_a_data_error_before_work_exits_2_and_leaves_no_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dice", "--trouble", "data", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: dice.csv:3: no such die\n"
    assert json.loads(captured.out) == {"error": ["dice.csv:3: no such die"]}
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        ("late data", "dice.csv:9: unreadable"),
        ("nan", "step 3: the loss is NaN; try a smaller rate"),
        ("memory", "out of memory"),
        ("disk", "throws.csv: no space left on device"),
        (
            "long words",
            "internal error: ValueError: shapes differ: (2, 3) (4,) (dice.py:",
        ),
        ("bug", "internal error: ZeroDivisionError: division by zero (dice.py:"),
    ],
)
def test_a_run_that_fails_exits_1_with_its_reason_recorded_and_its_rows_kept(
    trouble: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dice", "--trouble", trouble, "--json", "--throws", "5"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {line}")
    assert len(captured.err.splitlines()) == 1
    printed = json.loads(captured.out)
    assert (printed["status"], printed["exit_code"]) == ("failed", 1)
    folder = only_run()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["reason"].startswith(line)
    assert len((folder / "throws.csv").read_text().splitlines()) == 6
    assert not (folder / "result.json").exists()
    assert ("Traceback" in (folder / "log.txt").read_text()) == (
        trouble in ("bug", "memory", "disk", "long words")
    )


def test_headlines_that_cannot_be_told_are_a_warning_with_its_place_and_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Run, summary: dict[str, object]) -> dict[str, object]:
        return {"mean": summary["no such key"]}

    monkeypatch.setattr(Run, "told_headlines", broken)
    assert main(["dice", "-q"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the run is listed without its headline numbers: KeyError: ")
    assert line.endswith(")")
    assert "Traceback" in (only_run() / "log.txt").read_text()
    assert Run(only_run(), {"experiment": "dice"}).headlines() == {}


def test_a_figure_that_fails_costs_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr("mlhw.result.plots.save", broken)
    assert main(["dice"]) == 1
    assert json.loads((only_run() / "result.json").read_text())["summary"]["share"] > 0


def test_an_interrupt_in_the_middle_keeps_the_rows_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("mlhw.runs.execute.write_result", interrupted)
    assert main(["dice"]) == 143
    folder = only_run()
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("interrupted", 143)
    assert len((folder / "throws.csv").read_text().splitlines()) == 601
    assert "interrupted by SIGTERM" in capsys.readouterr().err
    # What pytest had installed is back.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_while_a_failure_is_recorded_leaves_it_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def signalled() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return ""

    monkeypatch.setattr("traceback.format_exc", signalled)
    assert main(["dice", "--trouble", "bug"]) == 1
    assert json.loads((only_run() / "run.json").read_text())["status"] == "failed"


def test_the_folder_of_a_run_is_named_and_rejected_names_are_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dice", "--name", "../x"]) == 2
    assert capsys.readouterr().err.startswith("error: --name: must be letters")
    assert not Path("runs").exists()


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_a_reader_who_leaves_changes_no_exit_code(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``mlhw dice | head -1`` ends the pipe before everything is printed."""
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams.guarded(pipe))
        assert main(["dice", "--trouble", "loaded", option]) == 3
        assert streams.lost() is None
    (record,) = Path("runs").glob("2*/run.json")
    assert json.loads(record.read_text())["status"] == "finished"
