"""The smallest loss, against scikit-learn and mpmath, and the law of its invariance under offsets."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit

from mlhw.maths import in_blocks, logistic, optimum
from mlhw.maths.centring import Centred
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import two_classes

CASES = Path(__file__).parents[1] / "experiments" / "sweeps" / "cases"


def case(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The features (n, d) and targets (n,) of a file."""
    table = np.loadtxt(CASES / f"{name}.csv", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


def overlapping(seed: int, n: int = 80, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, (rng.random(n) < expit(X @ rng.normal(size=d))).astype(float)


def found(X: np.ndarray, t: np.ndarray) -> optimum.Optimum:
    minimum = optimum.solve(Centred.of(X), t).optimum
    assert minimum is not None
    return minimum


def of_one_feature(x: np.ndarray, t: np.ndarray) -> tuple[float, float, float, float]:
    """NLL and slope at the minimum, 2/L and 2/λmax there, by Newton's method with 60 digits."""
    with mpmath.workdps(60):
        values = [mpmath.mpf(float(value)) for value in x]
        centre, n = sum(values) / len(values), len(values)
        rows = [(value - centre, int(label)) for value, label in zip(values, t, strict=True)]
        w, b = mpmath.mpf(0), mpmath.mpf(0)
        for _ in range(60):
            p = [1 / (1 + mpmath.exp(-(w * value + b))) for value, _ in rows]
            residual = [q - label for q, (_, label) in zip(p, rows, strict=True)]
            c = [q * (1 - q) for q in p]
            H = mpmath.matrix(2)
            for i in range(2):
                for j in range(2):
                    H[i, j] = mpmath.fsum(
                        k * value ** (2 - i - j) for k, (value, _) in zip(c, rows, strict=True)
                    )
            g = mpmath.matrix(
                [
                    mpmath.fsum(r * value for r, (value, _) in zip(residual, rows, strict=True)),
                    mpmath.fsum(residual),
                ]
            )
            step = mpmath.lu_solve(H, g)
            w, b = w - step[0], b - step[1]
        nll = mpmath.fsum(
            mpmath.log1p(mpmath.exp(-(2 * label - 1) * (w * value + b))) for value, label in rows
        )

        def limit(weights: list[mpmath.mpf]) -> mpmath.mpf:
            a = mpmath.fsum(k * x**2 for k, x in zip(weights, values, strict=True)) / n
            m = mpmath.fsum(k * x for k, x in zip(weights, values, strict=True)) / n
            e = mpmath.fsum(weights) / n
            return 2 / ((a + e) / 2 + mpmath.sqrt(((a - e) / 2) ** 2 + m**2))

        quarter = [mpmath.mpf(1) / 4] * n
        return float(nll / n), float(w), float(limit(quarter)), float(limit(c))


@pytest.mark.parametrize(
    "name",
    [
        "offset_year",
        "offset_off8",
        "offset_unix_seconds",
        "offset_off10",
        "offset_unix_ms",
        "nearsep",
    ],
)
def test_optimum_and_limits_far_from_zero_are_mpmaths(name: str) -> None:
    X, t = case(name)
    nll, slope, monotone, critical = of_one_feature(X[:, 0], t)
    minimum = found(X, t)
    assert minimum.nll == pytest.approx(nll, rel=1e-13)
    assert Centred.of(X).slopes(minimum.v)[0] == pytest.approx(slope, rel=1e-9)
    raw = np.column_stack([X, np.ones(len(X))])
    assert logistic.monotone_eta(raw) == pytest.approx(monotone, rel=1e-12)
    limit = logistic.limit_at_activations(raw, minimum.activations)
    assert limit == pytest.approx(critical, rel=1e-9)


def test_times_in_seconds_have_the_optimum_of_the_seconds_alone() -> None:
    X, t = case("offset_unix_seconds")
    minimum = found(X, t)
    # The file's decimals, rounded to float64 at 1.7e9, are 1e-7 off.
    assert minimum.nll == pytest.approx(0.335649207165945, rel=1e-8)
    assert Centred.of(X).slopes(minimum.v)[0] == pytest.approx(1.00566397205, rel=1e-8)
    assert minimum.gradient < 1e-12


def test_blocks_of_many_points_have_the_same_minimum_with_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(2, n=9001)
    points = Centred.of(X)
    known = found(X, t)
    monkeypatch.setattr(in_blocks, "WORTH", 1)
    monkeypatch.setattr(in_blocks, "_BLOCK", 4 * 512)
    monkeypatch.setattr(optimum, "_minimise", None)  # the way of any points is not gone
    bits = []
    for cpus in (1, 3):
        monkeypatch.setattr(in_blocks, "cpus", lambda n=cpus: n)
        np.testing.assert_array_equal(Centred.of(X).Z, points.Z)
        minimum = found(X, t)
        bits.append((minimum.v.tobytes(), minimum.nll))
        np.testing.assert_allclose(minimum.v, known.v, rtol=1e-12)
        np.testing.assert_allclose(minimum.activations, known.activations, rtol=0, atol=1e-11)
        assert minimum.nll == pytest.approx(known.nll, rel=1e-14)
        residual = expit(points.Z @ minimum.v) - t
        assert np.abs(residual @ points.Z / len(t)).max() < optimum.GRADIENT_TOLERANCE
    assert bits[0] == bits[1]


@pytest.mark.parametrize("kind", ["dependent", "constant", "complete", "quasi-complete", "rare"])
def test_many_points_out_of_the_ordinary_go_the_way_of_any(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, t = overlapping(3, n=4000)
    if kind == "dependent":
        X[:, 2] = X[:, 0]
    elif kind == "constant":
        X[:, 2] = 7.0
    elif kind == "complete":
        t = (X[:, 0] > 0).astype(float)
    elif kind == "quasi-complete":
        X[:, 2] = 0.0
        X[t == 1, 2] = np.arange(np.sum(t == 1)) % 2
    else:  # of every sixteenth point alone the classes are separated
        t = (X[:, 0] > 0).astype(float)
        t[1::40] = 1 - t[1::40]
        t[::16] = X[::16, 0] > 0
    known = optimum.solve(Centred.of(X), t)
    monkeypatch.setattr(in_blocks, "WORTH", 1)
    again = optimum.solve(Centred.of(X), t)
    assert (again.optimum is None) == (known.optimum is None) == ("complete" in kind)
    assert again.infimum == pytest.approx(known.infimum, rel=1e-12)
    if known.separation is not None and again.separation is not None:
        assert again.separation.kind == known.separation.kind == kind
        np.testing.assert_array_equal(again.separation.strict, known.separation.strict)
    if known.optimum is not None and again.optimum is not None:
        np.testing.assert_allclose(again.optimum.v, known.optimum.v, rtol=0, atol=1e-9)
        assert again.optimum.gradient < optimum.GRADIENT_TOLERANCE


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 30),
    d=st.integers(1, 3),
    powers=st.lists(st.integers(3, 40), min_size=3, max_size=3),
    steps=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3),
    separated=st.booleans(),
)
def test_a_constant_added_to_a_feature_changes_nothing(
    seed: int, n: int, d: int, powers: list[int], steps: list[int], separated: bool
) -> None:
    """Values of at most 12 binary digits, and offsets up to 2⁴⁰ times these: the sums are exact."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-1000, 1001, size=(n, d)) / 256.0
    a = X @ rng.integers(-2, 3, size=d)
    t = (a > 0).astype(float) if separated else (rng.random(n) < expit(a)).astype(float)
    offsets = np.array(
        [np.ldexp(1.0, power) + step / 256 for power, step in zip(powers, steps, strict=True)]
    )
    shifted = X + offsets[:d]
    assert ((shifted - offsets[:d]) == X).all()
    here, there = (optimum.solve(Centred.of(columns), t) for columns in (X, shifted))
    assert here.infimum == there.infimum
    assert (here.optimum is None) == (there.optimum is None)
    if here.optimum is not None and there.optimum is not None:
        slopes = [Centred.of(X).slopes(here.optimum.v), Centred.of(shifted).slopes(there.optimum.v)]
        np.testing.assert_array_equal(*slopes)
    assert (here.separation is None) == (there.separation is None)
    if here.separation is not None and there.separation is not None:
        np.testing.assert_array_equal(here.separation.strict, there.separation.strict)
    for plain, far in zip(
        Centred.of(X).standardized(), Centred.of(shifted).standardized(), strict=True
    ):
        if plain.ndim == 2:
            np.testing.assert_allclose(plain, far, rtol=1e-11, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(-300, 300))
def test_the_optimum_does_not_depend_on_the_unit_of_a_feature(seed: int, power: int) -> None:
    X, t = overlapping(seed, n=40)
    scaled = X * np.array([np.ldexp(1.0, power), 1.0, np.ldexp(1.0, -power)])
    here, there = (optimum.solve(Centred.of(columns), t) for columns in (X, scaled))
    assert here.infimum == there.infimum


def test_the_optimum_is_scikit_learns_without_penalty() -> None:
    from sklearn.linear_model import LogisticRegression

    X, t, _ = two_classes(load_points(PointsConfig()))
    minimum = found(X[:, :-1], t)
    w = Centred.of(X[:, :-1]).weights(minimum.v)
    assert np.abs(logistic.gradient(X, t, w)).max() < 1e-12
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    theirs.fit(X[:, :-1], t)
    np.testing.assert_allclose(w, np.append(theirs.coef_[0], theirs.intercept_), rtol=1e-7)
    assert minimum.nll == pytest.approx(-np.mean(log_expit((2 * t - 1) * (X @ w))), rel=1e-14)


def test_badly_scaled_features_have_the_optimum_of_well_scaled_ones() -> None:
    X, t = overlapping(7)
    expected = found(X, t)
    minimum = found(X * np.array([1e4, 1e-4, 1.0]), t)
    assert minimum.nll == pytest.approx(expected.nll, rel=1e-14)
    assert minimum.gradient < 1e-12


@pytest.mark.parametrize("name", ["dupcol", "zerocol"])
def test_a_column_twice_or_of_zeros_changes_no_optimum(name: str) -> None:
    X, t = case(name)
    minimum = found(X, t)
    assert minimum.nll == pytest.approx(found(X[:, [0, 2]], t).nll, rel=1e-14)
    if name == "zerocol":
        assert minimum.v[1] == 0


def test_more_features_than_points_that_overlap_have_an_optimum() -> None:
    rng = np.random.default_rng(8)
    few = rng.normal(size=(40, 2))
    t = (rng.random(40) < expit(few[:, 0])).astype(float)
    wide = few @ rng.normal(size=(2, 90))
    assert found(wide, t).nll == pytest.approx(found(few, t).nll, rel=1e-12)


@pytest.mark.parametrize("distance", [2.0**-10, 2.0**-16, 2.0**-30, 2.0**-36])
def test_nearly_dependent_columns_have_the_right_optimum_or_none(distance: float) -> None:
    """A third column spans the same however near it is to the first, until rounding hides it."""
    rng = np.random.default_rng(3)
    few = np.round(rng.normal(size=(200, 3)) * 256) / 256
    t = (rng.random(200) < expit(few @ [1.0, 0.5, 0.5])).astype(float)
    near = np.column_stack([few[:, :2], few[:, 0] + distance * few[:, 2]])
    minimum = optimum.solve(Centred.of(near), t).optimum
    if distance > 1e-6:
        assert minimum is not None
    if minimum is not None:
        assert minimum.nll == pytest.approx(found(few, t).nll, rel=1e-9)


def test_a_minimum_that_newton_does_not_reach_is_no_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(1)
    monkeypatch.setattr(optimum, "STEPS", 0)
    solution = optimum.solve(Centred.of(X), t)
    assert (solution.optimum, solution.separation, solution.infimum) == (None, None, None)
    assert solution.steepest > 1e-12


def test_the_courses_data_gives_the_courses_numbers(course_points: object) -> None:
    X, t, _ = two_classes(load_points(PointsConfig(name=None, file=str(course_points))))
    minimum = found(X[:, :-1], t)
    assert minimum.nll == pytest.approx(0.23014649362, rel=1e-8)
    w = Centred.of(X[:, :-1]).weights(minimum.v)
    np.testing.assert_allclose(w, [2.075187044, -1.726598546, -12.463823358], rtol=1e-8)
    assert logistic.monotone_eta(X) == pytest.approx(0.2013, abs=5e-5)
    assert logistic.local_limit(X, w) == pytest.approx(0.7226, abs=5e-5)
    assert logistic.local_limit(X, np.array([0.1, 0.0, 0.0])) == pytest.approx(0.227, abs=5e-4)
