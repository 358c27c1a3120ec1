"""The network and its back-propagation against torch, mpmath and laws that hold for any network."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths.derivatives import autograd
from mlhw.maths.network import (
    LINKS,
    LOSSES,
    Network,
    backprop,
    complex_softmax,
    course_quantities,
    forward,
    is_course_network,
    losses,
    output_delta,
    weight_name,
)
from mlhw.maths.random_networks import random_network, trial_of

COURSE = Network((3, 2, 2, 1), ("logistic", "logistic"), "identity", "half_squared_error", False)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-300))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 5))
def test_back_propagation_is_autograd_for_random_networks(
    seed: int, width: int, inputs: int
) -> None:
    rng = np.random.default_rng(seed)
    p = trial_of("x", random_network(rng, width), inputs, rng)
    ours, torchs = (
        backprop(p.network, p.weights, p.X, p.T),
        autograd(p.network, p.weights, p.X, p.T),
    )
    for a, b in zip(ours, torchs, strict=True):
        assert a.shape == b.shape
        # Of thousands of networks in one a sum cancels to a millionth.
        assert relative(a, b) < 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_batch_is_the_mean_of_its_inputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = trial_of("x", random_network(rng, 6), 4, rng)
    together = backprop(p.network, p.weights, p.X, p.T)
    apart = [backprop(p.network, p.weights, p.X[n : n + 1], p.T[n : n + 1]) for n in range(4)]
    for layer, gradient in enumerate(together.weights):
        mean = np.mean([g.weights[layer] for g in apart], axis=0)
        assert relative(gradient, mean) < 1e-10
    for layer, delta in enumerate(together.deltas):
        assert relative(delta, np.concatenate([g.deltas[layer] for g in apart])) < 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_renaming_the_hidden_units_renames_the_gradients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = Network((4, 5, 3), ("tanh",), "identity", "half_squared_error", True)
    p = trial_of("x", network, 2, rng)
    order = rng.permutation(5)
    W1, W2 = p.weights
    renamed = [W1[order], np.concatenate([W2[:, :5][:, order], W2[:, 5:]], axis=1)]
    before, after = backprop(network, p.weights, p.X, p.T), backprop(network, renamed, p.X, p.T)
    assert relative(after.weights[0], before.weights[0][order]) < 1e-10
    assert relative(after.deltas[0], before.deltas[0][:, order]) < 1e-10


def test_further_axes_in_front_work_out_many_networks_at_once() -> None:
    rng = np.random.default_rng(0)
    problems = [trial_of("x", COURSE, 2, rng) for _ in range(5)]
    weights = [np.array([p.weights[i] for p in problems]) for i in range(3)]
    X, T = np.array([p.X for p in problems]), np.array([p.T for p in problems])
    stacked = backprop(COURSE, weights, X, T)
    for d, p in enumerate(problems):
        for a, b in zip(stacked, backprop(COURSE, p.weights, p.X, p.T), strict=True):
            np.testing.assert_allclose(a[d], b, rtol=1e-13)


def test_the_course_formulas_are_the_derivatives_that_mpmath_finds() -> None:
    rng = np.random.default_rng(3)
    p = trial_of("x", COURSE, 1, rng)
    found = {q.name: q.value for q in course_quantities(COURSE, p.weights, p.X[0], p.T[0, 0])}

    def loss(layer: int, row: int, column: int, value: mpmath.mpf) -> mpmath.mpf:
        z = [mpmath.mpf(v) for v in p.X[0].tolist()]
        for n, W in enumerate(p.weights, start=1):
            entries = [[mpmath.mpf(w) for w in line] for line in W.tolist()]
            if n == layer:
                entries[row][column] = value
            a = [mpmath.fdot(line, z) for line in entries]
            z = a if n == 3 else [1 / (1 + mpmath.exp(-v)) for v in a]
        return (z[0] - mpmath.mpf(p.T[0, 0])) ** 2 / 2

    with mpmath.workdps(40):
        for layer, row, column in ((3, 0, 1), (2, 0, 0), (1, 0, 0)):
            w = mpmath.mpf(p.weights[layer - 1][row, column])
            exact = mpmath.diff(lambda v, at=(layer, row, column): loss(*at, v), w)
            value = found[weight_name(COURSE, layer, row, column)]
            assert abs(value - exact) < 1e-14 * abs(exact)


def test_the_course_formulas_speak_of_four_layers_and_one_linear_output_only() -> None:
    assert is_course_network(COURSE)
    assert is_course_network(Network((5, 4, 2, 1), ("tanh", "gelu"), "identity", LOSSES[0], True))
    for layers, output, loss in (
        ((3, 2, 1), "identity", LOSSES[0]),
        ((3, 2, 2, 2), "identity", LOSSES[0]),
        ((3, 2, 1, 1), "identity", LOSSES[0]),
        ((3, 2, 2, 1), "tanh", LOSSES[0]),
        ((3, 2, 2, 1), "logistic", LOSSES[1]),
    ):
        hidden = ("tanh",) * (len(layers) - 2)
        assert not is_course_network(Network(layers, hidden, output, loss, False))


def test_losses_are_scipys_and_stay_finite_far_out() -> None:
    from scipy.special import logsumexp, softplus

    a = np.array([[3.0, -1.0, 0.5], [800.0, -800.0, 0.0]])
    T = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    many = Network((1, 3), (), "softmax", "cross_entropy", False)
    np.testing.assert_allclose(
        losses(many, a, T), logsumexp(a, axis=1) - (a * T).sum(axis=1), rtol=1e-14
    )
    two = Network((1, 3), (), "logistic", "binary_cross_entropy", False)
    np.testing.assert_allclose(losses(two, a, T), (softplus(a) - a * T).sum(axis=1), rtol=1e-14)
    assert losses(two, a, T)[1] == 800.0 + 800.0 + np.log(2)
    assert np.isfinite(complex_softmax(a * 1e6)).all()


@pytest.mark.parametrize("loss", LINKS)
def test_a_loss_with_its_own_link_has_the_delta_z_minus_t(loss: str) -> None:
    rng = np.random.default_rng(1)
    network = Network((2, 3), (), LINKS[loss], loss, False)
    p = trial_of("x", network, 4, rng)
    activity = forward(network, p.weights, p.X)
    delta = output_delta(network, activity.a[-1], activity.z[-1], p.T)
    np.testing.assert_allclose(delta, activity.z[-1] - p.T, rtol=1e-14, atol=1e-16)


def test_dead_relus_have_gradients_of_exactly_zero_before_them() -> None:
    network = Network((2, 3, 2, 1), ("relu", "relu"), "identity", "half_squared_error", False)
    weights = [np.ones((3, 2)), -np.ones((2, 3)), np.ones((1, 2))]
    found = backprop(network, weights, np.array([[1.0, 2.0]]), np.array([[5.0]]))
    assert [float(np.abs(g).max()) for g in found.weights] == [0.0, 0.0, 0.0]
    assert found.deltas[-1][0, 0] == -5.0


def test_names_count_from_one_and_part_two_digits() -> None:
    assert weight_name(COURSE, 3, 0, 1) == "dE/dw_12^(3)"
    wide = Network((12, 3), (), "identity", "half_squared_error", False)
    assert weight_name(wide, 1, 2, 11) == "dE/dw_3,12^(1)"
