"""How long the whole assignment takes, as ``make run`` answers it, and each experiment of it.

    python bench/assignment.py [--config FILE]

Kept in ``bench/results/assignment.json``, whence README has its time; another configuration is only shown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

from timing import machine, record, show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", help="instead of the default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "mlhw", "all", "-q", "--json", "--runs-dir", folder]
        words += ["--config", given.config] if given.config else []
        started = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout[-2000:])
    runs = json.loads(done.stdout)["summary"]["runs"]
    times = {run["experiment"]: float(run["seconds"]) for run in runs} | {"all": seconds}
    print(machine())
    show("the whole assignment", times, [f"{seconds / 60:.1f} minutes"])
    if not given.config:
        record("assignment", {"seconds": times, "minutes": seconds / 60})


if __name__ == "__main__":
    main()
