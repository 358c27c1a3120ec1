"""Gradients of networks of m units a layer, completely connected, one output: all paths at once.

a^(l+1) = W^(l) z^(l), z^(1) = x for each of the m inputs, z = h(a) in the hidden layers 2 … L−1 (with
residual connections z^(n) = z^(n−1) + h(a^(n))), identity at the single output a^(L), and
E = ½(a^(L) − t)²; biases and a sigmoid output as in ``chain``. With D^(l) = ∂E/∂z^(l), the sum over all
paths from layer l to the output,

    D^(L−1) = (a^(L) − t) W^(L−1)ᵀ,   D^(n−1) = W^(n−1)ᵀ (h'(a^(n)) ∘ D^(n))  [+ D^(n)],
    ∂E/∂w_11^(l) = h'(a_1^(l+1)) D_1^(l+1) z_1^(l),   for the last weight (a^(L) − t) z_1^(L−1).

Every layer of every draw carries its own power of two beside numbers of ordinary size, so neither
direction over- or underflows; units that are small even beside their layer (h' = e^−800, say) are
kept as logarithms. Exact zeros stay exact zeros.

Accuracy: a sum Σ_j w_ij z_j loses the digits that cancel in it. For random weights the loss does not
build up over the layers, since products of random matrices forget a relative error as they forget
the start; where it does (networks wide and steep enough to be chaotic) no arithmetic of 53 bits
gives the numbers, and comparing with a pass from inputs and weights shifted by an ulp shows it.
"""

from __future__ import annotations

import math

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.chain import FIRST, LogGradients, Signed, add, keep_range, output_error, signed
from mlhw.maths.log_activations import KINK_SLOPE, LOG_2, LOG_ACTIVATIONS


def bipartite_gradients(
    hidden: Array,
    last: Array,
    x: Array | float,
    t: float,
    activation: str,
    residual: bool = False,
    *,
    biases: tuple[Array, Array] | None = None,
    output: str = "identity",
) -> LogGradients:
    """∂E/∂w_11^(l) for every layer l and every draw.

    Parameters
    ----------
    hidden
        (L−2, m, m, n): W^(l) of n draws, [l−1, i, j] from unit j of layer l to unit i of layer l+1.
    last
        (m, n): W^(L−1), to the output.
    x, t
        Every input has the value ``x``, a number or one for each draw (n,); t is the target.
    activation, residual, output
        As in ``chain.chain_gradients``.
    biases
        (L−2, m, n) of the hidden units and (n,) of the output; None for none.
    """
    layers, m, _, n = hidden.shape
    layer = _kinked if activation in KINK_SLOPE else _smooth
    z, power = _scaled(np.broadcast_to(np.asarray(x, dtype=np.float64), (m, n)))
    z_first = Signed(np.empty((layers + 1, n)), np.empty((layers + 1, n)))
    z_first.sign[0], z_first.log[0] = signed(np.broadcast_to(x, n))
    # h' of each unit: sign, and log magnitude, as numbers of ordinary size where h has a kink.
    slope_sign, slope_log = np.empty((layers, m, n)), np.empty((layers, m, n))
    unit_alive = np.empty((layers, n), dtype=bool)
    layer_alive = np.empty((layers, n), dtype=bool)
    for row in range(layers):
        before = Signed(z, power)
        a = np.einsum("ijn,jn->in", hidden[row], z)
        if biases is not None:
            a, power = _sum(a, power, biases[0][row], np.zeros(n))
        alive = a > 0
        unit_alive[row], layer_alive[row] = alive[0], alive.any(axis=0)
        h, power_h, first, slope = layer(activation, a, power)
        slope_sign[row], slope_log[row] = slope
        if residual:
            first = add(Signed(z_first.sign[row], z_first.log[row]), first)
            z, power = _sum(before.sign, before.log, h, power_h)
        else:
            z, power = h, power_h
        z_first.sign[row + 1], z_first.log[row + 1] = first
    a_last = _sized(np.einsum("jn,jn->n", last, z), power)
    if biases is not None:
        a_last = add(a_last, signed(biases[1]))
    residue, first_delta = output_error(a_last, t, output)

    sign, log = np.empty((layers + 1, n)), np.empty((layers + 1, n))
    sign[-1] = first_delta.sign * z_first.sign[-1]
    log[-1] = first_delta.log + z_first.log[-1]
    # D = d · 2^power · |∂E/∂a^(L)|: this one, which may be tiny, joins at the end as a logarithm.
    d, power = _scaled(first_delta.sign * last)
    for row in range(layers - 1, -1, -1):
        behind = _sized(d[0], power)
        sign[row] = behind.sign * slope_sign[row, 0] * z_first.sign[row]
        log[row] = behind.log + slope_log[row, 0] + z_first.log[row] + first_delta.log
        if not row:
            break
        delta, power_delta = _through(d, power, slope_sign[row], slope_log[row])
        s = np.einsum("jin,jn->in", hidden[row], delta)
        if residual:
            d, power = _sum(s, power_delta, d, power)
        else:
            d, power = _scaled(s, power_delta)
    shown = slope_sign[:, 0, :FIRST], slope_log[:, 0, :FIRST]
    first_slope = np.where(shown[0] == 0, -np.inf, shown[1])
    keep_range(sign, log)
    keep_range(z_first.sign, z_first.log)
    return LogGradients(
        sign.astype(np.int8),
        log,
        z_first.log[:, :FIRST].copy(),
        slope_sign[:, 0, :FIRST].astype(np.int8),
        first_slope,
        unit_alive,
        layer_alive,
        residue.sign,
        first_delta.log,
    )


def _kinked(
    activation: str, a: Array, power: Array
) -> tuple[Array, Array, Signed, tuple[Array, Array]]:
    """h(a · 2^power) for activations that a positive factor passes through: no logarithm needed."""
    left = KINK_SLOPE[activation]
    alive = a > 0
    h = np.where(alive, a, left * a)
    sign = alive.astype(np.float64) if left == 0 else np.ones_like(a)
    log = np.zeros_like(a) if left == 0 else np.where(alive, 0.0, math.log(left))
    first = _sized(h[0], power)
    return *_scaled(h, power), first, (sign, log)


def _smooth(
    activation: str, a: Array, power: Array
) -> tuple[Array, Array, Signed, tuple[Array, Array]]:
    """h(a · 2^power) by way of logarithms, unit by unit."""
    size = _sized(a, power)
    h = LOG_ACTIVATIONS[activation](*size)
    z, power = _split(h.sign, h.log)
    return z, power, Signed(h.sign[0], h.log[0]), (h.slope_sign, h.slope_log)


def _through(d: Array, power: Array, slope_sign: Array, slope_log: Array) -> tuple[Array, Array]:
    """h' ∘ (d · 2^power): the largest slope of each draw's layer goes into the power of two."""
    slope, shift = _split(slope_sign, slope_log)
    return _scaled(slope * d, power + shift)


def _split(sign: Array, log: Array) -> tuple[Array, Array]:
    """sign · exp(log) (m, n) as numbers, the largest of each draw near 1, and a power of two (n,)."""
    top = np.where(sign == 0, -np.inf, log).max(axis=0)
    top = np.where(np.isneginf(top), 0.0, top)
    power = top / LOG_2
    # A whole power adds up exactly over the layers. A power above 2^20 is kept as it is: split
    # into a whole part and a rest, its rounding would show in the rest.
    whole = np.abs(power) < 2.0**20
    power = np.where(whole, np.floor(power), power)
    rest = np.where(whole, top - power * LOG_2, 0.0)
    return sign * np.exp(np.minimum(log - top + rest, LOG_2)), power


def _scaled(values: Array, power: Array | float = 0.0) -> tuple[Array, Array]:
    """``values`` (m, n) · 2^power with the largest of each draw brought to [½, 1), exactly."""
    exponent = np.frexp(np.abs(values).max(axis=0))[1]
    return np.ldexp(values, -exponent), power + exponent


def _sum(p: Array, p_power: Array, q: Array, q_power: Array) -> tuple[Array, Array]:
    """p · 2^p_power + q · 2^q_power, scaled."""
    # A layer of zeros has no size: its power is set far below the other's.
    p_power = np.where(np.any(p != 0, axis=0), p_power, -np.inf)
    q_power = np.where(np.any(q != 0, axis=0), q_power, -np.inf)
    top = np.maximum(p_power, q_power)
    top = np.where(np.isneginf(top), 0.0, top)
    return _scaled(p * np.exp2(p_power - top) + q * np.exp2(q_power - top), top)


def _sized(values: Array, power: Array) -> Signed:
    """values · 2^power as sign and logarithm."""
    plain = signed(values)
    return Signed(plain.sign, plain.log + power * LOG_2)
