"""Runs that are torn, half deleted, hidden by a folder, or repeated while others run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands import runs as runs_command
from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.runs.history import Run, all_runs, find, locate

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
    execute = runs_command.execute

    def together(*arguments: Any) -> Any:
        found = execute(*arguments)
        made("29991231-235959-lr-sweep")
        return found

    monkeypatch.setattr(runs_command, "execute", together)
    assert main(["runs", "rerun", run.name, "--no-plots"]) == 0
    assert f"identical: every number of {run.name}" in capsys.readouterr().out
