"""SIGKILL of a grid's workers and driver at random moments: every point one row, one finished folder."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mlhw.runs.history import Run, all_runs
from tests.faults.tally import LONG, Outcome
from tests.warm import PROGRAM

pytestmark = pytest.mark.slow

KILLS = 50 if LONG else 3
# Of a fraction of a second each, and no two with the same numbers.
GRID = (
    *("grid", "vanishing", "--over", "depth=10,15,20", "--repeats", "4", "--draws", "1000"),
    *("--engine", "local:2", "--retries", "20", "--quiet", "--no-plots", "--no-check"),
)
POINTS = 12
LONGEST = 300.0


class Driver:
    """``mlhw grid`` in a process; its end is waited for, whatever happens."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            cwd=folder,
            env={**os.environ, "MLHW_RUNS_DIR": str(folder / "runs")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def workers(self) -> list[int]:
        """Its processes that work on points."""
        found = []
        for listed in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for pid in listed.read_text().split():
                    if b"mlhw.grids.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        found.append(int(pid))
        return found

    def end(self) -> int:
        self.process.wait(LONGEST)
        return self.process.returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of the grid that nothing befell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Driver(folder, GRID) as driver:
        assert driver.end() == 0
    return grid_in(folder).folder.joinpath("grid.csv").read_bytes()


def grid_in(folder: Path) -> Run:
    (found,) = all_runs(folder / "runs")
    return found


def outcome(folder: Path, expected: bytes) -> tuple[Outcome, str]:
    """One row and one finished folder a point, and the numbers of the grid that nothing befell."""
    grid = grid_in(folder)
    rows = [int(row["point"]) for row in grid.table("grid")]
    if rows != list(range(1, POINTS + 1)):
        return "lost", f"rows {rows}"
    unfinished = [run.name for run in grid.points if run.status != "finished"]
    if unfinished or len(grid.points) != POINTS:
        return "lost", f"{len(grid.points)} folders, unfinished {unfinished}"
    others = [p.name for p in (grid.folder / "points").iterdir() if not p.name.isdecimal()]
    if others:
        return "lost", f"left behind: {others}"
    if (grid.folder / "grid.csv").read_bytes() != expected:
        return "silent", "other numbers"
    return "survived", ""


def moments(name: str) -> Iterator[tuple[random.Random, float]]:
    """For one grid after the other how to draw, and how long one takes until a kill."""
    draw = random.Random(name)
    while True:
        yield draw, draw.uniform(0.2, 2.0)


def test_a_killed_worker_costs_one_try_and_no_point(
    tmp_path: Path, undisturbed: bytes, tally
) -> None:
    workers = tally("grid_workers")
    killed = number = 0
    while killed < KILLS:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        here = 0
        with Driver(folder, GRID) as driver:
            for draw, seconds in moments(f"worker {number}"):
                time.sleep(seconds / 2)
                if driver.process.poll() is not None or killed + here == KILLS:
                    break
                if at_work := driver.workers:
                    os.kill(draw.choice(at_work), signal.SIGKILL)
                    here += 1
            code = driver.end()
            said = driver.process.stderr.read() if driver.process.stderr else ""
        result = outcome(folder, undisturbed)
        if code != 0:
            result = "traceback" if "Traceback" in said else "lost", f"exit code {code}: {said}"
        died = [row for row in grid_in(folder).table("attempts") if row["status"] == "died"]
        if len(died) > here:
            result = "lost", f"{len(died)} tries died of {here} kills"
        for kill in range(here):
            workers.note(f"grid {number}, kill {kill + 1}", *result)
        killed += here


def test_a_killed_driver_goes_on_and_runs_no_finished_point_again(
    tmp_path: Path, undisturbed: bytes, tally
) -> None:
    drivers = tally("grid_drivers")
    killed = number = 0
    while killed < KILLS:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments: Sequence[str] = GRID
        here, finished = 0, {}
        again: list[str] = []
        for _, seconds in moments(f"driver {number}"):
            with Driver(folder, arguments) as driver:
                # Until the grid has its folder, for the first of them.
                until = time.monotonic() + LONGEST
                while not all_runs(folder / "runs") and time.monotonic() < until:
                    time.sleep(0.02)
                if killed + here < KILLS:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        driver.process.wait(seconds)
                else:
                    driver.end()
                over = driver.process.poll() is not None
                if not over:
                    driver.process.kill()
                    driver.process.wait()
                    here += 1
            grid = grid_in(folder)
            now = {run.name: run.text("started") for run in grid.points if run.status == "finished"}
            again += [name for name, started in finished.items() if now.get(name) != started]
            finished = now
            arguments = (
                "grid",
                "--resume",
                str(grid.folder),
                "--quiet",
                "--no-plots",
                "--no-check",
            )
            if over:
                break
        result = outcome(folder, undisturbed)
        if again:
            result = "lost", f"run again: {again}"
        if driver.process.returncode != 0:
            result = "lost", f"exit code {driver.process.returncode}"
        for kill in range(here):
            drivers.note(f"grid {number}, kill {kill + 1}", *result)
        killed += here
        if not here:
            break  # a machine so fast that nothing was left to kill
