"""Central differences of a network's loss, extrapolated to step 0, that know how good they are.

Where ReLU or leaky ReLU change sides within a step the loss has a kink, and a difference across it is
no derivative: such steps are left out, and where no step is left the slopes on the two sides are given
instead of a derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.derivatives import Movers, losses_after, unit_pieces
from mlhw.maths.network import Activity, Gradients, Network, forward, losses, with_bias

WIDE_STEPS = 0.25 * 2.0 ** -np.arange(9)
"""An activation is moved by ±0.25, ±0.125, … ±9.8e-4."""

SMALL_STEPS = WIDE_STEPS * 2.0**-10
"""The second attempt, where a kink lies within the first steps: 2.4e-4 … 9.5e-7."""

Along = Callable[[Array], tuple[Array, Array | None]]
"""Losses (S, …) at S steps along some lines, and whether a kink lies between there and step 0.

The latter, (S, …) too, is None where nothing has a kink.
"""


@dataclass(frozen=True)
class Kink:
    """A derivative that central differences cannot give: a kink lies within every step.

    ``layer`` and ``index`` are those of the weight, (j, i), or of δ, (n, j); indices from 0.
    """

    layer: int
    index: tuple[int, ...]
    of_weight: bool
    left: float
    right: float


@dataclass(frozen=True)
class Differences:
    """What central differences ``found``, their own estimates of the ``error``, the ``kinks`` met.

    Where a kink lies within every step ``found`` is NaN and ``at_kink`` 1, else 0.
    """

    found: Gradients
    error: Gradients
    at_kink: Gradients
    kinks: list[Kink]


def finite_differences(
    network: Network, weights: Sequence[Array], X: Array, T: Array, entries: Sequence[Array]
) -> Differences:
    """∂E/∂w by central differences for the ``entries`` of each W^(l), rows (j, i), and every δ."""
    activity = forward(network, weights, X)
    lines = [
        slopes_along(partial(losses_after, network, weights, activity, T, units))
        for units in unit_pieces(network, len(X), 2 * len(WIDE_STEPS))
    ]
    line = Slopes(*(np.concatenate(parts) for parts in zip(*map(astuple, lines), strict=True)))
    movers = Movers(network, activity, entries)
    found = movers.gradients(line.derivative)
    error = movers.gradients(line.error, np.abs)
    at_kink = movers.gradients(line.at_kink.astype(float), _touched)
    for gradient in at_kink:
        np.sign(gradient, out=gradient)
    return Differences(found, error, at_kink, _kinks(network, activity, entries, line))


def _touched(z: Array) -> Array:
    """1 where a weight moves an activation at all, 0 where its input is 0."""
    touched: Array = (z != 0).astype(float)
    return touched


def difference_along(
    network: Network, weights: Sequence[Array], X: Array, T: Array, direction: Sequence[Array]
) -> tuple[float, float]:
    """dE/ds of the weights W + s·direction at s = 0, NaN at a kink, and its estimated error."""
    layers = [layer - 2 for layer in range(2, network.depth + 1) if network.kinked_at(layer)]
    here = forward(network, weights, X).a

    def along(steps: Array) -> tuple[Array, Array | None]:
        E, crossed = [], []
        for s in steps:
            moved = [W + s * D for W, D in zip(weights, direction, strict=True)]
            a = forward(network, moved, X).a
            E.append(losses(network, a[-1], T).mean())
            crossed.append(any(((a[k] > 0) != (here[k] > 0)).any() for k in layers))
        return np.array(E), np.array(crossed) if layers else None

    line = slopes_along(along)
    return float(line.derivative), float(line.error)


def _kinks(
    network: Network, activity: Activity, entries: Sequence[Array], line: Slopes
) -> list[Kink]:
    """Layer by layer those of the weights into it, by weight and input, then of its units."""
    kinks: list[Kink] = []
    if not line.at_kink.any():
        return kinks
    first = np.cumsum([0, *network.layers[1:]])
    for layer, part in enumerate(entries, start=1):
        z = with_bias(network, activity.z[layer - 1])
        here = slice(first[layer - 1], first[layer])
        at_kink, left, right = line.at_kink[here], line.left[here], line.right[here]
        for j, i in part[at_kink[part[:, 0]].any(axis=1)].tolist():
            for n in np.flatnonzero(at_kink[j] & (z[:, i] != 0)).tolist():
                # Where the input is below 0 the unit goes the other way.
                sides = [float(side[j, n] * z[n, i]) for side in (left, right)]
                kinks.append(Kink(layer, (j, i), True, *sides[:: 1 if z[n, i] > 0 else -1]))
        for j, n in np.argwhere(at_kink).tolist():
            kinks.append(Kink(layer + 1, (n, j), False, float(left[j, n]), float(right[j, n])))
    return kinks


# ------------------------------------------------------------------------------------- one line


@dataclass(frozen=True)
class Slopes:
    """Along each of some lines: the derivative at 0, its estimated error, whether it is at a kink.

    ``left`` and ``right`` are the slopes on the two sides, worked out only where it is.
    """

    derivative: Array
    error: Array
    at_kink: Array
    left: Array
    right: Array


def slopes_along(along: Along) -> Slopes:
    """The derivatives at step 0 of the losses that ``along`` gives.

    First with WIDE_STEPS; where a kink leaves fewer than five of them, with SMALL_STEPS. Where it lies
    within nearly all of these too, the slopes on the two sides decide. If they differ it is a kink, and
    also if they are equal but not 0: two leaky ReLUs that change sides together may make up for each
    other, and what the chain rule has at their kinks is then still not the slope. If both are 0 to
    rounding, the loss does not feel the kink.
    """
    derivative, error, valid = _central(along, WIDE_STEPS)
    nothing = np.full(derivative.shape, np.nan)
    if (valid >= 5).all():
        return Slopes(derivative, error, np.zeros(derivative.shape, bool), nothing, nothing)
    small, small_error, valid_small = _central(along, SMALL_STEPS)
    better = (valid < 5) & (small_error <= error)
    derivative, error = np.where(better, small, derivative), np.where(better, small_error, error)
    crossing = (valid < 3) & (valid_small < 3)
    if not crossing.any():
        return Slopes(derivative, error, crossing, nothing, nothing)
    left, right, noise = _one_sided(along, SMALL_STEPS[-1])
    kink = crossing & (np.maximum(np.abs(right), np.abs(left)) > noise)
    smooth, smooth_error, _ = _central(along, SMALL_STEPS, across=True)
    derivative = np.where(kink, np.nan, np.where(crossing, smooth, derivative))
    error = np.where(kink, np.nan, np.where(crossing, smooth_error, error))
    return Slopes(derivative, error, kink, left, right)


def _central(along: Along, steps: Array, across: bool = False) -> tuple[Array, Array, Array]:
    """Derivative, estimated error, and how many of the steps cross no kink.

    ``across`` uses steps over a kink too.
    """
    E, crossed = along(np.concatenate([steps, -steps]))
    valid, count = None, np.full(E.shape[1:], len(steps))
    if crossed is not None and not across:
        valid = ~(crossed[: len(steps)] | crossed[len(steps) :])
        # A step counts only if all smaller ones do.
        valid = np.logical_and.accumulate(valid[::-1])[::-1]
        count = valid.sum(axis=0)
    return *richardson(E[: len(steps)], E[len(steps) :], steps, valid), count


def _one_sided(along: Along, step: float) -> tuple[Array, Array, Array]:
    """The slopes to the left and to the right, and how far rounding alone may part them."""
    E, _ = along(step * np.array([-1.0, -0.5, 0.0, 0.5, 1.0]))
    right = (4.0 * E[3] - 3.0 * E[2] - E[4]) / step
    left = (3.0 * E[2] + E[0] - 4.0 * E[1]) / step
    return left, right, 8.0 * np.finfo(float).eps * np.abs(E).max(axis=0) / step


def richardson(
    plus: Array, minus: Array, steps: Array, valid: Array | None = None
) -> tuple[Array, Array]:
    """The derivative from values at ±steps, extrapolated to step 0, and an estimate of its error.

    ``plus`` and ``minus`` are (K, …) for K steps, each half the one before. Neville's scheme in
    step², and of its tableau the entry that differs least from its two parents (Richardson, 1911;
    Ridders, Advances in Engineering Software 4, 1982). Never less than rounding allows: eps |E|/step.
    Rows that are not ``valid`` are left out; with fewer than two the estimate is infinite.
    """
    h = steps.reshape(-1, *[1] * (plus.ndim - 1))
    row = (plus - minus) / (2.0 * h)
    if valid is not None:
        row = np.where(valid, row, np.nan)
    floor = np.finfo(float).eps * np.maximum(np.abs(plus), np.abs(minus)) / h
    rows, estimates = [], []
    for order in range(1, min(len(steps), 7)):
        coarse, fine = row[:-1], row[1:]
        row = fine + (fine - coarse) / (4.0**order - 1.0)
        spread = np.maximum(np.abs(row - coarse), np.abs(row - fine))
        rows.append(row)
        estimates.append(np.maximum(spread, floor[order:]))
    tableau, estimate = np.concatenate(rows), np.concatenate(estimates)
    if valid is not None:
        estimate = np.where(np.isnan(estimate), np.inf, estimate)
    best = estimate.argmin(axis=0)[None]
    return np.take_along_axis(tableau, best, 0)[0], np.take_along_axis(estimate, best, 0)[0]
