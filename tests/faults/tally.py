"""How injected faults ended, counted by kind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

# survived: the documented end, and nothing lost. lost: work that was reported as done is gone, the record
# lies, or something is left behind. silent: wrong numbers, or none, without a word. traceback: shown to
# the user. escaped: something ran, or was written, that should not.
Outcome = Literal["survived", "lost", "silent", "traceback", "escaped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# `make faults` sets it.
LONG = os.environ.get("MLHW_FAULTS") == "long"


class Tally:
    """Outcomes of one kind of fault.

    ``kind`` is a row of docs/reliability.md, as a word: ``kills``, ``bit_flips``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.counts: Counter[Outcome] = Counter()
        self.bad: list[str] = []
        self.seconds: list[float] = []
        """How long faults took to end, where that is a part of the promise."""

    def note(self, fault: str, outcome: Outcome, detail: str = "") -> None:
        """Count one injected fault; ``fault`` says how to repeat it, ``detail`` what was seen."""
        self.counts[outcome] += 1
        if outcome != "survived":
            self.bad.append(f"{fault}: {outcome}" + (f" ({detail})" if detail else ""))


def added(tallies: Iterable[tuple[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """The counts of every kind, all outcomes named, with ``injected`` their sum."""
    found: dict[str, dict[str, int]] = {}
    for kind, counts in tallies:
        row = found.setdefault(kind, {"injected": 0, **dict.fromkeys(OUTCOMES, 0)})
        for outcome, count in counts.items():
            row[outcome] += count
            row["injected"] += count
    return found


SOON = 0.5
"""Seconds in which a signal is to end a run on a machine that has nothing else to do."""


def times(seconds: Iterable[float]) -> dict[str, float]:
    """How many there are, their median and largest, and the share of those within ``SOON``."""
    found = sorted(seconds)
    return {
        "count": len(found),
        "median": round(found[len(found) // 2], 3),
        "largest": round(found[-1], 3),
        "soon": round(sum(one <= SOON for one in found) / len(found), 4),
    }


def gathered(
    before: Mapping[str, Any], now: Mapping[str, Any], *, date: str, machine: str
) -> dict[str, Any]:
    """What is in ``faults.json``: ``files``, the rows of each test file, and their sums by kind.

    Each row of a file tells when and where it was counted; a sum, when the oldest part of it was. ``before``
    are the files of earlier, ``now`` the counts of those that were tried now.
    """
    files = dict(before)
    for file, rows in now.items():
        files[file] = {
            kind: {**row, "date": date, "machine": machine} for kind, row in rows.items()
        }
    every = [(kind, row) for rows in files.values() for kind, row in rows.items()]
    counts = [(kind, {outcome: row[outcome] for outcome in OUTCOMES}) for kind, row in every]
    sums = {
        kind: {**row, "date": min(one["date"] for of, one in every if of == kind)}
        for kind, row in added(counts).items()
    }
    total = added(("all", one) for _, one in counts)["all"]
    return {"files": files, "rows": sums, "all": total}
