"""Batch gradient descent against torch's SGD and against laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths import logistic
from mlhw.maths.descent import gradient_descent, start_weights
from tests.maths.test_logistic import overlapping


def curves(steps: object) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for step in steps:  # type: ignore[attr-defined]
        for rate, loss in zip(step.rates, step.nll, strict=True):
            found.setdefault(int(rate), []).append(float(loss))
    return found


def test_the_path_is_that_of_torchs_optimizer_on_the_whole_data() -> None:
    import torch

    X, t = overlapping(0)
    weights = torch.tensor(start_weights(None, 3), requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.7)
    theirs = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(X) @ weights, torch.tensor(t)
        )
        theirs.append(float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    ours = curves(gradient_descent(X, t, start_weights(None, 3), [0.7], 60))
    np.testing.assert_allclose(ours[0], theirs, rtol=1e-12)


def test_rates_side_by_side_are_the_rates_one_by_one() -> None:
    X, t = overlapping(1)
    start, etas = start_weights(None, 3), [2.0, 0.5, 0.1]
    together = curves(gradient_descent(X, t, start, etas, 200, 1e-6))
    for i, eta in enumerate(etas):
        alone = curves(gradient_descent(X, t, start, [eta], 200, 1e-6))[0]
        assert len(alone) == len(together[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-12)


def test_a_rate_stops_once_its_nll_changes_by_less_than_the_tolerance() -> None:
    X, t = overlapping(2)
    steps = list(gradient_descent(X, t, start_weights(None, 3), [1.0, 0.01], 300, 1e-4))
    losses = curves(steps)
    changes = np.abs(np.diff(losses[0]))
    assert changes[-1] < 1e-4
    assert (changes[:-1] >= 1e-4).all()
    reasons = {rate: why for step in steps for rate, why in step.stopped.items()}
    assert reasons[0] == "tolerance"


def test_row_k_is_the_state_before_the_kth_update() -> None:
    X, t = overlapping(3)
    start = start_weights([0.3, -0.2, 0.0, 0.1], 3)
    first, second = list(gradient_descent(X, t, start, [0.5], 2))
    np.testing.assert_array_equal(first.W[:, 0], start)
    np.testing.assert_allclose(
        second.W[:, 0], start - 0.5 * logistic.gradient(X, t, start), rtol=1e-15
    )


def test_a_rate_that_blows_up_is_marked_and_the_others_go_on() -> None:
    X, t = overlapping(4)
    steps = list(gradient_descent(X, t, start_weights(None, 3), [1e300, 0.1], 50))
    reasons = {rate: why for step in steps for rate, why in step.stopped.items()}
    assert reasons == {0: "diverged", 1: "max_iterations"}
    assert all(np.isfinite(step.nll).all() for step in steps)
    assert len(curves(steps)[1]) == 50


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.01, 0.999))
def test_below_two_over_L_the_nll_never_rises(seed: int, share: float) -> None:
    X, t = overlapping(seed, n=30)
    eta = share * logistic.monotone_eta(X)
    w0 = np.random.default_rng(seed).normal(scale=5.0, size=4)
    losses = np.array(curves(gradient_descent(X, t, w0, [eta], 100))[0])
    assert (np.diff(losses) <= 1e-12).all()


def test_the_courses_data_gives_the_courses_runs(course_points: object) -> None:
    from mlhw.points.config import PointsConfig
    from mlhw.points.load import load_points
    from mlhw.points.points import two_classes

    X, t, _ = two_classes(load_points(PointsConfig(name=None, file=str(course_points))))
    losses = curves(gradient_descent(X, t, start_weights(None, 2), [0.5, 0.1], 500, 1e-5))
    assert len(losses[0]) == 395
    assert losses[0][-1] == pytest.approx(0.2524446173, rel=1e-8)
    assert int(np.sum(np.diff(losses[0]) > 0)) == 197
    assert len(losses[1]) == 500
    assert losses[1][-1] == pytest.approx(0.3613741837, rel=1e-8)
    assert int(np.sum(np.diff(losses[1]) > 0)) == 0
