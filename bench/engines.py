"""Engines of grids: what they cost beside the work, and what is left when their parts are killed.

200 points that sleep one second each in the worker, by every engine with as many places, on workers that are
warm: seconds over the ideal. Then grids of eight short points, by whose workers, machine or driver a random
one is killed at a random moment: every point has to have one row, equal to those of an undisturbed grid, and
one finished folder. Ray has two nodes on this machine.

    python bench/engines.py [--points 200] [--kills 50] [--only overhead|kills] [--kinds worker driver]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timing import RESULTS, ROOT, record

sys.path.insert(0, str(ROOT))

from mlhw.grids.engines.local import LocalEngine
from mlhw.grids.engines.ray import RayEngine
from mlhw.grids.tasks import Engine, PointTask, Site
from mlhw.grids.work import installed_version
from tests.grids.cluster import Cluster
from tests.grids.killing import Driven, attempts, kill_one, wrong

SLEEPER = (sys.executable, "-P", str(ROOT / "bench" / "sleeping.py"))
NODE_CPUS = 2
SLOTS = 2 * NODE_CPUS
KILLS_OF_A_GRID = 5
"""At most; a point may be tried eleven times."""


# ------------------------------------------------------------------------------------- overhead


def seconds_of(engine: Engine, folder: Path, points: int) -> float:
    """Seconds from the first submission to the last end, after as many points as there are places."""
    engine.recovered(folder)
    (folder / "points").mkdir()

    def work_off(first: int, count: int) -> float:
        tasks = [
            PointTask(
                i, 1, "lr-sweep", {}, str(folder / f"points/{i:04d}"), str(i), installed_version()
            )
            for i in range(first, first + count)
        ]
        started = time.perf_counter()
        engine.submit(tasks)
        while count:
            for end in engine.ended(5):
                assert end.status == "finished", end
                count -= 1
        return time.perf_counter() - started

    work_off(1, 2 * SLOTS)  # libraries are loaded
    return work_off(1 + 2 * SLOTS, points)


def overhead(cluster: Cluster, points: int) -> dict[str, Any]:
    ideal = points / SLOTS
    found: dict[str, Any] = {"points": points, "places": SLOTS, "ideal_s": ideal}
    engines: dict[str, Callable[[], Engine]] = {
        "local": lambda: LocalEngine(SLOTS, 1, SLEEPER),
        "ray": lambda: ray_engine(cluster, points),
    }
    for name, opened in engines.items():
        with tempfile.TemporaryDirectory() as folder:
            engine = opened()
            try:
                seconds = seconds_of(engine, Path(folder), points)
            finally:
                engine.close()
        found[name] = {"seconds": round(seconds, 2), "over_ideal": round(seconds / ideal - 1, 4)}
        print(
            f"{name}: {seconds:.1f} s for {ideal:.1f} s, {100 * (seconds / ideal - 1):.1f} % over"
        )
    return found


def ray_engine(cluster: Cluster, points: int) -> RayEngine:
    engine = RayEngine(cluster.address, 1.0, 0.0, points, SLEEPER)
    engine.open(Site(threads=1, device="cpu", points=points, version=installed_version()))
    assert engine.slots == SLOTS, engine.slots
    return engine


# ------------------------------------------------------------------------------------- kills


def kills(cluster: Cluster, count: int, kinds: Sequence[str]) -> dict[str, Any]:
    """What came of ``count`` kills of each of these kinds, beside what is known of the others."""
    path = RESULTS / "engines.json"
    found: dict[str, Any] = json.loads(path.read_text()).get("kills", {}) if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mlhw-") as place:
        reference = Driven(Path(place, "reference"), "local:2", {})
        assert reference.wait()[0] == 0
        assert reference.folder is not None
        for kind in kinds:
            kill = KINDS[kind]
            row = found[kind] = {"kills": 0, "as_undisturbed": 0, "grids": 0, "wrong": []}
            row["attempts_lost"] = 0
            draw = random.Random(kind)
            while row["kills"] < count:
                folder = Path(place, f"{kind}-{row['grids']}")
                one = Driven(folder, f"ray://{cluster.address}", cluster.environment)
                row["kills"] += kill(cluster, one, draw)
                code, errors = one.wait()
                assert one.folder is not None, errors
                bad = wrong(one.folder, reference.folder) + ([errors] if code else [])
                row["grids"] += 1
                row["as_undisturbed"] += not bad
                row["wrong"] += bad
                lost = [line for line in attempts(one.folder) if line["status"] != "finished"]
                row["attempts_lost"] += len(lost)
                print(f"{kind}: {row['kills']} kills, {row['grids']} grids, wrong: {row['wrong']}")
                shutil.rmtree(folder)
                record("engines", {"kills": found})
    return found


def of_a_worker(cluster: Cluster, one: Driven, draw: random.Random) -> int:
    return several(lambda: kill_one(lambda: cluster.pids("ray::attempt"), one, draw))


def of_a_machine(cluster: Cluster, one: Driven, draw: random.Random) -> int:
    def kill() -> bool:
        if not one.until(lambda: bool(cluster.pids("ray::attempt"))):
            return False
        time.sleep(draw.uniform(0, 2))
        if one.process.poll() is not None:
            return False
        cluster.kill("b")
        cluster.start("b")
        return True

    return several(kill)


def of_the_driver(cluster: Cluster, one: Driven, draw: random.Random) -> int:
    count = 0
    for _ in range(KILLS_OF_A_GRID):
        if one.until(lambda: one.folder is not None and bool(cluster.pids("ray::attempt"))):
            time.sleep(draw.uniform(0, 2))
            count += one.process.poll() is None
            one.signal(signal.SIGKILL)
            one.resume()
    return count


def of_the_desk(cluster: Cluster, one: Driven, draw: random.Random) -> int:
    def kill() -> bool:
        if not one.until(lambda: bool(cluster.pids("ray::attempt"))):
            return False
        return kill_one(lambda: cluster.pids("ray::Desk"), one, draw)

    return several(kill)


def several(kill: Callable[[], bool]) -> int:
    """How often something was killed before the grid was over."""
    return sum(kill() for _ in range(KILLS_OF_A_GRID))


KINDS: dict[str, Callable[[Cluster, Driven, random.Random], int]] = {
    "worker": of_a_worker,
    "machine": of_a_machine,
    "driver": of_the_driver,
    "results": of_the_desk,
}


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="mlhw-ray-"))
    try:
        with Cluster(folder, NODE_CPUS) as cluster:
            os.environ.update(cluster.environment)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=("overhead", "kills"))
    parser.add_argument("--kinds", nargs="*", choices=tuple(KINDS), default=tuple(KINDS))
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    with two_nodes() as cluster:
        if asked.only != "kills":
            record("engines", {"overhead": overhead(cluster, asked.points)})
        if asked.only != "overhead":
            record("engines", {"kills": kills(cluster, asked.kills, asked.kinds)})


if __name__ == "__main__":
    main()
