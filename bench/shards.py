"""Gradient descent on rows in shards: scaling over processes, bytes between them, rows larger than memory.

    python bench/shards.py

Three parts, each compared within itself. Strong scaling: the same rows for 1, 2 and 4 processes of one thread
each. Weak scaling: as many rows more. Out of core: one iteration over a file of 3 GB in a control group of
1.5 GB, page cache included, in turn with reading the file once there, and with the same iteration over those
rows in memory. A control group takes root; without one the file is read without a limit, and the result says
so. ``SHARDS_ROWS`` makes the file smaller, and with less than a million rows everything is measured once.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from timing import in_turn, record, show

from mlhw.experiments.lr_sweep.experiment import Config
from mlhw.experiments.sharded import begin, passes, processes
from mlhw.experiments.sharded.wire import packed
from mlhw.system.ranks import of_environment, together

FEATURES = 20
RATES = 32
ROWS = 200_000
"""Of strong scaling; of weak scaling a quarter for each process."""
TURNS = 7
LARGE = int(os.environ.get("SHARDS_ROWS", "17_857_142"))
"""Rows of the large file: 3.0 GB."""
ROUNDS = 3 if LARGE > 1_000_000 else 1
FEW_RATES = 5
WIDE, WIDE_ROWS = 1000, 30_000
LIMIT = 1_500_000_000


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("SHARDS_DIR")) as place:
        folder = Path(place)
        found = {"features": FEATURES, "rates": RATES, **scaling(folder), **wide(folder)}
        found |= out_of_core(folder)
    record("shards", found)


# ------------------------------------------------------------------------------------- processes


def scaling(folder: Path) -> dict[str, Any]:
    """Seconds of an iteration for 1, 2 and 4 processes, and bytes that travel in it."""
    worlds = [world for world in (1, 2, 4) if world <= 2 * processes.usable_cpus()]
    for world in worlds:
        make(folder / f"weak{world}.npy", ROWS // 4 * world)
    make(folder / "strong.npy", ROWS)
    found: dict[str, Any] = {"strong": {}, "weak": {}}
    for kind in ("strong", "weak"):
        times: dict[int, list[float]] = {world: [] for world in worlds}
        told: dict[str, Any] = {}
        for _ in range(ROUNDS):  # in turn: the machine is never the same for long
            for world in worlds:
                name = "strong" if kind == "strong" else f"weak{world}"
                told = torchrun(world, folder / f"{name}.npy")
                times[world].append(told["seconds"])
        middle = {world: statistics.median(values) for world, values in times.items()}
        show(f"{kind} scaling", {f"{w} processes": s for w, s in middle.items()}, [])
        found[kind] = {
            str(world): {
                "ms": 1000 * seconds,
                "spread_ms": 1000 * (max(times[world]) - min(times[world])),
                # Of what so many processes would take of one's time if nothing were lost.
                "efficiency": middle[1] / seconds / (world if kind == "strong" else 1),
            }
            for world, seconds in middle.items()
        }
        found["up_bytes"], found["down_bytes"] = told["up"], told["down"]
        found["exchange_ms"] = 1000 * told["exchange"]
    return found | {"rows": ROWS, "cores": processes.usable_cpus()}


def torchrun(world: int, file: Path) -> dict[str, Any]:
    """One process after the other has its thread; what process 0 tells."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words += [f"--nproc-per-node={world}", __file__, "member", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def member(file: str) -> None:
    """One of several processes, with one thread."""
    processes.usable_cpus = lambda: 1  # type: ignore[assignment]
    config = Config(
        data={"name": None, "file": file},  # type: ignore[arg-type]
        etas=list(np.geomspace(0.01, 0.5, RATES)),
    )
    muster = processes.Muster(config, 16, 4_000_000_000, RATES * 500)
    ranks = of_environment()
    if ranks is None:
        with processes.crew_led(muster, None) as (crew, _, names):
            tell(config, crew, names)
        return
    with together(ranks) as group:
        if not group.leads:
            processes.follow_crew(muster, group)
            return
        with processes.crew_led(muster, group) as (crew, _, names):
            tell(config, crew, names)


def tell(config: Config, crew: Any, names: tuple[str, ...]) -> None:
    problem = begin.problem_of(config, crew, names, 2)
    W = np.repeat(problem.w0[:, None], RATES, axis=1)
    seconds = [timed(lambda: problem.slopes(W)) for _ in range(TURNS)]
    exchanges = [timed(lambda: crew.over(NOTHING, W=W)) for _ in range(5 * TURNS)]
    told = {
        "seconds": statistics.median(seconds[1:]),
        "exchange": statistics.median(exchanges),
        "up": len(packed("", {"0": np.zeros(RATES), "1": W})),
        "down": len(packed("slopes", {"W": W})),
    }
    print(json.dumps(told))


def nothing(block: Any, numbers: Any) -> Any:
    """A pass without work: what asking and answering take."""


NOTHING = passes.RowPass(("sum", "sum"), nothing)


class WithNothing(processes.Shards):
    def part(self, name: str, numbers: Any) -> Any:
        if name == "nothing":
            return np.zeros(RATES), np.zeros((FEATURES + 1, RATES))
        return super().part(name, numbers)


passes.PASSES["nothing"] = NOTHING
processes.Shards = WithNothing  # type: ignore[misc]


def timed(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# ------------------------------------------------------------------------------------- many features


def wide(folder: Path) -> dict[str, Any]:
    """Nanoseconds of a row of many features on one thread, in memory, and of bare products of NumPy."""
    make(folder / "wide.npy", WIDE_ROWS, WIDE)
    processes.usable_cpus = lambda: 1  # type: ignore[assignment]
    config = Config(
        data={"name": None, "file": str(folder / "wide.npy")},  # type: ignore[arg-type]
        etas=list(np.geomspace(0.01, 0.5, FEW_RATES)),
    )
    with processes.crew_led(processes.Muster(config, 16, 1 << 40, 1 << 40), None) as (
        crew,
        _,
        names,
    ):
        problem = begin.problem_of(config, crew, names, 2)
        W = np.repeat(problem.w0[:, None], FEW_RATES, axis=1)
        X = np.load(folder / "wide.npy")
        times = in_turn(
            {"slopes": lambda: problem.slopes(W), "bare": lambda: X.T @ (X @ W)}, runs=TURNS
        )
    row = {name: 1e9 * seconds / WIDE_ROWS for name, seconds in times.items()}
    return {"wide_features": WIDE, "wide_ns": row["slopes"], "wide_bare_ns": row["bare"]}


# ------------------------------------------------------------------------------------- out of core


def out_of_core(folder: Path) -> dict[str, Any]:
    """An iteration over rows larger than memory, beside reading them once and the same in memory."""
    file = folder / "large.npy"
    make(file, LARGE)
    with control_group(LIMIT) as group:
        workers = {
            "reading the file once": Worker("reading", file, group),
            "the iteration in memory": Worker("memory", file, None),
            "the iteration from the file": Worker("disk", file, group),
        }
        times: dict[str, list[float]] = {name: [] for name in workers}
        for turn in range(2 * ROUNDS):
            for name, worker in workers.items():
                seconds = worker.turn()
                if turn:
                    times[name].append(seconds)
        reading, memory, disk = (statistics.median(values) for values in times.values())
        peak = workers["the iteration from the file"].end()
        for worker in list(workers.values())[:2]:
            worker.end()
    turns = zip(*times.values(), strict=True)
    ratio = statistics.median(c / max(a, b) for a, b, c in turns)
    show(
        f"{LARGE:,} rows of {FEATURES} features, {FEW_RATES} rates",
        {"reading": reading, "in memory": memory, "from the file": disk},
        [
            f"{ratio:.2f} times the larger (at most 1.3)",
            f"peak {peak / 1e6:.0f} MB (at most 1,000)",
        ],
    )
    return {
        "large_bytes": file.stat().st_size,
        "large_rows": LARGE,
        "few_rates": FEW_RATES,
        "limit_bytes": None if group is None else LIMIT,
        "reading_s": reading,
        "memory_s": memory,
        "disk_s": disk,
        "out_of_core_ratio": ratio,
        "peak_bytes": peak,
    }


@contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """A group of processes with a limit on memory, page cache included; None where none can be made."""
    folder = Path("/sys/fs/cgroup/memory", f"mlhw-bench-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        print("no control group can be made: no limit")
        yield None
        return
    yield folder / "cgroup.procs"
    folder.rmdir()


class Worker:
    """A process that does its one thing each time it is told to."""

    def __init__(self, kind: str, file: Path, group: Path | None) -> None:
        words = [sys.executable, __file__, kind, str(file), str(group or "")]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def turn(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        return float(self.process.stdout.readline())

    def end(self) -> int:
        """The most memory that it has had, in bytes."""
        out, _ = self.process.communicate()
        return int(out.split()[-1])


def work(kind: str, file: str, group: str) -> None:
    if group:
        Path(group).write_text(str(os.getpid()))
    if kind == "reading":
        answer(lambda: read_once(file))
    else:
        iterate(kind, file)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def iterate(kind: str, file: str) -> None:
    config = Config(
        data={"name": None, "file": file},  # type: ignore[arg-type]
        etas=list(np.geomspace(0.01, 0.5, FEW_RATES)),
    )
    memory = 512_000_000 if kind == "disk" else 1 << 40
    with processes.crew_led(processes.Muster(config, 16, memory, RATES * 500), None) as (
        crew,
        _,
        names,
    ):
        problem = begin.problem_of(config, crew, names, 2)
        W = np.repeat(problem.w0[:, None], FEW_RATES, axis=1)
        answer(lambda: problem.slopes(W))


def answer(function: Any) -> None:
    for _ in sys.stdin:
        print(timed(function), flush=True)


def read_once(file: str) -> None:
    room = memoryview(bytearray(4 << 20))
    with open(file, "rb", buffering=0) as stream:
        while stream.readinto(room):
            pass


def make(path: Path, rows: int, features: int = FEATURES) -> None:
    """Rows of two overlapping classes, drawn piece by piece, out of the page cache in the end."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=features) / np.sqrt(features)
    with open(path, "wb") as file:
        form = {"descr": "<f8", "fortran_order": False, "shape": (rows, features + 1)}
        np.lib.format.write_array_header_2_0(file, form)
        at_once = 10_000_000 // features
        for first in range(0, rows, at_once):
            X = rng.normal(size=(min(at_once, rows - first), features))
            t = X @ w + rng.logistic(size=len(X)) > 0
            file.write(np.column_stack([X, t]).tobytes())
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["member"]:
        member(sys.argv[2])
    elif len(sys.argv) > 3:
        work(*sys.argv[1:])
    else:
        main()
