"""The regions of the plane in which each of K linear activations is the largest, exactly.

The activations a_k(x) = w_k·x + b_k are K planes over the (x1, x2)-plane; the largest of them, their
upper envelope, is convex and piecewise linear. Class k's region {x : a_k ≥ a_j for all j} is a convex
polygon, possibly unbounded, possibly without area.

A float is a rational number, so everything here is rational arithmetic on the given floats: which
classes meet where, what is parallel and what is empty is decided without rounding. ``rational.py``
rounds a result once, at the end.

Classes are numbered from 0 here. Classes with equal weights and equal bias are one plane; the first
of them stands for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

from mlhw.maths.rational import ZERO, Vector, minus

Plane = tuple[Fraction, Fraction, Fraction]
"""(w1, w2, b)."""

Kind = Literal["segment", "ray", "line"]


@dataclass(frozen=True)
class Vertex:
    """A point where three or more regions with area meet; ``classes`` are all that are largest there."""

    classes: tuple[int, ...]
    point: Vector


@dataclass(frozen=True)
class Boundary:
    """Where the regions of two classes, ``classes`` = (i, j) with i < j, touch along a line.

    ``tied`` are all classes that are largest along it: i, j, their equals, and classes that are
    largest nowhere else (their weights lie between w_i and w_j). A segment goes from ``start`` to
    ``end`` = start + direction; a ray from its vertex ``start`` along ``direction`` without end; a
    line both ways, ``start`` being its point nearest to the origin. ``vertices`` are the numbers of
    the vertices at its ends.
    """

    classes: tuple[int, int]
    tied: tuple[int, ...]
    kind: Kind
    start: Vector
    end: Vector | None
    direction: Vector
    vertices: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """The region of class ``index``.

    ``empty``: the class is nowhere alone the largest, save for its equals; then ``touches`` says
    whether it ties for the largest at one "point", along a "boundary", or not at all (None).
    ``equals`` are the other classes with the same plane. ``boundaries`` and ``vertices`` are numbers
    into the envelope's.
    """

    index: int
    empty: bool
    bounded: bool
    touches: Literal["point", "boundary"] | None
    equals: tuple[int, ...]
    boundaries: tuple[int, ...]
    vertices: tuple[int, ...]


@dataclass(frozen=True)
class Common:
    """The set where all K activations are equal: one point, a whole line, or the whole plane."""

    kind: Literal["point", "line", "plane"]
    point: Vector
    direction: Vector | None


@dataclass(frozen=True)
class Envelope:
    """The whole geometry. ``groups`` are the sets of classes with equal planes, first one first."""

    planes: tuple[Plane, ...]
    groups: tuple[tuple[int, ...], ...]
    vertices: tuple[Vertex, ...]
    boundaries: tuple[Boundary, ...]
    regions: tuple[Region, ...]
    common: Common | None

    @property
    def with_area(self) -> list[Region]:
        """The regions with area, one for each group of equal classes."""
        first = {group[0] for group in self.groups}
        return [region for region in self.regions if not region.empty and region.index in first]

    def equals(self, index: int) -> tuple[int, ...]:
        """All classes with the plane of class ``index``, itself included."""
        return next(group for group in self.groups if index in group)


def upper_envelope(
    weights: Sequence[Sequence[float | Fraction]], biases: Sequence[float | Fraction]
) -> Envelope:
    """The geometry of the K planes with these weights (K, 2) and biases (K,).

    A line where two planes are equal carries a boundary on the interval where no third plane is
    above them; each third plane cuts it once, so the interval is found in O(K) and all of them in
    O(K³), exactly.
    """
    planes = tuple(
        (Fraction(w[0]), Fraction(w[1]), Fraction(b)) for w, b in zip(weights, biases, strict=True)
    )
    members: dict[Plane, list[int]] = {}
    for k, plane in enumerate(planes):
        members.setdefault(plane, []).append(k)
    groups = tuple(tuple(group) for group in members.values())
    first = [group[0] for group in groups]
    integer = dict(zip(first, _integers([planes[k] for k in first]), strict=True))
    pieces = []
    for i, j in combinations(first, 2):
        piece = _shared_piece(integer, i, j)
        if piece is not None:
            pieces.append((i, j, piece))
    points = {point for *_, piece in pieces for point in piece.ends if point is not None}
    vertices = sorted(
        (Vertex(largest_at(planes, point), point) for point in points), key=lambda v: v.classes
    )
    number = {vertex.point: n for n, vertex in enumerate(vertices)}
    boundaries = tuple(_boundary(i, j, piece, groups, number) for i, j, piece in pieces)
    return Envelope(
        planes,
        groups,
        tuple(vertices),
        boundaries,
        _regions(planes, groups, vertices, boundaries),
        _common([planes[k] for k in first]),
    )


def activations_at(planes: Sequence[Plane], point: Vector) -> list[Fraction]:
    """a_k at a point, for every class."""
    return [w1 * point[0] + w2 * point[1] + b for w1, w2, b in planes]


def largest_at(planes: Sequence[Plane], point: Vector) -> tuple[int, ...]:
    """The classes whose activation is the largest at a point."""
    a = activations_at(planes, point)
    top = max(a)
    return tuple(k for k, value in enumerate(a) if value == top)


# ------------------------------------------------------------------------------------- pieces


@dataclass(frozen=True)
class _Piece:
    """The part of the line a_i = a_j on which both are the largest; None is no end on that side."""

    foot: Vector
    direction: Vector
    ends: tuple[Vector | None, Vector | None]
    tied: tuple[int, ...]


def _integers(planes: Sequence[Plane]) -> list[tuple[int, int, int]]:
    """The planes times their common denominator: integers compare faster than fractions."""
    common = math.lcm(*(value.denominator for plane in planes for value in plane))
    return [(int(w1 * common), int(w2 * common), int(b * common)) for w1, w2, b in planes]


def _shared_piece(planes: dict[int, tuple[int, int, int]], i: int, j: int) -> _Piece | None:
    """What the regions of planes i and j share, if it is more than a point and both have area there.

    The points of the line a_i = a_j, that is n·x + c = 0, are q + t d with q = −c n/|n|² and
    d = (−n2, n1). There |n|² (a_i − a_k) = offset + t · slope for a third plane k.
    """
    n1, n2, c = (p - q for p, q in zip(planes[i], planes[j], strict=True))
    if n1 == 0 and n2 == 0:
        return None
    norm = n1 * n1 + n2 * n2
    low: Fraction | None = None
    high: Fraction | None = None
    tied = []
    for k, plane in planes.items():
        if k in (i, j):
            continue
        m1, m2, e = (p - q for p, q in zip(planes[i], plane, strict=True))
        inner = m1 * n1 + m2 * n2
        offset = e * norm - c * inner
        slope = (m2 * n1 - m1 * n2) * norm
        if slope == 0:
            if offset < 0:
                return None
            if offset == 0:
                # k is tied along the whole line. Its weights are on the line through w_i and w_j:
                # beyond them, k has the area on that side; between them, it has none.
                if not 0 < inner < norm:
                    return None
                tied.append(k)
            continue
        t = Fraction(-offset, slope)
        if slope > 0 and (low is None or t > low):
            low = t
        elif slope < 0 and (high is None or t < high):
            high = t
        if low is not None and high is not None and low >= high:
            return None
    foot = (Fraction(-c * n1, norm), Fraction(-c * n2, norm))
    direction = (Fraction(-n2), Fraction(n1))

    def at(t: Fraction | None) -> Vector | None:
        return None if t is None else (foot[0] + t * direction[0], foot[1] + t * direction[1])

    return _Piece(foot, direction, (at(low), at(high)), tuple(tied))


def _boundary(
    i: int,
    j: int,
    piece: _Piece,
    groups: Sequence[tuple[int, ...]],
    number: dict[Vector, int],
) -> Boundary:
    """A piece as segment, ray or line, turned so that equal geometry always looks the same."""
    tied = sorted(k for group in groups if group[0] in (i, j, *piece.tied) for k in group)
    low, high = piece.ends
    kind: Kind
    end: Vector | None = None
    start, direction = piece.foot, piece.direction
    if low is not None and high is not None:
        kind = "segment"
        start, end = sorted((low, high), key=lambda point: number[point])
        direction = minus(end, start)
    elif low is not None:
        kind, start = "ray", low
    elif high is not None:
        kind, start, direction = "ray", high, minus(ZERO, direction)
    else:
        kind = "line"
        direction = _upwards(direction)
    at_ends = tuple(number[point] for point in (start, end) if point in number)
    return Boundary((i, j), tuple(tied), kind, start, end, direction, at_ends)


def _upwards(direction: Vector) -> Vector:
    """Of the two directions of a line the one with x1 > 0, or x1 = 0 and x2 > 0."""
    return minus(ZERO, direction) if direction < ZERO else direction


def _regions(
    planes: Sequence[Plane],
    groups: Sequence[tuple[int, ...]],
    vertices: Sequence[Vertex],
    boundaries: Sequence[Boundary],
) -> tuple[Region, ...]:
    """Class by class. A region with area either has a boundary or is the whole plane."""
    everywhere = None if boundaries else max(groups, key=lambda group: planes[group[0]][2])
    found: dict[int, Region] = {}
    for group in groups:
        sides = tuple(n for n, b in enumerate(boundaries) if group[0] in b.classes)
        corners = tuple(n for n, v in enumerate(vertices) if group[0] in v.classes)
        empty = not sides and group is not everywhere
        # A bounded region has segments only; a region without area counts as bounded.
        bounded = empty or (bool(sides) and all(boundaries[n].kind == "segment" for n in sides))
        touches: Literal["point", "boundary"] | None = None
        if empty and any(group[0] in b.tied for b in boundaries):
            touches = "boundary"
        elif empty and corners:
            touches = "point"
        for k in group:
            equals = tuple(other for other in group if other != k)
            found[k] = Region(k, empty, bounded, touches, equals, sides, corners)
    return tuple(found[k] for k in range(len(planes)))


def _common(planes: Sequence[Plane]) -> Common | None:
    """Where all of these distinct planes are equal."""
    if len(planes) == 1:
        return Common("plane", ZERO, None)
    lines = [tuple(p - q for p, q in zip(planes[0], plane, strict=True)) for plane in planes[1:]]
    n1, n2, c = lines[0]
    if n1 == 0 and n2 == 0:
        return None
    for m1, m2, e in lines[1:]:
        determinant = n1 * m2 - n2 * m1
        if determinant != 0:
            point = ((n2 * e - c * m2) / determinant, (c * m1 - n1 * e) / determinant)
            meets = all(p1 * point[0] + p2 * point[1] + f == 0 for p1, p2, f in lines)
            return Common("point", point, None) if meets else None
    # All parallel to the first: the same line, or none.
    if any(n1 * e != c * m1 or n2 * e != c * m2 for m1, m2, e in lines[1:]):
        return None
    norm = n1 * n1 + n2 * n2
    return Common("line", (-c * n1 / norm, -c * n2 / norm), _upwards((-n2, n1)))
