"""How much would the claims catch? Mutants of the mathematics, with the runs as the only test.

    python bench/claims.py                  # the sample of bench/results/claims.json, an hour or so
    python bench/claims.py --count 20       # what CI runs
    python bench/claims.py --module mlhw/maths/sgd.py --count 50

Each mutant (``mutants.py``) is put into a private copy of the package, and the experiments are run there
in small configurations, by the program's own entry. How it ends:

=========== ==============================================================================
caught      a claim fails
crashed     the run ends with an error, or beyond its limits of time and memory
survived    every claim holds, and a number is another than before, beyond rounding
equivalent  every claim holds and no number has moved
unreached   no configuration executes the line
=========== ==============================================================================

The score of a module is caught / (caught + survived). A mutant is run only by the configurations that
execute its line, known from one run under a tracer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from configurations import CONFIGURATIONS
from mutants import Mutant, mutated, sample
from workplace import ROOT, Run, Workplace, preload

MATHS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "mlhw" / "maths").glob("*.py"))
# The names of others' mistakes and the error of each step are told and drawn, and no statement of a run
# depends on them; ``arrays`` and ``__init__`` hold no code.
_NO_STATEMENT = {"mistakes.py", "step_errors.py", "arrays.py", "__init__.py"}
# What is drawn to be checked: another draw is as good, so that no run can tell one from another.
DRAWN = "mlhw/maths/random_networks.py"
# What the scores of a fine-tuning are made of.
FOR_IMAGES = ["mlhw/maths/calibration.py", "mlhw/maths/classification.py"]
GROUPS: dict[str, list[str]] = {
    "maths": [
        m for m in MATHS if Path(m).name not in _NO_STATEMENT and m not in (DRAWN, *FOR_IMAGES)
    ],
    "sweeps": [
        "mlhw/experiments/lr_sweep/experiment.py",
        "mlhw/experiments/sgd_sweep/experiment.py",
        "mlhw/experiments/sgd_sweep/passes.py",
        "mlhw/experiments/sweeps/problem.py",
    ],
    "vanishing": [
        "mlhw/experiments/vanishing/kinds.py",
        "mlhw/experiments/vanishing/sample.py",
    ],
    "what is drawn": [DRAWN],
    "fine-tuning": [
        *FOR_IMAGES,
        "mlhw/vision/schedules.py",
        "mlhw/vision/training/batches.py",
        "mlhw/vision/training/loop.py",
        "mlhw/vision/training/objective.py",
        "mlhw/vision/training/probe.py",
        "mlhw/vision/training/task.py",
    ],
}

# These are sizes of rounding, which entry has the largest and how many it hides: a claim's tolerance and
# bounds judge them. Differences are right to 1e-8 by their own claim, whatever the steps.
ROUNDING = re.compile(
    r"summary\.(max_relative_error|worst|unresolved|derivatives\.finite)|\.unresolved$"
    r"|networks\.csv\.\d+\.(autograd|complex_step|finite_diff)|\.max_relative_error$|\.relative_error$"
    r"|gradients\.csv\.\d+\.finite_difference$|\.log10_accuracy$|summary\.optimum\.gradient$"
)
# A claim holds what is told here against its meaning, and another choice would be as right: the direction
# that separates, of many that do, by the names of its features.
FREE = re.compile(r"summary\.separation\.features")
_ANY = re.compile(f"{ROUNDING.pattern}|{FREE.pattern}")
RELATIVE, ABSOLUTE = 1e-9, 1e-13  # a number that moved by less has moved by rounding
SINGLE = 1e-4  # the same where layers learn in float32 and rounding is carried from step to step


# ------------------------------------------------------------------------------------- judging


def moved(
    before: Mapping[str, Any], after: Mapping[str, Any], relative: float = RELATIVE
) -> str | None:
    """The first number that is another than before, beyond rounding; None without one."""
    before, after = (
        {k: v for k, v in part.items() if not _ANY.search(k)} for part in (before, after)
    )
    if before.keys() != after.keys():
        return next(iter(before.keys() ^ after.keys()))
    for key, a in before.items():
        b = after[key]
        if isinstance(a, float) and isinstance(b, float):
            if a == b or (math.isnan(a) and math.isnan(b)):
                continue
            if abs(a - b) <= ABSOLUTE + relative * max(abs(a), abs(b)):
                continue
            return key
        if a != b:
            return key
    return None


def outcome(
    place: Workplace,
    mutant: Mutant,
    reached: Mapping[int, Mapping[str, list[int]]],
    known: Mapping[int, Run],
) -> dict[str, Any]:
    """How one mutant ends, and by what."""
    first, last = mutant.lines
    executing = [
        number
        for number, lines in reached.items()
        if any(first <= line <= last for line in lines.get(mutant.module, []))
    ]
    entry: dict[str, Any] = {"mutant": mutant.name}
    if not executing:
        return entry | {"outcome": "unreached"}
    source = (ROOT / mutant.module).read_text(encoding="utf-8")
    place.write(mutant.module, mutated(source, mutant))
    try:
        runs = place.run(executing, stop=lambda run: bool(run.fails) or run.code is None)
    finally:
        place.write(mutant.module, source)
    for number, run in runs.items():
        if run.fails:
            claim = f"{CONFIGURATIONS[number][0]}/{run.fails[0]}"
            return entry | {"outcome": "caught", "by": claim, "configuration": number}
    broken = [number for number, run in runs.items() if run.code != 0]
    if broken:
        return entry | {"outcome": "crashed", "configuration": broken[0]}
    for number, run in runs.items():
        relative = SINGLE if CONFIGURATIONS[number][0] == "finetune" else RELATIVE
        where = moved(known[number].numbers, run.numbers, relative)
        if where is not None:
            return entry | {"outcome": "survived", "moved": where, "configuration": number}
    return entry | {"outcome": "equivalent"}


def group_of(module: str) -> str:
    return next(group for group, modules in GROUPS.items() if module in modules)


def table_of(outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each module, each group and all: counts, and the score."""

    def row(name: str, part: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        count = Counter(entry["outcome"] for entry in part)
        judged = count["caught"] + count["survived"]
        kinds = ("caught", "survived", "crashed", "equivalent", "unreached")
        score = count["caught"] / judged if judged else None
        return {"module": name, **{kind: count[kind] for kind in kinds}, "score": score}

    by_module: dict[str, list[Mapping[str, Any]]] = {}
    for entry in outcomes:
        by_module.setdefault(entry["mutant"].split(":")[0], []).append(entry)
    rows = [row(module, part) for module, part in sorted(by_module.items())]
    for group, modules in GROUPS.items():
        part = [entry for module in modules for entry in by_module.get(module, [])]
        if part:
            rows.append(row(group, part))
    return [*rows, row("all", outcomes)]


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as a page has it."""
    lines = ["| module | " + " | ".join(list(rows[0])[1:]) + " |", "|---" * len(rows[0]) + "|"]
    for row in rows:
        cells = [
            "" if v is None else f"{100 * v:.0f} %" if isinstance(v, float) else str(v)
            for v in row.values()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def workplace() -> Iterator[Workplace]:
    """A private copy for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="mlhw-claims-") as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        yield Workplace.made(Path(folder), [m for part in GROUPS.values() for m in part])


def judge(
    mutants: Sequence[Mutant],
    log: Callable[[str], None] = print,
    numbers: Sequence[int] = range(len(CONFIGURATIONS)),
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """The outcome of each of these mutants under the configurations of these numbers."""
    modules = sorted({mutant.module for mutant in mutants})
    preload()
    with workplace() as place:
        place.run(numbers, trace=modules)
        reached = {}
        for number in numbers:
            path = place.folder / "out" / f"lines-{number}.json"
            reached[number] = json.loads(path.read_text())
        known = place.run(numbers)
        for number, run in known.items():
            if run.code != 0:
                log(f"{' '.join(CONFIGURATIONS[number])}: exit {run.code}, {run.fails}")
                log((place.folder / "out" / "log.txt").read_text()[-2000:])
                raise SystemExit(1)
    if jobs == 1:
        return _outcomes(mutants, reached, known, log)
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        parts = [
            pool.submit(_outcomes, mutants[k::jobs], reached, known, partial(print, flush=True))
            for k in range(jobs)
        ]
        found = [part.result() for part in parts]
    return [found[n % jobs][n // jobs] for n in range(len(mutants))]


def _outcomes(
    mutants: Sequence[Mutant],
    reached: Mapping[int, Mapping[str, list[int]]],
    known: Mapping[int, Run],
    log: Callable[[str], None],
) -> list[dict[str, Any]]:
    """One mutant after the other, in a private copy of its own."""
    found = []
    with workplace() as place:
        for done, mutant in enumerate(mutants, 1):
            started = time.monotonic()
            entry = outcome(place, mutant, reached, known)
            found.append(entry)
            more = entry.get("by") or entry.get("moved") or ""
            seconds = time.monotonic() - started
            log(f"{done}/{len(mutants)} {entry['outcome']} {mutant.name} {more} {seconds:.1f} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=470, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", action="append", help="only this module or group; repeatable")
    parser.add_argument(
        "--again", type=Path, help="of the mutants in this .json run those anew that survived"
    )
    parser.add_argument("--jobs", type=int, default=1, help="so many side by side")
    parser.add_argument("--out", type=Path, help="write this .json, and a .md beside it")
    asked = parser.parse_args()
    modules: list[str] = []
    for name in asked.module or GROUPS:
        modules += GROUPS.get(name, [name])
    started = time.monotonic()
    mutants = sample(ROOT, modules, asked.count, asked.seed)
    before = json.loads(asked.again.read_text())["mutants"] if asked.again else []
    known = {entry["mutant"]: entry for entry in before if entry["outcome"] != "survived"}
    left = [m for m in mutants if m.name not in known]
    new = judge(left, partial(print, flush=True), jobs=asked.jobs)
    whole = known | {entry["mutant"]: entry for entry in new}
    found = [whole[mutant.name] for mutant in mutants]
    rows = table_of(found)
    print(markdown(rows))
    if asked.out:
        from timing import machine

        results = {
            "command": f"python bench/claims.py --count {asked.count} --seed {asked.seed}",
            "machine": machine(),
            "minutes": round((time.monotonic() - started) / 60, 1),
            "scores": rows,
            "mutants": found,
        }
        asked.out.write_text(json.dumps(results, indent=1) + "\n")
        head = f"`{results['command']}` on {results['machine']}, {results['minutes']} minutes.\n\n"
        asked.out.with_suffix(".md").write_text(head + markdown(rows))


if __name__ == "__main__":
    main()
