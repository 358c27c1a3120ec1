"""In which region of the plane points lie, seen from the boundaries alone.

Activations are not looked at, so that what is found here can be held against their arg max.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mlhw.maths.rational import Vector, cross, dot, minus, over_root, to_float, unit
from mlhw.maths.regions import Boundary, Envelope, Region

BLUR = 2.0**-46
"""What rounding can add to, or take from, a side of a boundary: at most 85 halves of float64's epsilon."""

CLEAR = 8 * BLUR
"""A point so far inside its region is there whatever rounding does, and so is all between two such."""

AT_ONCE = 200_000
"""Numbers in an array: points times regions."""


def region_of(envelope: Envelope, origin: Vector, offsets: np.ndarray) -> np.ndarray:
    """The class in whose region each point lies.

    A point belongs to the region for which the nearest boundary line lies on the right side and
    farthest away.

    A point on a boundary, or so near to it that rounding decides, gets one of the two classes that
    meet there. Where rounding leaves three regions or more, the exact sides decide: the point may
    be near a vertex, in a region narrower than rounding, or behind the tip of one whose sides are
    all but parallel.

    Parameters
    ----------
    origin : the exact point from which ``offsets`` (N, 2) count, so that a small figure far from
        (0, 0) loses no digits

    Returns
    -------
    (N,), the first class of the region's group
    """
    reach = np.abs(offsets).max(axis=0, initial=0.0).tolist()
    return Locator(envelope, origin, reach).locate(offsets[:, 0], offsets[:, 1])[0]


class Locator:
    """Finds the regions of points whose offsets from ``origin`` are within ``reach``, |x1| and |x2|."""

    def __init__(self, envelope: Envelope, origin: Vector, reach: Sequence[float]) -> None:
        self.envelope = envelope
        self.origin = origin
        self.regions = envelope.with_area
        row_of = {region.index: row for row, region in enumerate(self.regions)}
        self._lines = []
        for boundary in envelope.boundaries:
            left, right = _left_and_right(envelope, boundary)
            line = _line_of(boundary, origin, reach)
            self._lines.append((row_of[left], row_of[right], line))

    def locate(self, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The regions of the points (x1, x2), (N,) each, as ``region_of`` has them.

        Returns (N,) the first class of each region's group, and (N,) whether the point is so far inside
        that rounding has no say; a region being convex, all points between such ones of it are inside too.
        """
        chosen, clear = np.empty(len(x1), int), np.empty(len(x1), bool)
        size = max(1, AT_ONCE // len(self.regions))
        for first in range(0, len(x1), size):
            part = slice(first, first + size)
            chosen[part], clear[part] = self._piece(x1[part], x2[part])
        return np.array([region.index for region in self.regions])[chosen], clear

    def _piece(self, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth = np.full((len(self.regions), len(x1)), np.inf)
        for left, right, line in self._lines:
            sides = line.sides(x1, x2)
            np.minimum(depth[left], sides, out=depth[left])
            np.minimum(depth[right], np.negative(sides, out=sides), out=depth[right])
        chosen = np.argmax(depth, axis=0)
        deepest = depth.max(axis=0)
        unsure = np.flatnonzero(deepest <= 2 * BLUR)
        possible = depth[:, unsure] >= -4 * BLUR
        for column in np.flatnonzero(possible.sum(axis=0) > 2):
            n = unsure[column]
            point = (
                self.origin[0] + Fraction(float(x1[n])),
                self.origin[1] + Fraction(float(x2[n])),
            )
            rows = [chosen[n], *np.argsort(~possible[:, column], kind="stable")]
            chosen[n] = next(
                row for row in rows if _contains(self.envelope, self.regions[row], point)
            )
        return chosen, deepest > CLEAR


@dataclass(frozen=True)
class _Line:
    """A boundary's line with the unit vector u along it.

    It is told by the offset of a point on it, or by ``distance``, how far to its left the origin lies, where
    that point is so far away that offsets counted from it would lose all their digits, or is beyond float64.
    """

    u: tuple[float, float]
    start: tuple[float, float]
    distance: float | None
    span: float

    def sides(self, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """(N,), how far to the left of the line each point lies, right of it below 0.

        The unit is what the reach spans across the line, so that rounding moves every side by ``BLUR`` at
        most, or leaves it far from 0.
        """
        u1, u2 = self.u
        if self.distance is None:
            left = u1 * (x2 - self.start[1]) - u2 * (x1 - self.start[0])
        else:
            left = u1 * x2 - u2 * x1 + self.distance
        with np.errstate(over="ignore"):
            return np.asarray(np.divide(left, self.span or 1.0, out=left))


def _line_of(boundary: Boundary, origin: Vector, reach: Sequence[float]) -> _Line:
    u1, u2 = unit(boundary.direction).tolist()
    span = abs(u1) * reach[1] + abs(u2) * reach[0]
    start = minus(boundary.start, origin)
    x1, x2 = map(to_float, start)
    distance = None
    if not abs(u1 * x2) + abs(u2 * x1) <= 16 * span:
        # The distance from the origin to the line is rounded once.
        square = dot(boundary.direction, boundary.direction)
        distance = over_root(cross(start, boundary.direction), square)
    return _Line((u1, u2), (x1, x2), distance, span)


def _left_and_right(envelope: Envelope, boundary: Boundary) -> tuple[int, int]:
    """The classes of a boundary: the one with the region to the left of its direction first."""
    i, j = boundary.classes
    rise = cross(boundary.direction, minus(envelope.planes[i][:2], envelope.planes[j][:2]))
    return (i, j) if rise > 0 else (j, i)


def _contains(envelope: Envelope, region: Region, point: Vector) -> bool:
    """Whether a point lies in a region with area or on its edge, exactly."""
    for n in region.boundaries:
        boundary = envelope.boundaries[n]
        side = cross(boundary.direction, minus(point, boundary.start))
        left, _ = _left_and_right(envelope, boundary)
        if (side if left == region.index else -side) < 0:
            return False
    return True
