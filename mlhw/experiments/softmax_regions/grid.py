"""Which class leads on a grid over the part of the plane that ``softmax-regions`` shows, and p there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from mlhw.experiments.softmax_regions.window import Window
from mlhw.maths.blocks import by_blocks
from mlhw.maths.locating import AT_ONCE, Locator
from mlhw.maths.rational import Vector, minus, to_float
from mlhw.maths.regions import Envelope, activations_at
from mlhw.maths.softmax import log_softmax

SIDE = 200
# So many classes get a panel of their own.
MAX_PANELS = 20


@dataclass(frozen=True)
class Activations:
    """The K activations on a grid: a_k in row i and column j is ``across[k, j] + up[k, i]``.

    ``across`` is (K, columns), ``up`` (K, rows). ``blur`` (K,) bounds what rounding adds to or takes from
    each anywhere on the grid, twice: by as much two places may differ in it.
    """

    across: np.ndarray
    up: np.ndarray
    blur: np.ndarray

    @property
    def size(self) -> float:
        """The largest |a| over the grid: each is monotone along rows and columns, so it is in a corner."""
        ends = [0, -1]
        return float(np.abs(self.across[:, None, ends] + self.up[:, ends, None]).max())

    def at(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """(K, N), the activations at points by row and column, (N,) each."""
        return np.asarray(self.across[:, j] + self.up[:, i])

    def leading(self, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest at each point, the first of equals, and whether it surely is.

        Between points where one surely leads it leads too: a lead is linear in the place, so that it is
        least at a corner, and what is asked for there is more than rounding can take away elsewhere.
        """
        chosen, sure = np.empty(len(i), int), np.empty(len(i), bool)
        size = max(1, AT_ONCE // len(self.blur))
        for first in range(0, len(i), size):
            part = slice(first, first + size)
            a = self.at(i[part], j[part])
            best = np.argmax(a, axis=0)
            mine = (best, np.arange(len(best)))
            lowest = a[mine] - self.blur[best]
            a += self.blur[:, None]
            a[mine] = -np.inf
            chosen[part], sure[part] = best, lowest > a.max(axis=0)
        return chosen, sure


@dataclass(frozen=True)
class Grid:
    """The leading classes on SIDE × SIDE points over the window, row by row from its lower left corner.

    ``chosen`` (SIDE, SIDE) is the arg max of the activations, and so of p (of equal classes the first),
    ``region`` the class in whose region the point lies by the exact boundaries, ``log_lead``
    log p_chosen − log p_region, the difference of their activations, ``activations`` those of all K classes
    less the largest one's in the window's middle.
    """

    window: Window
    chosen: np.ndarray
    region: np.ndarray
    log_lead: np.ndarray
    activations: Activations

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The SIDE values of x1, and of x2."""
        x1, x2 = np.linspace(self.window.low, self.window.high, len(self.chosen)).T
        return x1, x2

    @property
    def size(self) -> float:
        """The largest |a| over the grid, counted from the window's middle."""
        return self.activations.size

    @property
    def p(self) -> np.ndarray:
        """(SIDE, SIDE, min(K, MAX_PANELS)), the probabilities of the first classes."""
        return self._heights[0]

    @property
    def top(self) -> np.ndarray:
        """(SIDE, SIDE), the largest p."""
        return self._heights[1]

    @cached_property
    def _heights(self) -> tuple[np.ndarray, np.ndarray]:
        across, up = self.activations.across.T, self.activations.up.T
        side, classes = across.shape
        shown = min(classes, MAX_PANELS)
        p, top = np.empty((side, side, shown)), np.empty((side, side))
        rows = max(1, AT_ONCE // (side * classes))
        for first in range(0, side, rows):
            part = slice(first, first + rows)
            log_p = log_softmax(across + up[part, None])
            p[part] = np.exp(log_p[..., :shown])
            top[part] = np.exp(log_p.max(axis=-1))
        return p, top


def grid_over(envelope: Envelope, window: Window) -> Grid:
    """The arg max of p on the grid, and the regions by the boundaries, each where it may change.

    In the window's middle the gap of each activation to the largest one there is exact; the grid adds
    what changes from there. So a small window far from (0, 0), or a large common bias, costs no digits.
    """
    middle = (window.low + window.high) / 2
    origin: Vector = (Fraction(float(middle[0])), Fraction(float(middle[1])))
    x1, x2 = (window.high - window.low)[:, None] * np.linspace(-0.5, 0.5, SIDE)
    every = activations_over(envelope, origin, x1, x2)
    # Equal classes lead together: the first stands for all.
    first = np.array([group[0] for group in envelope.groups])
    distinct = Activations(every.across[first], every.up[first], every.blur[first])
    chosen = first[by_blocks(SIDE, SIDE, distinct.leading)]
    locator = Locator(envelope, origin, [float(np.abs(x).max()) for x in (x1, x2)])
    region = by_blocks(SIDE, SIDE, lambda i, j: locator.locate(x1[j], x2[i]))
    lead = np.zeros((SIDE, SIDE))
    i, j = np.nonzero(chosen != region)
    a, each = every.at(i, j), np.arange(len(i))
    lead[i, j] = a[chosen[i, j], each] - a[region[i, j], each]
    return Grid(window, chosen, region, lead, every)


def activations_over(
    envelope: Envelope, origin: Vector, x1: np.ndarray, x2: np.ndarray
) -> Activations:
    """The activations at the offsets (x1_j, x2_i) from ``origin``, less the largest one's there."""
    a = activations_at(envelope.planes, origin)
    reference = envelope.planes[max(range(len(a)), key=a.__getitem__)]
    a0 = np.array([to_float(value - max(a)) for value in a])
    W = np.array([[to_float(c) for c in minus(w[:2], reference[:2])] for w in envelope.planes])
    across, up = a0[:, None] + W[:, :1] * x1, W[:, 1:] * x2
    # Four roundings, each of half an epsilon of this at most; of both places, and once more for the sums
    # above. The least normal number is for products that underflow.
    size = np.abs(a0) + np.abs(W) @ [np.abs(x1).max(), np.abs(x2).max()]
    blur = np.maximum(8 * np.finfo(float).eps * size, np.finfo(float).tiny)
    return Activations(across, up, blur)
