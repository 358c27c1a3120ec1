"""The exact geometry of the regions against grids, SciPy's hulls and linear programs, and laws."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mlhw.maths.locating import region_of
from mlhw.maths.rational import ZERO
from mlhw.maths.rays import middle_ray
from mlhw.maths.regions import (
    Envelope,
    activations_at,
    largest_at,
    upper_envelope,
)
from tests.maths.planes import (
    FAR_VERTEX,
    VERTEX_BEYOND_FLOATS,
    WEDGE,
    Planes,
    envelope_of,
    integers,
    planes_of_any_size,
    planes_of_both_kinds,
    points_on,
)

# ------------------------------------------------------------------------------------- laws


@settings(deadline=None)
@given(planes_of_both_kinds)
def test_at_every_vertex_exactly_its_classes_are_largest_and_three_have_area(
    planes: Planes,
) -> None:
    e = envelope_of(planes)
    area = {region.index for region in e.with_area}
    for vertex in e.vertices:
        assert largest_at(e.planes, vertex.point) == vertex.classes
        assert len(area & set(vertex.classes)) >= 3


@settings(deadline=None)
@given(planes_of_both_kinds)
def test_all_along_a_boundary_exactly_its_classes_are_largest(planes: Planes) -> None:
    e = envelope_of(planes)
    for n, boundary in enumerate(e.boundaries):
        for point in points_on(e, n):
            assert largest_at(e.planes, point) == boundary.tied
        assert len(boundary.vertices) == {"segment": 2, "ray": 1, "line": 0}[boundary.kind]


@settings(deadline=None)
@given(planes_of_both_kinds)
def test_beside_a_boundary_its_two_classes_are_largest_each_on_its_side(planes: Planes) -> None:
    e = envelope_of(planes)
    for n, boundary in enumerate(e.boundaries):
        i, j = boundary.classes
        normal = [e.planes[i][c] - e.planes[j][c] for c in (0, 1)]
        x = points_on(e, n)[1]
        # So near that every other class stays behind: its gap over the speed at which it can shrink.
        a = activations_at(e.planes, x)
        speeds = [abs(sum(normal[c] * (e.planes[i][c] - p[c]) for c in (0, 1))) for p in e.planes]
        near = [(a[i] - a[k]) / (2 * speeds[k]) for k in range(len(a)) if a[k] < a[i] and speeds[k]]
        step = min(near, default=F(1)) / (2 + max(speeds))
        for k, side in ((i, step), (j, -step)):
            beside = (x[0] + side * normal[0], x[1] + side * normal[1])
            assert largest_at(e.planes, beside) == e.equals(k)


@settings(deadline=None)
@given(planes_of_both_kinds)
def test_vertices_boundaries_and_regions_obey_eulers_formula(planes: Planes) -> None:
    """With one point at infinity where all rays end, V + 1 − E + F = 2 (lines: each a loop)."""
    e = envelope_of(planes)
    lines = sum(boundary.kind == "line" for boundary in e.boundaries)
    if e.vertices:
        assert lines == 0
        assert len(e.vertices) - len(e.boundaries) + len(e.with_area) == 1
    else:
        assert len(e.boundaries) == lines == len(e.with_area) - 1


@settings(deadline=None)
@given(integers, st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(planes: Planes, random: object) -> None:
    order = list(range(len(planes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    e, shuffled = envelope_of(planes), envelope_of([planes[k] for k in order])
    assert {v.point for v in e.vertices} == {v.point for v in shuffled.vertices}
    assert sorted(sorted(order[k] for k in b.tied) for b in shuffled.boundaries) == sorted(
        list(b.tied) for b in e.boundaries
    )
    for place, k in enumerate(order):
        same = ("empty", "bounded", "touches")
        assert [getattr(e.regions[k], a) for a in same] == [
            getattr(shuffled.regions[place], a) for a in same
        ]


@settings(deadline=None)
@given(integers, st.tuples(*[st.integers(-100, 100)] * 3), st.integers(1, 50))
def test_a_plane_added_to_all_and_a_common_scale_change_nothing(
    planes: Planes, shift: tuple[int, int, int], scale: int
) -> None:
    moved = [tuple(scale * p + s for p, s in zip(plane, shift, strict=True)) for plane in planes]
    e, m = envelope_of(planes), envelope_of(moved)  # type: ignore[arg-type]
    assert e.vertices == m.vertices
    assert e.regions == m.regions
    assert [(b.classes, b.kind, b.start, b.end) for b in e.boundaries] == [
        (b.classes, b.kind, b.start, b.end) for b in m.boundaries
    ]


# ------------------------------------------------------------------------------------- oracles


@settings(deadline=None)
@given(planes_of_both_kinds)
@example(FAR_VERTEX)
def test_seen_from_the_boundaries_every_grid_point_lies_where_its_activation_is_largest(
    planes: Planes,
) -> None:
    e = envelope_of(planes)
    side = np.arange(-4, 4.5, 0.5)
    grid = np.array([(x, y) for x in side for y in side])
    found = region_of(e, ZERO, grid)
    for (x, y), k in zip(grid.tolist(), found.tolist(), strict=True):
        a = [float(value) for value in activations_at(e.planes, (F(x), F(y)))]
        size = max(1.0, *(abs(v) for plane in planes for v in plane))
        assert max(a) - a[k] <= 1e-12 * size


def behind(e: Envelope, origin: tuple[F, F], offsets: np.ndarray) -> float:
    """How far the class that ``region_of`` finds is behind the largest at worst, exactly.

    The unit is what the two classes' gap can change by over the offsets: their own weights count,
    however much larger those of other classes are.
    """
    reach = [F(value) for value in np.abs(offsets).max(axis=0).tolist()]
    found = region_of(e, origin, offsets)
    worst = F(0)
    for (x, y), k in zip(offsets.tolist(), found.tolist(), strict=True):
        a = activations_at(e.planes, (origin[0] + F(x), origin[1] + F(y)))
        top = a.index(max(a))
        if a[top] > a[k]:
            n1, n2 = (abs(e.planes[top][c] - e.planes[k][c]) for c in (0, 1))
            worst = max(worst, (a[top] - a[k]) / (n1 * reach[0] + n2 * reach[1]))
    return float(worst)


@settings(deadline=None)
@given(planes_of_any_size | planes_of_both_kinds, st.integers(-99, 99), st.integers(-99, 99))
@example(FAR_VERTEX, 0, 0)
@example(VERTEX_BEYOND_FLOATS, 0, 0)
@example(WEDGE, 0, 0)
def test_of_numbers_of_any_size_the_region_is_that_of_the_exact_arg_max_but_for_rounding(
    planes: Planes, width: int, height: int
) -> None:
    e = envelope_of(planes)
    side = np.arange(-4, 5, 1.0)
    grid = np.array([(x, y) for x in side for y in side])
    assert behind(e, ZERO, grid) <= 1e-15
    windows = [(ZERO, grid * [10.0**width, 10.0**height])]
    windows += [(v.point, grid * 10.0**width) for v in e.vertices[:2]]
    windows += [(b.start, grid * 10.0**height) for b in e.boundaries[:2]]
    for origin, offsets in windows:
        assert behind(e, origin, offsets) <= 1e-15


@settings(max_examples=50, deadline=None)
@given(integers)
@example([(1, 0, 0), (-1, 0, 0), (0, 0, 0)])
@example([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 0)])
def test_a_region_has_area_exactly_where_a_linear_program_finds_a_disc_in_it(
    planes: Planes,
) -> None:
    e = envelope_of(planes)
    for k, (w1, w2, b) in enumerate(planes):
        others = [p for p in set(planes) if p != planes[k]]
        rows = [(p[0] - w1, p[1] - w2, 1.0) for p in others]
        program = scipy.optimize.linprog(
            [0, 0, -1],
            A_ub=rows or None,
            b_ub=[b - p[2] for p in others] or None,
            bounds=[(-1e4, 1e4), (-1e4, 1e4), (None, 1.0)],
        )
        assert program.success
        margin = -program.fun
        assert e.regions[k].empty == (margin < 1e-9)
        assert (e.regions[k].touches is not None) == (e.regions[k].empty and margin > -1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 25))
def test_vertices_agree_with_scipys_halfspace_intersection(seed: int, classes: int) -> None:
    draw = np.random.default_rng(seed)
    W, b = draw.normal(size=(classes, 2)), draw.normal(size=classes)
    e = upper_envelope(W.tolist(), b.tolist())
    ceiling = 1e3
    halfspaces = np.vstack([np.column_stack([W, -np.ones(classes), b]), [0, 0, 1, -ceiling]])
    corners = scipy.spatial.HalfspaceIntersection(
        halfspaces, np.array([0, 0, b.max() + 1.0])
    ).intersections
    corners = corners[np.isfinite(corners).all(axis=1) & (corners[:, 2] < ceiling - 1e-6)]
    assume(len(corners) == 0 or corners[:, 2].max() < ceiling / 2)
    mine = np.array([[float(c) for c in v.point] for v in e.vertices]).reshape(-1, 2)
    mine = mine[(mine @ W.T + b).max(axis=1) < ceiling - 1e-6]
    assert len(mine) <= len(corners)
    tree = scipy.spatial.cKDTree(corners[:, :2]) if len(corners) else None
    for point in mine:
        assert tree is not None
        assert tree.query(point)[0] < 1e-6 * max(1.0, np.abs(point).max())
    back = scipy.spatial.cKDTree(mine) if len(mine) else None
    for corner in corners:
        assert back is not None
        assert back.query(corner[:2])[0] < 1e-6 * max(1.0, np.abs(corner).max())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 25))
def test_the_unbounded_regions_are_the_corners_of_the_hull_of_the_weights(
    seed: int, classes: int
) -> None:
    draw = np.random.default_rng(seed)
    W, b = draw.normal(size=(classes, 2)), draw.normal(size=classes)
    e = upper_envelope(W.tolist(), b.tolist())
    unbounded = {r.index for r in e.regions if not r.bounded}
    assert unbounded == set(scipy.spatial.ConvexHull(W).vertices.tolist())


# ------------------------------------------------------------------------------------- cases

COURSE = [(3, 1, 1), (1, 3, 2), (-3, 1.5, 2)]


def test_the_courses_three_classes_meet_at_3_22_and_minus_4_11() -> None:
    e = envelope_of(COURSE)
    assert [v.point for v in e.vertices] == [(F(3, 22), F(-4, 11))]
    assert activations_at(e.planes, e.vertices[0].point) == [F(23, 22)] * 3
    assert [b.kind for b in e.boundaries] == ["ray"] * 3
    assert e.common is not None
    assert e.common.kind == "point"
    assert [r.bounded for r in e.regions] == [False] * 3


def test_two_classes_have_one_line_and_no_vertex() -> None:
    e = envelope_of([(1, 0, 0), (-1, 0, 3)])
    assert e.vertices == ()
    (line,) = e.boundaries
    assert (line.kind, line.start, line.direction) == ("line", (F(3, 2), F(0)), (F(0), F(2)))
    assert e.common is not None
    assert e.common.kind == "line"


def test_three_collinear_weights_give_parallel_boundaries_and_no_common_point() -> None:
    e = envelope_of([(-1, 0, 0), (0, 0, 1), (1, 0, 0)])
    assert e.vertices == ()
    assert [(b.classes, b.kind, b.start[0]) for b in e.boundaries] == [
        ((0, 1), "line", -1),
        ((1, 2), "line", 1),
    ]
    assert e.common is None
    strip = middle_ray(e, e.regions[1])
    assert strip is not None
    assert not strip.grows
    assert strip.start == (0, 0)


def test_a_class_that_ties_only_along_a_boundary_has_no_region() -> None:
    e = envelope_of([(-1, 0, 0), (0, 0, 0), (1, 0, 0)])
    (line,) = e.boundaries
    assert (line.classes, line.tied) == ((0, 2), (0, 1, 2))
    assert (e.regions[1].empty, e.regions[1].touches) == (True, "boundary")
    assert e.common is not None
    assert e.common.kind == "line"


def test_a_class_that_ties_only_at_a_vertex_has_no_region() -> None:
    e = envelope_of([*COURSE, (0, 1.5, F(23, 22) + F(6, 11))])  # type: ignore[list-item]
    assert e.vertices[0].classes == (0, 1, 2, 3)
    assert (e.regions[3].empty, e.regions[3].touches) == (True, "point")


def test_a_class_below_all_others_is_empty_and_touches_nothing() -> None:
    e = envelope_of([*COURSE, (0, 1.5, -9)])
    assert (e.regions[3].empty, e.regions[3].bounded, e.regions[3].touches) == (True, True, None)
    assert len(e.boundaries) == 3
    assert e.common is None


def test_four_classes_meet_in_one_point() -> None:
    e = envelope_of([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])
    assert [v.classes for v in e.vertices] == [(0, 1, 2, 3)]
    assert [b.kind for b in e.boundaries] == ["ray"] * 4


def test_equal_classes_share_their_region_and_its_boundaries() -> None:
    e = envelope_of([*COURSE, COURSE[1]])
    assert e.groups == ((0,), (1, 3), (2,))
    assert e.regions[3].equals == (1,)
    assert e.regions[1].boundaries == e.regions[3].boundaries
    assert e.vertices[0].classes == (0, 1, 2, 3)
    assert len(e.boundaries) == 3


def test_all_classes_equal_share_the_whole_plane() -> None:
    e = envelope_of([(1, 2, 3)] * 3)
    assert e.boundaries == ()
    assert [(r.empty, r.bounded, len(r.equals)) for r in e.regions] == [(False, False, 2)] * 3
    assert e.common is not None
    assert e.common.kind == "plane"
    assert middle_ray(e, e.regions[0]) is None


def test_equal_weights_and_unequal_biases_leave_the_plane_to_the_largest() -> None:
    e = envelope_of([(1, 2, 3), (1, 2, 5), (1, 2, 4)])
    assert e.boundaries == ()
    assert [(r.empty, r.bounded) for r in e.regions] == [(True, True), (False, False), (True, True)]
    assert e.common is None


def test_a_half_strip_starts_between_its_two_sides() -> None:
    e = envelope_of([(-1, 0, 0), (0, 0, 1), (1, 0, 0), (0, 3, -9)])
    kinds = {b.classes: b.kind for b in e.boundaries}
    assert kinds[(0, 1)] == kinds[(1, 2)] == "ray"
    ray = middle_ray(e, e.regions[1])
    assert ray is not None
    assert not ray.grows
    assert ray.start[0] == 0
    assert ray.direction[0] == 0
    assert ray.direction[1] < 0


def test_a_bounded_region_has_segments_only_and_no_middle_ray() -> None:
    e = envelope_of([*COURSE, (0, 1.5, 2)])
    assert [r.bounded for r in e.regions] == [False, False, False, True]
    assert sorted(b.kind for b in e.boundaries) == ["ray"] * 3 + ["segment"] * 3
    assert middle_ray(e, e.regions[3]) is None


@pytest.mark.parametrize("tiny", [2.49e-145, 1e-100, 1e-17, 5e-324])
def test_a_boundary_that_begins_far_away_keeps_the_digits_of_the_points(tiny: float) -> None:
    e = envelope_of([(0, 0, 0), (0, tiny, 1), (1, 1, 0)])
    points = np.array([(-3, 0), (0, 0), (0.25, 0.5), (0.5, 0.75), (1.5, 0), (3, -1.5)])
    assert region_of(e, ZERO, points).tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("tiny", [1e-16, 1e-20, 1e-100, 5e-324])
def test_beyond_the_tip_of_a_wedge_narrower_than_rounding_its_class_is_not_found(
    tiny: float,
) -> None:
    e = envelope_of([(-tiny, 0, 0), *WEDGE[1:]])
    points = np.array([(0.5, -0.5), (1, -1), (2, -2), (3, -3)])
    assert set(region_of(e, ZERO, points).tolist()) <= {3, 4}
    # Before the tip it is.
    assert region_of(e, ZERO, -points).tolist() == [0] * 4


def test_no_points_have_no_regions() -> None:
    assert region_of(envelope_of(COURSE), ZERO, np.empty((0, 2))).tolist() == []


def test_weights_a_million_in_size_and_a_vertex_far_away_lose_no_digit() -> None:
    a = 1e6
    e = envelope_of([(a, 1, 0), (a, 1 + 2**-30, 1), (a + 2**-30, 1, 1)])
    assert [v.point for v in e.vertices] == [(F(-(2**30)), F(-(2**30)))]
