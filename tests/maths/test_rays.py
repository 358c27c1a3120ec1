"""Middle rays and the hulls that they come from, against many directions and linear programs."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths.rays import gaps_along, middle_ray, nearest_in_hull
from mlhw.maths.regions import activations_at, upper_envelope
from tests.maths.planes import Planes, envelope_of, planes_of_both_kinds


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_no_direction_lets_the_margin_grow_faster_than_the_middle_ray(
    seed: int, classes: int
) -> None:
    draw = np.random.default_rng(seed)
    W, b = draw.normal(size=(classes, 2)), draw.normal(size=classes)
    e = upper_envelope(W.tolist(), b.tolist())
    angles = np.linspace(0, 2 * np.pi, 20_001)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    for region in e.regions:
        ray = middle_ray(e, region)
        if ray is None:
            continue
        assert ray.grows
        others = np.delete(W, region.index, axis=0)
        best = (directions @ (W[region.index] - others).T).min(axis=1).max()
        gaps = gaps_along(e.planes, region.index, ray.start, ray.direction)
        rate = np.delete(gaps.slope, region.index).min()
        assert best <= rate + 1e-12
        # The best of the 20,000 directions is off by half their step at most.
        assert (
            best >= rate - np.pi / 20_000 * np.linalg.norm(others - W[region.index], axis=1).max()
        )
        assert np.delete(gaps.start, region.index).min() >= 0


@settings(deadline=None)
@given(planes_of_both_kinds)
def test_the_margin_along_a_middle_ray_never_falls_and_grows_unless_in_a_strip(
    planes: Planes,
) -> None:
    e = envelope_of(planes)
    for region in e.regions:
        ray = middle_ray(e, region)
        assert (ray is not None) == (not region.bounded and bool(region.boundaries))
        if ray is None:
            continue
        w = e.planes[region.index]
        same = {k for k, p in enumerate(e.planes) if p[:2] == w[:2]}
        a = activations_at(e.planes, ray.start)
        assert a[region.index] == max(a)
        slopes = [
            (w[0] - p[0]) * ray.direction[0] + (w[1] - p[1]) * ray.direction[1]
            for k, p in enumerate(e.planes)
            if k not in same
        ]
        assert (min(slopes) > 0) == ray.grows
        assert min(slopes) >= 0
        # In a strip the start is midway, so that no class ties there that will not fall back.
        behind = [a[region.index] - a[k] for k in range(len(a)) if k not in same]
        assert all(gap > 0 for gap, slope in zip(behind, slopes, strict=True) if slope == 0)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(-9, 9).map(F)] * 2), min_size=1, max_size=9))
def test_the_nearest_point_of_a_hull_separates_it_from_the_origin(
    points: list[tuple[F, F]],
) -> None:
    z = nearest_in_hull(points)
    square = z[0] ** 2 + z[1] ** 2
    assert all(p[0] * z[0] + p[1] * z[1] >= square for p in points)
    # z is in the hull: a mean of the points with weights that linprog finds.
    found = scipy.optimize.linprog(
        np.zeros(len(points)),
        A_eq=np.vstack([np.array(points, float).T, np.ones(len(points))]),
        b_eq=[float(z[0]), float(z[1]), 1.0],
    )
    assert found.success
