"""Engines of grids: what they cost beside the work, and what is left when their parts are killed.

200 points that sleep one second each in the worker, by every engine with as many places, on workers that are
warm: seconds over the ideal. Then grids of eight short points, by whose workers, machine or driver a random
one is killed at a random moment: every point has to have one row, equal to those of an undisturbed grid, and
one finished folder. Ray and SLURM have two nodes each on this machine; for SLURM Debian's slurm-wlm and munge
are needed.

    python bench/engines.py [--points 200] [--kills 50] [--only overhead|kills] [--kinds worker slurm_job]
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timing import RESULTS, ROOT, record

sys.path.insert(0, str(ROOT))

from mlhw.grids.engines.local import LocalEngine
from mlhw.grids.engines.ray import RayEngine
from mlhw.grids.tasks import Engine, PointTask, Site
from mlhw.grids.work import installed_version
from tests.grids.batch_system import NODES, BatchSystem, jobs_in
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

Kill = Callable[[Driven, random.Random], int]
"""Kills parts of the engine of a grid that is driven, and returns how many."""


def kills(
    engine: str, environment: dict[str, str], kinds: Mapping[str, Kill], count: int
) -> dict[str, Any]:
    """What came of ``count`` kills of each of these kinds, beside what is known of the others."""
    path = RESULTS / "engines.json"
    found: dict[str, Any] = json.loads(path.read_text()).get("kills", {}) if path.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mlhw-") as place:
        reference = Driven(Path(place, "reference"), "local:2", {})
        assert reference.wait()[0] == 0
        assert reference.folder is not None
        for kind, kill in kinds.items():
            row = found[kind] = {"kills": 0, "as_undisturbed": 0, "grids": 0, "wrong": []}
            row["attempts_lost"] = 0
            draw = random.Random(kind)
            while row["kills"] < count:
                folder = Path(place, f"{kind}-{row['grids']}")
                one = Driven(folder, engine, environment)
                row["kills"] += kill(one, draw)
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


def of_one(pids: Callable[[Driven], list[int]]) -> Kill:
    """Kills of one of some processes."""
    return lambda one, draw: several(lambda: kill_one(lambda: pids(one), one, draw))


def of_a_machine(
    pids: Callable[[Driven], list[int]], cluster: Cluster | BatchSystem, node: str
) -> Kill:
    """Kills of all of a node, which is started again."""

    def kill(one: Driven, draw: random.Random) -> bool:
        if not one.until(lambda: bool(pids(one))):
            return False
        time.sleep(draw.uniform(0, 2))
        if one.process.poll() is not None:
            return False
        cluster.kill(node)
        cluster.start(node)
        return True

    return lambda one, draw: several(lambda: kill(one, draw))


def of_the_driver(pids: Callable[[Driven], list[int]]) -> Kill:
    """Kills of the command, which goes on by ``--resume``."""

    def kill(one: Driven, draw: random.Random) -> int:
        count = 0
        for _ in range(KILLS_OF_A_GRID):
            if one.until(lambda: one.folder is not None and bool(pids(one))):
                time.sleep(draw.uniform(0, 2))
                count += one.process.poll() is None
                one.signal(signal.SIGKILL)
                one.resume()
        return count

    return kill


def several(kill: Callable[[], bool]) -> int:
    """How often something was killed before the grid was over."""
    return sum(kill() for _ in range(KILLS_OF_A_GRID))


def ray_kinds(cluster: Cluster) -> dict[str, Kill]:
    def workers(one: Driven) -> list[int]:
        return cluster.pids("ray::attempt")

    return {
        "worker": of_one(workers),
        "machine": of_a_machine(workers, cluster, "b"),
        "driver": of_the_driver(workers),
        "results": of_one(lambda one: cluster.pids("ray::Desk") if workers(one) else []),
    }


def slurm_kinds(system: BatchSystem) -> dict[str, Kill]:
    def jobs(one: Driven) -> list[int]:
        return jobs_in(one.folder)

    return {
        "slurm_job": of_one(jobs),
        "slurm_node": of_a_machine(jobs, system, NODES[1]),
        "slurm_driver": of_the_driver(jobs),
    }


KINDS = ("worker", "machine", "driver", "results", "slurm_job", "slurm_node", "slurm_driver")


@contextmanager
def batch_system() -> Iterator[BatchSystem]:
    with tempfile.TemporaryDirectory(prefix="mlhw-") as folder, BatchSystem(Path(folder)) as system:
        yield system


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
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    chosen = set(asked.kinds) if asked.only != "overhead" else set()
    if asked.only != "kills" or not chosen.isdisjoint(KINDS[:4]):
        with two_nodes() as cluster:
            if asked.only != "kills":
                record("engines", {"overhead": overhead(cluster, asked.points)})
            kinds = {key: kill for key, kill in ray_kinds(cluster).items() if key in chosen}
            kills(f"ray://{cluster.address}", cluster.environment, kinds, asked.kills)
    if not chosen.isdisjoint(KINDS[4:]):
        with batch_system() as system:
            kinds = {key: kill for key, kill in slurm_kinds(system).items() if key in chosen}
            kills("slurm", system.environment, kinds, asked.kills)


if __name__ == "__main__":
    main()
