"""Activation functions against mpmath, torch and the definition of the derivative."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from mlhw.maths.activations import ACTIVATIONS, Activation

ANALYTIC = [a for a in ACTIVATIONS.values() if a.analytic]
POINTS = np.array(
    [
        -740.0,
        -400.0,
        -36.0,
        -30.0,
        -8.0,
        -3.0,
        -1.0,
        -1e-3,
        -1e-9,
        0.0,
        1e-9,
        0.3,
        1.0,
        5.0,
        36.0,
        740.0,
    ]
)
# Where Φ(a) + a φ(a) crosses zero its digits cancel; away from there all are kept.
TINY = 1e-30


def exact(name: str, a: float) -> Any:
    """h(a) as mpmath has it."""
    x = mpmath.mpf(a)
    return {
        "logistic": lambda: 1 / (1 + mpmath.exp(-x)),
        "tanh": lambda: mpmath.tanh(x),
        "relu": lambda: max(x, mpmath.mpf(0)),
        "leaky_relu": lambda: x if x > 0 else x * mpmath.mpf(0.01),
        "softplus": lambda: mpmath.log1p(mpmath.exp(x)),
        "gelu": lambda: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        "identity": lambda: x,
    }[name]()


def exact_derivative(name: str, a: float) -> Any:
    """h'(a) as mpmath has it."""
    x = mpmath.mpf(a)
    density = mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)
    return {
        "logistic": lambda: 1 / (2 + mpmath.exp(-x) + mpmath.exp(x)),
        "tanh": lambda: mpmath.sech(x) ** 2,
        "relu": lambda: mpmath.mpf(x > 0),
        "leaky_relu": lambda: mpmath.mpf(1) if x > 0 else mpmath.mpf(0.01),
        "softplus": lambda: 1 / (1 + mpmath.exp(-x)),
        "gelu": lambda: mpmath.erfc(-x / mpmath.sqrt(2)) / 2 + x * density,
        "identity": lambda: mpmath.mpf(1),
    }[name]()


def relative(got: float, want: Any) -> float:
    """Relative error; numbers that float64 cannot hold with all their digits count as absolute."""
    return float(abs(mpmath.mpf(got) - want) / max(abs(want), mpmath.mpf(1e-300)))


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=lambda a: a.name)
def test_values_and_derivatives_keep_their_relative_accuracy_far_out(
    activation: Activation,
) -> None:
    with mpmath.workdps(400):
        values, derivatives = activation.value(POINTS), activation.derivative(POINTS)
        for a, value, derivative in zip(POINTS, values, derivatives, strict=True):
            # SciPy's erfc is good to 2e-13 at a = −36.
            tolerance = 4e-13 if activation.name == "gelu" else 1e-15
            assert relative(value, exact(activation.name, a)) < tolerance, a
            assert relative(derivative, exact_derivative(activation.name, a)) < tolerance, a


@pytest.mark.parametrize("activation", ANALYTIC, ids=lambda a: a.name)
def test_the_complex_step_gives_the_derivative_without_cancellation(activation: Activation) -> None:
    found = activation.value(POINTS + 1j * TINY).imag / TINY
    with mpmath.workdps(400):
        for a, derivative in zip(POINTS, found, strict=True):
            want = exact_derivative(activation.name, a)
            if abs(want) > 1e-250:  # below, 1e-30 times the derivative underflows
                tolerance = 4e-13 if activation.name == "gelu" else 2e-15
                assert relative(derivative, want) < tolerance, a


@pytest.mark.parametrize("activation", ANALYTIC, ids=lambda a: a.name)
def test_complex_arguments_never_give_nan(activation: Activation) -> None:
    a = np.array([-800.0, -1e6, 800.0, 1e6]) + 1e-30j
    assert np.isfinite(activation.value(a)).all()
    assert np.array_equal(activation.value(a).real, activation.value(a.real))


def test_the_textbook_logistic_is_nan_where_ours_is_not() -> None:
    a = np.array([-800 + 1e-30j])
    with np.errstate(all="ignore"):
        assert np.isnan(1 / (1 + np.exp(-a))).any()
    assert ACTIVATIONS["logistic"].value(a)[0] == 0


TORCH: dict[str, Any] = {
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "softplus": lambda a: torch.nn.functional.softplus(a, threshold=40),
    "gelu": torch.nn.functional.gelu,
    "identity": lambda a: a * 1,
}


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=lambda a: a.name)
def test_torch_has_the_same_functions_and_derivatives(activation: Activation) -> None:
    points = np.concatenate([np.linspace(-6, 6, 241), [0.0, -0.0]])
    a = torch.tensor(points, requires_grad=True)
    h = TORCH[activation.name](a)
    h.sum().backward()
    assert a.grad is not None
    np.testing.assert_allclose(activation.value(points), h.detach(), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(activation.derivative(points), a.grad, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=lambda a: a.name)
def test_shapes_are_kept_and_scalars_of_any_rank_work(activation: Activation) -> None:
    for shape in ((), (1,), (2, 3), (2, 0, 4)):
        a = np.full(shape, 0.5)
        assert activation.value(a).shape == shape
        assert activation.derivative(a).shape == shape
