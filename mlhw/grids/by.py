"""The headline number that ranks the settings of a grid: the one asked for, or the experiment's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlhw.errors import ConfigError
from mlhw.experiments.registry import experiment
from mlhw.text.words import hint, nearest

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class By:
    """The headline number that ranks, and which end of it is better."""

    name: str
    direction: Direction

    @property
    def words(self) -> str:
        """``lower is better``"""
        return f"{'lower' if self.direction == 'min' else 'higher'} is better"


def typed_by(text: str | None, name: str) -> tuple[str | None, Direction | None]:
    """``KEY[:min|max]`` in its two parts.

    Raises ConfigError for a direction that is none, and where none is given for a number of which the
    experiment does not say what is better.
    """
    if text is None:
        return None, None
    key, colon, word = text.rpartition(":")
    if not colon:
        key = text
    elif word not in ("min", "max") or not key.strip():
        raise ConfigError(
            f"--by {text}: must be KEY, KEY:min or KEY:max, with the name of a headline number"
        )
    direction: Direction | None = {"min": "min", "max": "max"}.get(word)  # type: ignore[assignment]
    if direction is None and _usual(key, name) is None:
        known = ", ".join(experiment(name).better)
        raise ConfigError(
            f"--by {text}: say which is better, {key}:min or {key}:max (known of {name}: {known})"
        )
    return key, direction


def _usual(key: str, name: str) -> Direction | None:
    """What is better of a headline number, as the experiment has it; None where it does not say."""
    found = next((d for start, d in experiment(name).better.items() if _fits(start, key)), None)
    return "max" if found == "max" else "min" if found == "min" else None


def _plain(text: str) -> str:
    return text.lower().replace("-", " ").replace("_", " ")


def _fits(start: str, key: str) -> bool:
    return _plain(key).startswith(_plain(start))


def by_of(text: str | None, name: str, names: Sequence[str]) -> By | None:
    """The number that ranks: the one asked for, or the experiment's own; None where there is none.

    ``names`` are those that the runs have. Raises ConfigError where they have others than the one asked for.
    """
    key, direction = typed_by(text, name)
    if key is None:
        for start, better in experiment(name).better.items():
            found = next((n for n in names if _fits(start, n)), None)
            if found is not None:
                return By(found, "max" if better == "max" else "min")
        return None
    if not names:
        return None
    same = [n for n in names if _plain(n) == _plain(key)] or [n for n in names if _fits(key, n)]
    if not same:
        near = hint(nearest(key, names)) or f" (known: {', '.join(names[:12])})"
        raise ConfigError(f"--by {key}: no point has a headline number of this name{near}")
    return By(same[0], direction or _usual(key, name) or "min")
