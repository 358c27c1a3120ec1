"""The gradients of ``chain`` where most of its logarithms are not needed: in ordinary numbers.

A sigmoid unit gives a number between 0 and 1, and its slope is no smaller than e^−|a|/4. So where weights are
neither tiny nor large, forward values are plain numbers; only the product of slopes and weights leaves
float64. It stands as a number times a power of two that is taken out every few layers, and each gradient
costs one logarithm. A plain ReLU chain with a unit at zero has no gradient at all, and random chains
that live are rare: logarithms are for those.

With u = 2⁻⁵³ a product of 3L factors, each rounded, is right to 3Lu, and so is its logarithm, absolutely:
5e-14 for 152 weights, 3e-12 for 10,000.
"""

from __future__ import annotations

import math

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.chain import FIRST, LogGradients, Signed, chain_gradients, output_error, signed
from mlhw.maths.in_blocks import by_threads, cpus
from mlhw.maths.log_activations import LOG_2

LARGEST, SMALLEST = 30.0, 1e-30
"""Weights (those of the first layer times x) of such a size leave what a unit gives an ordinary number."""

_BITS = 900.0  # a product may fall or grow by so many powers of two before one is taken out
_CACHED = 8_192  # numbers that are worked on at once, 64 kB
_FEWEST = 2_048  # draws for which a thread pays


def plain_chain_gradients(
    weights: Array, x: Array | float, t: float, activation: str, *, output: str = "identity"
) -> LogGradients:
    """As ``chain.chain_gradients`` of a chain without residual connections and biases."""
    if activation == "relu":
        return _of_relu(weights, x, t, output)
    if activation == "sigmoid":
        largest = max(float(weights.max()), -float(weights.min()))
        first = np.abs(x)
        reach = largest * max(1.0, float(np.max(first)))
        if reach <= LARGEST and float(np.min(first)) >= SMALLEST and _least(weights) >= SMALLEST:
            return _of_sigmoid(weights, x, t, output, reach)
    return chain_gradients(weights, x, t, activation, output=output)


def _least(weights: Array) -> float:
    """The smallest |w|."""
    rows = max(1, _CACHED // weights.shape[1])
    parts = range(0, len(weights), rows)
    return min(float(np.abs(weights[row : row + rows]).min()) for row in parts)


def _of_sigmoid(
    weights: Array, x: Array | float, t: float, output: str, reach: float
) -> LogGradients:
    """|a| ≤ ``reach`` in every unit; some draws at a time, in threads where there are many."""
    steps, n = weights.shape
    inputs = np.broadcast_to(x, n)
    alive = weights[:-1] > 0
    np.greater(weights[0] * np.sign(inputs), 0, out=alive[0])
    sign, log = np.empty((steps, n), dtype=np.int8), np.empty((steps, n))
    z_log, slope_log = np.empty((steps, min(n, FIRST))), np.empty((steps - 1, min(n, FIRST)))
    residue, error_log = np.empty(n), np.empty(n)

    # Few and long calls of NumPy: between them a thread waits for Python's lock.
    size = max(_FEWEST, -(-n // cpus()))

    def work(first: int) -> None:
        part = slice(first, first + size)
        w = weights[:, part]
        minus_z, e = _forward(w, inputs[part])
        if not first:
            np.log(np.abs(minus_z[:, :FIRST]), out=z_log)
            np.log(e[:, :FIRST] * minus_z[1:, :FIRST] ** 2, out=slope_log)
        found, delta = output_error(signed(-(w[-1] * minus_z[-1])), t, output)
        residue[part], error_log[part] = found.sign, delta.log
        _signs_backward(w, inputs[part], delta.sign, sign[:, part])
        _logs_backward(w, minus_z, e, delta, reach, log[:, part])

    starts = range(0, n, size)
    if len(starts) == 1:
        work(0)
    else:
        by_threads(work, starts)
    ones = np.ones((steps - 1, min(n, FIRST)), dtype=np.int8)
    return LogGradients(sign, log, z_log, ones, slope_log, alive, alive, residue, error_log)


def _forward(w: Array, x: Array) -> tuple[Array, Array]:
    """−z^(l) in row l−1 and e^−a^(l+1), so that h' = e^−a z²: −z is what e^−a and the next layer take."""
    steps, n = w.shape
    minus_z, e = np.empty((steps, n)), np.empty((steps - 1, n))
    np.negative(x, out=minus_z[0])
    for row in range(steps - 1):
        np.multiply(w[row], minus_z[row], out=e[row])
        np.exp(e[row], out=e[row])
        np.add(e[row], 1.0, out=minus_z[row + 1])
        np.divide(-1.0, minus_z[row + 1], out=minus_z[row + 1])
    return minus_z, e


def _signs_backward(w: Array, x: Array, delta: Array, sign: Array) -> None:
    """The signs of the gradients, into ``sign``: z and h' are above 0 in hidden layers."""
    negative = w < 0
    negative[-1] ^= delta < 0
    for row in range(len(w) - 2, 0, -1):
        negative[row] ^= negative[row + 1]
    # The product behind a row's weight, without that weight.
    sign[:-1] = 1 - 2 * negative[1:].view(np.int8)
    sign[-1] = np.sign(delta)
    sign[0] *= np.sign(x).astype(np.int8)
    sign[:, delta == 0] = 0


def _logs_backward(
    w: Array, minus_z: Array, e: Array, delta: Signed, reach: float, log: Array
) -> None:
    """The logarithms of the gradients, into ``log``."""
    n = w.shape[1]
    np.log(-minus_z[-1], out=log[-1])
    log[-1] += delta.log
    # No factor is further from 1 than this.
    bits = (reach + math.log(4.0) - math.log(SMALLEST)) / LOG_2
    rows = max(1, min(int(_BITS / bits), _CACHED // n))
    # Below 0 as −z is, so that what a logarithm is taken of is above it.
    product, powers = -np.abs(w[-1]), np.zeros(n)
    slopes, factors, numbers = np.empty((3, rows, n))
    for stop in range(len(w) - 1, 0, -rows):
        start = max(0, stop - rows)
        slope, factor, here = (part[: stop - start] for part in (slopes, factors, numbers))
        np.multiply(minus_z[start + 1 : stop + 1], minus_z[start + 1 : stop + 1], out=slope)
        slope *= e[start:stop]
        np.abs(w[start:stop], out=factor)
        factor *= slope
        here[-1], power = np.frexp(product)
        powers += power
        scale = delta.log + powers * LOG_2
        # The product before the row's own factor is what its gradient has.
        for row in range(stop - start - 2, -1, -1):
            np.multiply(here[row + 1], factor[row + 1], out=here[row])
        np.multiply(here[0], factor[0], out=product)
        slope *= minus_z[start:stop]
        here *= slope
        if start == 0:
            np.abs(here[0], out=here[0])
        np.log(here, out=here)
        np.add(here, scale, out=log[start:stop])
    log[:, delta.sign == 0] = -np.inf


def _of_relu(weights: Array, x: Array | float, t: float, output: str) -> LogGradients:
    """Everything behind a unit at zero is zero, and every gradient of such a chain."""
    steps, n = weights.shape
    alive = weights[:-1] > 0
    np.greater(weights[0] * np.sign(x), 0, out=alive[0])
    np.logical_and.accumulate(alive, axis=0, out=alive)
    lives = np.flatnonzero(alive[-1])
    nothing = np.zeros(n)
    residue, delta = output_error(Signed(nothing, nothing), t, output)
    sign = np.zeros((steps, n), dtype=np.int8)
    log = np.full((steps, n), -np.inf)
    residue_sign, error_log = residue.sign.copy(), delta.log.copy()
    if len(lives):
        inputs = np.broadcast_to(x, n)[lives]
        g = chain_gradients(weights[:, lives], inputs, t, "relu", output=output)
        sign[:, lives], log[:, lives] = g.sign, g.log
        residue_sign[lives], error_log[lives] = g.residue, g.error_log
    shown = alive[:, :FIRST]
    with np.errstate(divide="ignore", invalid="ignore"):
        z_log = np.log(np.abs(weights[:, :FIRST]))
        z_log[1:] = np.cumsum(z_log[:-1], axis=0)
        z_log[0] = 0.0
        z_log += np.log(np.abs(np.broadcast_to(x, n)[:FIRST]))
    z_log[1:][~shown] = -np.inf
    return LogGradients(
        sign,
        log,
        z_log,
        shown.astype(np.int8),
        np.where(shown, 0.0, -np.inf),
        alive,
        alive,
        residue_sign,
        error_log,
    )
