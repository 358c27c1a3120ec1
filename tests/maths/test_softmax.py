"""The softmax and its logarithms against SciPy, mpmath and their own laws."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mlhw.maths.softmax import (
    log_complement,
    log_mean_exp,
    log_softmax,
    log_sum_exp,
    softmax,
)

activations = st_numpy.arrays(
    float,
    st.tuples(st.integers(1, 4), st.integers(2, 6)),
    elements=st.floats(-1e6, 1e6, allow_nan=False),
)


def exact_log_complement(a: list[float], members: list[int]) -> float:
    with mpmath.workdps(60):
        terms = [mpmath.exp(mpmath.mpf(x) - max(a)) for x in a]
        others = [term for k, term in enumerate(terms) if k not in members]
        return float(mpmath.log(mpmath.fsum(others) / mpmath.fsum(terms)))


@settings(deadline=None)
@given(activations)
def test_softmax_agrees_with_scipy_for_activations_up_to_a_million(a: np.ndarray) -> None:
    np.testing.assert_allclose(softmax(a), scipy.special.softmax(a, axis=-1), rtol=1e-14, atol=0)
    np.testing.assert_allclose(
        log_softmax(a), scipy.special.log_softmax(a, axis=-1), rtol=1e-14, atol=1e-15
    )


@settings(deadline=None)
@given(activations)
def test_probabilities_sum_to_one(a: np.ndarray) -> None:
    np.testing.assert_allclose(softmax(a).sum(axis=-1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(log_sum_exp(log_softmax(a)), 0.0, atol=1e-9)


@settings(deadline=None)
@given(st.integers(2, 9), st.floats(-1e6, 1e6))
def test_equal_activations_give_equal_bits(classes: int, value: float) -> None:
    p = softmax(np.full(classes, value))
    assert np.all(p == p[0])
    assert p[0] == pytest.approx(1 / classes, abs=1e-16)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.data())
def test_log_complement_agrees_with_mpmath_at_60_digits(
    a: list[float], data: st.DataObject
) -> None:
    members = data.draw(
        st.lists(st.integers(0, len(a) - 1), min_size=1, max_size=len(a) - 1, unique=True)
    )
    expected = exact_log_complement(a, members)
    assert log_complement(np.array(a), members) == pytest.approx(expected, rel=1e-13, abs=0)


def test_log_of_one_minus_p_goes_on_where_p_is_one_in_float64() -> None:
    a = np.array([[1e6, 0.0, -1e6], [40.0, 0.0, 0.0], [0.0, 40.0, 40.0]])
    assert softmax(a)[0, 0] == 1.0
    np.testing.assert_allclose(
        log_complement(a, [0]),
        [-1e6, float(mpmath.log(2) - 40), -float(mpmath.exp(-40)) / 2],
        rtol=1e-14,
    )


def test_log_p_tells_values_apart_where_p_is_one_in_float64() -> None:
    own = log_softmax(np.array([[50.0, 0.0], [60.0, 0.0], [700.0, 0.0]]))[:, 0]
    np.testing.assert_allclose(own, -np.exp([-50.0, -60.0, -700.0]), rtol=1e-15)


def test_nothing_is_left_when_every_class_is_a_member() -> None:
    assert log_complement(np.array([1.0, 2.0]), [0, 1]) == -np.inf
    assert log_sum_exp(np.empty((3, 0))).tolist() == [-np.inf] * 3


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=5), st.floats(-30, 3), st.data())
def test_log_mean_exp_agrees_with_mpmath_for_tiny_and_large_changes(
    parts: list[float], exponent: float, data: st.DataObject
) -> None:
    weights = np.array(parts) / np.sum(parts)
    change = -(10.0**exponent) * np.array([data.draw(st.floats(0.5, 1)) for _ in parts])
    with mpmath.workdps(60):
        total = mpmath.fsum(
            mpmath.mpf(w) * mpmath.exp(mpmath.mpf(c)) for w, c in zip(weights, change, strict=True)
        )
        # The weights sum to 1 only within rounding, which is taken out.
        expected = mpmath.log(total / mpmath.fsum(map(mpmath.mpf, weights)))
    assert log_mean_exp(weights, change) == pytest.approx(float(expected), rel=1e-11)
