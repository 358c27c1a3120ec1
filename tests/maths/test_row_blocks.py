"""Sums over blocks of rows: the compiled loops against exact arithmetic, and both against ``logistic``."""

from __future__ import annotations

import math

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
    # Of a mean from 1/32 on a factor 1 + e of the product is rounded by 2^-53, a lower mean by its own ulps.
    margins = np.concatenate([np.linspace(-745, 707, 300), [0.0, 1e-300, -1e-9, 37.0, -1e4]])
    with mpmath.workdps(50):
        for a in margins:
            losses, slopes = row_blocks.losses_and_slopes(
                np.array([[float(a)]]), np.ones(1), np.array([[1.0], [0.0]]), True
            )
            exact = mpmath.log1p(mpmath.exp(-mpmath.mpf(float(a))))
            rounded = 2**-53 * 1.01 if exact > 1 / 33 else 0
            assert abs(losses[0] - exact) <= 4e-16 * exact + rounded
            residual = -1 / (1 + mpmath.exp(mpmath.mpf(float(a))))
            assert abs(slopes[1, 0] - residual) <= 6e-16 * abs(residual)


@pytest.mark.parametrize("size", [0.01, 1.0, 4.5, 30.0])
def test_compiled_losses_of_many_rows_are_right_on_both_sides_of_the_change(size: float) -> None:
    # 70,000 rows: longer than a product may be, and no multiple of what stands beside each other.
    rng = np.random.default_rng(3)
    X = size * rng.random((70_000, 1))
    s = np.where(rng.random(70_000) < 0.02 / size, -1.0, 1.0)
    W = np.array([[1.0, 3.0, 0.3, -1.0], [0.0, 0.5, 0.0, 0.0]])
    losses, _ = row_blocks.losses_and_slopes(X, s, W, True)
    for loss, (w, bias) in zip(losses, W.T, strict=True):
        margins = s * (X[:, 0] * w + bias)
        exact = math.fsum(np.maximum(-margins, 0.0) + np.log1p(np.exp(-np.abs(margins))))
        assert abs(loss - exact) <= 1e-14 * exact


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
