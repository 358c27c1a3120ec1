"""Clusters of identical wrong numbers: the same gap to the same digits.

Everybody is asked the same draws, so two programs with one mistake give one gap. Equal to the last bit they
also add in one order, which two people rarely do by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlhw.grading.graded import Graded

SAME = 1e-7
"""Relative difference up to which two gaps are the same."""


@dataclass(frozen=True)
class Alike:
    """Students whose wrong entries have the same values; ``bitwise``: equal to the last bit.

    ``entry`` is the first of these entries, as ``quantity, row, column, got, expected``.
    """

    students: tuple[str, ...]
    bitwise: bool
    entries: int
    codes: tuple[str, ...]
    entry: tuple[object, ...]


def alike(grades: Mapping[str, Graded]) -> list[Alike]:
    """The clusters of two students or more, the largest first."""
    groups: dict[tuple[object, ...], list[list[str]]] = {}
    for student, graded in grades.items():
        if graded.verdict != "wrong" or not graded.entries:
            continue
        key = (graded.wrong_entries, *(entry[0] for entry in graded.entries))
        clusters = groups.setdefault(key, [])
        for cluster in clusters:
            if _same(grades[cluster[0]], graded):
                cluster.append(student)
                break
        else:
            clusters.append([student])
    found = [
        _cluster(cluster, grades)
        for clusters in groups.values()
        for cluster in clusters
        if cluster[1:]
    ]
    return sorted(found, key=lambda one: (-len(one.students), one.students))


def _same(one: Graded, other: Graded) -> bool:
    return all(_close(a[3], b[3], a[4]) for a, b in zip(one.entries, other.entries, strict=True))


def _close(a: float | None, b: float | None, expected: float) -> bool:
    """Whether two wrong values lie equally far from the right one."""
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))
    gap = max(abs(a - expected), abs(b - expected))
    return abs(a - b) <= SAME * max(gap, abs(a) * 1e-6)


def _cluster(students: list[str], grades: Mapping[str, Graded]) -> Alike:
    first = grades[students[0]]
    bitwise = all(
        [repr(e[3]) for e in grades[s].entries] == [repr(e[3]) for e in first.entries]
        for s in students
    )
    return Alike(
        tuple(students), bitwise, first.wrong_entries, tuple(first.codes), tuple(first.entries[0])
    )
