"""What a grid costs beside its points: 200 that sleep a second in the worker, in a pool that is warm.

    python bench/grids.py

The ideal is points / workers seconds. Each pool has worked on one short round before the clock starts. Ours
makes a run folder for each point, writes both tables whole after each, and keeps all of it if something dies;
ProcessPoolExecutor and joblib call a function that sleeps and keep nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import joblib
from timing import machine, record, show

from mlhw.grids.config import GridConfig
from mlhw.grids.engines.local import LocalEngine
from mlhw.grids.plan import GridPlan, Point, plan_of
from mlhw.grids.rows import Row, attempt_cells, attempts_table, finished_row, grid_table, write_csvs
from mlhw.grids.tasks import PointTask
from mlhw.grids.work import own_version

POINTS, WORKERS, SECONDS = 200, 8, 1.0
WORKER = (sys.executable, str(Path(__file__).with_name("sleeping_worker.py")))


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def task_of(point: Point, folder: Path) -> PointTask:
    return PointTask(
        point.number, 1, "vanishing", point.config, str(folder / "points" / point.folder),
        point.identity, own_version(), {"plots": False},
    )  # fmt: skip


def ours(plan: GridPlan, folder: Path, engine: LocalEngine, points: list[Point]) -> None:
    """As ``grids.grid`` drives an engine: each end a row, both tables written whole."""
    rows: dict[int, Row] = {}
    attempts = []
    engine.submit([task_of(point, folder) for point in points])
    by_number = {point.number: point for point in points}
    while len(rows) < len(points):
        ends = engine.ended(0.2)
        for end in ends:
            point = by_number[end.point]
            row = finished_row(folder / "points" / point.folder, point.identity)
            assert row is not None, end
            rows[end.point] = row
            attempts.append(attempt_cells(end))
        if ends:
            write_csvs(folder, (grid_table(plan, rows), attempts_table(attempts)))


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    over = {"depth": list(range(4, 4 + POINTS))}
    plan = plan_of(GridConfig(experiment="vanishing", over=over))
    ideal = SECONDS * POINTS / WORKERS
    times = {"ideal": ideal}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = LocalEngine(WORKERS, 1, WORKER)
        warm = folder / "warm"
        (warm / "points").mkdir(parents=True)
        ours(plan, warm, engine, plan.points[:WORKERS])
        times["mlhw grid"] = timed(lambda: ours(plan, folder, engine, plan.points))
        engine.close()
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(nap, [0.05] * WORKERS))
        times["ProcessPoolExecutor"] = timed(lambda: list(pool.map(nap, [SECONDS] * POINTS)))
    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        parallel(joblib.delayed(nap)(0.05) for _ in range(WORKERS))
        times["joblib"] = timed(
            lambda: parallel(joblib.delayed(nap)(SECONDS) for _ in range(POINTS))
        )
    overhead = {which: seconds / ideal - 1 for which, seconds in times.items()}
    print(machine())
    show(
        f"{POINTS} points that sleep {SECONDS:g} s, {WORKERS} workers",
        times,
        [f"mlhw grid takes {overhead['mlhw grid']:.1%} over the ideal (at most 15 %)"],
    )
    record(
        "grids",
        {
            "points": POINTS,
            "workers": WORKERS,
            "ideal_s": ideal,
            "ours_s": times["mlhw grid"],
            "ours_over_ideal": overhead["mlhw grid"],
            "pool_over_ideal": overhead["ProcessPoolExecutor"],
            "joblib_over_ideal": overhead["joblib"],
        },
    )


if __name__ == "__main__":
    main()
