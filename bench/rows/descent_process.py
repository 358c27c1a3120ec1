"""A whole process of lr-sweep over many points: read, descended, explained and judged."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from rows import either

ROW = "4"
TITLE = "mlhw lr-sweep --no-plots, 250,000 × 20, 32 rates, 20 iterations, the whole process"
GOAL = "at most 3 s, or 6.5 times as fast as before"
TURNS = 5

ROWS, FEATURES = 250_000, 20


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mlhw-bench-descent-")


@cache
def data() -> Path:
    path = Path(folder().name) / "points.npz"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    w = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    np.savez(path, X=X, y=(X @ w + rng.logistic(size=ROWS) > 0).astype(int))
    return path


def process() -> int:
    """One run; the most memory that it has had, bytes."""
    command = [sys.executable, "-P", "-m", "mlhw", "lr-sweep", "--data", str(data())]
    command += ["--etas", "0.01:1:log32", "--max-iterations", "20", "--tolerance", "0"]
    command += ["--no-plots", "--quiet"]
    with open(Path(folder().name) / "output.txt", "w+") as output:
        started = subprocess.Popen(
            command, cwd=folder().name, stdout=output, stderr=output, env=os.environ
        )
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode != 0:
            output.seek(0)
            raise RuntimeError(output.read()[-2000:])
    return used.ru_maxrss * 1024


def works() -> dict[str, Callable[[], object]]:
    data()
    return {"mlhw": process}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {GOAL: either(times, 3.0, 6.5)}


def checks() -> dict[str, float]:
    return {
        "memory of the array, MB": ROWS * FEATURES * 8 / 1e6,
        "most memory, MB": process() / 1e6,
    }
