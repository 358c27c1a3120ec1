"""The regions held against what is true of any upper envelope, by rules that its making does not use."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from mlhw.experiments.softmax_regions.evidence import Evidence
from mlhw.maths.rational import ZERO, Vector, cross, dot, minus
from mlhw.maths.regions import Boundary, Envelope, Plane, Region

MOST = 16  # distinct planes: with more, all triples of them take longer than the run


def mistakes(e: Evidence) -> Iterator[str]:
    """What is wrong with vertices, boundaries and regions, in words; nothing where all is right."""
    envelope = e.envelope
    planes = [envelope.planes[group[0]] for group in envelope.groups]
    for index, plane in enumerate(envelope.planes):
        equals = tuple(
            k for k, other in enumerate(envelope.planes) if other == plane and k != index
        )
        if envelope.regions[index].equals != equals:
            yield f"the equals of class {index + 1}"
    if len(planes) <= MOST and _vertices(planes) != {v.point for v in envelope.vertices}:
        yield "the vertices are not the points where planes of three directions are the largest"
    for number, vertex in enumerate(envelope.vertices, 1):
        if vertex.classes != largest(envelope.planes, vertex.point):
            yield f"the classes at vertex {number}"
    for number, b in enumerate(envelope.boundaries, 1):
        yield from (f"{what} of boundary {number}" for what in _wrong_course(envelope, b))
        if b.tied != largest(envelope.planes, inside(b.start, b.direction)):
            yield f"the classes along boundary {number}"
    # Euler: a point at infinity closes the rays, and a plane map has V − E + F = 2.
    faces = len(envelope.with_area)
    if len(envelope.vertices) - len(envelope.boundaries) + faces != 1:
        yield "vertices − boundaries + regions is not 1"
    yield from _wrong_regions(e)
    if (envelope.common is not None) != _all_meet(e):
        yield "whether all classes meet"
    yield from _wrong_middles(e)


def _wrong_course(envelope: Envelope, b: Boundary) -> Iterator[str]:
    """What is wrong with where a boundary starts and ends, and which way it goes."""
    i, j = b.classes
    gaps = [minus(envelope.planes[i][:2], p[:2]) for p in envelope.planes]
    if i >= j or b.direction == ZERO or dot(gaps[j], b.direction) != 0:
        yield "the direction"
    overtaken = [dot(gap, b.direction) for gap in gaps]
    ends = [b.start, *([] if b.end is None else [b.end])]
    if b.kind == "line":
        # Both ways without end; told from its point nearest to the origin, to the right or upwards.
        if any(overtaken) or b.end is not None or b.vertices or dot(b.start, b.direction) != 0:
            yield "the course"
        elif not (b.direction[0] > 0 or (b.direction[0] == 0 and b.direction[1] > 0)):
            yield "the sense"
    elif tuple(envelope.vertices[n].point for n in b.vertices) != tuple(ends):
        yield "an end"
    elif b.kind == "ray" and (b.end is not None or any(value < 0 for value in overtaken)):
        yield "the course: another class overtakes"
    elif b.kind == "segment" and (len(ends) != 2 or minus(ends[1], ends[0]) != b.direction):
        yield "the course"


def largest(planes: tuple[Plane, ...], point: Vector) -> tuple[int, ...]:
    """The classes of the largest activation at an exact point."""
    values = [w1 * point[0] + w2 * point[1] + b for w1, w2, b in planes]
    top = max(values)
    return tuple(k for k, value in enumerate(values) if value == top)


def inside(start: Vector, direction: Vector) -> Vector:
    """A point of a boundary that is no end of it; a segment is as long as its direction."""
    return start[0] + direction[0] / 2, start[1] + direction[1] / 2


def _vertices(planes: list[Plane]) -> set[Vector]:
    """Every point where three planes of independent differences meet and none is larger: Cramer's rule."""
    found = set()
    for p, q, r in combinations(planes, 3):
        a, b = minus(p[:2], q[:2]), minus(p[:2], r[:2])
        area = cross(a, b)
        if area:
            c, d = q[2] - p[2], r[2] - p[2]
            point = ((c * b[1] - d * a[1]) / area, (a[0] * d - b[0] * c) / area)
            top = p[0] * point[0] + p[1] * point[1] + p[2]
            if all(w1 * point[0] + w2 * point[1] + v <= top for w1, w2, v in planes):
                found.add(point)
    return found


def _wrong_regions(e: Evidence) -> Iterator[str]:
    """Where a class is the largest at all, and whether its region ends on every side."""
    envelope = e.envelope
    along = [largest(envelope.planes, inside(b.start, b.direction)) for b in envelope.boundaries]
    at = [largest(envelope.planes, v.point) for v in envelope.vertices]
    for k, region in enumerate(envelope.regions):
        if region.index != k:
            yield f"the number of region {k + 1}"
        first = min(n for n, plane in enumerate(envelope.planes) if plane == envelope.planes[k])
        sides = tuple(n for n, b in enumerate(envelope.boundaries) if first in b.classes)
        corners = tuple(n for n, classes in enumerate(at) if k in classes)
        if region.vertices != corners:
            yield f"the vertices of region {k + 1}"
        # Without any boundary the plane belongs to the largest bias; all have the same weights.
        alone = not along and k in largest(envelope.planes, ZERO)
        if region.empty == (bool(sides) or alone):
            yield f"whether region {k + 1} is empty"
        if region.boundaries != sides:
            yield f"the boundaries of region {k + 1}"
        if region.empty:
            there = "boundary" if any(k in tied for tied in along) else None
            there = there or ("point" if any(k in tied for tied in at) else None)
            if region.touches != there or sides:
                yield f"where class {k + 1} ties"
        elif region.bounded == _is_corner_or_side(k, envelope.planes):
            yield f"whether region {k + 1} is bounded"


def _is_corner_or_side(k: int, planes: tuple[Plane, ...]) -> bool:
    """Whether some direction favours no class over k: then w_k is on the rim of the weights' hull."""
    gaps = [gap for p in planes if (gap := minus(planes[k][:2], p[:2])) != ZERO]
    if not gaps:
        return True
    # Of such directions, if there is one, one is at a right angle to one of the gaps, or is one.
    tried = [u for g in gaps for u in (g, (-g[1], g[0]), (g[1], -g[0]))]
    return any(all(dot(g, u) >= 0 for g in gaps) for u in tried)


def _all_meet(e: Evidence) -> bool:
    """Whether all planes are equal somewhere: at a vertex, along a boundary, or everywhere."""
    everywhere = len(e.envelope.groups) == 1
    every = len(e.envelope.planes)
    return (
        everywhere
        or any(len(v.classes) == every for v in e.envelope.vertices)
        or any(len(b.tied) == every for b in e.envelope.boundaries)
    )


def _wrong_middles(e: Evidence) -> Iterator[str]:
    """A way for every region without end; from its only vertex, else nearest to the vertices' mean."""
    envelope = e.envelope
    due = {r.index for r in envelope.with_area if r.boundaries and not r.bounded}
    if {way.classes[0] for way in e.middles} != due:
        yield "which regions have a middle"
    for way in e.middles:
        k = way.classes[0]
        region = envelope.regions[k]
        if k not in largest(envelope.planes, way.start):
            yield f"the middle of region {k + 1} starts outside it"
        gaps = [
            gap for p in envelope.planes if (gap := minus(envelope.planes[k][:2], p[:2])) != ZERO
        ]
        grows = not any(dot(gap, way.direction) <= 0 for gap in gaps)
        if not grows and any(dot(gap, way.direction) < 0 for gap in gaps):
            yield f"the middle of region {k + 1} leaves it"
        # A rival with equal weights and a lower bias keeps its distance in every direction.
        level = len(gaps) == len(envelope.planes) - len(way.tied)
        if (grows and level) != way.reaches:
            yield f"whether the margin grows in the middle of region {k + 1}"
        corners = [envelope.vertices[n].point for n in region.vertices]
        if grows != _can_grow(gaps):
            yield f"a direction in which the margin of region {k + 1} grows is missed"
        if grows and not _nearest_in_hull(gaps, way.direction):
            yield f"the direction of the middle of region {k + 1}"
        if grows and len(corners) == 1 and way.start != corners[0]:
            yield f"the middle of region {k + 1} does not start at its vertex"
        if not grows and way.start != _mid_strip(envelope, region):
            yield f"the start of the middle of region {k + 1}"
        if grows and len(corners) != 1:
            every = [v.point for v in envelope.vertices] or [b.start for b in envelope.boundaries]
            aim = tuple(sum((p[i] for p in every), Fraction(0)) / len(every) for i in range(2))
            away = minus((aim[0], aim[1]), way.start)
            # Nearest in a convex set: no corner and no ray of it lies towards the aim.
            sides = [envelope.boundaries[n] for n in region.boundaries]
            reached = [*corners, *(b.start for b in sides)]
            outward = [b.direction for b in sides if b.kind != "segment"]
            outward += [minus(ZERO, b.direction) for b in sides if b.kind == "line"]
            if any(dot(away, minus(p, way.start)) > 0 for p in reached) or any(
                dot(away, u) > 0 for u in outward
            ):
                yield f"the start of the middle of region {k + 1}"


def _can_grow(gaps: list[Vector]) -> bool:
    """Whether some direction raises the lead over every class: all gaps lie in an open half-plane.

    Then the one farthest to the right has all others to its left or along it.
    """
    return any(
        all(cross(g, other) > 0 or (cross(g, other) == 0 and dot(g, other) > 0) for other in gaps)
        for g in gaps
    )


def _nearest_in_hull(gaps: list[Vector], z: Vector) -> bool:
    """Whether z is the point of the gaps' convex hull nearest to the origin.

    No gap lies before the line through z at a right angle to it, and on that line they lie on both
    sides of z, or in it.
    """
    square = dot(z, z)
    along = [cross(z, gap) for gap in gaps if dot(gap, z) == square]
    behind = all(dot(gap, z) >= square for gap in gaps)
    return behind and bool(along) and min(along) <= 0 <= max(along)


def _mid_strip(envelope: Envelope, region: Region) -> Vector:
    """The mean of the starts of a strip's endless sides."""
    starts = [
        envelope.boundaries[n].start
        for n in region.boundaries
        if envelope.boundaries[n].end is None
    ]
    x, y = (sum((start[i] for start in starts), Fraction(0)) / len(starts) for i in range(2))
    return x, y
