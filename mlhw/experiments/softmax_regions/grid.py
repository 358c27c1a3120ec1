"""The part of the plane that ``softmax-regions`` shows, and p on a grid over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mlhw.maths.rational import Vector, minus, to_float
from mlhw.maths.regions import Envelope, activations_at, region_of
from mlhw.maths.softmax import log_softmax

SIDE = 200
# So many classes get a panel of their own. Of the others p is compared on the grid, but not kept.
MAX_PANELS = 20


@dataclass(frozen=True)
class Window:
    """x1 and x2 from ``low`` (2,) to ``high`` (2,)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def bounds(self) -> list[float]:
        return [float(v) for v in (self.low[0], self.high[0], self.low[1], self.high[1])]

    @property
    def scale(self) -> float:
        """Half the figure's side; where the sides differ, of the square with the same area."""
        half = (self.high - self.low) / 2
        return math.sqrt(half[0] * half[1])

    @property
    def square(self) -> bool:
        """Whether both axes can have one scale without a side being squeezed."""
        sides = self.high - self.low
        return bool(0.5 <= sides[0] / sides[1] <= 2)


def figure_window(
    given: list[float] | None, envelope: Envelope, X: np.ndarray | None = None
) -> Window:
    """The window that is ``given``, or one that shows what there is.

    That is all points ``X`` (n, 2); without points all vertices; without vertices where the lines are
    nearest to the origin. Around vertices the window is a square, wide enough to see p rise: the gap
    between two classes, which grows by |w_i − w_j| across their boundary, is about 10 at its edge.
    """
    if given is not None:
        return Window(np.array([given[0], given[2]]), np.array([given[1], given[3]]))
    if X is not None:
        margin = 0.08 * np.ptp(X, axis=0)
        return Window(X.min(axis=0) - margin, X.max(axis=0) + margin)
    if not envelope.boundaries:
        return Window(np.full(2, -5.0), np.full(2, 5.0))
    exact = [v.point for v in envelope.vertices] or [b.start for b in envelope.boundaries]
    shown = np.array([[to_float(c) for c in point] for point in exact])
    center = (shown.min(axis=0) + shown.max(axis=0)) / 2
    spread = float(np.max(np.abs(shown - center)))
    steepness = []
    for boundary in envelope.boundaries:
        i, j = boundary.classes
        n1, n2 = minus(envelope.planes[i][:2], envelope.planes[j][:2])
        steepness.append(math.hypot(to_float(n1), to_float(n2)))
    # A millionth of the distance from 0 at least, so that the ticks of the axes can differ.
    half = max(1.5 * spread, 10 / float(np.median(steepness)), 1e-6 * float(np.abs(center).max()))
    half = _round_up(half)
    return Window(center - half, center + half)


def _round_up(value: float) -> float:
    """To one of 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return power * next((step for step in steps if step * power >= value), 10)


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
