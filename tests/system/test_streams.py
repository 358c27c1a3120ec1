"""Readers who leave, full disks and closed streams behind stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROGRAM

QUICK = "lr-sweep -q --no-plots --etas 0.1 --max-iterations 5"


def shell(tmp_path: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A line of bash with ``mlhw`` in it; its exit code is mlhw's."""
    return subprocess.run(
        ["bash", "-c", f"mlhw() {{ '{PROGRAM}' \"$@\"; }}; {command}; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": "runs"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def full() -> str:
    """A device that is always full."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    return "/dev/full"


@pytest.mark.parametrize(
    "arguments",
    [
        QUICK,
        f"{QUICK} --json",
        "lr-sweep --print-config",
        "runs list",
        "--help",
        "--version",
        "--show-completion bash",
    ],
)
def test_results_that_cannot_be_printed_are_one_line_and_exit_1(
    tmp_path: Path, arguments: str, full: str
) -> None:
    found = shell(tmp_path, f"mlhw {arguments} > {full}")
    assert (found.returncode, found.stderr) == (1, "error: stdout: no space left on device\n")
    for record in tmp_path.glob("runs/2*/run.json"):
        assert json.loads(record.read_text())["status"] == "finished"


def test_messages_that_cannot_be_printed_change_no_exit_code(tmp_path: Path, full: str) -> None:
    found = shell(tmp_path, f"mlhw {QUICK} --verbose 2> {full}")
    assert found.returncode == 0
    assert "run folder: " in found.stdout
    assert shell(tmp_path, f"mlhw no-such 2> {full}").returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code_and_no_file(tmp_path: Path, closed: str) -> None:
    found = shell(tmp_path, f"mlhw {QUICK} {closed}")
    assert (found.returncode, found.stderr) == (0, "")
    (folder,) = tmp_path.glob("runs/2*")
    # What is printed must not end in a file that took the closed stream's number.
    assert "run folder" not in (folder / "log.txt").read_text()
    assert ("run folder" in found.stdout) == (closed == "2>&-")
    assert shell(tmp_path, f"mlhw no-such {closed}").returncode == 2
    assert shell(tmp_path, f"mlhw runs list --json {closed}").returncode == 0


@pytest.mark.parametrize("option", ["--json", ""])
def test_all_keeps_its_exit_code_when_its_reader_has_left(tmp_path: Path, option: str) -> None:
    (tmp_path / "l.yaml").write_text("data: {name: iris}\n")  # three classes: exit 2
    (tmp_path / "all.yaml").write_text("experiments: {lr-sweep: l.yaml}\n")
    found = shell(tmp_path, f"mlhw all -q -c all.yaml {option} | true")
    assert found.returncode == 2
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", ["runs list", "runs list --json", "lr-sweep --print-config"])
def test_a_reader_who_leaves_early_is_no_error(tmp_path: Path, arguments: str) -> None:
    found = shell(tmp_path, f"{{ sleep 0.2; mlhw {arguments}; }} | true")
    assert (found.returncode, found.stderr) == (0, "")


def test_a_stream_that_failed_once_takes_what_else_is_printed() -> None:
    program = (
        "from mlhw.system import streams; import os, sys\n"
        "ours, theirs = os.pipe(); os.close(ours); os.dup2(theirs, 1); streams.guard()\n"
        "for i in range(3): print('x' * 100_000, flush=True)\n"
        "assert sys.stdout.fileno() == 1 and not sys.stdout.isatty()\n"
        "sys.exit(7 if streams.lost() is None else 8)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (7, "")
