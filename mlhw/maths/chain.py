"""Gradients along a chain of single units, in sign and log magnitude, so that nothing underflows.

z^(1) = x, a^(l+1) = w^(l) z^(l), z = h(a) in the hidden layers 2 … L−1, identity at layer L, and
E = ½(a^(L) − t)². With biases a^(l+1) = w^(l) z^(l) + b^(l+1); with a sigmoid output y = h(a^(L)) stands
for a^(L), and (y − t) h'(a^(L)) for (a^(L) − t) below. By the chain rule

    ∂E/∂w^(l) = (a^(L) − t) · Π_{n=l+1}^{L−1} h'(a^(n)) w^(n) · z^(l),        l = 1 … L−1,

a product of up to 2L factors: its logarithm is a sum. With residual connections,
z^(n) = z^(n−1) + h(a^(n)), the factor of layer n becomes 1 + h'(a^(n)) w^(n−1) and the gradient
h'(a^(l+1)) z^(l) times the factors behind it.

Accuracy: sums are compensated (Knuth's TwoSum), so that a plain chain's log|∂E/∂w^(l)| is right to
some ulps of its largest term and of itself, whatever the depth: 1e-11 at 10^-9000. What cancels is
a^(L) − t where both are close, GELU's h' beside its zero, and the sums of residual connections and of
biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.log_activations import BEYOND, KINK_SLOPE, LOG_ACTIVATIONS

FIRST = 64
"""Of so many draws the outputs and slopes of units are told; of the others gradients alone."""


class Signed(NamedTuple):
    """sign · exp(log), elementwise; where the sign is 0 the number is 0 and ``log`` has no meaning."""

    sign: Array
    log: Array


@dataclass(frozen=True)
class LogGradients:
    """One pass forward and back through n draws of a network of L layers with H = L − 2 hidden ones.

    ``sign``, ``log`` (L−1, n): ∂E/∂w_11^(l) = sign · exp(log) in row l−1; an exact zero has sign 0
    and log −inf, and a log of −BEYOND means that or less. ``z_log`` (L−1, k): log|z_1^(l)| of the first
    ``FIRST`` draws, −inf for zero. ``slope_sign``, ``slope_log`` (H, k): h'(a_1) of the hidden layers of
    the same, in the same way. ``unit_alive``, ``layer_alive`` (H, n): a > 0 at unit 1, at some unit of
    the hidden layer. ``residue`` (n,): the sign of a^(L) − t, or y − t; ``error_log`` (n,):
    log|∂E/∂a^(L)|, which has no meaning where that sign is 0. ``log`` − ``error_log`` is
    log|∂a^(L)/∂w_11^(l)|, the Jacobian.
    """

    sign: Array
    log: Array
    z_log: Array
    slope_sign: Array
    slope_log: Array
    unit_alive: Array
    layer_alive: Array
    residue: Array
    error_log: Array

    @property
    def zero(self) -> Array:
        """(L−1, n): the gradient is exactly zero."""
        zero: Array = self.sign == 0
        return zero


def signed(values: Array | float) -> Signed:
    """Numbers as sign and logarithm."""
    values = np.asarray(values, dtype=np.float64)
    sign = np.sign(values)
    return Signed(sign, np.log(np.abs(np.where(sign == 0, 1.0, values))))


def add(p: Signed, q: Signed) -> Signed:
    """p + q; where they cancel, the relative accuracy is that of float64 addition."""
    p_log = np.where(p.sign == 0, -np.inf, p.log)
    q_log = np.where(q.sign == 0, -np.inf, q.log)
    top = np.maximum(p_log, q_log)
    top = np.where(np.isneginf(top), 0.0, top)
    total = signed(p.sign * np.exp(p_log - top) + q.sign * np.exp(q_log - top))
    return Signed(total.sign, total.log + top)


def two_sum(p: Array, q: Array) -> tuple[Array, Array]:
    """fl(p + q) and its rounding error (Knuth, TAOCP vol. 2, section 4.2.2, theorem B)."""
    total = p + q
    shadow = total - p
    return total, (p - (total - shadow)) + (q - shadow)


def chain_gradients(
    weights: Array,
    x: Array | float,
    t: float,
    activation: str,
    residual: bool = False,
    *,
    biases: Array | None = None,
    output: str = "identity",
) -> LogGradients:
    """∂E/∂w^(l) for every layer l and every draw.

    Parameters
    ----------
    weights
        (L−1, n): w^(l) of n draws in row l−1; L ≥ 3.
    x, t
        Input, a number or one for each draw (n,), and target.
    activation
        One of ``log_activations.LOG_ACTIVATIONS``.
    residual
        z^(n) = z^(n−1) + h(a^(n)) in the hidden layers.
    biases
        (L−1, n): b^(l+1) in row l−1, the last one the output's; None for none.
    output
        The output unit's activation, "identity" or "sigmoid".
    """
    steps, n = weights.shape
    w = signed(weights)
    forms = LOG_ACTIVATIONS[activation]
    # Where h passes a factor through, log z grows by one term a layer, and its rounding is carried.
    carries = activation in KINK_SLOPE and not residual and biases is None

    z_sign, z_log = np.empty((steps, n)), np.empty((steps, n))
    slope_sign, slope_log = np.empty((steps - 1, n)), np.empty((steps - 1, n))
    alive = np.empty((steps - 1, n), dtype=bool)
    start = signed(x)
    z_sign[0], z_log[0] = start
    z = Signed(z_sign[0], z_log[0])
    low = np.zeros(n)
    for row in range(steps - 1):
        log, error = two_sum(z.log, w.log[row])
        low += error
        a = Signed(z.sign * w.sign[row], log if carries else log + low)
        if biases is not None:
            a = add(a, signed(biases[row]))
        alive[row] = a.sign > 0
        h = forms(*a)
        slope_sign[row], slope_log[row] = h.slope_sign, h.slope_log
        z = Signed(h.sign, h.log)
        if residual:
            z = add(Signed(z_sign[row], z_log[row]), z)
        if not carries:
            low = np.zeros(n)
        z_sign[row + 1], z_log[row + 1] = z.sign, z.log + low
    last = Signed(z.sign * w.sign[-1], z.log + w.log[-1] + low)
    if biases is not None:
        last = add(last, signed(biases[-1]))
    residue, delta = output_error(last, t, output)

    sign, log = _backward(delta, Signed(z_sign, z_log), Signed(slope_sign, slope_log), w, residual)
    for signs, logs in ((sign, log), (z_sign, z_log), (slope_sign, slope_log)):
        keep_range(signs, logs)
    return LogGradients(
        sign.astype(np.int8),
        log,
        z_log[:, :FIRST].copy(),
        slope_sign[:, :FIRST].astype(np.int8),
        slope_log[:, :FIRST].copy(),
        alive,
        alive,
        residue.sign,
        delta.log,
    )


def output_error(a: Signed, t: float, output: str) -> tuple[Signed, Signed]:
    """y − t and ∂E/∂a = (y − t) h'(a) of an output unit y = h(a), h the identity or the sigmoid.

    Right of 0, σ(a) − t is (1 − t) − σ(−a), so that nothing cancels where t = 1 and a is large.
    """
    if output == "identity":
        residue = add(a, signed(-t))
        return residue, residue
    forms = LOG_ACTIVATIONS[output]
    h, mirrored = forms(*a), forms(-a.sign, a.log)
    left = add(Signed(h.sign, h.log), signed(-t))
    right = add(signed(1.0 - t), Signed(-mirrored.sign, mirrored.log))
    residue = Signed(
        np.where(a.sign > 0, right.sign, left.sign), np.where(a.sign > 0, right.log, left.log)
    )
    return residue, Signed(residue.sign * h.slope_sign, residue.log + h.slope_log)


def _backward(
    residue: Signed, z: Signed, slope: Signed, w: Signed, residual: bool
) -> tuple[Array, Array]:
    """Sign and log of every gradient, from the last layer to the first; see the module's formula.

    ``residue`` is what the product begins with, ∂E/∂a^(L).
    """
    sign, log = np.empty_like(z.log), np.empty_like(z.log)
    sign[-1], log[-1] = residue.sign * z.sign[-1], residue.log + z.log[-1]
    product_sign, product_log, low = residue.sign, residue.log, np.zeros_like(residue.log)
    factor = Signed(w.sign[-1], w.log[-1])
    for row in range(len(log) - 2, -1, -1):
        # The product is now ∂E/∂z of the hidden layer that the row's weight leads to.
        product_sign = product_sign * factor.sign
        product_log, error = two_sum(product_log, factor.log)
        low = low + error
        sign[row] = product_sign * slope.sign[row] * z.sign[row]
        log[row] = product_log + (slope.log[row] + z.log[row] + low)
        factor = Signed(slope.sign[row] * w.sign[row], slope.log[row] + w.log[row])
        if residual:
            factor = add(signed(np.ones_like(low)), factor)
    return sign, log


def keep_range(sign: Array, log: Array) -> None:
    """In place: −inf for zeros; at the least −BEYOND for everything else, which then is a bound.

    The left tail of GELU at a = −1e200 has a logarithm of −5e399, which no float64 holds.
    """
    np.maximum(log, -BEYOND, out=log)
    log[sign == 0] = -np.inf


def decades(log: Array | float) -> Array:
    """Natural logarithms as decimal ones."""
    return np.asarray(log) / math.log(10.0)
