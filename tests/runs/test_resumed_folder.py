"""A run that goes on: the same folder, its rows kept, one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.config.model import ExperimentConfig
from mlhw.errors import ConfigError, UsageError
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.lookup import unfinished
from mlhw.runs.options import RunOptions
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen


def recorder(tmp_path: Path, resume: Path | None = None) -> FolderRecorder:
    return FolderRecorder(
        "lr-sweep",
        ExperimentConfig(),
        RunOptions(("mlhw", "lr-sweep"), runs_dir=str(tmp_path / "runs"), resume=resume),
        Screen(quiet=True),
        Interrupts(),
    )


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The folder of an interrupted run with three rows."""
    run = recorder(tmp_path)
    run.begin(ExperimentConfig(seed=7))
    run.table("metrics", ["epoch", "loss"]).extend([(0, 0.5), (1, 0.25), (2, 0.125)])
    run.log("first part")
    run.finish("interrupted", 130, "interrupted by Ctrl-C")
    assert run.folder is not None
    return run.folder


def test_a_resumed_run_writes_to_the_same_folder_and_keeps_the_rows_it_is_told_to(
    tmp_path: Path, stopped: Path
) -> None:
    config = (stopped / "config.yaml").read_text()
    run = recorder(tmp_path, stopped)
    assert run.folder is None
    assert run.resumes == stopped
    run.begin(ExperimentConfig(seed=7))
    table = run.table("metrics", ["epoch", "loss"], kept=[(0, 0.5), (1, 0.25)])
    table.append(2, 0.75)
    run.log("second part")
    run.finish("finished", 0, None)
    assert (stopped / "metrics.csv").read_text() == "epoch,loss\n0,0.5\n1,0.25\n2,0.75\n"
    assert (stopped / "log.txt").read_text() == "first part\nsecond part\n"
    assert (stopped / "config.yaml").read_text() == config
    assert [p.name for p in stopped.parent.iterdir() if p.is_dir() and not p.is_symlink()] == [
        stopped.name
    ]
    record = json.loads((stopped / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["reason"]) == ("finished", 0, None)
    assert len(record["resumed"]) == 1


def test_two_processes_cannot_resume_one_run(tmp_path: Path, stopped: Path) -> None:
    first = recorder(tmp_path, stopped)
    with pytest.raises(UsageError, match="another process is working on this run"):
        recorder(tmp_path, stopped)
    first.close()
    recorder(tmp_path, stopped).close()


def test_a_run_that_is_still_going_cannot_be_resumed(tmp_path: Path) -> None:
    run = recorder(tmp_path)
    run.begin(ExperimentConfig())
    assert run.folder is not None
    with pytest.raises(UsageError, match="another process"):
        recorder(tmp_path, run.folder)
    run.finish("finished", 0, None)


def test_what_cannot_be_resumed_is_told_apart(tmp_path: Path, stopped: Path) -> None:
    assert unfinished(stopped, "lr-sweep") == stopped
    with pytest.raises(ConfigError, match="is a run of lr-sweep, not of finetune"):
        unfinished(stopped, "finetune")
    with pytest.raises(ConfigError, match=r"has no run\.json"):
        unfinished(tmp_path, "finetune")
    record = json.loads((stopped / "run.json").read_text()) | {"status": "finished"}
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="is finished"):
        unfinished(stopped, "lr-sweep")


def test_a_record_that_somebody_edited_is_mended(tmp_path: Path, stopped: Path) -> None:
    record = json.loads((stopped / "run.json").read_text()) | {"resumed": 3, "seconds": "long"}
    (stopped / "run.json").write_text(json.dumps(record))
    run = recorder(tmp_path, stopped)
    run.begin(ExperimentConfig())
    run.finish("finished", 0, None)
    record = json.loads((stopped / "run.json").read_text())
    assert len(record["resumed"]) == 1
    assert record["seconds"] >= 0


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_log_that_is_a_link_is_refused_and_its_target_stays(
    tmp_path: Path, stopped: Path, kind: str
) -> None:
    victim, log = tmp_path / "victim", stopped / "log.txt"
    victim.write_text("mine\n")
    log.unlink()
    if kind == "symbolic":
        log.symlink_to(victim)
    else:
        log.hardlink_to(victim)
    with pytest.raises(UsageError, match=r"cannot be written: log\.txt .*link.*; remove it"):
        recorder(tmp_path, stopped)
    assert victim.read_text() == "mine\n"
    log.unlink()
    recorder(tmp_path, stopped).close()


def test_a_folder_of_a_run_that_is_a_link_is_refused(tmp_path: Path, stopped: Path) -> None:
    (tmp_path / "others").mkdir()
    (stopped / "points").mkdir()
    (stopped / "points" / "1").symlink_to(tmp_path / "others")
    with pytest.raises(UsageError, match=r"points.1: is a link to another folder"):
        recorder(tmp_path, stopped)
