"""Observations: what one run showed, true or false, with its numbers.

A claim must hold by theory or in nearly every repetition, and turns the exit code where it fails. An
observation is a statement about this run alone; it never does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from mlhw.text.values import number_text, to_json
from mlhw.text.words import printable

Evidence = TypeVar("Evidence")


@dataclass(frozen=True)
class Observation:
    """A statement about one run, whether it was ``observed``, and the numbers that decide it.

    ``measured`` is a JSON value, ``note`` says in words what it is. An observation's own function
    leaves ``id`` and ``statement`` empty; ``Observations.look`` fills them in.
    """

    id: str
    statement: str
    observed: bool
    measured: Any
    note: str = ""

    @property
    def verdict(self) -> str:
        """``observed`` or ``not observed``."""
        return "observed" if self.observed else "not observed"

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "statement": self.statement,
            "observed": self.observed,
            "measured": to_json(self.measured),
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, entry: Any) -> Observation | None:
        """The observation that ``as_dict`` gave, read back from JSON; None for anything else."""
        if not isinstance(entry, dict):
            return None
        id, statement, observed = (entry.get(key) for key in ("id", "statement", "observed"))
        if not (isinstance(id, str) and isinstance(statement, str) and isinstance(observed, bool)):
            return None
        note = entry.get("note")
        return cls(
            id, statement, observed, entry.get("measured"), note if isinstance(note, str) else ""
        )


def seen(condition: bool, *, measured: Any, note: str = "") -> Observation:
    """An observation of ``condition``, which may be false."""
    return Observation("", "", bool(condition), measured, note)


class Observations(Generic[Evidence]):
    """The observations of one experiment, in the order in which they are declared and reported.

    ::

        OBSERVATIONS = Observations[Evidence]()

        @OBSERVATIONS.observation("order-of-ends", "a smaller rate ends higher")
        def order_of_ends(e: Evidence) -> Observation | None: ...

    A function takes the evidence and returns None where there is nothing to look at.
    """

    def __init__(self) -> None:
        self._observations: dict[str, tuple[str, Callable[[Evidence], Observation | None]]] = {}

    @property
    def ids(self) -> list[str]:
        return list(self._observations)

    @property
    def statements(self) -> dict[str, str]:
        """What each says, by its id; it has to read right after ``not observed:`` too."""
        return {id: statement for id, (statement, _) in self._observations.items()}

    def observation(
        self, id: str, statement: str
    ) -> Callable[
        [Callable[[Evidence], Observation | None]], Callable[[Evidence], Observation | None]
    ]:
        def register(
            function: Callable[[Evidence], Observation | None],
        ) -> Callable[[Evidence], Observation | None]:
            if id in self._observations:
                raise ValueError(f"two observations are called {id!r}")
            self._observations[id] = (statement, function)
            return function

        return register

    def look(self, evidence: Evidence) -> list[Observation]:
        """Everything that there is to be seen in this evidence, in the order of declaration."""
        return [
            replace(found, id=id, statement=statement)
            for id, (statement, function) in self._observations.items()
            if (found := function(evidence)) is not None
        ]


def observation_lines(observation: Observation) -> list[str]:
    """``  observed: a smaller rate ends higher``, and indented below it the numbers and the note."""
    words = [] if observation.measured is None else [number_text(observation.measured)]
    words += [observation.note] if observation.note else []
    below = [printable(f"    {'; '.join(words)}")] if words else []
    return [f"  {observation.verdict}: {printable(observation.statement)}", *below]
