"""How often the grader of back-propagation names a single wrong term, and whether it ever accepts one.

    python bench/mistakes.py [--count 1000] [--seed 20261126]

Each mutation changes one term of a program that shares nothing with mlhw's, over random networks of all
losses, with and without biases and batches, of one to four hidden layers. ``class``: its name is among
those that fit, and the numbers of all these agree in every draw; ``same``: no number changed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from timing import ROOT, machine, record

sys.path.insert(0, str(ROOT))

from mlhw.grading.implementations import Implementation
from mlhw.maths.mistakes.kinds import CODES
from tests.grading.named import named

COLUMNS = ("named", "class", "unnamed", "misnamed", "accepted", "same")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261126)
    given = parser.parse_args()
    rows: dict[str, Counter[str]] = {code: Counter() for code in CODES}
    theirs = Implementation(Path("theirs.py"), "backprop")
    for case in named(given.seed, given.count, theirs):
        (code,) = case.mutation.codes
        rows[code][case.naming] += 1
        if case.naming in ("unnamed", "misnamed", "accepted"):
            print(case.naming, case.mutation.name, case.network, case.grade.message)
    print(machine())
    print("  ".join([" " * 22, *(f"{name:>8}" for name in COLUMNS)]))
    for code, counts in rows.items():
        print("  ".join([f"{code:22}", *(f"{counts[name]:8}" for name in COLUMNS)]))
    total = Counter[str]()
    for counts in rows.values():
        total += counts
    effective = given.count - total["same"]
    share = (total["named"] + total["class"]) / effective
    print(f"{share:.1%} of {effective} named, {total['accepted']} accepted")
    record(
        "mistakes",
        {name: total[name] for name in COLUMNS}
        | {"mutations": effective, "seed": given.seed, "named_percent": 100 * share},
    )


if __name__ == "__main__":
    main()
