"""Runs that are torn, half deleted, hidden by a folder, or repeated while others run."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands import rerun as rerun_command
from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.result.claims import Claim, check, claim_lines
from mlhw.runs.compare import shown
from mlhw.runs.history import Run, all_runs, find
from mlhw.runs.lookup import locate
from mlhw.text.values import number_text

RUNS = Path("runs")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)


def made(name: str, **record: Any) -> Run:
    """A run folder with this record, and nothing else in it."""
    folder = RUNS / name
    folder.mkdir(parents=True)
    full = {"experiment": "lr-sweep", "status": "finished", **record}
    (folder / "run.json").write_text(json.dumps(full))
    return Run(folder, full)


@pytest.mark.parametrize("rest", ["", "0.5,1,0.0", "0.5,1,0.25", "0.5,1,0.25\xe9"])
def test_a_row_that_was_cut_off_is_no_row(rest: str) -> None:
    run = made("20261124-115632-lr-sweep")
    # latin-1: the first byte of a letter whose second one never came.
    (run.folder / "metrics.csv").write_bytes(b"eta,n,nll\n0.5,0,0.5\n" + rest.encode("latin-1"))
    assert run.table("metrics") == [{"eta": "0.5", "n": "0", "nll": "0.5"}]


def test_what_a_clean_has_left_is_no_run_and_goes_with_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = made("20261124-115632-lr-sweep")
    rest = made(".deleted-20261123-115632-lr-sweep").folder
    assert [run.name for run in all_runs(RUNS)] == [kept.name]
    assert main(["runs", "clean", "--keep", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would delete {rest}\n"
    assert rest.exists()
    assert main(["runs", "clean", "--keep", "1"]) == 0
    assert capsys.readouterr().out == f"deleted {rest}\n"
    assert list(RUNS.iterdir()) == [kept.folder]


def test_asking_whether_a_run_is_alive_makes_no_file_and_locks_nobody_out() -> None:
    run = made("20261124-115632-lr-sweep", status="running", host=socket.gethostname(), pid=2**22)
    assert run.status == "crashed"
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]
    (run.folder / "log.txt").write_text("")
    with open(run.folder / "log.txt", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # somebody else who asks
        assert Run(run.folder, run.record).status == "crashed"


def test_a_folder_of_its_name_hides_no_run() -> None:
    newest = made("20261124-115632-vanishing", experiment="vanishing")
    for name in ("vanishing", "2026", "other"):
        Path(name).mkdir()
    for name in ("vanishing", "2026"):
        assert find(name, RUNS).name == newest.name
        assert locate(name, RUNS) == newest.folder
    for name in ("other", "./vanishing/"):
        with pytest.raises(ConfigError, match="is no run folder"):
            find(name, RUNS)
        assert locate(name, RUNS) == Path(name)


def test_a_name_too_long_for_a_file_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", "x" * 300]) == 2
    assert capsys.readouterr().err.startswith("error: no run 'xxx")


# ---------------------------------------------------------------- damaged runs

DAMAGES = {
    None: "it has no run.json",
    "": "its run.json is torn",
    '{"status": "fini': "its run.json is torn",
    "\0" * 300: "its run.json is torn",
    "[1]": "its run.json is no record",
    "{}": "its run.json is empty",
}


def damaged(name: str, text: str | None = None) -> Path:
    """A folder of a run whose record is this text, or missing."""
    run = made(name)
    (run.folder / "run.json").unlink()
    if text is not None:
        (run.folder / "run.json").write_text(text)
    (run.folder / "log.txt").write_text("")
    (run.folder / "config.yaml").write_text("etas: [0.5]\n")
    return run.folder


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_run_is_listed_as_damaged_and_shown_with_the_reason(
    text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made("20261124-115632-vanishing", experiment="vanishing")
    folder = damaged("20261124-115633-lr-sweep-2", text)
    (RUNS / "20261124").mkdir()  # no run's name
    assert main(["runs", "list"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [folder.name, "lr-sweep", "damaged", *"-----"]
    assert second.split()[:3] == [whole.name, "vanishing", "finished"]
    assert main(["runs", "list", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)[0]
    assert (entry["run"], entry["status"], entry["reason"]) == (
        str(folder),
        "damaged",
        DAMAGES[text],
    )
    for name in (folder.name, str(folder), folder.name[:15]):
        assert main(["runs", "show", name]) == 0
        out = capsys.readouterr().out
        assert f"damaged: {DAMAGES[text]}" in out
        assert "config.yaml" in out
        assert "[0.5]" in out
    assert main(["runs", "show", folder.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "damaged"


def test_a_record_that_is_a_folder_is_damage_too(capsys: pytest.CaptureFixture[str]) -> None:
    folder = damaged("20261124-115633-lr-sweep")
    (folder / "run.json").mkdir()
    assert main(["runs", "show", folder.name]) == 0
    assert "damaged: its run.json cannot be read: is a directory" in capsys.readouterr().out


def test_latest_and_an_experiments_name_mean_whole_runs() -> None:
    whole = made("20261124-115632-lr-sweep")
    damaged("20261124-115633-lr-sweep")
    (RUNS / "latest").symlink_to("20261124-115633-lr-sweep")
    assert find("lr-sweep", RUNS).name == whole.name
    assert find("latest", RUNS).name == whole.name


def test_a_damaged_run_is_compared_by_what_is_left_and_not_repeated_or_resumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = damaged("20261124-115633-finetune")
    made("20261124-115634-lr-sweep")
    assert main(["runs", "compare", folder.name, "latest", "--csv", "--no-plots"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert "configuration,etas,[0.5]," in rows
    assert "numbers,status,damaged,finished" in rows
    assert main(["runs", "rerun", folder.name]) == 2
    assert "the run is damaged (it has no run.json)" in capsys.readouterr().err
    assert main(["finetune", "--resume", str(folder)]) == 2
    assert "is a damaged run (it has no run.json)" in capsys.readouterr().err


def test_a_clean_counts_whole_runs_and_takes_damaged_ones_that_are_older(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"20261124-11563{second}-lr-sweep" for second in range(5)]
    for second, name in enumerate(names):
        damaged(name) if second in (0, 2, 4) else made(name)
    assert main(["runs", "clean", "--keep", "3"]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"
    assert main(["runs", "clean", "--keep", "1"]) == 0
    assert sorted(path.name for path in RUNS.iterdir()) == names[3:]
    assert main(["runs", "clean", "--keep", "0"]) == 0
    assert list(RUNS.iterdir()) == []


def test_a_run_that_has_a_folder_and_no_record_yet_is_running_and_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = damaged("20261124-115633-lr-sweep")
    with open(folder / "log.txt", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Run(folder, {}).status == "running"
        assert main(["runs", "clean", "--keep", "0"]) == 0
        assert folder.exists()
    assert Run(folder, {}).status == "damaged"


# ---------------------------------------------------------------- no number


def test_a_value_that_there_is_not_is_shown_alike_everywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    none, nan = (
        [number_text(value), shown(value), *_claim_line(value)] for value in (None, math.nan)
    )
    assert none == nan == ["-", "-", "    expected 1"]
    # An optimum that was not found is null in result.json, whether it was None or NaN.
    run = made("20261124-115633-sgd-sweep", experiment="sgd-sweep")
    summary = {
        "runs": [{"eta": 0.5, "nll": 0.5, "repeat": 0}, {"eta": 1, "nll": None, "repeat": 0}],
        "against_gd": [],
    }
    (run.folder / "result.json").write_text(json.dumps({"summary": summary}))
    assert main(["runs", "show", run.name]) == 0
    assert ["NLL at eta 1", "-"] in [
        re.split("  +", line) for line in capsys.readouterr().out.splitlines()
    ]
    assert main(["runs", "compare", run.name, run.name, "--no-plots"]) == 0
    assert re.search(r"NLL at eta 1 +- +-\n", capsys.readouterr().out + "\n")
    assert main(["runs", "compare", run.name, run.name, "--no-plots", "--csv"]) == 0
    assert "numbers,NLL at eta 1,,\n" in capsys.readouterr().out


def _claim_line(value: float | None) -> list[str]:
    claim = check(True, measured=value, expected=1)
    read = Claim.from_dict(replace(claim, id="a", statement="b").as_dict())
    assert read is not None
    below = claim_lines(claim, verbose=True)[1:]
    assert below == claim_lines(read, verbose=True)[1:]
    return below


# ---------------------------------------------------------------- repeating runs


@pytest.fixture
def everything(capsys: pytest.CaptureFixture[str]) -> Run:
    """A run of two experiments."""
    Path("l.yaml").write_text("etas: [0.5, 0.1]\nmax_iterations: 20\n")
    Path("s.yaml").write_text("epochs: 5\n")
    Path("all.yaml").write_text("experiments: {lr-sweep: l.yaml, sgd-sweep: s.yaml}\n")
    assert main(["all", "-c", "all.yaml", "--no-plots", "-q"]) == 0
    capsys.readouterr()
    return find("all", RUNS)


def test_a_signal_ends_the_repetition_of_all(
    everything: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def signalled(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("mlhw.runs.execute.write_result", signalled)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["runs", "rerun", "all", "--no-plots"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(all_runs(RUNS)) == 3 + 1


@pytest.mark.parametrize("wrong", ["missing", "unfinished", "unknown", "no configuration"])
def test_nothing_is_repeated_unless_every_part_can_be(
    everything: Run, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    last = everything.parts[-1]
    changed = {"unfinished": {"status": "failed"}, "unknown": {"experiment": "dice"}}
    if wrong == "missing":
        shutil.rmtree(last.folder)
    elif wrong in changed:
        (last.folder / "run.json").write_text(json.dumps(last.record | changed[wrong]))
    else:
        (last.folder / "config.yaml").unlink()
    there = len(all_runs(RUNS))
    assert main(["runs", "rerun", "all", "--no-plots"]) == 2
    assert last.name in capsys.readouterr().err
    assert len(all_runs(RUNS)) == there


def test_a_run_that_somebody_else_starts_meanwhile_is_not_compared(
    everything: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = everything.parts[0]
    execute = rerun_command.execute

    def together(*arguments: Any) -> Any:
        found = execute(*arguments)
        made("29991231-235959-lr-sweep")
        return found

    monkeypatch.setattr(rerun_command, "execute", together)
    assert main(["runs", "rerun", run.name, "--no-plots"]) == 0
    assert f"identical: every number of {run.name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["result.json", "config.yaml", "run.json", "log.txt"])
def test_a_pipe_in_the_place_of_a_file_is_damage_and_keeps_nobody_waiting(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made("20261124-115632-vanishing", experiment="vanishing", status="running")
    (run.folder / name).unlink(missing_ok=True)
    os.mkfifo(run.folder / name)
    assert main(["runs", "list"]) == 0
    assert run.name in capsys.readouterr().out
    assert main(["runs", "show", run.name]) == 0


def test_a_step_back_of_many_digits_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", "latest~" + "9" * 5000]) == 2
    assert capsys.readouterr().err.count("\n") == 1
