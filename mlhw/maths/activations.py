"""Activation functions, each beside its derivative: h(a) and h'(a).

Every pair keeps its relative accuracy where the textbook form loses it: logistic and tanh are
written with exp(−|a|), so that h' neither overflows nor becomes 0 before it underflows, and GELU
with erfc, since 1 + erf cancels on the left. The values of analytic activations take complex
arguments too, for the complex step (Squire and Trapp, SIAM Review 40, 1998): with Im a below 1e-9,
Im h(a + i·ε)/ε is h'(a) to rounding, also at a = −800, where 1/(1 + exp(−a)) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlhw.maths.arrays import Array

LEAK = 0.01
"""Slope of leaky ReLU on the left (Maas, Hannun and Ng, 2013; torch's default)."""


# ------------------------------------------------------------------------------------- identity


def identity(a: Array) -> Array:
    """h(a) = a."""
    return a


def d_identity(a: Array) -> Array:
    """h'(a) = 1."""
    return np.ones_like(a)


# ------------------------------------------------------------------------------------- logistic


def logistic(a: Array) -> Array:
    """h(a) = 1/(1 + exp(−a)) (Bishop, PRML, eq. 4.59)."""
    # On the left the quotient is extended by exp(a), so that no exponent is above 0.
    right = a.real >= 0
    e = np.exp(np.where(right, -a, a))
    return np.where(right, 1.0, e) / (1.0 + e)


def d_logistic(a: Array) -> Array:
    """h'(a) = h(a)(1 − h(a)) (Bishop, PRML, eq. 4.88), without the difference that cancels."""
    e = np.exp(-np.abs(a))
    return e / (1.0 + e) ** 2


# ------------------------------------------------------------------------------------- tanh


def tanh(a: Array) -> Array:
    """h(a) = tanh a."""
    return np.tanh(a)


def d_tanh(a: Array) -> Array:
    """h'(a) = 1 − tanh²a = 4e/(1 + e)² with e = exp(−2|a|)."""
    e = np.exp(-2.0 * np.abs(a))
    return 4.0 * e / (1.0 + e) ** 2


# ------------------------------------------------------------------------------------- ReLU


def relu(a: Array) -> Array:
    """h(a) = max(0, a); real arguments only."""
    return np.maximum(a, 0.0)


def d_relu(a: Array) -> Array:
    """h'(a) = 1 for a > 0, else 0; at the kink 0, as torch has it."""
    return (a > 0).astype(np.float64)


def leaky_relu(a: Array) -> Array:
    """h(a) = a for a > 0, else 0.01 a; real arguments only."""
    return np.where(a > 0, a, LEAK * a)


def d_leaky_relu(a: Array) -> Array:
    """h'(a) = 1 for a > 0, else 0.01."""
    return np.where(a > 0, 1.0, LEAK)


# ------------------------------------------------------------------------------------- softplus


def softplus(a: Array) -> Array:
    """h(a) = log(1 + exp(a)) = max(0, a) + log(1 + exp(−|a|))."""
    right = a.real >= 0
    return np.where(right, a, 0.0) + _log1p(np.exp(np.where(right, -a, a)))


def d_softplus(a: Array) -> Array:
    """h'(a) = 1/(1 + exp(−a))."""
    return logistic(a)


def _log1p(w: Array) -> Array:
    """log(1 + w); NumPy's complex log1p loses the real part's digits for small w."""
    if w.dtype.kind != "c":
        return np.log1p(w)
    u, v = w.real, w.imag
    logarithm: Array = 0.5 * np.log1p(u * (2.0 + u) + v * v) + 1j * np.arctan2(v, 1.0 + u)
    return logarithm


# ------------------------------------------------------------------------------------- GELU


def gelu(a: Array) -> Array:
    """h(a) = a Φ(a), Φ the standard normal distribution function (Hendrycks and Gimpel, 2016)."""
    from scipy.special import erfc

    value: Array = 0.5 * a * erfc(-a * math.sqrt(0.5))
    return value


def d_gelu(a: Array) -> Array:
    """h'(a) = Φ(a) + a φ(a); it crosses zero at a = −0.7517915, and its digits go there."""
    from scipy.special import erfc

    density = np.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    slope: Array = 0.5 * erfc(-a * math.sqrt(0.5)) + a * density
    return slope


# ------------------------------------------------------------------------------------- by name


@dataclass(frozen=True)
class Activation:
    """An activation function: ``value`` is h (elementwise, any shape), ``derivative`` is h'.

    ``value`` takes complex arrays too where ``analytic``; others (``kinked``) have no complex step
    and, at a = 0, no derivative: what stands there is the value from the left.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    analytic: bool = True

    @property
    def kinked(self) -> bool:
        return not self.analytic


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("logistic", logistic, d_logistic),
        Activation("tanh", tanh, d_tanh),
        Activation("relu", relu, d_relu, analytic=False),
        Activation("leaky_relu", leaky_relu, d_leaky_relu, analytic=False),
        Activation("softplus", softplus, d_softplus),
        Activation("gelu", gelu, d_gelu),
        Activation("identity", identity, d_identity),
    )
}
