"""The mathematics of logistic regression against SciPy, scikit-learn, torch and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mlhw.maths import activations, logistic


def overlapping(seed: int, n: int = 80, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(n, d)), np.ones(n)])
    t = (rng.random(n) < expit(X @ rng.normal(size=d + 1))).astype(float)
    return X, t


@given(st.floats(-1e4, 1e4))
def test_softplus_and_sigmoid_agree_with_mpmath_to_a_few_ulps(z: float) -> None:
    with mpmath.workdps(60):
        softplus = mpmath.log1p(mpmath.exp(mpmath.mpf(z)))
        sigmoid = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        for ours, exact in (
            (activations.softplus(np.array(z)), softplus),
            (activations.logistic(np.array(z)), sigmoid),
        ):
            error = abs(mpmath.mpf(float(ours)) - exact)
            assert error <= mpmath.mpf(2.0**-51) * exact + mpmath.mpf(5e-324)


def test_the_nll_stays_finite_and_exact_where_a_naive_one_overflows() -> None:
    X = np.array([[1e6, 1.0], [-1e6, 1.0]])
    t = np.array([0.0, 0.0])
    w = np.array([1.0, 0.0])
    assert logistic.nll(X, t, w) == pytest.approx(5e5, rel=1e-15)
    assert np.isfinite(logistic.gradient(X, t, w)).all()


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_agree_with_torch_autograd(seed: int) -> None:
    import torch

    X, t = overlapping(seed)
    W = np.random.default_rng(seed).normal(size=(4, 5))
    weights = torch.tensor(W, requires_grad=True)
    activations = torch.tensor(X) @ weights
    targets = torch.tensor(t)[:, None].expand_as(activations)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        activations, targets, reduction="none"
    ).mean(dim=0)
    losses.sum().backward()
    assert weights.grad is not None
    loss, slope = logistic.nll_and_gradient(X, t, W)
    np.testing.assert_allclose(loss, losses.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(slope, weights.grad.numpy(), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(loss, logistic.nll(X, t, W), rtol=1e-15)


def test_the_hessian_is_the_derivative_of_the_gradient() -> None:
    import torch

    X, t = overlapping(4)
    w = np.random.default_rng(4).normal(size=4)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(X) @ weights, torch.tensor(t)
        )

    exact = torch.autograd.functional.hessian(loss, torch.tensor(w)).numpy()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(logistic.hessian(X, w), exact, rtol=1e-10)
    largest = np.linalg.eigvalsh(exact)[-1]
    assert logistic.local_limit(X, w) == pytest.approx(2 / largest, rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_hessian_exceeds_the_bound_behind_monotone_eta(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, _ = overlapping(seed)
    W = rng.normal(size=(4, 20)) * rng.choice([0.01, 1.0, 100.0])
    assert (logistic.local_limits(X, W) >= logistic.monotone_eta(X) * (1 - 1e-12)).all()
    # It is reached where every activation is 0.
    assert logistic.local_limit(X, np.zeros(4)) == pytest.approx(
        logistic.monotone_eta(X), rel=1e-12
    )


def test_local_limits_do_not_depend_on_how_the_work_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, _ = overlapping(1)
    W = np.random.default_rng(1).normal(size=(4, 9))
    whole = logistic.local_limits(X, W)
    monkeypatch.setattr(logistic, "_BLOCK", 50)
    np.testing.assert_allclose(logistic.local_limits(X, W), whole, rtol=1e-13)
    np.testing.assert_allclose(logistic.local_limits(X, W[:, :2]), whole[:2], rtol=1e-13)


def test_ratios_along_steps_are_the_same_from_limits_of_all_at_once() -> None:
    X, _ = overlapping(1)
    W = np.random.default_rng(1).normal(size=(4, 9))
    for eta in (1.0, 5.0, 40.0):
        known = logistic.largest_ratios(X, W, -3 * W, eta)
        at_once = logistic.largest_ratios(X, W, -3 * W, eta, lambda V: logistic.local_limits(X, V))
        np.testing.assert_allclose(at_once, known, rtol=1e-12)
    none = np.zeros((4, 0))
    assert (
        logistic.largest_ratios(X, none, none, 1.0, lambda V: logistic.local_limits(X, V)).size == 0
    )


def test_more_features_than_points_have_the_limits_of_the_whole_hessian() -> None:
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=(6, 40)), np.ones(6)])
    W = rng.normal(size=(41, 7))
    expected = [2 / np.linalg.eigvalsh(logistic.hessian(X, w))[-1] for w in W.T]
    np.testing.assert_allclose(logistic.local_limits(X, W), expected, rtol=1e-12)
    bound = np.linalg.norm(X, 2) ** 2 / (4 * len(X))
    np.testing.assert_allclose(logistic.monotone_eta(X), 2 / bound, rtol=1e-12)


def test_a_peak_of_the_curvature_that_no_grid_meets_is_found_by_halving() -> None:
    # One point, a segment a million long: the curvature is nowhere but within ±10 of its middle.
    X = np.array([[1.0, 0.0]])
    before, after = np.array([[-654_321.0], [0.0]]), np.array([[345_679.0], [0.0]])
    grid = before + np.linspace(0, 1, 65) * (after - before)
    assert (2 / logistic.local_limits(X, grid)).max() < 1e-30
    found = logistic.largest_mean_curvature(X, before, after, enough=0.2)
    assert found[0] > 0.2
    assert found[0] <= 0.25  # the largest there is, σ(1 − σ) at 0


def test_the_curvature_along_a_diverged_step_is_found_although_its_square_overflows() -> None:
    X = np.array([[1.0, 0.0]])
    before, after = np.array([[-1e200], [0.0]]), np.array([[3e200], [0.0]])
    found = logistic.largest_mean_curvature(X, before, after, enough=1e-160)
    assert 1e-186 < found[0] <= 0.25  # the segment as a whole has 2.5e-201


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 1e4))
def test_a_step_that_raises_the_nll_meets_a_curvature_above_two_over_eta(
    seed: int, eta: float
) -> None:
    X, t = overlapping(seed, n=20)
    w = np.random.default_rng(seed).normal(size=(4, 1))
    loss, slope = logistic.nll_and_gradient(X, t, w)
    after = w - eta * slope
    if logistic.nll(X, t, after)[0] > loss[0] * (1 + 1e-9):
        assert logistic.largest_mean_curvature(X, w, after, enough=2 / eta)[0] > 2 / eta


def test_the_limit_at_activations_is_the_limit_at_weights() -> None:
    for n, d in ((30, 4), (5, 20)):
        rng = np.random.default_rng(n)
        X, w = rng.normal(size=(n, d)), rng.normal(size=d)
        expected = logistic.local_limit(X, w)
        assert logistic.limit_at_activations(X, X @ w) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40))
def test_rounding_moves_the_nll_by_no_more_than_its_bound(seed: int, power: int) -> None:
    """Against mpmath, where a feature is far from 0 and the weights cancel its offset."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(9, 1)) + 2.0**power, np.ones(9)])
    t = (rng.random(9) < 0.5).astype(float)
    w = np.array([1.0, -(2.0**power)]) * (1 + 1e-3 * rng.normal())
    with mpmath.workdps(60):
        exact = sum(
            mpmath.log1p(mpmath.exp(-(2 * int(label) - 1) * mpmath.fdot(x, w.tolist())))
            for x, label in zip(X.tolist(), t, strict=True)
        ) / len(X)
        error = abs(exact - mpmath.mpf(float(logistic.nll(X, t, w))))
    assert error <= logistic.rounding_of_nll(logistic.root_mean_squares(X), w[:, None])[
        0
    ] + 1e-15 * max(1, exact)
