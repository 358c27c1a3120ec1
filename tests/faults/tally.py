"""How injected faults ended, counted by kind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

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
