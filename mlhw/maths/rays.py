"""Ways through the regions of a linear softmax: along boundaries and out through the middle.

Along a line x = start + r u, with |u| = 1, every activation is linear, a_k(start) + r w_k·u, and so is
every gap to a chosen class. Start and direction are exact (``regions.py``); the gap at the start and
its slope are worked out exactly and rounded once, so classes that tie stay tied to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from mlhw.maths.rational import (
    ZERO,
    Vector,
    along,
    cross,
    dot,
    mean,
    minus,
    over_root,
    to_float,
    unit,
)
from mlhw.maths.regions import Boundary, Envelope, Plane, Region, activations_at
from mlhw.maths.softmax import log_complement, log_mean_exp, softmax


@dataclass(frozen=True)
class Gaps:
    """gap_k(r) = a_reference − a_k = ``start``_k + r ``slope``_k along a line; both (K,)."""

    start: np.ndarray
    slope: np.ndarray

    def at(self, r: np.ndarray) -> np.ndarray:
        """(R, K) gaps at the distances r (R,); infinite where float64 cannot hold them."""
        with np.errstate(over="ignore"):
            return np.asarray(self.start + np.multiply.outer(np.asarray(r, float), self.slope))


def gaps_along(planes: Sequence[Plane], reference: int, start: Vector, direction: Vector) -> Gaps:
    """The gaps from class ``reference`` to every class along a line, r in lengths of x."""
    a = activations_at(planes, start)
    square = dot(direction, direction)
    w = planes[reference]
    return Gaps(
        np.array([to_float(a[reference] - value) for value in a]),
        np.array([over_root(dot(minus(w[:2], p[:2]), direction), square) for p in planes]),
    )


@dataclass(frozen=True)
class Way:
    """A way along a boundary, ``classes`` = (i, j), or out through the middle of a region, (i,).

    ``vertex`` is the number of the vertex that it leaves, if it does. ``tied`` are the classes that
    are largest, and equal, all along. ``length`` is infinite but for a segment.
    """

    kind: Literal["segment", "ray", "line", "middle"]
    classes: tuple[int, ...]
    vertex: int | None
    tied: tuple[int, ...]
    start: Vector
    direction: Vector
    length: float
    gaps: Gaps

    @property
    def others(self) -> list[int]:
        """The classes that are not tied."""
        return [k for k in range(len(self.gaps.start)) if k not in self.tied]

    @cached_property
    def _unit(self) -> np.ndarray:
        return unit(self.direction)

    def points(self, r: np.ndarray) -> np.ndarray:
        """(R, 2), the points at the distances r (R,)."""
        start = np.array([to_float(c) for c in self.start])
        return np.asarray(start + np.multiply.outer(r, self._unit))

    def p(self, r: np.ndarray) -> np.ndarray:
        """(R, K), the probabilities at the distances r (R,)."""
        return softmax(-self.gaps.at(r))

    def log_rest(self, r: np.ndarray) -> np.ndarray:
        """(R,), the logarithm of what the others have together, log(1 − Σ_tied p)."""
        return log_complement(-self.gaps.at(r), self.tied)

    def change_of_log_odds(self, r: np.ndarray) -> np.ndarray:
        """(R,), by how much log(others : tied) has changed since the start.

        Others that keep their gap all along are left out. Where it falls, the others together fall
        and each tied class rises. Of all such measures it is the one without saturation: relative to
        the start nothing is lost where p is 1 in float64, and next to nothing where p has hardly
        moved.
        """
        moving = [k for k in self.others if self.gaps.slope[k] != 0]
        shares = softmax(-self.gaps.start[moving])
        return log_mean_exp(shares, -Gaps(0 * shares, self.gaps.slope[moving]).at(r))

    def fitted_rate(self, at_least: float) -> float:
        """The slope of −log(1 − Σ_tied p) from a distance beyond ``at_least`` to twice that distance.

        It is measured where nothing else shows in it. Another class may be nearer at first: where it has
        fallen back by 40 more, its share is below rounding; one whose gap grows like the slowest but
        for 1e-12 counts like it. And the slope is no small difference of two numbers where the gap has
        at least doubled since the start. NaN where float64 does not reach so far. All gaps have to grow.
        """
        start, slope = self.gaps.start[self.others], self.gaps.slope[self.others]
        slowest = int(np.argmin(slope))
        with np.errstate(over="ignore", invalid="ignore"):
            begin = [at_least, 40 / slope[slowest], abs(start[slowest]) / slope[slowest]]
            for k in np.flatnonzero(slope > (1 + 1e-12) * slope[slowest]):
                begin.append((start[slowest] - start[k] + 40) / (slope[k] - slope[slowest]))
            r = max(begin) * np.array([1.0, 2.0])
            if not np.isfinite(self.gaps.at(r)).all():
                return np.nan
            return float((self.log_rest(r[:1]) - self.log_rest(r[1:]))[0] / r[0])

    @property
    def limit(self) -> float:
        """What p of a tied class tends to: 1 over their number, less where another keeps its gap."""
        kept = [k for k in self.others if self.gaps.slope[k] == 0]
        return float(1 / (len(self.tied) + np.sum(np.exp(-self.gaps.start[kept]))))

    @property
    def reaches(self) -> bool:
        """Whether the tied classes leave all others behind, so that they share all of p in the end."""
        return all(self.gaps.slope[k] > 0 for k in self.others)


def boundary_ways(envelope: Envelope, boundary: Boundary) -> list[Way]:
    """The ways along a boundary, one from each vertex at its ends; a line is one way by itself."""
    square = dot(boundary.direction, boundary.direction)
    length = over_root(square, square) if boundary.kind == "segment" else np.inf
    starts = [(boundary.start, boundary.direction)]
    if boundary.end is not None:
        starts.append((boundary.end, minus(ZERO, boundary.direction)))
    return [
        Way(
            boundary.kind,
            boundary.classes,
            vertex,
            boundary.tied,
            start,
            direction,
            length,
            gaps_along(envelope.planes, boundary.classes[0], start, direction),
        )
        for vertex, (start, direction) in zip(boundary.vertices or (None,), starts, strict=True)
    ]


def middle_way(envelope: Envelope, region: Region) -> Way | None:
    """The way out through the middle of a region; None where ``middle_ray`` is."""
    ray = middle_ray(envelope, region)
    if ray is None:
        return None
    gaps = gaps_along(envelope.planes, region.index, ray.start, ray.direction)
    tied = envelope.equals(region.index)
    return Way("middle", (region.index,), None, tied, ray.start, ray.direction, np.inf, gaps)


def distances(way: Way, scale: float, count: int = 61) -> np.ndarray:
    """(R,), log-spaced from 1e-3 to 1e3 times ``scale``; on a segment up to its length; on a line
    both ways."""
    if way.kind == "segment":
        return np.geomspace(1e-3 * min(scale, way.length), way.length, count)
    outward = scale * np.logspace(-3, 3, count)
    return np.concatenate([-outward[::-1], [0.0], outward]) if way.kind == "line" else outward


# ------------------------------------------------------------------------------------- middle


@dataclass(frozen=True)
class MiddleRay:
    """The way out through an unbounded region.

    ``direction`` is exact and of any length; ``grows`` says whether the margin to the runner-up
    grows along it. In a strip it cannot.
    """

    start: Vector
    direction: Vector
    grows: bool


def middle_ray(envelope: Envelope, region: Region) -> MiddleRay | None:
    """The middle ray of a region; None where it is empty, bounded, or the whole plane.

    The margin to class j grows by (w_i − w_j)·u along u. The u for which the smallest of these is
    largest points to w_i from the nearest point of the convex hull of the other weights, and the
    margin then grows by the distance between the two (the duality of distance and separation).
    Classes with the weights of class i keep their distance whatever the direction and are left out.

    It starts at the region's only vertex; else at the region's point nearest to the centroid of all
    vertices (without vertices: of the boundaries' points nearest to the origin); in a strip midway
    between its two sides.
    """
    if region.empty or region.bounded or not region.boundaries:
        return None
    w = envelope.planes[region.index]
    others = {minus(w[:2], p[:2]) for p in envelope.planes} - {ZERO}
    direction = nearest_in_hull(list(others))
    sides = [envelope.boundaries[n] for n in region.boundaries]
    if direction == ZERO:
        open_sides = [side for side in sides if side.kind != "segment"]
        return MiddleRay(
            mean([side.start for side in open_sides]), open_sides[0].direction, grows=False
        )
    if len(region.vertices) == 1:
        return MiddleRay(envelope.vertices[region.vertices[0]].point, direction, grows=True)
    points = [vertex.point for vertex in envelope.vertices]
    centroid = mean(points or [boundary.start for boundary in envelope.boundaries])
    return MiddleRay(nearest_in_region(envelope, region, centroid), direction, grows=True)


def nearest_in_hull(points: Sequence[Vector]) -> Vector:
    """The point of the convex hull of ``points`` nearest to the origin, exactly.

    The nearest point z is the one with p·z ≥ z·z for all points p (the hull lies behind the line
    through z across it); it is a corner of the hull or the foot on one of its sides, unless the origin is
    inside.
    """
    hull = convex_hull(points)
    feet = [*hull]
    for p, q in zip(hull, [*hull[1:], hull[0]], strict=True):
        if p != q:
            feet.append(_foot(ZERO, p, minus(q, p), segment=True))
    for z in feet:
        square = dot(z, z)
        if all(dot(p, z) >= square for p in hull):
            return z
    return ZERO


def convex_hull(points: Sequence[Vector]) -> list[Vector]:
    """The corners of the convex hull, anticlockwise (Andrew's monotone chain, exact)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    half: list[list[Vector]] = []
    for side in (ordered, ordered[::-1]):
        chain: list[Vector] = []
        for p in side:
            while len(chain) > 1 and cross(minus(chain[-1], chain[-2]), minus(p, chain[-2])) <= 0:
                chain.pop()
            chain.append(p)
        half.append(chain[:-1])
    return half[0] + half[1]


def nearest_in_region(envelope: Envelope, region: Region, point: Vector) -> Vector:
    """The point of a region with area nearest to ``point``, exactly."""
    a = activations_at(envelope.planes, point)
    if a[region.index] == max(a):
        return point
    feet = [_nearest_on(envelope.boundaries[n], point) for n in region.boundaries]
    return min(feet, key=lambda foot: dot(minus(foot, point), minus(foot, point)))


def _nearest_on(boundary: Boundary, point: Vector) -> Vector:
    foot = _foot(point, boundary.start, boundary.direction, segment=boundary.kind == "segment")
    behind = dot(minus(foot, boundary.start), boundary.direction) < 0
    return boundary.start if boundary.kind == "ray" and behind else foot


def _foot(point: Vector, start: Vector, direction: Vector, *, segment: bool) -> Vector:
    """The point of start + t direction nearest to ``point``; for a segment, t is in [0, 1]."""
    t = dot(minus(point, start), direction) / dot(direction, direction)
    if segment:
        t = min(max(t, Fraction(0)), Fraction(1))
    return along(start, t, direction)
