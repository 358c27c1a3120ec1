"""Gradients of networks of several units against mpmath, torch and the chain."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths import bipartite, chain
from mlhw.maths.survival import alive_layers
from tests.maths.test_chain import DH, NAMES, TORCH, H


def by_mpmath(
    hidden: np.ndarray, last: np.ndarray, x: float, t: float, name: str, residual: bool
) -> list[mpmath.mpf]:
    """∂E/∂w_11^(l) of one network, hidden (L−2, m, m), last (m,), by back-propagation."""
    m = len(last)
    z, slopes = [[mpmath.mpf(x)] * m], []
    for w in hidden.tolist():
        a = [mpmath.fdot(row, z[-1]) for row in w]
        slopes.append([DH[name](value) for value in a])
        before = z[-1] if residual else [mpmath.mpf(0)] * m
        z.append([H[name](value) + old for value, old in zip(a, before, strict=True)])
    error = mpmath.fdot(last.tolist(), z[-1]) - t
    gradients = [error * z[-1][0]]
    d = [error * weight for weight in last.tolist()]
    for row in reversed(range(len(hidden))):
        delta = [slope * value for slope, value in zip(slopes[row], d, strict=True)]
        gradients.insert(0, delta[0] * z[row][0])
        back = [mpmath.fdot(column, delta) for column in hidden[row].T.tolist()]
        d = [b + (old if residual else 0) for b, old in zip(back, d, strict=True)]
    return gradients


def largest_error(g: chain.LogGradients, expected: list[Any]) -> float:
    """In log10; signs and zeros must be the same."""
    assert g.sign[:, 0].tolist() == [int(mpmath.sign(value)) for value in expected]
    errors = []
    for log, value in zip(g.log[:, 0].tolist(), expected, strict=True):
        if value != 0:
            exact = float(mpmath.log10(abs(value)))
            # GELU takes log10 to −1e5, where 1e-10 is a part of 1e-15.
            errors.append(abs(log / math.log(10) - exact) / max(1.0, 1e-3 * abs(exact)))
    return max(errors)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", ["sigmoid", "relu", "tanh", "gelu", "leaky_relu"])
def test_every_layer_agrees_with_mpmath(name: str, residual: bool) -> None:
    rng = np.random.default_rng(7)
    for m in (2, 5):
        hidden = alive_layers(lambda n: rng.standard_normal((m, m, n)), m, 30, 1, 0.8)  # noqa: B023
        last = rng.standard_normal((m, 1))
        with mpmath.workdps(60):
            expected = by_mpmath(hidden[..., 0], last[:, 0], 0.8, 0.2, name, residual)
            g = bipartite.bipartite_gradients(hidden, last, 0.8, 0.2, name, residual)
            assert largest_error(g, expected) < 1e-10


def test_a_living_relu_network_of_1000_layers_is_right_where_float64_underflows() -> None:
    rng = np.random.default_rng(1)
    hidden = alive_layers(lambda n: 0.3 * rng.standard_normal((2, 2, n)), 2, 998, 1, 1.0)
    last = rng.standard_normal((2, 1))
    with mpmath.workdps(60):
        expected = by_mpmath(hidden[..., 0], last[:, 0], 1.0, 0.0, "relu", False)
        sizes = [float(mpmath.log10(abs(value))) for value in expected if value != 0]
        assert max(sizes) < -1000
        g = bipartite.bipartite_gradients(hidden, last, 1.0, 0.0, "relu")
        assert largest_error(g, expected) < 1e-10


def test_units_that_are_tiny_beside_their_layer_are_no_zeros() -> None:
    # a = (−900, 3): softplus of the first unit is e^−900, its slope too.
    hidden = np.array([[-900.0, 0.0], [0.0, 3.0]]).reshape(1, 2, 2, 1)
    last = np.ones((2, 1))
    g = bipartite.bipartite_gradients(hidden, last, 1.0, 0.0, "softplus")
    with mpmath.workdps(900):
        expected = by_mpmath(hidden[..., 0], last[:, 0], 1.0, 0.0, "softplus", False)
        assert mpmath.log10(expected[0]) < -380
        assert largest_error(g, expected) < 1e-10


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_one_unit_a_layer_is_the_chain(name: str, residual: bool) -> None:
    # Smaller with residual connections: near w = −1, z + tanh(w z) cancels too many digits.
    w = np.random.default_rng(3).standard_normal((60, 50)) * (0.2 if residual else 1.0)
    wide = bipartite.bipartite_gradients(w[:-1, None, None], w[-1:], 0.9, 0.1, name, residual)
    narrow = chain.chain_gradients(w, 0.9, 0.1, name, residual)
    assert np.array_equal(wide.sign, narrow.sign)
    assert np.array_equal(wide.layer_alive, narrow.layer_alive)
    assert np.allclose(wide.log, narrow.log, rtol=1e-10, atol=1e-8)
    assert np.allclose(wide.z_log, narrow.z_log, rtol=1e-10, atol=1e-8)
    assert np.allclose(wide.slope_log, narrow.slope_log, rtol=1e-10, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    m=st.integers(1, 6),
    depth=st.integers(3, 10),
    draws=st.integers(1, 3),
    name=st.sampled_from(NAMES),
    residual=st.booleans(),
    t=st.floats(-2, 2),
)
def test_random_networks_agree_with_torch_autograd(
    seed: int, m: int, depth: int, draws: int, name: str, residual: bool, t: float
) -> None:
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((depth - 2, m, m, draws))
    last = rng.standard_normal((m, draws))
    w, v = torch.tensor(hidden, requires_grad=True), torch.tensor(last, requires_grad=True)
    z = torch.ones((m, draws), dtype=torch.float64)
    for layer in w:
        value = TORCH[name](torch.einsum("ijn,jn->in", layer, z))
        z = z + value if residual else value
    (0.5 * ((v * z).sum(0) - t) ** 2).sum().backward()
    assert w.grad is not None
    assert v.grad is not None
    found = np.concatenate([w.grad.numpy()[:, 0, 0], v.grad.numpy()[:1]])
    g = bipartite.bipartite_gradients(hidden, last, 1.0, t, name, residual)
    ours = g.sign * np.exp(g.log)
    scale = np.maximum(np.abs(found).max(axis=0), 1e-200)
    assert np.all(np.abs(ours - found) <= 1e-8 * np.abs(found) + 1e-10 * scale)
    if name == "relu":
        assert np.array_equal(found == 0, g.zero)


@given(
    st.integers(0, 2**32),
    st.integers(-60, 60),
    st.sampled_from(["relu", "leaky_relu"]),
)
@settings(max_examples=30, deadline=None)
def test_weights_times_a_power_of_two_shift_the_logarithm_exactly(
    seed: int, power: int, name: str
) -> None:
    """h(c·a) = c·h(a), so each gradient grows by c^(2L − 3) where all L − 1 weights grow by c."""
    rng = np.random.default_rng(seed)
    hidden, last = rng.standard_normal((20, 3, 3, 2)), rng.standard_normal((3, 2))
    plain = bipartite.bipartite_gradients(hidden, last, 1.0, 0.0, name)
    c = 2.0**power
    scaled = bipartite.bipartite_gradients(c * hidden, c * last, 1.0, 0.0, name)
    shift = (2 * 22 - 3) * power * math.log(2)
    there = ~plain.zero
    assert np.array_equal(plain.sign, scaled.sign)
    assert np.allclose(scaled.log[there], plain.log[there] + shift, rtol=1e-13, atol=1e-10)
