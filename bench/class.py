"""How long a whole class takes: right derivations, wrong ones by the hundred, and some that hang.

    python bench/class.py [--students 3000] [--hanging 50] [--jobs 2] [--isolation auto] [--seed 20261126]

Each wrong one has one term changed (``tests/grading/mutations.py``), a third are right. Counted is
the command from its start to its end: reading the archive, running, judging, feedback of everybody, report.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from timing import ROOT, machine, record

sys.path.insert(0, str(ROOT))

from mlhw.maths.network import Network
from tests.grading.mutations import changes, function_of, program

NETWORK = Network((3, 4, 2), ("logistic",), "identity", "half_squared_error", True)
OPTIONS = ["--layers", "3,4,2", "--bias"]
HANGS = "def backprop(weights, x, t):\n    while True:\n        pass\n"


def submissions(students: int, hanging: int, seed: int) -> dict[str, str]:
    """The text of everybody's file by the student's name, which says what it should get."""
    rng = np.random.default_rng(seed)
    right = program(NETWORK)
    found = {f"hanging {n:04}": HANGS for n in range(hanging)}
    while len(found) < students:
        number = len(found)
        if number % 3 == 0:
            found[f"right {number:04}"] = f"{right}\n# {number}\n"
            continue
        every = list(changes(NETWORK, 1, rng))
        _, _, slot, changed = every[rng.integers(len(every))]
        text = program(NETWORK, slot, changed)
        if changes_nothing(text):
            continue
        found[f"wrong {number:04}"] = f"{text}\n# {number}\n"
    return found


@cache
def changes_nothing(text: str) -> bool:
    """Whether a program is right all the same: with linear outputs some changes do nothing."""
    rng = np.random.default_rng(0)
    draws = [[rng.normal(size=shape) for shape in NETWORK.shapes] for _ in range(3)]
    programs = function_of(text), function_of(program(NETWORK))
    x, t = rng.normal(size=3), rng.normal(size=2)
    for weights in draws:
        got, right = (function(weights, x, t) for function in programs)
        try:
            if not all(np.allclose(g, r, rtol=1e-6) for g, r in zip(got, right, strict=True)):
                return False
        except ValueError:  # another shape
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=3000)
    parser.add_argument("--hanging", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--isolation", default="auto")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--keep", help="a folder for the run, which is else thrown away")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(given.keep or folder)
        with zipfile.ZipFile(place / "class.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in submissions(given.students, given.hanging, given.seed).items():
                archive.writestr(f"{name}/backprop.py", text)
        words = ["grade", "class.zip", *OPTIONS, "--jobs", str(given.jobs), "-q", "--no-progress"]
        words += ["--isolation", given.isolation]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "mlhw", *words], cwd=place, check=True, capture_output=True
        )
        seconds = time.perf_counter() - began
        run = (place / "runs" / "latest").resolve()
        with open(run / "grades.csv", newline="") as file:
            grades = list(csv.DictReader(file))
        summary = json.loads((run / "result.json").read_text())["summary"]
    counts = Counter((row["student"].split()[0], row["verdict"]) for row in grades)
    print(machine())
    for (kind, verdict), count in sorted(counts.items()):
        print(f"{kind:8} {verdict:8} {count:6}")
    print(
        f"{len(grades)} submissions, {given.hanging} of them hanging, in {seconds:.1f} s with "
        f"{given.jobs} jobs, {1000 * seconds / len(grades):.0f} ms each; isolation: {summary['isolation']}"
    )
    record(
        "class",
        {
            "students": len(grades),
            "hanging": given.hanging,
            "jobs": given.jobs,
            "isolation": summary["isolation"],
            "seconds": round(seconds, 1),
            "minutes": round(seconds / 60, 2),
            "ms_each": round(1000 * seconds / len(grades), 1),
            "wrong_but_correct": counts["wrong", "correct"],
            "right_but_not_correct": sum(
                n for (kind, v), n in counts.items() if kind == "right" and v != "correct"
            ),
            "hanging_but_no_timeout": sum(
                n for (kind, v), n in counts.items() if kind == "hanging" and v != "timeout"
            ),
            "verdicts": summary["verdicts"],
        },
    )


if __name__ == "__main__":
    main()
