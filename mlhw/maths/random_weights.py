"""Random weights by their usual names, and how much one of them multiplies by on average."""

from __future__ import annotations

import math

import numpy as np

from mlhw.maths.arrays import Array


def draw_weights(
    rng: np.random.Generator,
    kind: str,
    scale: float,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
) -> Array:
    """Weights of one layer, an array of ``shape``.

    ``normal`` has the standard deviation ``scale``, ``uniform`` lies in ±``scale``, ``constant`` is
    ``scale`` itself. ``xavier`` is normal with variance scale²·2/(fan_in + fan_out) (Glorot and
    Bengio, 2010, eq. 12), ``he`` with scale²·2/fan_in (He et al., 2015, eq. 10).
    """
    if kind == "constant":
        return np.full(shape, scale)
    if kind == "uniform":
        return rng.uniform(-scale, scale, shape)
    return deviation(kind, scale, fan_in, fan_out) * rng.standard_normal(shape)


def deviation(kind: str, scale: float, fan_in: int, fan_out: int) -> float:
    """The standard deviation of the normal kinds."""
    if kind == "xavier":
        return scale * math.sqrt(2.0 / (fan_in + fan_out))
    return scale * math.sqrt(2.0 / fan_in) if kind == "he" else scale


def mean_log(kind: str, scale: float) -> float:
    """E log|w| of a chain's weight (fan-in and fan-out 1).

    A standard normal has E log|w| = −(γ + log 2)/2, from the digamma function at ½ for w² ~ χ²₁;
    uniform weights in ±s have log s − 1.
    """
    if kind == "constant":
        return math.log(abs(scale)) if scale else -math.inf
    if kind == "uniform":
        return math.log(scale) - 1.0
    return math.log(deviation(kind, scale, 1, 1)) - (np.euler_gamma + math.log(2.0)) / 2.0
