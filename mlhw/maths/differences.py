"""Central differences of a network's loss, extrapolated to step 0, that know how good they are.

Where ReLU or leaky ReLU change sides within a step the loss has a kink, and a difference across it is
no derivative: such steps are left out, and where no step is left the slopes on the two sides are given
instead of a derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.derivatives import (
    EVALUATIONS,
    Perturbations,
    all_perturbations,
    empty_gradients,
    losses_behind,
    store,
)
from mlhw.maths.network import Gradients, Network, forward, losses

WIDE_STEPS = 0.25 * 2.0 ** -np.arange(EVALUATIONS // 2)
"""An activation is moved by ±0.25, ±0.125, … ±9.8e-4."""

SMALL_STEPS = WIDE_STEPS * 2.0**-10
"""The second attempt, where a kink lies within the first steps: 2.4e-4 … 9.5e-7."""

Along = Callable[[Array], tuple[Array, list[Array]]]
"""Losses (S, …) at S steps along some lines, and the activations (S, …, n) of layers with a kink."""


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
    found, error, at_kink = (empty_gradients(network, len(X)) for _ in range(3))
    kinks: list[Kink] = []
    for p in all_perturbations(network, activity, entries):
        start = activity.a[p.layer - 2]

        def along(
            steps: Array, p: Perturbations = p, start: Array = start
        ) -> tuple[Array, list[Array]]:
            a = start + steps[:, None, None, None] * p.change
            return losses_behind(network, weights, p.layer, a, T)

        line = slopes_along(along)
        scale = p.scale[:, None]
        store(found, p, line.derivative * scale)
        store(error, p, line.error * scale)
        store(at_kink, p, line.at_kink.astype(float))
        kinks += _kinks(p, line)
    for gradient in at_kink:
        gradient[:] = np.sign(gradient)
    return Differences(found, error, at_kink, kinks)


def difference_along(
    network: Network, weights: Sequence[Array], X: Array, T: Array, direction: Sequence[Array]
) -> tuple[float, float]:
    """dE/ds of the weights W + s·direction at s = 0, NaN at a kink, and its estimated error."""
    layers = [layer for layer in range(2, network.depth + 1) if network.kinked_at(layer)]

    def along(steps: Array) -> tuple[Array, list[Array]]:
        E, kinked = [], []
        for s in steps:
            moved = [W + s * D for W, D in zip(weights, direction, strict=True)]
            a = forward(network, moved, X).a
            E.append(losses(network, a[-1], T).mean())
            kinked.append([a[layer - 2].ravel() for layer in layers])
        return np.array(E), [np.array(part) for part in zip(*kinked, strict=True)]

    line = slopes_along(along)
    return float(line.derivative), float(line.error)


def _kinks(p: Perturbations, line: Slopes) -> list[Kink]:
    kinks = []
    for row, n in np.argwhere(line.at_kink):
        index = tuple(int(axis[row]) for axis in p.index)
        left, right = (float(side[row, n] * p.scale[row]) for side in (line.left, line.right))
        if len(index) == 1:
            kinks.append(Kink(p.layer, (int(n), *index), False, left, right))
        else:
            kinks.append(Kink(p.layer - 1, index, True, left, right))
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
    E, kinked = along(np.concatenate([steps, -steps]))
    valid, count = None, np.full(E.shape[1:], len(steps))
    if kinked and not across:
        _, centre = along(np.zeros(1))
        same = np.ones(E.shape, bool)
        for a, a0 in zip(kinked, centre, strict=True):
            same &= ((a > 0) == (a0 > 0)).all(axis=-1)
        valid = same[: len(steps)] & same[len(steps) :]
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
