"""A large CSV against the same numbers as NPZ, and against other readers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

ROW = "1"
TITLE = "points read from CSV, 200,000 rows of 20 features and a class"
GOAL = "at most 0.6 s more than the same data as NPZ, the same bits, memory at most three times the array"

ROWS, FEATURES = 200_000, 20


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mlhw-bench-csv-")


@cache
def file(ending: str) -> Path:
    path = Path(folder().name) / f"points.{ending}"
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(ROWS, FEATURES)), rng.integers(0, 2, ROWS)
    if ending == "npz":
        np.savez(path, X=X, y=y)
        return path
    with open(path, "w") as out:
        out.write(",".join([f"x{i}" for i in range(FEATURES)] + ["class"]) + "\n")
        for row, label in zip(X.tolist(), y.tolist(), strict=True):
            out.write(",".join(map(repr, row)) + f",{label}\n")
    return path


def points(ending: str) -> np.ndarray:
    from mlhw.points.config import PointsConfig
    from mlhw.points.load import load_points

    return np.asarray(load_points(PointsConfig(file=str(file(ending)))).X)


def works() -> dict[str, Callable[[], object]]:
    file("csv")
    found: dict[str, Callable[[], object]] = {
        "mlhw": lambda: points("csv"),
        "the same as NPZ": lambda: points("npz"),
    }
    try:
        from pyarrow import csv
    except ImportError:
        pass
    else:
        found["pyarrow"] = lambda: csv.read_csv(file("csv"))
    try:
        import polars
    except ImportError:
        pass
    else:
        found["polars"] = lambda: polars.read_csv(file("csv"))
    return found


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {"at most 0.6 s more than NPZ": times["mlhw"] - times["the same as NPZ"] <= 0.6}


SCRIPT = """
import re, sys
import pyarrow.csv
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
points = load_points(PointsConfig(file=sys.argv[1]))
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print(int(peak[1]) * 1024, points.X.nbytes)
"""
"""Not getrusage's ru_maxrss, which begins with what the process that started this one has had."""


def peak(path: Path) -> tuple[int, int]:
    """The most memory that a process has had which reads this, and the array's, bytes."""
    command = [sys.executable, "-P", "-c", SCRIPT, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    most, array = map(int, done.stdout.split())
    return most, array


def checks() -> dict[str, float]:
    few = Path(folder().name) / "few.csv"
    few.write_text("a,b\n1,0\n2,1\n")
    most, array = peak(file("csv"))
    return {
        "largest difference from NPZ": float(np.abs(points("csv") - points("npz")).max()),
        "memory of the array, MB": array / 1e6,
        "most memory beyond a process with two rows and the reader loaded, in arrays": (
            most - peak(few)[0]
        )
        / array,
    }
