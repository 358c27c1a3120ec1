"""The settings of a grid in order, and whether the first of them may be called the best.

It may only where, over at least three common seeds, it differs from every other setting (``maths.paired``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlhw.grids.by import By
from mlhw.grids.plan import Point
from mlhw.grids.rows import Row
from mlhw.grids.values import Combination
from mlhw.text.values import is_number

if TYPE_CHECKING:
    from mlhw.maths.paired import PairedDifference


@dataclass(frozen=True)
class Ranked:
    """A setting with its numbers by repeat; ``mean`` and ``deviation`` (None of one) over them."""

    setting: Combination
    values: Mapping[int, float]

    @property
    def mean(self) -> float:
        return sum(self.values.values()) / len(self.values)

    @property
    def deviation(self) -> float | None:
        if len(self.values) < 2:
            return None
        mean = self.mean
        squares = sum((value - mean) ** 2 for value in self.values.values())
        return math.sqrt(squares / (len(self.values) - 1))


@dataclass(frozen=True)
class Contrast:
    """The first setting's numbers minus another's; ``difference`` None where too few seeds are common."""

    other: Combination
    difference: PairedDifference | None


@dataclass(frozen=True)
class Ranking:
    """``ranked`` is the order, ``missing`` the settings without a number.

    ``best`` says whether the first is the best, ``why_not`` in words what keeps it from being called so.
    """

    by: By
    ranked: list[Ranked]
    missing: list[Combination]
    compared: list[Contrast]
    best: bool
    why_not: str


def ranking_of(points: Sequence[Point], rows: Mapping[int, Row], by: By) -> Ranking:
    """The settings in order, equal ones in that of their numbers; the first is compared with all others."""
    values: dict[int, dict[int, float]] = {}
    settings: dict[int, Combination] = {}
    for point in points:
        settings[point.setting.number] = point.setting
        mine = values.setdefault(point.setting.number, {})
        row = rows.get(point.number)
        value = row.numbers.get(by.name) if row is not None else None
        if is_number(value):
            mine[point.repeat] = float(value)
    sign = 1 if by.direction == "min" else -1
    ranked = [Ranked(settings[n], mine) for n, mine in values.items() if mine]
    ranked.sort(key=lambda one: (sign * one.mean, one.setting.number))
    missing = [settings[n] for n, mine in values.items() if not mine]
    compared = _compared(ranked) if ranked else []
    why_not = _why_not(ranked, missing, compared)
    return Ranking(by, ranked, missing, compared, not why_not, why_not)


def _compared(ranked: Sequence[Ranked]) -> list[Contrast]:
    import numpy as np

    from mlhw.maths.paired import FEWEST, against_each

    first, others = ranked[0], ranked[1:]
    pairs = {}
    for other in others:
        common = sorted(first.values.keys() & other.values.keys())
        if len(common) >= FEWEST:
            pairs[other.setting.number] = np.array(
                [first.values[repeat] - other.values[repeat] for repeat in common]
            )
    tested = dict(zip(pairs, against_each(list(pairs.values())), strict=True))
    return [Contrast(other.setting, tested.get(other.setting.number)) for other in others]


def _why_not(
    ranked: Sequence[Ranked], missing: Sequence[Combination], compared: Sequence[Contrast]
) -> str:
    """What keeps the first from being called the best; empty if nothing does."""
    from mlhw.maths.paired import FEWEST

    if not compared:
        return "there is nothing to compare it with"
    if all(one.difference is None for one in compared):
        runs = max(len(one.values) for one in ranked)
        return f"that takes {FEWEST} repeats or more (--repeats {FEWEST}; there are {runs})"
    few = [one.other for one in compared if one.difference is None]
    if few:
        return f"{few[0].words()} has fewer than {FEWEST} seeds in common with it"
    if missing:
        return f"{missing[0].words()} has no number to compare"
    close = [
        one.other
        for one in compared
        if one.difference is not None and not one.difference.excludes_zero
    ]
    if close:
        more = f" and {len(close) - 1} more" if len(close) > 1 else ""
        return f"{close[0].words()}{more} cannot be told from it at 95 % (paired t, Holm)"
    return ""
