"""Where the labels of crossing edges can stand so that no edge runs through one of them.

The plane is that of complex numbers, in inches. A label lies along its own edge, which is interrupted
there; the other edges and labels keep off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHARES = 33
"""So many places along an edge are tried."""

MOST_TRIED = 1_500
"""Attempts to place a label after which the search gives up."""

Segment = tuple[complex, complex]


@dataclass(frozen=True)
class LabelBox:
    """A rectangle: its middle, the direction of its longer sides (of length 1), and its sides."""

    middle: complex
    direction: complex
    width: float
    height: float

    @property
    def corners(self) -> list[complex]:
        half = self.width / 2, self.height / 2
        return [
            self.middle + self.direction * complex(x * half[0], y * half[1])
            for x in (-1, 1)
            for y in (-1, 1)
        ]

    @property
    def degrees(self) -> float:
        """The angle of the direction, for a text."""
        return math.degrees(math.atan2(self.direction.imag, self.direction.real))

    def is_crossed_by(self, segment: Segment) -> bool:
        """Whether a part of ``segment`` lies inside (the way of Liang and Barsky)."""
        start, end = ((point - self.middle) / self.direction for point in segment)
        low, high = 0.0, 1.0
        for here, there, side in (
            (start.real, end.real, self.width),
            (start.imag, end.imag, self.height),
        ):
            if here == there:
                if abs(here) > side / 2:
                    return False
                continue
            ends = sorted((sign * side / 2 - here) / (there - here) for sign in (-1, 1))
            low, high = max(low, ends[0]), min(high, ends[1])
        return low <= high

    def overlaps(self, other: LabelBox) -> bool:
        """Whether two rectangles share a point: none of their sides tells them apart."""
        for axis in (self.direction, self.direction * 1j, other.direction, other.direction * 1j):
            ours, theirs = (
                [(corner * axis.conjugate()).real for corner in box.corners]
                for box in (self, other)
            )
            if max(ours) < min(theirs) or max(theirs) < min(ours):
                return False
        return True


def place_labels(
    edges: Sequence[Segment], sizes: Sequence[tuple[float, float]]
) -> list[LabelBox] | None:
    """A box on each edge for a label of the size (width, height); None where no place is found.

    All edges run from the left to the right between the same two columns.
    """
    places = []
    for i, (edge, size) in enumerate(zip(edges, sizes, strict=True)):
        others = [other for k, other in enumerate(edges) if k != i]
        free = [box for box in _along(edge, size) if not any(map(box.is_crossed_by, others))]
        if not free:
            return None
        places.append(free)
    # Those with the fewest places choose first.
    order = sorted(range(len(places)), key=lambda i: len(places[i]))
    chosen = _choose([places[i] for i in order], [], [0])
    return chosen and [
        box for _, box in sorted(zip(order, chosen, strict=True), key=lambda p: p[0])
    ]


def _along(edge: Segment, size: tuple[float, float]) -> Iterator[LabelBox]:
    """Boxes between the ends of an edge, those near a third of the way first."""
    start, end = edge
    direction = (end - start) / abs(end - start)
    for share in sorted((k / SHARES for k in range(1, SHARES)), key=lambda s: abs(s - 0.35)):
        box = LabelBox(start + share * (end - start), direction, *size)
        if all(start.real < corner.real < end.real for corner in box.corners):
            yield box


def _choose(
    places: list[list[LabelBox]], chosen: list[LabelBox], tried: list[int]
) -> list[LabelBox] | None:
    """One box of each list so that none overlap, by going back where it cannot go on."""
    if len(chosen) == len(places):
        return chosen
    for box in places[len(chosen)]:
        tried[0] += 1
        if tried[0] > MOST_TRIED:
            return None
        if not any(map(box.overlaps, chosen)) and (found := _choose(places, [*chosen, box], tried)):
            return found
    return None
