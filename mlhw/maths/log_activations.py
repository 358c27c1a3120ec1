"""Activation functions in sign and logarithm: log|h(a)| and log|h'(a)| in closed forms.

The argument comes as its sign (−1, 0 or 1) and log|a|, so that neither it nor what is returned can
underflow: the logistic's h'(−800) is exp(−800), far below the smallest float64, and its logarithm
is −800. Each form keeps an absolute error of some ulps of the logarithm; only where h' itself
crosses zero (GELU, at a = −0.7517915) is log|h'| as uncertain as the distance to that point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlhw.maths.activations import LEAK
from mlhw.maths.arrays import Array

LOG_2 = math.log(2.0)

BEYOND = 1e290
"""A log magnitude outside ±BEYOND has left even the range of logarithms: exp(−1e300), say."""


class Forms(NamedTuple):
    """h(a) and h'(a), each as sign and log magnitude; where a sign is 0 its log has no meaning."""

    sign: Array
    log: Array
    slope_sign: Array
    slope_log: Array


def _magnitude(sign: Array, log: Array, largest: float = 709.0) -> Array:
    """|a| as a number, kept at e^largest where it would overflow (its log h' is then BEYOND)."""
    size: Array = np.exp(np.minimum(log, largest)) * np.abs(sign)
    return size


def log_logistic(sign: Array, log: Array) -> Forms:
    """h = 1/(1 + exp(−a)); log h = min(a, 0) − log1p(e^−|a|), log h' = −|a| − 2 log1p(e^−|a|)."""
    size = _magnitude(sign, log)
    tail = np.log1p(np.exp(-size))
    one = np.ones_like(size)
    return Forms(one, np.minimum(sign * size, 0.0) - tail, one, -size - 2.0 * tail)


def log_tanh(sign: Array, log: Array) -> Forms:
    """h = tanh a; log h' = 2 (log 2 − |a| − log1p(e^−2|a|)); log|h| is log|a| for small |a|."""
    size = _magnitude(sign, log)
    # Below e^-20, tanh a and a agree to all digits of a float64, and a itself may underflow.
    small = log < -20.0
    value_log = np.where(small, log, np.log(np.tanh(np.where(small | (sign == 0), 1.0, size))))
    slope_log = 2.0 * (LOG_2 - size - np.log1p(np.exp(-2.0 * size)))
    return Forms(sign, value_log, np.ones_like(size), slope_log)


def log_relu(sign: Array, log: Array) -> Forms:
    """h = max(0, a): a itself with slope 1 where a > 0, else zero with slope zero."""
    alive = (sign > 0).astype(np.float64)
    return Forms(alive, log, alive, np.zeros_like(log))


def log_leaky_relu(sign: Array, log: Array) -> Forms:
    """h = a where a > 0, else LEAK·a."""
    slope_log = np.where(sign > 0, 0.0, math.log(LEAK))
    return Forms(sign, log + slope_log, np.ones_like(log), slope_log)


def log_softplus(sign: Array, log: Array) -> Forms:
    """h = log(1 + exp(a)); log h is a for a far left, log a far right; h' is the logistic function."""
    size = _magnitude(sign, log)
    a = sign * size
    tail = np.log1p(np.exp(-size))
    # Left of -36, log(1 + e^a) and e^a agree to all digits, and e^a may underflow; right of e^4,
    # log(1 + e^a) and a do, and a may overflow.
    left = a < -36.0
    right = (sign > 0) & (log > 4.0)
    inner = np.where(left | right, 1.0, np.maximum(a, 0.0) + tail)
    value_log = np.where(left, a, np.where(right, log, np.log(inner)))
    one = np.ones_like(size)
    return Forms(one, value_log, one, np.minimum(a, 0.0) - tail)


def log_gelu(sign: Array, log: Array) -> Forms:
    """h = a Φ(a), h' = Φ(a) + a φ(a), Φ and φ the standard normal distribution and density.

    On the left both share the factor φ(a): with x = |a| and Mills' ratio R(x) = Φ(−x)/φ(x),
    h = −x φ R and h' = φ (R − x), which leaves the one difference that is really there.
    """
    from scipy.special import erfcx, log_ndtr

    # e^340 squared is just within float64.
    size = _magnitude(sign, log, 340.0)
    density_log = -0.5 * size * size - 0.5 * math.log(2.0 * math.pi)
    mills = math.sqrt(math.pi / 2.0) * erfcx(size * math.sqrt(0.5))
    left = sign < 0
    value_log = log + np.where(left, density_log + np.log(mills), log_ndtr(size))
    right_slope = np.exp(log_ndtr(size)) + size * np.exp(density_log)
    slope = np.where(left, mills - size, right_slope)
    slope_log = np.where(left, density_log, 0.0) + np.log(np.abs(np.where(slope == 0, 1.0, slope)))
    return Forms(sign, value_log, np.sign(slope), slope_log)


LOG_ACTIVATIONS: dict[str, Callable[[Array, Array], Forms]] = {
    "sigmoid": log_logistic,
    "relu": log_relu,
    "tanh": log_tanh,
    "gelu": log_gelu,
    "leaky_relu": log_leaky_relu,
    "softplus": log_softplus,
}

KINK_SLOPE: dict[str, float] = {"relu": 0.0, "leaky_relu": LEAK}
"""The slope left of the kink, for the activations that a positive factor passes through unchanged."""
