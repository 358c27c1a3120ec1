"""What it costs to run a submission where it can reach nothing, by rung of isolation.

    python bench/isolation.py [--count 600] [--hanging 10] [--jobs 2]

Right submissions and some that hang (5 s each) go through the runner alone, without a judge, on every rung
that this machine offers: the time to start, of the whole class, of a submission as seen by the pool, and
the processor time of one, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator

import numpy as np
from timing import ROOT, machine, record

sys.path.insert(0, str(ROOT))

from mlhw.grading.isolation import rungs
from mlhw.grading.isolation.job import Job, Limits
from mlhw.grading.isolation.runner import Runner
from tests.grading.handed_in import RIGHT

HANGING = "def backprop(*_):\n    while True: pass\n"


def submissions(count: int, hanging: int) -> Iterator[Job]:
    rng = np.random.default_rng(0)
    shapes = [(2, 3), (2, 2), (1, 2), (3,), (1,)]
    calls = [[rng.normal(size=shape) for shape in shapes] for _ in range(30)]
    every = count // hanging if hanging else count + 1
    for number in range(count):
        source = HANGING if number % every == every - 1 else RIGHT
        yield Job({"a.py": source.encode()}, "a.py", calls, 20, limits=Limits(seconds=5.0))


def processor_ms(rung: str, count: int = 100) -> float:
    """Processor time of a right submission, the judge's and all processes' of the sandbox together."""

    def used(files: int) -> float:
        before = os.times()
        with Runner(rung) as runner:
            for job in submissions(files, 0):
                runner.run(job)
        after = os.times()
        return sum(after[:4]) - sum(before[:4])

    return 1000 * (used(count + 1) - used(1)) / count


def measured(rung: str, given: argparse.Namespace) -> dict[str, float]:
    started = time.perf_counter()
    with Runner(rung, given.jobs) as runner:
        runner.run(next(submissions(1, 0)))
        ready = time.perf_counter()
        ended = list(runner.run_all(submissions(given.count, given.hanging)))
        done = time.perf_counter()
    hung = sum(replies.timeout for _, replies in ended)
    right = sum(len(replies.replies) == 30 for _, replies in ended)
    if (hung, right) != (given.hanging, given.count - given.hanging):
        print(f"  {rung}: {right} answered, {hung} timed out", file=sys.stderr)
    working = (done - ready) * given.jobs - 5.0 * hung
    found = {
        "start_s": ready - started,
        "class_s": done - ready,
        "submission_ms": 1000 * working / (given.count - hung),
    }
    if rung != "bubblewrap":  # which does not hand on the time of what ran inside
        found["cpu_ms"] = processor_ms(rung)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--hanging", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    print(machine())
    print(
        f"{given.count} submissions, {given.hanging} of them hanging for 5 s, {given.jobs} at a time"
    )
    print(f"load before: {os.getloadavg()[0]:.1f}")
    found: dict[str, float] = {
        "count": given.count,
        "hanging": given.hanging,
        "jobs": given.jobs,
        "load": os.getloadavg()[0],
    }
    for rung in rungs.RUNGS:
        reason = rungs.why_no_rung(rung)
        if reason:
            print(f"{rung:12}  {reason}")
            continue
        row = measured(rung, given)
        words = "  ".join(f"{name} {value:8.2f}" for name, value in row.items())
        print(f"{rung:12}  {words}", flush=True)
        found |= {f"{rung}_{name}": value for name, value in row.items()}
    record("isolation", found)


if __name__ == "__main__":
    main()
