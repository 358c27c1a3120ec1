"""What the benchmarks share: alternating measurements, and the machine they ran on.

Times of one machine vary from run to run, so things are measured in turn, A B A B …, and compared as
ratios of medians within one run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhw.system.provenance import usable_cpus, version_line


def in_turn(functions: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each function over ``runs`` turns, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(runs + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> str:
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        model = names[0] if names else model
    return f"{usable_cpus()} cores of {model}; {version_line()}"


def show(title: str, times: dict[str, float], lines: Sequence[str]) -> None:
    """A table of medians and the ratios that count."""
    print(f"\n{title}")
    width = max(map(len, times))
    for name, seconds in times.items():
        print(f"  {name.ljust(width)}  {1000 * seconds:9.1f} ms")
    for line in lines:
        print(f"  {line}")


ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"


def record(name: str, numbers: Mapping[str, Any]) -> None:
    """Keep numbers in ``results/NAME.json``, whence ``docs/generate.py`` puts them into the pages.

    Numbers of an earlier run that are not measured anew stay. Each run leaves its machine beside its own.
    """
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    command = " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    found = {**kept, "command": command, "machine": machine(), **numbers}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
