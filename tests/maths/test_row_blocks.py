"""Sums over blocks of rows: the compiled loops against exact arithmetic, and both against ``logistic``."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from mlhw.maths import logistic, row_blocks
from tests.maths.test_logistic import overlapping


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rates", [1, 5, 33])
def test_losses_slopes_and_curvatures_are_those_of_logistic(compiled: bool, rates: int) -> None:
    X, t = overlapping(0, n=203, d=4)
    W = np.random.default_rng(rates).normal(size=(5, rates))
    s = 2 * t - 1
    losses, slopes = row_blocks.losses_and_slopes(X[:, :-1], s, W, compiled)
    nll, gradient = logistic.nll_and_gradient(X, t, W)
    np.testing.assert_allclose(losses / len(X), nll, rtol=1e-14)
    np.testing.assert_allclose(slopes / len(X), gradient, rtol=0, atol=1e-15)
    bends = row_blocks.curvatures(X[:, :-1], W, compiled)
    for found, w in zip(row_blocks.hessians(X, bends), W.T, strict=True):
        np.testing.assert_allclose(found / len(X), logistic.hessian(X, w), rtol=1e-13, atol=1e-16)


def test_compiled_losses_and_residuals_are_right_to_a_few_ulps_also_where_they_are_tiny() -> None:
    margins = np.concatenate([np.linspace(-745, 707, 300), [0.0, 1e-300, -1e-9, 37.0, -1e4]])
    with mpmath.workdps(50):
        for a in margins:
            losses, slopes = row_blocks.losses_and_slopes(
                np.array([[float(a)]]), np.ones(1), np.array([[1.0], [0.0]]), True
            )
            exact = mpmath.log1p(mpmath.exp(-mpmath.mpf(float(a))))
            assert abs(losses[0] - exact) <= 4e-16 * exact
            residual = -1 / (1 + mpmath.exp(mpmath.mpf(float(a))))
            assert abs(slopes[1, 0] - residual) <= 6e-16 * abs(residual)


def test_a_compiled_loss_of_what_is_not_finite_is_not_finite() -> None:
    for value in (np.nan, -np.inf):
        losses, _ = row_blocks.losses_and_slopes(
            np.array([[1.0], [value]]), np.ones(2), np.array([[1.0], [0.0]]), True
        )
        assert not np.isfinite(losses[0])


def test_wide_problems_have_the_same_hessians_as_narrow_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, _ = overlapping(2, n=100, d=6)
    bends = np.random.default_rng(0).random((9, 100))
    narrow = row_blocks.hessians(X, bends)
    monkeypatch.setattr(row_blocks, "WIDE", 3)
    np.testing.assert_allclose(narrow, row_blocks.hessians(X, bends), rtol=1e-13)
