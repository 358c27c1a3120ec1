"""A disk that takes no more: one line, exit 1, and a record that says so."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlhw.config.model import ExperimentConfig
from mlhw.errors import reason_of
from mlhw.result.recorder import is_logged
from mlhw.runs import folder as runs
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.history import Run, all_runs
from mlhw.runs.options import RunOptions
from mlhw.system.files import write_whole
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from tests.conftest import PROGRAM


def limited(tmp_path: Path, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where no file may grow beyond ``size`` bytes."""
    program = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(size), str(PROGRAM), *arguments],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": str(tmp_path / "runs"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def recorder(tmp_path: Path) -> FolderRecorder:
    made = FolderRecorder(
        "lr-sweep",
        ExperimentConfig(),
        RunOptions(("mlhw", "lr-sweep"), runs_dir=str(tmp_path / "runs")),
        Screen(quiet=True),
        Interrupts(),
    )
    made.begin(ExperimentConfig())
    return made


def test_a_full_disk_leaves_a_run_that_says_it_failed_and_where(tmp_path: Path) -> None:
    found = limited(tmp_path, 20_000, "lr-sweep", "-q", "--no-plots", "--tolerance", "0")
    assert found.returncode == 1
    (run,) = all_runs(tmp_path / "runs")
    line = f"{run.folder / 'metrics.csv'}: file too large"
    assert found.stderr == f"error: {line}\n"
    assert (run.status, run.record["exit_code"], run.text("reason")) == ("failed", 1, line)
    assert len(run.table("metrics")) > 10


@pytest.mark.parametrize("command", ["lr-sweep", "all"])
def test_a_disk_that_is_full_from_the_start_is_one_line(tmp_path: Path, command: str) -> None:
    found = limited(tmp_path, 0, command, "-q")
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.endswith("/run.json: file too large\n")
    assert "report" not in found.stdout


def test_with_json_the_object_says_that_the_run_failed(tmp_path: Path) -> None:
    found = limited(tmp_path, 20_000, "lr-sweep", "-q", "--json", "--no-plots", "--tolerance", "0")
    assert json.loads(found.stdout)["status"] == "failed"


def test_the_end_is_recorded_where_there_is_no_room_for_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder(tmp_path)
    assert made.folder is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_whole", full)
    made.finish("failed", 1, "no space left on device")
    assert json.loads((made.folder / "run.json").read_text())["status"] == "failed"


def test_a_run_is_locked_until_its_end_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder(tmp_path)
    folder = made.folder
    assert folder is not None
    seen = []
    write = runs.write_whole

    def look(path: Path, content: str | bytes) -> None:
        seen.append(Run(folder, {**made._record, "status": "running"}).status)
        write(path, content)

    monkeypatch.setattr(runs, "write_whole", look)
    made.finish("finished", 0, None)
    assert seen == ["running"]


def test_a_table_that_cannot_be_closed_fails_the_run_before_it_is_finished(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    table = made.table("metrics", ["a"])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        with pytest.raises(OSError, match="metrics"):
            table.append(1)
        with pytest.raises(OSError, match="metrics"):
            made.close_tables()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    made.finish("failed", 1, None)


def test_a_full_disk_is_named_with_what_is_needed_and_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    free = SimpleNamespace(f_bavail=3, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _: free)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_whole(tmp_path / "a", b"x" * 94_300)
    assert error.value.filename == str(tmp_path / "a")
    assert reason_of(error.value) == "no space left on device (needs 94.3 kB, 12.3 kB free)"
    assert os.listdir(tmp_path) == []


def test_the_log_is_bounded_and_says_so_and_how_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST_LOG_BYTES", 5_000)
    made = recorder(tmp_path)
    assert made.folder is not None
    for number in range(10_000):
        made.log(f"line {number}, as an experiment has them")
    made.warn("and this")
    made.log_traceback("error: how it ended")
    made.finish("failed", 1, None)
    lines = (made.folder / "log.txt").read_text().splitlines()
    assert lines[:2] == [f"line {n}, as an experiment has them" for n in range(2)]
    assert lines[-2:] == ["5 kB are full: further lines are left out", "error: how it ended"]
    assert (made.folder / "log.txt").stat().st_size < 5_200


def test_of_ten_million_epochs_the_log_has_4600() -> None:
    assert all(is_logged(n) for n in range(1_000))
    assert [n for n in range(1_000, 1_030) if is_logged(n)] == [1_000, 1_010, 1_020]
    assert is_logged(9_990)
    assert not is_logged(10_010)
    assert sum(is_logged(n) for n in range(1_000, 100_000)) == 1_800
