"""Complete and quasi-complete separation against SciPy's linear programming and against integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mlhw.maths import cone, optimum, separation
from mlhw.maths.centring import Centred
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import two_classes
from tests.maths.test_optimum import case


def strict_by_linear_programming(X: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The rows of small integers (n, d) that can be separated, all at once: max Σ min(mᵢ, 1), m ≥ 0."""
    n, d = X.shape
    signed = (2 * t - 1)[:, None] * np.column_stack([X, np.ones(n)])
    found = linprog(
        np.append(np.zeros(d + 1), -np.ones(n)),
        A_ub=np.hstack([-signed, np.identity(n)]),
        b_ub=np.zeros(n),
        bounds=[(None, None)] * (d + 1) + [(0, 1)] * n,
    )
    assert found.status == 0
    return np.asarray(found.x[d + 1 :] > 0.5)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 30), st.integers(1, 4), st.integers(1, 4))
def test_the_separated_rows_are_those_of_a_linear_programme(
    seed: int, n: int, d: int, size: int
) -> None:
    """Small integers, where ties are exact and frequent; random classes and touching ones."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-size, size + 1, size=(n, d)).astype(float)
    a = X @ rng.integers(-2, 3, size=d)
    t = np.where(a == 0, rng.integers(0, 2, size=n), a > 0).astype(float)
    if rng.random() < 0.2:
        t = rng.integers(0, 2, size=n).astype(float)
    expected = strict_by_linear_programming(X, t)
    solution = optimum.solve(Centred.of(X), t)
    strict = np.zeros(n, bool) if solution.separation is None else solution.separation.strict
    np.testing.assert_array_equal(strict, expected)
    if expected.any() and not expected.all():
        inner = optimum.solve(Centred.of(X[~expected]), t[~expected]).optimum
        assert inner is not None
        assert solution.infimum == pytest.approx(inner.nll * (~expected).mean(), rel=1e-12)


@pytest.mark.parametrize("largest", [1e150, 1e308])
def test_values_from_one_to_the_largest_float_are_separated_in_integers(largest: float) -> None:
    X = np.array(
        [[1, -1], [-1, 1 / largest], [1 / largest, 2 / largest], [2 / largest, 5 / largest]]
    )
    X = np.vstack([X, [3 / largest, 1 / largest]]) * largest
    t = np.array([0.0, 1.0, 0.0, 1.0, 0.0])
    found = optimum.solve(Centred.of(X), t).separation
    assert found is not None
    assert found.strict.all()
    assert np.isfinite(found.weights).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 12), st.integers(1, 3))
def test_the_integers_and_the_linear_programmes_say_the_same(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, size=(n, d)).astype(float)
    X[0] = X[1] + 1
    t = (X @ rng.integers(-2, 3, size=d) > 0).astype(float)
    points, s = Centred.of(X), 2 * t - 1
    exact = separation.in_integers(points, s, np.flatnonzero(points.varying))
    found = separation.by_linear_programmes(points, s)
    assert (exact is None) == (found is None)
    if exact is not None and found is not None:
        np.testing.assert_array_equal(exact.strict, found.strict)


def test_a_cones_vector_is_positive_at_its_strict_rows_and_zero_at_the_others() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        A = rng.integers(-3, 4, size=(int(rng.integers(1, 9)), int(rng.integers(1, 4))))
        strict, u = cone.strict_rows(A.astype(object))
        values = A.astype(object) @ np.array(u, object)
        assert ((values > 0) == strict).all()
        assert (values >= 0).all()
        assert cone.rank(A.astype(object)) == np.linalg.matrix_rank(A)


@pytest.mark.parametrize(
    ("name", "kind", "infimum", "boundary"),
    [
        ("quasi_touch", "quasi-complete", np.log(2) / 2, [1, 2]),
        ("separable_touch", "quasi-complete", np.log(2) / 2, [1, 2]),
        ("nearsep", None, None, []),
        ("nearsep2", "complete", 0.0, []),
        ("nearsep3", None, None, []),
        ("sm659", "complete", 0.0, []),
    ],
)
def test_small_cases_on_the_edge(
    name: str, kind: str | None, infimum: float | None, boundary: list[int]
) -> None:
    X, t = case(name)
    solution = optimum.solve(Centred.of(X), t)
    if solution.separation is None:
        assert kind is None
        assert solution.optimum is not None
        return
    assert solution.separation.kind == kind
    assert solution.infimum == pytest.approx(infimum, rel=1e-14)
    assert np.flatnonzero(~solution.separation.strict).tolist() == boundary


@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("overlap", [False, True])
def test_gaps_and_overlaps_down_to_the_rounding_are_told_apart_in_the_plane(
    gap: float, overlap: bool
) -> None:
    """Two points of each class on the line x1 + x2 = 0, moved off it by next to nothing."""
    move = gap if overlap else -gap
    X = np.array([[0.0, move], [1.0, -1.0 + move], [0.5, -0.5], [-1.0, 1.0], [3, 3], [-3, -3]])
    t = np.array([0.0, 0, 1, 1, 1, 0])
    solution = optimum.solve(Centred.of(X), t)
    assert (solution.separation is None) == overlap
    if solution.separation is not None:
        assert solution.separation.kind == "complete"


def test_a_category_with_one_class_alone_is_named() -> None:
    """The usual cause: a column of 0 and 1 whose ones all have the same class."""
    rng = np.random.default_rng(2)
    X = np.column_stack([rng.normal(size=(60, 3)), np.arange(60) % 10 == 0])
    t = (rng.random(60) < 0.5).astype(float)
    t[X[:, 3] == 1] = 1.0
    solution = optimum.solve(Centred.of(X), t)
    assert solution.separation is not None
    assert solution.separation.kind == "quasi-complete"
    assert np.flatnonzero(solution.separation.weights).tolist() == [3]
    np.testing.assert_array_equal(solution.separation.strict, X[:, 3] == 1)
    rest = X[:, 3] == 0
    inner = optimum.solve(Centred.of(X[rest, :3]), t[rest]).optimum
    assert inner is not None
    assert solution.infimum == pytest.approx(inner.nll * rest.mean(), rel=1e-12)


@pytest.mark.parametrize(("classes", "expected"), [([0, 1], True), ([1, 2], False)])
def test_iris_is_separable_where_it_is_known_to_be(
    classes: list[int | float | str], expected: bool
) -> None:
    X, t, _ = two_classes(load_points(PointsConfig(name="iris", classes=classes)))
    solution = optimum.solve(Centred.of(X[:, :-1]), t)
    assert (solution.separation is not None) is expected


def test_independent_points_are_separable_whatever_their_classes() -> None:
    X = np.random.default_rng(6).normal(size=(6, 5))
    for labels in range(64):
        t = np.array([labels >> i & 1 for i in range(6)], float)
        found = optimum.solve(Centred.of(X), t).separation
        assert found is not None
        assert found.kind == "complete"
    # The same point in both classes: as many features as points, but not independent.
    X[1] = X[0]
    t = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    solution = optimum.solve(Centred.of(X), t)
    assert solution.separation is not None
    assert solution.separation.strict.tolist() == [False, False, True, True, True, True]
    assert solution.infimum == pytest.approx(np.log(2) / 3, rel=1e-14)
