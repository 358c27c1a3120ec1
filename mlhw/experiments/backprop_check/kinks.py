"""Whether a derivative called at a kink is at one, by going a little to either side."""

from __future__ import annotations

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.differences import Kink
from mlhw.maths.four_ways import FourWays
from mlhw.maths.network import value, with_bias

REACH = 2.0 ** -np.arange(18, 21)
"""Of an activation: differences need three steps that cross nothing, and the smallest are these."""


def false_kinks(c: FourWays) -> int:
    """How many of the derivatives called at a kink have no ReLU that changes sides there."""
    return sum(not _changes_sides(c, kink) for kink in c.kinks)


def _changes_sides(c: FourWays, kink: Kink) -> bool:
    there = _positive(c, kink, 0.0)
    return any((_positive(c, kink, step) != there).any() for step in (*REACH, *-REACH))


def _positive(c: FourWays, kink: Kink, step: float) -> Array:
    """Which activations with a kink are above 0 after a step of the weight or of the activation."""
    p = c.trial
    z, found = p.X, [np.zeros(0, bool)]
    for layer, W in enumerate(p.weights, start=2):
        before = with_bias(p.network, z)
        a = before @ W.T
        if kink.of_weight and layer == kink.layer + 1:
            j, i = kink.index
            # Of every input by as much: the weight's own step is chosen for each.
            a[:, j] += step * np.sign(before[:, i])
        elif not kink.of_weight and layer == kink.layer:
            a[kink.index] += step
        if p.network.activation(layer) in ("relu", "leaky_relu"):
            found.append((a > 0).ravel())
        z = value(p.network, layer, a)
    return np.concatenate(found)
