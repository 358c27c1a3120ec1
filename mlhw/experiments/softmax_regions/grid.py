"""p on a grid over the part of the plane that ``softmax-regions`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mlhw.experiments.softmax_regions.window import Window
from mlhw.maths.rational import Vector, minus, to_float
from mlhw.maths.regions import Envelope, activations_at, region_of
from mlhw.maths.softmax import log_softmax

SIDE = 200
# So many classes get a panel of their own. Of the others p is compared on the grid, but not kept.
MAX_PANELS = 20


@dataclass(frozen=True)
class Grid:
    """p on SIDE × SIDE points over the window, row by row from its lower left corner.

    ``chosen`` (SIDE, SIDE) is the arg max of p (of equal classes the first), ``region`` the class in
    whose region the point lies by the exact boundaries, ``log_lead`` log p_chosen − log p_region,
    ``p`` (SIDE, SIDE, min(K, MAX_PANELS)), ``top`` the largest p, ``size`` the largest |a| over the
    grid, counted from the window's middle.
    """

    window: Window
    chosen: np.ndarray
    region: np.ndarray
    log_lead: np.ndarray
    p: np.ndarray
    top: np.ndarray
    size: float

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The SIDE values of x1, and of x2."""
        x1, x2 = np.linspace(self.window.low, self.window.high, SIDE).T
        return x1, x2


def grid_over(envelope: Envelope, window: Window) -> Grid:
    """p and its arg max on the grid.

    In the window's middle the gap of each activation to the largest one there is exact; the grid adds
    what changes from there. So a small window far from (0, 0), or a large common bias, costs no digits.
    """
    middle = (window.low + window.high) / 2
    origin: Vector = (Fraction(float(middle[0])), Fraction(float(middle[1])))
    a = activations_at(envelope.planes, origin)
    reference = envelope.planes[max(range(len(a)), key=a.__getitem__)]
    a0 = np.array([to_float(value - max(a)) for value in a])
    W = np.array([[to_float(c) for c in minus(w[:2], reference[:2])] for w in envelope.planes])
    x1, x2 = (window.high - window.low)[:, None] * np.linspace(-0.5, 0.5, SIDE)
    shown = min(len(a), MAX_PANELS)
    chosen, region = np.empty((SIDE, SIDE), int), np.empty((SIDE, SIDE), int)
    lead, top, p = np.empty((SIDE, SIDE)), np.empty((SIDE, SIDE)), np.empty((SIDE, SIDE, shown))
    size = 0.0
    rows = max(1, 200_000 // (SIDE * len(a)))
    for first in range(0, SIDE, rows):
        part = slice(first, first + rows)
        offsets = np.stack(np.meshgrid(x1, x2[part]), axis=-1)
        activations = a0 + offsets @ W.T
        size = max(size, float(np.abs(activations).max()))
        log_p = log_softmax(activations)
        chosen[part] = np.argmax(log_p, axis=-1)
        found = region_of(envelope, origin, offsets.reshape(-1, 2)).reshape(offsets.shape[:2])
        region[part] = found
        top[part] = np.exp(log_p.max(axis=-1))
        lead[part] = log_p.max(axis=-1) - np.take_along_axis(log_p, found[..., None], -1)[..., 0]
        p[part] = np.exp(log_p[..., :shown])
    return Grid(window, chosen, region, lead, p, top, size)
