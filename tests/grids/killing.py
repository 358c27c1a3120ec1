"""A grid driven by the installed command; its workers, machines or driver are killed; what it leaves."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mlhw.runs.history import run_at
from mlhw.runs.verification import verified
from tests.warm import PROGRAM

GRID = (
    *("lr-sweep", "--set", "tolerance=0", "--set", "max_iterations=3000", "--no-plots"),
    *("--over", "etas=[0.5],[0.4],[0.3],[0.2],[0.1],[0.05],[0.02],[0.01]", "--retries", "10"),
)
POINTS = 8
LONGEST_S = 300


class Driven:
    """A grid in a new folder of runs, and the process that drives it."""

    def __init__(
        self,
        folder: Path,
        engine: str,
        environment: Mapping[str, str],
        grid: tuple[str, ...] = GRID,
    ) -> None:
        self.runs = folder
        self._environment = {**os.environ, **environment, "MLHW_RUNS_DIR": str(folder)}
        self.process = self._start("grid", *grid, "--engine", engine)

    def _start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(PROGRAM), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.runs.parent,
            env=self._environment,
            start_new_session=True,
        )

    @property
    def folder(self) -> Path | None:
        """The grid's folder, once it is there."""
        return next((path for path in self.runs.glob("2*-grid-*") if path.is_dir()), None)

    def resume(self) -> None:
        assert self.folder is not None
        self.process = self._start("grid", "--resume", str(self.folder))

    def wait(self) -> tuple[int, str]:
        """Exit code and stderr of the driver that runs now."""
        _, errors = self.process.communicate(timeout=LONGEST_S)
        return self.process.returncode, errors

    def signal(self, signum: int) -> tuple[int, str]:
        self.process.send_signal(signum)
        return self.wait()

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait until something holds, or the driver has ended; whether it held."""
        while self.process.poll() is None:
            if holds():
                return True
            time.sleep(0.05)
        return False


def kill_one(pids: Callable[[], list[int]], driven: Driven, draw: random.Random) -> bool:
    """SIGKILL for one of some processes, a random moment after there are any; whether one was killed."""
    if not driven.until(lambda: bool(pids())):
        return False
    time.sleep(draw.uniform(0, 1.5))
    found = pids()
    if not found or driven.process.poll() is not None:
        return False
    try:
        os.kill(draw.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def attempts(folder: Path) -> list[dict[str, str]]:
    with (folder / "attempts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def wrong(folder: Path, reference: Path) -> list[str]:
    """What is not as it would be had nothing been killed; empty if all is."""
    found = []
    if (folder / "grid.csv").read_bytes() != (reference / "grid.csv").read_bytes():
        found.append("grid.csv differs")
    points = sorted(path.name for path in (folder / "points").iterdir())
    if points != sorted(path.name for path in (reference / "points").iterdir()):
        found.append(f"folders {points}")
    for point in points:
        run = run_at(folder / "points" / point)
        if run.status != "finished" or not verified(run).sound:
            found.append(f"{point}: {run.status}, {verified(run).files}")
    tries = [(row["point"], row["attempt"], row["status"]) for row in attempts(folder)]
    ended = {point for point, _, status in tries if status == "finished"}
    if ended != {str(int(point)) for point in points}:
        found.append(f"attempts {tries}")
    # A batch system's folder stays where a try has died: the logs of its jobs are in it.
    kept = {".slurm"} if any(status == "died" for _, _, status in tries) else set()
    left = [path.name for path in folder.iterdir() if path.name[0] == "."]
    return found + [f"left: {name}" for name in left if name not in kept]
