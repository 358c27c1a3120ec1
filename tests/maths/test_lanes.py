"""The exponential of eight numbers at once against mpmath."""

from __future__ import annotations

from typing import Any

import mpmath
import numba
import numpy as np
import pytest

from mlhw.maths.lanes import eight_at, exp_minus, put_eight


@pytest.fixture(scope="module")
def compiled() -> Any:
    def all_of(x: Any, result: Any) -> None:
        for first in range(0, len(x), 8):
            put_eight(result, first, exp_minus(eight_at(x, first)))

    return numba.njit(error_model="numpy")(all_of)


def test_it_is_right_to_three_units_of_the_sixteenth_digit(compiled: Any) -> None:
    rng = np.random.default_rng(0)
    parts = rng.uniform(0, 1, 800), rng.uniform(0, 708, 800), 10.0 ** rng.uniform(-300, 0, 800)
    x = np.concatenate([*parts, np.log(2.0) * (np.arange(800) + 0.5) / 2, np.zeros(8)])
    found = np.empty_like(x)
    compiled(x, found)
    with mpmath.workdps(30):
        errors = [
            abs(y / mpmath.exp(-mpmath.mpf(value)) - 1)
            for value, y in zip(x.tolist(), found.tolist(), strict=True)
        ]
    assert float(max(errors)) < 3e-16
    assert (found[-8:] == 1.0).all()


def test_where_float64_ends_it_is_zero(compiled: Any) -> None:
    x = np.array([708.0, 709.0, 1e300, np.inf, np.nan, 707.9, 0.0, 1.0])
    found = np.empty_like(x)
    compiled(x, found)
    assert found[:5].tolist() == [0.0] * 5
    np.testing.assert_allclose(found[5:], np.exp(-x[5:]), rtol=1e-15)
