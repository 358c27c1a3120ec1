"""Complex step and finite differences: their accuracy, their limits, and that they say so."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.differentiate import derivative

from mlhw.maths import derivatives, four_ways
from mlhw.maths.derivatives import complex_step, complex_step_along
from mlhw.maths.differences import difference_along, finite_differences, richardson, slopes_along
from mlhw.maths.four_ways import TOLERANCES, differentiate, entries_to_check
from mlhw.maths.network import Network, backprop
from mlhw.maths.random_networks import (
    Trial,
    kept_by_cancellation,
    random_network,
    random_trial,
    trial_of,
)

HALF = "half_squared_error"


def everything(network: Network) -> list[np.ndarray]:
    return entries_to_check(network, np.random.default_rng(0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 16))
def test_all_ways_agree_for_random_networks(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    c = differentiate(trial_of("x", random_network(rng, width), int(rng.integers(1, 4)), rng), rng)
    for way, worst in c.worst.items():
        # Of thousands of networks in one a sum cancels to a millionth.
        assert worst.error <= 100 * TOLERANCES[way], worst
    assert ("complex_step" in c.found) == (not c.trial.network.kinked)
    for k, error in enumerate(c.errors["autograd"]):
        assert np.isfinite(error).all(), k


def test_richardson_is_as_good_as_scipys_adaptive_differences_and_knows_its_error() -> None:
    steps = 0.25 * 2.0 ** -np.arange(9)
    for f, x in ((np.exp, 1.3), (np.sin, 0.4), (np.tanh, -2.0), (lambda v: v**5, 1.1)):
        found, error = richardson(f(x + steps), f(x - steps), steps)
        scipys = derivative(f, x)
        assert abs(found - scipys.df) < 1e-9 * abs(scipys.df)
        assert error < 1e-10
        with mpmath.workdps(30):
            by_name = {np.exp: mpmath.exp, np.sin: mpmath.sin, np.tanh: mpmath.tanh}
            exact = mpmath.diff(by_name.get(f, f), mpmath.mpf(x))  # type: ignore[call-overload]
        assert abs(float(found) - float(exact)) < 10 * error


def test_richardson_extrapolates_cancelled_steps_of_a_polynomial_exactly() -> None:
    steps = 2.0 ** -np.arange(9)
    found, _ = richardson(steps**3 + steps, -(steps**3) - steps, steps)
    assert found == pytest.approx(1.0, abs=1e-14)


def test_too_few_steps_have_an_infinite_error() -> None:
    steps = 2.0 ** -np.arange(9)
    valid = np.zeros(9, bool)
    valid[-1] = True
    assert richardson(steps, -steps, steps, valid)[1] == np.inf


@pytest.mark.parametrize(
    ("a", "kink"), [(0.0, True), (1e-7, True), (-1e-7, True), (1e-3, False), (0.1, False)]
)
def test_a_kink_within_the_steps_is_told_from_one_beyond_them(a: float, kink: bool) -> None:
    network = Network((1, 1, 1), ("relu",), "identity", HALF, False)
    weights, X, T = [np.array([[a]]), np.array([[2.0]])], np.ones((1, 1)), np.array([[3.0]])
    found = finite_differences(network, weights, X, T, everything(network))
    assert (found.at_kink.weights[0][0, 0] > 0) == kink
    analytic = backprop(network, weights, X, T)
    if kink:
        first = found.kinks[0]
        assert np.isnan(found.found.weights[0][0, 0])
        assert first.left - first.right > 1.0
        if a == 0.0:
            assert first.left == pytest.approx(0.0, abs=1e-4)
            assert first.right == pytest.approx(2.0 * (0.0 - 3.0), abs=1e-3)
    else:
        np.testing.assert_allclose(found.found.weights[0], analytic.weights[0], rtol=1e-9)


def test_a_kink_belongs_to_the_weights_whose_inputs_feel_it_and_has_their_slopes() -> None:
    network = Network((3, 1, 1), ("relu",), "identity", HALF, False)
    weights, T = [np.zeros((1, 3)), np.array([[2.0]])], np.array([[3.0], [-1.0]])
    X = np.array([[1.0, 0.0, -0.5], [0.0, 2.0, 1e-3]])
    found = finite_differences(network, weights, X, T, everything(network))
    # E_n is ½ (2 z − t)²: of the first input it has the slope −6 where a rises, of the second 2.
    expected = [(0, 0.0, -6.0), (1, 0.0, 4.0), (2, -0.5 * -6.0, 0.0), (2, 0.0, 2e-3)]
    kinks = [k for k in found.kinks if k.of_weight]
    assert [k.index for k in kinks] == [(0, i) for i, *_ in expected]
    for kink, (_, left, right) in zip(kinks, expected, strict=True):
        assert (kink.left, kink.right) == pytest.approx((left, right), rel=1e-3, abs=1e-4)
    deltas = [k for k in found.kinks if not k.of_weight and k.layer == 2]
    assert [k.index for k in deltas] == [(0, 0), (1, 0)]
    # Of a weight that a single input reaches the other has no part.
    assert np.isnan(found.found.weights[0]).all()
    X[0] = [1.0, 1.0, 0.0]
    weights[0] = np.array([[-1.0, 1.0, 1.0]])
    found = finite_differences(network, weights, X, T, everything(network))
    assert np.isnan(found.found.weights[0]).tolist() == [[True, True, False]]
    assert found.at_kink.weights[0].tolist() == [[1.0, 1.0, 0.0]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_a_weight_moved_for_all_inputs_at_once_gives_what_the_places_of_its_unit_give(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    p = random_trial("x", rng, 5)
    entries = everything(p.network)
    found = finite_differences(p.network, p.weights, p.X, p.T, entries)
    by_step = None if p.network.kinked else complex_step(p.network, p.weights, p.X, p.T, entries)
    for k, part in enumerate(entries):
        for j, i in part[rng.choice(len(part), min(3, len(part)), replace=False)]:
            direction = [np.zeros(shape) for shape in p.network.shapes]
            direction[k][j, i] = 1.0
            slope, error = difference_along(p.network, p.weights, p.X, p.T, direction)
            allowed = 10 * (error + found.error.weights[k][j, i])
            assert abs(found.found.weights[k][j, i] - slope) <= allowed
            if by_step is not None:
                exact = complex_step_along(p.network, p.weights, p.X, p.T, direction)
                scale = np.abs(by_step.weights[k]).max()
                assert abs(by_step.weights[k][j, i] - exact) <= 1e-12 * scale


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu"])
def test_in_pieces_of_units_all_is_the_same_to_rounding(
    monkeypatch: pytest.MonkeyPatch, activation: str
) -> None:
    network = Network((3, 4, 5, 2), (activation, "tanh"), "softmax", "cross_entropy", True)
    p = trial_of("x", network, 3, np.random.default_rng(1))
    whole = finite_differences(network, p.weights, p.X, p.T, everything(network))
    for at_once in (1, 3, 7):
        monkeypatch.setattr(derivatives, "CHUNK", at_once * 18 * 3 * 5)
        assert {len(part) for part in derivatives.unit_pieces(network, 3, 18)} >= {at_once}
        found = finite_differences(network, p.weights, p.X, p.T, everything(network))
        for a, b in zip(found.found, whole.found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_kink_that_the_loss_does_not_feel_is_none() -> None:
    found = slopes_along(lambda steps: (np.full(len(steps), 2.0), steps > 0))
    assert not found.at_kink
    assert found.derivative == 0.0


def test_two_kinks_that_make_up_for_each_other_are_still_kinks() -> None:
    # At a = 0 both leaky ReLUs have 0.01 by convention; the loss has 0.01 · 1 on either side.
    network = Network((1, 1, 1, 1), ("leaky_relu",) * 2, "identity", HALF, False)
    weights, X, T = [-np.ones((1, 1))] * 3, np.zeros((1, 1)), np.array([[1.0]])
    found = finite_differences(network, weights, X, T, everything(network))
    assert found.at_kink.deltas[0][0, 0] == 1
    first = next(k for k in found.kinks if k.layer == 2)
    assert first.left == pytest.approx(first.right, rel=1e-3)
    assert first.left == pytest.approx(
        100 * backprop(network, weights, X, T).deltas[0][0, 0], rel=1e-3
    )


def test_a_trial_keeps_its_digits_and_what_cancels_is_measured() -> None:
    rng = np.random.default_rng(0)
    assert all(kept_by_cancellation(random_trial("x", rng, 3)) > 1e-3 for _ in range(50))
    network = Network((1, 2, 1), ("identity",), "identity", HALF, False)
    weights = [np.ones((2, 1)), np.array([[1.0, -1.0 + 1e-5]])]
    plain = Trial("x", network, weights, np.ones((1, 1)), np.array([[3.0]]))
    assert kept_by_cancellation(plain) == pytest.approx(1.0)
    # The delta of layer 2 is a sum over two output units that takes itself away.
    network = Network((1, 1, 2), ("identity",), "identity", HALF, False)
    weights = [np.ones((1, 1)), np.array([[1.0], [-1.0 + 1e-5]])]
    cancelling = Trial("x", network, weights, np.ones((1, 1)), np.array([[0.0, -2.0]]))
    assert kept_by_cancellation(cancelling) < 1e-4


def test_a_kink_is_counted_apart_and_is_neither_failure_nor_agreement() -> None:
    network = Network((1, 1, 1), ("relu",), "identity", HALF, False)
    weights = [np.zeros((1, 1)), np.array([[2.0]])]
    trial = Trial("x", network, weights, np.ones((1, 1)), np.array([[3.0]]))
    c = differentiate(trial, np.random.default_rng(0))
    assert len(c.kinks) == 2  # the weight and the delta
    assert np.isnan(c.errors["finite_difference"].weights[0]).all()
    assert c.worst["finite_difference"].error < 1e-8


def test_a_gradient_below_rounding_is_reported_as_unresolved() -> None:
    network = Network((1,) * 22, ("logistic",) * 20, "identity", HALF, False)
    rng = np.random.default_rng(0)
    c = differentiate(trial_of("x", network, 1, rng), rng)
    assert c.unresolved > 10
    assert c.worst["finite_difference"].error <= TOLERANCES["finite_difference"]
    assert c.worst["complex_step"].error <= TOLERANCES["complex_step"]


def test_a_nan_of_back_propagation_is_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network((2, 2, 1), ("tanh",), "identity", HALF, False)
    true = four_ways.backprop

    def broken(*arguments: object) -> object:
        gradients = true(*arguments)  # type: ignore[arg-type]
        gradients.weights[0][1, 1] = np.nan
        return gradients

    monkeypatch.setattr(four_ways, "backprop", broken)
    rng = np.random.default_rng(0)
    c = differentiate(trial_of("x", network, 1, rng), rng)
    for way, worst in c.worst.items():
        assert worst.error == np.inf, way
        assert worst.quantity == "dE/dw_22^(1)"


def test_networks_with_a_kink_have_no_complex_step() -> None:
    network = Network((2, 2, 1), ("leaky_relu",), "identity", HALF, False)
    rng = np.random.default_rng(0)
    p = trial_of("x", network, 1, rng)
    with pytest.raises(ValueError, match="leaky_relu: not analytic"):
        complex_step(network, p.weights, p.X, p.T, everything(network))


def test_the_complex_step_is_the_same_to_rounding_over_ninety_orders_of_magnitude() -> None:
    network = Network((3, 4, 2), ("gelu",), "tanh", HALF, True)
    rng = np.random.default_rng(5)
    p = trial_of("x", network, 2, rng)
    exact = backprop(network, p.weights, p.X, p.T)
    for step in (1e-9, 1e-20, 1e-60, 1e-100):
        found = complex_step(network, p.weights, p.X, p.T, everything(network), step)
        for a, b in zip(found, exact, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_large_networks_are_sampled_and_checked_along_directions(activation: str) -> None:
    network = Network((40, 60, 50, 3), (activation,) * 2, "softmax", "cross_entropy", True)
    rng = np.random.default_rng(0)
    p = trial_of("x", network, 1, rng)
    c = differentiate(p, rng)
    assert c.sampled
    known = sum(int(np.isfinite(e).sum()) for e in c.errors["finite_difference"].weights)
    assert 3_900 < known <= 4_000 == sum(map(len, c.entries))
    assert all(np.isfinite(e).all() for e in c.errors["autograd"])
    for way, worst in c.worst.items():
        assert worst.error <= TOLERANCES[way], worst

    direction = [rng.normal(size=s) / 10 for s in network.shapes]
    exact = sum(float((g * D).sum()) for g, D in zip(c.analytic.weights, direction, strict=True))
    slope, error = difference_along(network, p.weights, p.X, p.T, direction)
    assert slope == pytest.approx(exact, rel=1e-8)
    assert error < 1e-6
    if activation == "tanh":
        by_step = complex_step_along(network, p.weights, p.X, p.T, direction)
        assert by_step == pytest.approx(exact, rel=1e-12)


def test_a_wrong_gradient_of_a_large_network_shows_along_the_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network((40, 60, 50, 3), ("tanh",) * 2, "identity", HALF, False)
    true = four_ways.backprop
    monkeypatch.setattr(four_ways, "MOST_CHECKED", 1)

    def half_a_matrix(*arguments: object) -> object:
        gradients = true(*arguments)  # type: ignore[arg-type]
        gradients.weights[1][:25] *= 1 + 1e-6
        return gradients

    monkeypatch.setattr(four_ways, "backprop", half_a_matrix)
    c = differentiate(trial_of("x", network, 1, np.random.default_rng(0)), np.random.default_rng(7))
    assert c.worst["complex_step"].error > 1e-8
