"""Gradients of chains against mpmath, torch and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.maths import chain
from mlhw.maths.activations import ACTIVATIONS
from mlhw.maths.log_activations import BEYOND, LOG_ACTIVATIONS

NAMES = sorted(LOG_ACTIVATIONS)

# h and h' as the textbook has them; fifty and more digits need no stable form.
H: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "relu": lambda a: a if a > 0 else mpmath.mpf(0),
    "tanh": mpmath.tanh,
    "gelu": lambda a: a * mpmath.ncdf(a),
    "leaky_relu": lambda a: a if a > 0 else a * mpmath.mpf(0.01),
    "softplus": lambda a: mpmath.log1p(mpmath.exp(a)),
}
DH: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda a: mpmath.exp(-a) / (1 + mpmath.exp(-a)) ** 2,
    "relu": lambda a: mpmath.mpf(1 if a > 0 else 0),
    "tanh": lambda a: mpmath.sech(a) ** 2,
    "gelu": lambda a: mpmath.ncdf(a) + a * mpmath.npdf(a),
    "leaky_relu": lambda a: mpmath.mpf(1) if a > 0 else mpmath.mpf(0.01),
    "softplus": lambda a: 1 / (1 + mpmath.exp(-a)),
}
TORCH: dict[str, Any] = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "softplus": torch.nn.functional.softplus,
}


def by_mpmath(w: np.ndarray, x: float, t: float, name: str, residual: bool) -> list[mpmath.mpf]:
    """Every gradient of one chain, as numbers of the working precision."""
    z, slopes = [mpmath.mpf(x)], []
    for weight in w[:-1].tolist():
        a = z[-1] * weight
        slopes.append(DH[name](a))
        z.append(H[name](a) + (z[-1] if residual else 0))
    product = z[-1] * w[-1].item() - t
    gradients = [product * z[-1]]
    factor = mpmath.mpf(w[-1].item())
    for row in reversed(range(len(slopes))):
        product *= factor
        gradients.insert(0, product * slopes[row] * z[row])
        factor = slopes[row] * w[row].item() + (1 if residual else 0)
    return gradients


def assert_equal(g: chain.LogGradients, expected: list[Any], tolerance: float) -> None:
    assert g.sign[:, 0].tolist() == [int(mpmath.sign(value)) for value in expected]
    for log, value in zip(g.log[:, 0].tolist(), expected, strict=True):
        if value == 0:
            assert log == -math.inf
        else:
            exact = float(mpmath.log10(abs(value)))
            # Of a logarithm like -1e20 there are no digits behind the point to compare.
            assert abs(log / math.log(10) - exact) < tolerance + 1e-13 * abs(exact)


def test_log10_is_right_at_10_to_the_minus_638() -> None:
    w = np.full((700, 1), 0.5)
    with mpmath.workdps(60):
        expected = by_mpmath(w[:, 0], 1.0, 0.0, "sigmoid", False)
        assert -639 < mpmath.log10(abs(expected[0])) < -637
        assert_equal(chain.chain_gradients(w, 1.0, 0.0, "sigmoid"), expected, 1e-11)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_agrees_with_mpmath(name: str, residual: bool) -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        w = rng.standard_normal((80, 1))
        with mpmath.workdps(80):
            expected = by_mpmath(w[:, 0], 0.7, -0.3, name, residual)
            assert_equal(chain.chain_gradients(w, 0.7, -0.3, name, residual), expected, 1e-10)


def test_a_living_relu_chain_of_3000_layers_is_the_product_of_its_weights() -> None:
    w = np.abs(np.random.default_rng(0).standard_normal((2999, 1)))
    with mpmath.workdps(50):
        product = mpmath.fprod(w[:, 0].tolist())
        assert mpmath.log10(product) < -700
        expected = [product * product / weight for weight in w[:, 0].tolist()]
        assert_equal(chain.chain_gradients(w, 1.0, 0.0, "relu"), expected, 1e-10)


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_rounding_does_not_build_up_over_10000_layers(weight: float) -> None:
    w = np.full((9999, 1), weight)
    g = chain.chain_gradients(w, 1.0, 0.0, "leaky_relu")
    expected = 9999 * math.log(weight) + 9998 * math.log(weight)
    assert np.max(np.abs(g.log - expected)) < 2e-11


@pytest.mark.parametrize("name", NAMES)
def test_log_forms_agree_with_mpmath_from_the_smallest_to_the_largest_argument(name: str) -> None:
    sizes = [1e-320, 1e-30, 1e-8, 1e-3, 0.3, 0.7517, 1.0, 5.0, 17.0, 36.5, 60.0, 800.0, 1e4]
    a = np.array([sign * size for size in sizes for sign in (-1, 1)])
    forms = LOG_ACTIVATIONS[name](*chain.signed(a))
    with mpmath.workdps(60):
        for i, value in enumerate(map(mpmath.mpf, a.tolist())):
            digits = 60 if abs(value) < 100 else 60 + int(abs(value))
            with mpmath.workdps(min(digits, 2000)):
                if abs(value) == 10000 and name == "gelu":
                    continue  # mpmath's ncdf needs 2e7 digits there; see the next test
                for sign, log, true in (
                    (forms.sign[i], forms.log[i], H[name](value)),
                    (forms.slope_sign[i], forms.slope_log[i], DH[name](value)),
                ):
                    assert sign == int(mpmath.sign(true)), (name, value)
                    if true != 0:
                        exact = float(mpmath.log(abs(true)))
                        # Beside GELU's zero the slope is as uncertain as the distance to it.
                        slack = 1e-11 if abs(float(true)) < 1e-4 else 1e-14
                        assert abs(log - exact) <= slack + 4e-15 * abs(exact), (name, value)


def test_far_left_gelu_follows_its_asymptote() -> None:
    forms = LOG_ACTIVATIONS["gelu"](*chain.signed(np.array([-1e4])))
    density = -0.5e8 - 0.5 * math.log(2 * math.pi)
    # Mills' ratio R(x) = 1/x − 1/x³ + …, so h = −φ(x)(1 − 1/x²) and h' = φ(x)(R − x) = −x φ(x)(1 − 1/x²).
    assert forms.log[0] == pytest.approx(density - 1e-8, rel=4e-15)
    assert forms.slope_log[0] == pytest.approx(density + math.log(1e4) - 1e-8, rel=4e-15)
    assert forms.slope_sign[0] == -1


@pytest.mark.parametrize("name", NAMES)
def test_log_forms_agree_with_the_plain_pairs(name: str) -> None:
    a = np.linspace(-8.0, 8.0, 401)
    pair = ACTIVATIONS["logistic" if name == "sigmoid" else name]
    forms = LOG_ACTIVATIONS[name](*chain.signed(a))
    assert np.allclose(forms.sign * np.exp(forms.log), pair.value(a), rtol=1e-12, atol=1e-300)
    slope = forms.slope_sign * np.exp(forms.slope_log)
    assert np.allclose(slope, pair.derivative(a), rtol=1e-9, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    depth=st.integers(3, 14),
    draws=st.integers(1, 4),
    name=st.sampled_from(NAMES),
    residual=st.booleans(),
    x=st.floats(-2, 2),
    t=st.floats(-2, 2),
)
def test_random_chains_agree_with_torch_autograd(
    seed: int, depth: int, draws: int, name: str, residual: bool, x: float, t: float
) -> None:
    w = np.random.default_rng(seed).standard_normal((depth - 1, draws))
    weights = torch.tensor(w, requires_grad=True)
    z = torch.full((draws,), x, dtype=torch.float64)
    for row in weights[:-1]:
        value = TORCH[name](row * z)
        z = z + value if residual else value
    (0.5 * (weights[-1] * z - t) ** 2).sum().backward()
    assert weights.grad is not None
    g = chain.chain_gradients(w, x, t, name, residual)
    ours = g.sign * np.exp(g.log)
    scale = np.abs(weights.grad.numpy()).max()
    assert np.allclose(ours, weights.grad.numpy(), rtol=1e-8, atol=1e-12 * max(scale, 1e-200))


def test_a_dead_relu_gives_exact_zeros_in_every_layer() -> None:
    w = np.ones((9, 2))
    w[4, 1] = -1.0
    g = chain.chain_gradients(w, 1.0, 0.0, "relu")
    assert not g.zero[:, 0].any()
    assert g.zero[:, 1].all()
    assert np.isneginf(g.log[:, 1]).all()
    assert g.layer_alive[:, 1].tolist() == [True] * 4 + [False] * 4


def test_zero_input_and_zero_weights_give_zeros_and_no_warning() -> None:
    for name in NAMES:
        g = chain.chain_gradients(np.ones((5, 1)), 0.0, 1.0, name)
        assert g.zero[0].all()
        none = chain.chain_gradients(np.zeros((5, 1)), 1.0, 1.0, name)
        assert none.zero[:-1].all()


def test_a_logarithm_that_no_float_holds_is_kept_as_a_bound() -> None:
    # 1e200 − GELU's left tail there is exp(−5e399).
    w = np.array([[1e200], [-1.0], [1.0], [1.0]])
    g = chain.chain_gradients(w, 1.0, 0.5, "gelu")
    assert (g.log[:3] == -BEYOND).all()
    assert (g.sign[:3] != 0).all()


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_signed_addition_is_addition(p: float, q: float) -> None:
    total = chain.add(chain.signed(p), chain.signed(q))
    assert float(total.sign * np.exp(total.log) * (total.sign != 0)) == pytest.approx(
        p + q, rel=1e-12, abs=1e-12 * max(abs(p), abs(q))
    )


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
def test_two_sum_loses_nothing(p: float, q: float) -> None:
    total, error = chain.two_sum(np.array(p), np.array(q))
    with mpmath.workdps(700):
        assert mpmath.mpf(float(total)) + mpmath.mpf(float(error)) == mpmath.mpf(p) + mpmath.mpf(q)
