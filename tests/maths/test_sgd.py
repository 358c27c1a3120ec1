"""Stochastic gradient descent against a plain loop, torch, lr-sweep's algorithm and the course."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from mlhw.maths import logistic, sgd
from mlhw.maths.descent import gradient_descent, start_weights
from mlhw.maths.sgd import permutation_stream, stochastic_gradient_descent
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import two_classes
from mlhw.system.machine_code import keep
from tests.conftest import shared
from tests.maths.test_logistic import overlapping

ETAS = [0.5, 0.1, 0.02]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The loop as earlier tests have compiled it."""
    keep(sgd.loop())


def run(
    X: np.ndarray,
    t: np.ndarray,
    etas: list[float],
    epochs: int,
    *,
    seed: int = 0,
    repeat: int = 0,
    **options: object,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Online NLL, NLL (epochs, r) and weights (epochs, d+1, r) of rates that all run to the end."""
    w0 = start_weights(None, X.shape[1] - 1)
    stream = permutation_stream(seed, repeat)
    blocks = list(
        stochastic_gradient_descent(X, t, w0, etas, epochs, stream, **options)  # type: ignore[arg-type]
    )
    return (
        np.concatenate([block.nll_online for block in blocks]),
        np.concatenate([block.nll for block in blocks]),
        np.concatenate([block.W for block in blocks]),
    )


def homework_loop(
    X: np.ndarray, t: np.ndarray, eta: float, orders: list[np.ndarray]
) -> tuple[list[float], np.ndarray]:
    """What a homework script does: one sample after another, in NumPy."""
    w = start_weights(None, X.shape[1] - 1)
    online = []
    for order in orders:
        losses = []
        for i in order:
            a = X[i] @ w
            losses.append(np.logaddexp(0.0, a) - t[i] * a)
            w = w - eta * (1.0 / (1.0 + np.exp(-a)) - t[i]) * X[i]
        online.append(float(np.mean(losses)))
    return online, w


def test_every_rate_is_the_plain_loop_over_the_same_permutations() -> None:
    X, t = overlapping(0)
    online, _, path = run(X, t, ETAS, 6, seed=3)
    stream = permutation_stream(3, 0)
    orders = [stream.permutation(len(X)) for _ in range(6)]
    for lane, eta in enumerate(ETAS):
        expected, w = homework_loop(X, t, eta, orders)
        np.testing.assert_allclose(online[:, lane], expected, rtol=1e-11)
        np.testing.assert_allclose(path[-1, :, lane], w, rtol=1e-10)


@pytest.mark.parametrize("rates", [1, 7, 8, 9, 40])
def test_any_number_of_rates_stands_side_by_side(rates: int) -> None:
    X, t = overlapping(6)
    etas = np.geomspace(0.3, 1e-3, rates).tolist()
    together = run(X, t, etas, 3)
    for lane in {0, rates // 2, rates - 1}:
        alone = run(X, t, [etas[lane]], 3)
        for one, all_rates in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[..., 0], all_rates[..., lane])


def test_losses_far_below_rounding_keep_their_digits() -> None:
    """Of 1 + 1e-20 nothing would be left; softplus(−m) of m = 46 is e⁻⁴⁶."""
    rng = np.random.default_rng(0)
    n = 2_500
    X = np.column_stack([rng.uniform(1.0, 1.5, n), np.ones(n)])
    t = (rng.random(n) < 0.5).astype(float)
    X[t == 0, 0] *= -1.0
    w0 = np.array([46.0, 0.0])
    (block,) = stochastic_gradient_descent(X, t, w0, [1e-300], 1, permutation_stream(0, 0))
    losses = np.log1p(np.exp(-np.abs(X @ w0)))
    assert losses.max() < 1e-19
    np.testing.assert_allclose(block.nll_online[0], losses.mean(), rtol=1e-12)
    np.testing.assert_allclose(block.nll[0], losses.mean(), rtol=1e-12)


def test_the_nll_of_many_columns_by_blas_is_that_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(7)
    _, found, path = run(X, t, ETAS, 5)
    monkeypatch.setattr(sgd, "WIDE", 1)
    np.testing.assert_allclose(run(X, t, ETAS, 5)[1], found, rtol=1e-13)
    expected = [logistic.nll(X, t, W) for W in path]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_mini_batches_are_torchs_with_a_smaller_last_one() -> None:
    import torch

    X, t = overlapping(1, n=23)
    _, _, path = run(X, t, [0.3], 4, batch_size=5)
    stream = permutation_stream(0, 0)
    weights = torch.tensor(start_weights(None, 3), requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.3)
    for epoch in range(4):
        order = stream.permutation(23)
        for first in range(0, 23, 5):
            part = order[first : first + 5]
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                torch.tensor(X[part]) @ weights, torch.tensor(t[part])
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        np.testing.assert_allclose(path[epoch, :, 0], weights.detach().numpy(), rtol=1e-11)


def test_a_batch_of_all_samples_is_gradient_descent_to_rounding() -> None:
    X, t = overlapping(2)
    online, full, path = run(X, t, ETAS, 40, batch_size=len(X))
    steps = list(gradient_descent(X, t, start_weights(None, 3), ETAS, 41))
    np.testing.assert_allclose(path, [s.W for s in steps[1:]], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(online, [s.nll for s in steps[:-1]], rtol=1e-12)
    np.testing.assert_allclose(full, [s.nll for s in steps[1:]], rtol=1e-12)


def test_blocks_change_no_bit_and_pieces_of_an_epoch_only_the_order_of_a_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(3)
    whole = run(X, t, ETAS, 20)
    monkeypatch.setattr(sgd, "LANE_SAMPLES", 3 * len(X) * 7)
    for a, b in zip(whole, run(X, t, ETAS, 20), strict=True):
        np.testing.assert_array_equal(a, b)
    monkeypatch.setattr(sgd, "LANE_SAMPLES", 100)
    online, full, path = run(X, t, ETAS, 20)
    np.testing.assert_array_equal(path, whole[2])
    np.testing.assert_allclose(online, whole[0], rtol=1e-13)
    np.testing.assert_allclose(full, whole[1], rtol=1e-13)


def test_repeats_have_streams_of_their_own_and_rates_share_them() -> None:
    X, t = overlapping(4)
    first, _, _ = run(X, t, [0.1, 0.5], 3, repeat=0)
    second, _, _ = run(X, t, [0.1, 0.5], 3, repeat=1)
    alone, _, _ = run(X, t, [0.5], 3, repeat=1)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(second[:, [1]], alone, rtol=1e-14)


def test_divergence_and_tolerance_end_a_rate_and_leave_the_others() -> None:
    X, t = overlapping(5)
    w0 = start_weights(None, 3)
    blocks = list(
        stochastic_gradient_descent(
            X, t, w0, [1e300, 1e-9, 0.05], 30, permutation_stream(0, 0), tolerance=1e-6
        )
    )
    reasons = {rate: why for block in blocks for rate, why in block.stopped.items()}
    assert reasons[0] == "diverged"
    assert reasons[1] == "tolerance"
    assert reasons[2] == "max_epochs"
    counts = dict(zip(blocks[0].rates.tolist(), blocks[0].count.tolist(), strict=True))
    assert counts[1] == 2  # the change is known after the second epoch
    assert counts[2] == 30


def test_the_courses_log_lies_inside_the_central_99_percent_of_400_repeats(
    course_points: object,
) -> None:
    log = shared("reference/sgd_log_eta_0.5.csv")
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 22
    X, t, _ = two_classes(load_points(PointsConfig(name=None, file=str(course_points))))
    online, bias = [], []
    for repeat in range(400):
        found = run(X, t, [0.5], 22, repeat=repeat)
        online.append(found[0][:, 0])
        bias.append(found[2][:, 2, 0])
    for ours, column in ((online, "nll_online"), (bias, "bias")):
        low, high = np.quantile(ours, [0.005, 0.995], axis=0)
        logged = np.array([float(row[column]) for row in rows])
        assert ((low <= logged) & (logged <= high)).all(), column
