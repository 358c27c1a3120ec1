"""The first run of each command after installation beside later ones, and one core beside all.

    python bench/first_run.py [--turns 3] [--only lr-sweep]

First: a fresh copy of the package without bytecode, and empty caches, so that nothing is compiled yet. Then
the same again. Both with the short configurations. One core: the defaults (of finetune the short ones, with
the threads left to it) with the process bound to a single core, in turn with all cores. Whole processes,
without figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import RESULTS, ROOT, machine, record

from mlhw.experiments.registry import EXPERIMENTS

TURNS = 3


def copied(folder: Path) -> Path:
    """The package and its configurations without bytecode, as an installation leaves them."""
    for name in ("mlhw", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def seconds(
    command: list[str], package: Path, caches: Path, cores: set[int] | None = None
) -> float:
    """A whole process of ``mlhw`` from ``package``, which may use these ``cores`` alone."""
    said = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "OMP_NUM_THREADS"}
    environment = {key: value for key, value in os.environ.items() if key not in said}
    environment |= {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(caches)}
    with tempfile.TemporaryDirectory() as runs:
        words = [sys.executable, "-P", "-m", "mlhw", *command, "--runs-dir", runs]
        started = time.perf_counter()
        done = subprocess.run(
            [*words, "--no-plots", "--no-check", "-q"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return took


def spread(values: list[float]) -> list[float]:
    return [min(values), statistics.median(values), max(values)]


def measure(name: str, turns: int) -> dict[str, list[float]]:
    short = [name, "--config", str(ROOT / "configs" / "smoke" / f"{name}.yaml")]
    usual = [name] if name != "finetune" else [*short, "--threads", "auto"]
    alone = {min(os.sched_getaffinity(0))}
    found: dict[str, list[float]] = {key: [] for key in ("first", "later", "one", "all")}
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            package, caches = copied(Path(folder) / "installed"), Path(folder) / "caches"
            found["first"].append(seconds(short, package, caches))
            found["later"].append(seconds(short, package, caches))
            seconds(usual, package, caches)  # compiles what the short ones do not need
            for key, cores in (("one", alone), ("all", None)):
                found[key].append(seconds(usual, package, caches, cores))
    result = {key: spread(values) for key, values in found.items()}
    for ratio, over, under in (("first_ratio", "first", "later"), ("cores_ratio", "one", "all")):
        pairs = zip(found[over], found[under], strict=True)
        result[ratio] = spread([a / b for a, b in pairs])
    print(
        f"{name.ljust(16)} first {result['first'][1]:6.2f} s, later {result['later'][1]:6.2f} s "
        f"({result['first_ratio'][1]:.2f} times); one core {result['one'][1]:6.2f} s, all "
        f"{result['all'][1]:6.2f} s ({result['cores_ratio'][1]:.2f} times)",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--only", help="commands, separated by commas")
    given = parser.parse_args()
    print(machine())
    path = RESULTS / "first_run.json"
    kept = json.loads(path.read_text())["commands"] if path.exists() else {}
    for name in given.only.split(",") if given.only else EXPERIMENTS:
        kept[name] = measure(name, given.turns)
    record(
        "first_run",
        {"command": "python bench/first_run.py", "turns": given.turns, "commands": kept},
    )


if __name__ == "__main__":
    main()
