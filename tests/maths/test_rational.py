"""Rational numbers over square roots, against mpmath."""

from __future__ import annotations

from fractions import Fraction as F

import mpmath
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths.rational import over_root, unit


@settings(deadline=None)
@given(
    st.fractions().filter(bool),
    st.fractions(min_value=F(1, 10**12)).filter(lambda s: s > 0),
)
def test_over_root_is_right_to_the_last_bit(value: F, square: F) -> None:
    with mpmath.workdps(60):
        expected = (
            mpmath.mpf(value.numerator)
            / value.denominator
            / mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
        )
    assert over_root(value, square) == float(expected)
    assert over_root(F(0), square) == 0.0


def test_over_root_survives_numbers_beyond_float64() -> None:
    huge = F(10) ** 400
    assert over_root(huge, huge**2) == 1.0
    assert over_root(-1 / huge, 1 / huge**2) == -1.0
    assert over_root(huge, F(1)) == np.inf
    np.testing.assert_array_equal(unit((huge, F(0))), [1.0, 0.0])
