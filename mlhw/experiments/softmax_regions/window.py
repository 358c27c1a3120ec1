"""The part of the plane that ``softmax-regions`` shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlhw.maths.rational import minus, to_float
from mlhw.maths.regions import Envelope

SEEN = 2.5e-3
"""The share of a window that makes a region visible: 10 · 10 of 200 · 200 points."""

MOST_TIMES = 4.0
"""A window around points becomes at most so many times as wide for the sake of regions."""


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
    Where a bounded region would not be seen in it, such as near to others while a vertex is far away,
    it is another: the widest in which every one is, or else the one that shows the smallest best.
    """
    if given is not None:
        return Window(np.array([given[0], given[2]]), np.array([given[1], given[3]]))
    polygons = list(_bounded(envelope).values())
    if X is not None:
        margin = 0.08 * np.ptp(X, axis=0)
        first = Window(X.min(axis=0) - margin, X.max(axis=0) + margin)
        others = _wider(first, polygons)
    elif not envelope.boundaries:
        return Window(np.full(2, -5.0), np.full(2, 5.0))
    else:
        first = _around_vertices(envelope)
        others = _closer(polygons)
    if _least_share(first, polygons) >= SEEN:
        return first
    return max((first, *others), key=lambda window: _worth(window, polygons))


def unseen(envelope: Envelope, window: Window) -> list[int]:
    """The classes whose regions are bounded and so small in the window that they are not seen."""
    return [k for k, polygon in _bounded(envelope).items() if _share(window, polygon) < SEEN]


def around(envelope: Envelope, k: int) -> Window:
    """A window around the bounded region of class k."""
    return next(_closer([_bounded(envelope)[k]]))


def clipped(
    start: np.ndarray, u: np.ndarray, low: float, high: float, window: Window
) -> np.ndarray | None:
    """The part of start + t u, low ≤ t ≤ high, inside the window, (2, 2), or None (Liang–Barsky)."""
    for axis in (0, 1):
        near, far = window.low[axis] - start[axis], window.high[axis] - start[axis]
        if u[axis] == 0:
            if near > 0 or far < 0:
                return None
            continue
        entry, leave = sorted((near / u[axis], far / u[axis]))
        low, high = max(low, entry), min(high, leave)
    return start + np.outer([low, high], u) if low < high else None


def _around_vertices(envelope: Envelope) -> Window:
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


def _bounded(envelope: Envelope) -> dict[int, np.ndarray]:
    """The corners (n, 2) of every bounded region with area, in their order around it."""
    found = {}
    for region in envelope.with_area:
        if region.bounded:
            corners = np.array(
                [[to_float(c) for c in envelope.vertices[n].point] for n in region.vertices]
            )
            x1, x2 = (corners - corners.mean(axis=0)).T
            found[region.index] = corners[np.argsort(np.arctan2(x2, x1))]
    return found


def _closer(polygons: list[np.ndarray]) -> Iterator[Window]:
    """Windows around all of the polygons and around the smaller ones, from tight to wide."""
    by_size = sorted(polygons, key=lambda polygon: float(np.ptp(polygon, axis=0).max()))
    count = len(by_size)
    while count:
        corners = np.concatenate(by_size[:count])
        sides = np.maximum(np.ptp(corners, axis=0), 1e-6 * np.abs(corners).max())
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        for times in (0.58, 0.8, 1.2, 1.8, 2.7, 4.0):
            yield Window(middle - times * sides, middle + times * sides)
            half = times * sides.max()
            yield Window(middle - half, middle + half)
        count //= 2


def _wider(first: Window, polygons: list[np.ndarray]) -> Iterator[Window]:
    """The window with ever more of the polygons, the nearest first, as long as it grows little."""
    low, high = first.low, first.high
    distance = [float(np.abs(p - (low + high) / 2).max(axis=0).max()) for p in polygons]
    for n in np.argsort(distance):
        margin = 0.04 * np.ptp(polygons[n], axis=0)
        low = np.minimum(low, polygons[n].min(axis=0) - margin)
        high = np.maximum(high, polygons[n].max(axis=0) + margin)
        if np.any(high - low > MOST_TIMES * (first.high - first.low)):
            return
        yield Window(low, high)


def _worth(window: Window, polygons: list[np.ndarray]) -> tuple[int, float, float]:
    """By which windows are compared: how many polygons are seen, the least seen one, the width."""
    shares = [_share(window, polygon) for polygon in polygons]
    least = min(SEEN, min(shares))
    return sum(share >= SEEN for share in shares), least, float(np.prod(window.high - window.low))


def _least_share(window: Window, polygons: list[np.ndarray]) -> float:
    return min((_share(window, polygon) for polygon in polygons), default=1.0)


def _share(window: Window, polygon: np.ndarray) -> float:
    """The share of the window that a convex polygon covers (Sutherland and Hodgman's clipping)."""
    part = (polygon - window.low) / (window.high - window.low)
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            if not len(part):
                return 0.0
            inside = part[:, axis] if sign > 0 else 1.0 - part[:, axis]
            after, beyond = np.roll(part, -1, axis=0), np.roll(inside, -1)
            kept = []
            for n in range(len(part)):
                if inside[n] >= 0:
                    kept.append(part[n])
                if (inside[n] < 0) != (beyond[n] < 0):
                    kept.append(
                        part[n] + (after[n] - part[n]) * inside[n] / (inside[n] - beyond[n])
                    )
            part = np.array(kept).reshape(-1, 2)
    x1, x2 = part.T
    return abs(float(x1 @ np.roll(x2, -1) - x2 @ np.roll(x1, -1))) / 2


def _round_up(value: float) -> float:
    """To one of 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return power * next((step for step in steps if step * power >= value), 10)
