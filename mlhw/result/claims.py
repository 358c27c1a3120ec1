"""Claims: statements that a written answer would make, each checked against numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar, get_args

from mlhw.text.values import is_nothing, is_number, number_text, to_json
from mlhw.text.words import VerdictLine, printable, quantity

Verdict = Literal["holds", "fails", "not applicable"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
Evidence = TypeVar("Evidence")


@dataclass(frozen=True)
class Claim:
    """A statement that a written answer would make, checked against numbers.

    ``measured``, ``expected`` and ``tolerance`` are JSON values: a number, a text, or a mapping of
    named numbers. ``note`` says in words which case decided, or why the claim is not applicable.
    A claim's own function leaves ``id`` and ``statement`` empty; ``Claims.judge`` fills them in.
    ``figure`` is the name of the figure that shows it, for the report; empty where numbers alone do.
    """

    id: str
    statement: str
    verdict: Verdict
    measured: Any
    expected: Any
    tolerance: float | None = None
    note: str = ""
    figure: str = field(default="", compare=False)

    @property
    def anchor(self) -> str:
        """What a report's address ends in: ``#claim-above-optimum``."""
        return "claim-" + re.sub(r"[^\w.-]+", "-", self.id)

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "statement": self.statement,
            "verdict": self.verdict,
            "measured": to_json(self.measured),
            "expected": to_json(self.expected),
            "tolerance": to_json(self.tolerance),
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, entry: Any) -> Claim | None:
        """The claim that ``as_dict`` gave, read back from JSON; None for anything else."""
        if not isinstance(entry, dict):
            return None
        id, statement, verdict = (entry.get(key) for key in ("id", "statement", "verdict"))
        if not (isinstance(id, str) and isinstance(statement, str) and verdict in VERDICTS):
            return None
        tolerance, note = entry.get("tolerance"), entry.get("note")
        return cls(
            id,
            statement,
            verdict,
            entry.get("measured"),
            entry.get("expected"),
            tolerance if is_number(tolerance) else None,
            note if isinstance(note, str) else "",
        )


def check(
    condition: bool, *, measured: Any, expected: Any, tolerance: float | None = None, note: str = ""
) -> Claim:
    """A claim that holds if ``condition`` does, and fails otherwise."""
    verdict: Verdict = "holds" if condition else "fails"
    return Claim("", "", verdict, measured, expected, tolerance, note)


def not_applicable(reason: str, *, measured: Any = None) -> Claim:
    """A claim that this configuration or data cannot decide, and why."""
    return Claim("", "", "not applicable", measured, None, None, reason)


def tally(claims: Iterable[Claim]) -> tuple[int, int]:
    """How many claims hold, and of how many that are applicable."""
    judged = [claim.verdict for claim in claims if claim.verdict != "not applicable"]
    return judged.count("holds"), len(judged)


def verdicts_line(claims: Iterable[Claim]) -> str:
    """``10 claims hold, 0 fail, 1 is not applicable``."""
    found: list[str] = [claim.verdict for claim in claims]
    held, failed, idle = (found.count(verdict) for verdict in VERDICTS)
    hold, fail = "holds" if held == 1 else "hold", "fails" if failed == 1 else "fail"
    are = "is" if idle == 1 else "are"
    return f"{quantity(held, 'claim')} {hold}, {failed:,} {fail}, {idle:,} {are} not applicable"


class Claims(Generic[Evidence]):
    """The claims of one experiment, in the order in which they are declared and reported.

    ::

        CLAIMS = Claims[Evidence]()

        @CLAIMS.claim("above-optimum", "every run's NLL lies above the optimum", figure="gap")
        def above_optimum(e: Evidence) -> Claim: ...

    ``CLAIMS.judge(evidence)`` calls them all. A function takes the evidence and nothing else, so a
    test can tamper with the evidence and see the claim fail. ``figure`` names the figure that shows it.
    """

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, str, Callable[[Evidence], Claim]]] = {}

    @property
    def ids(self) -> list[str]:
        return list(self._claims)

    @property
    def figures(self) -> dict[str, str]:
        """The figure of each claim that has one, by the claim's id."""
        return {id: figure for id, (_, figure, _) in self._claims.items() if figure}

    def claim(
        self, id: str, statement: str, *, figure: str = ""
    ) -> Callable[[Callable[[Evidence], Claim]], Callable[[Evidence], Claim]]:
        def register(function: Callable[[Evidence], Claim]) -> Callable[[Evidence], Claim]:
            if id in self._claims:
                raise ValueError(f"two claims are called {id!r}")
            self._claims[id] = (statement, figure, function)
            return function

        return register

    def judge(self, evidence: Evidence) -> list[Claim]:
        """Every claim, decided on this evidence, in the order of declaration."""
        return [
            replace(function(evidence), id=id, statement=statement, figure=figure)
            for id, (statement, figure, function) in self._claims.items()
        ]


# ------------------------------------------------------------------------------------- as text


def claim_lines(claim: Claim, *, verbose: bool = False) -> list[str]:
    """``holds: no rate below 2/L ever rises``, and indented below it what there is to say about it.

    Where the claim fails that is its numbers and the note, where it is not applicable the note.
    ``verbose``: numbers and note always, and the claim's id, ``[no-rise]``.
    """
    words = []
    if verbose or claim.verdict == "fails":
        words = [
            f"{label} {number_text(value)}"
            for label, value in (
                ("measured", claim.measured),
                ("expected", claim.expected),
                ("tolerance", claim.tolerance),
            )
            if not is_nothing(value)
        ]
    if claim.note and (verbose or claim.verdict != "holds"):
        words.append(claim.note)
    below = [printable(f"    {'; '.join(words)}")] if words else []
    end = f" [{printable(claim.id)}]" if verbose else ""
    line = f"  {claim.verdict}: {printable(claim.statement)}{end}"
    return [VerdictLine.of(claim.verdict, line), *below]
