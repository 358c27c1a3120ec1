"""A signal before the work has begun, and after it has ended: one line and the documented code."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROGRAM, ROOT, smoke
from tests.faults.tally import LONG, Tally

# Run by Python at its start, before anything of mlhw: signals the process at a certain import.
AT_IMPORT = """
import os, sys

left = int(os.environ["AT_IMPORT"])

def hook(event, _):
    global left
    if event == "import" and "mlhw.commands.main" in sys.modules:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), int(os.environ["SIGNUM"]))

sys.addaudithook(hook)
"""

AT_EXIT = """
import atexit, os

atexit.register(lambda: os.kill(os.getpid(), int(os.environ["SIGNUM"])))
"""


def run(folder: Path, code: str, signum: int, *words: str, at: int = 0) -> Any:
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "sitecustomize.py").write_text(code)
    return subprocess.run(
        [PROGRAM, *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
            "AT_IMPORT": str(at),
            "SIGNUM": str(int(signum)),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_signal_while_modules_are_imported_is_one_line_and_the_documented_code(
    tmp_path: Path, tally: Any
) -> None:
    counted: Tally = tally("signals_early")
    chance = random.Random(14)
    places = [chance.randrange(1, 1500) for _ in range(60)] if LONG else [1, 40, 400]
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    command = ("lr-sweep", "-q", "--json", "--no-plots", "-c", smoke("lr-sweep"))
    for number, at in enumerate(places):
        signum = signals[number % 3]
        folder = tmp_path / str(number)
        done = run(folder, AT_IMPORT, signum, *command, at=at)
        code = 128 + signum
        name = "Ctrl-C" if signum == signal.SIGINT else signum.name
        records = [json.loads(path.read_text()) for path in folder.glob("runs/2*/run.json")]
        ends = [(one["status"], one["exit_code"]) for one in records]
        lines = done.stderr.splitlines()
        fine = (
            done.returncode == code
            and lines[:1] == [f"error: interrupted by {name}"]
            and len(lines) == 1 + len(ends)
            and ends in ([], [("interrupted", code)])
            and json.loads(done.stdout)["error"] == [f"interrupted by {name}"]
        )
        # With fewer imports than that the run has ended without a signal.
        fine = fine or (LONG and at > 400 and done.returncode == 0 and ends == [("finished", 0)])
        outcome: Any = "traceback" if "Traceback" in done.stderr else "survived" if fine else "lost"
        detail = f"{done.returncode} {ends} {done.stderr} {done.stdout[:200]}"
        counted.note(f"{name} at import {at}", outcome, detail)


@pytest.mark.slow
def test_a_signal_after_a_command_has_ended_changes_nothing(tmp_path: Path, tally: Any) -> None:
    counted: Tally = tally("signals_early")
    config = ("-q", "--no-plots", "-c", smoke("lr-sweep"))
    done = run(tmp_path, AT_EXIT, signal.SIGTERM, "lr-sweep", *config)
    (record,) = tmp_path.glob("runs/2*/run.json")
    found = json.loads(record.read_text())
    fine = (done.returncode, done.stderr) == (found["exit_code"], "") and found[
        "status"
    ] == "finished"
    counted.note(
        "at exit", "survived" if fine else "lost", f"{done.returncode} {done.stderr} {found}"
    )
