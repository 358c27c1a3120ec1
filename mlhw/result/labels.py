"""Ticks of logarithmic axes, and names written beside points of a figure."""

from __future__ import annotations

from math import inf, log10
from typing import TYPE_CHECKING, Any

from mlhw.result import plots

if TYPE_CHECKING:
    import numpy as np


def log_axis(axes: Any, which: str = "y") -> None:
    """Make an axis logarithmic, with a handful of ticks that are read as numbers: 0.2, 0.5, 1, 2.

    To be called when everything is drawn and the limits are set. Over more than six decades the ticks
    are powers of ten. An axis without a positive value stays as it is.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = sorted(axes.get_ylim() if which == "y" else axes.get_xlim())
    if not 0 < low < high < inf:
        return
    decades = log10(high) - log10(low)
    if decades < 0.7:
        locator: Any = MaxNLocator(6, steps=[1, 2, 5, 10])
    elif decades < 3.2:
        inner = (1, 2, 3, 5, 7) if decades < 1.3 else (1, 2, 5) if decades < 2.2 else (1, 3)
        locator = LogLocator(subs=inner)
    else:
        locator = LogLocator(numticks=9)
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    if low >= 1e-4 and high < 1e6:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


_DIAGONAL = 0.5**0.5
PLACES = (
    (-_DIAGONAL, _DIAGONAL),
    (_DIAGONAL, -_DIAGONAL),
    (_DIAGONAL, _DIAGONAL),
    (-_DIAGONAL, -_DIAGONAL),
    (0.0, 1.0),
    (0.0, -1.0),
    (1.0, 0.0),
    (-1.0, 0.0),
)
"""Directions in which a name can stand beside its point, the first that is free being taken."""


class PointNames:
    """Names beside points of some axes, each where it covers least of what is drawn and no other name.

    ``data`` (N, 2) are the points to be left visible, in data coordinates. The limits of the axes have
    to be set, and linear. A letter is reckoned as ``letter`` (width, height) of the axes.
    """

    def __init__(
        self,
        axes: Any,
        data: np.ndarray,
        letter: tuple[float, float] = (0.021, 0.055),
    ) -> None:
        self.axes = axes
        self.letter = letter
        self._taken: list[tuple[float, float, float, float]] = []
        self._data = self._fractions(data)

    def _fractions(self, points: Any) -> np.ndarray:
        import numpy as np

        (left, right), (low, high) = self.axes.get_xlim(), self.axes.get_ylim()
        scaled: np.ndarray = (np.asarray(points, float).reshape(-1, 2) - [left, low]) / [
            right - left,
            high - low,
        ]
        return scaled

    def name(self, point: Any, words: str, letters: int | None = None) -> Any:
        """Write ``words`` beside ``point``; ``letters`` is how long they are where they are typeset."""
        ((x, y),) = self._fractions(point)
        width = self.letter[0] * (letters or len(words)) + 0.01
        height = self.letter[1]
        best, chosen = inf, (0.0, 0.0)
        for along, up in PLACES:
            centre = x + along * (0.03 + width / 2), y + up * (0.04 + height / 2)
            box = (
                centre[0] - width / 2,
                centre[1] - height / 2,
                centre[0] + width / 2,
                centre[1] + height / 2,
            )
            cost = self._covered(box)
            if cost < best:
                best, chosen, taken = cost, centre, box
        self._taken.append(taken)
        return self.axes.annotate(
            words,
            xy=point,
            xytext=chosen,
            textcoords="axes fraction",
            ha="center",
            va="center",
            fontsize=9,
            bbox={"facecolor": plots.paper(), "alpha": 0.75, "edgecolor": "none", "pad": 1},
            zorder=6,
        )

    def _covered(self, box: tuple[float, float, float, float]) -> float:
        """How much of the data a box covers; very much if it leaves the axes or meets a name."""
        left, low, right, high = box
        outside = max(0.0, -left, -low, right - 1, high - 1)
        meets = any(
            left < other[2] and other[0] < right and low < other[3] and other[1] < high
            for other in self._taken
        )
        inside = ((self._data >= [left, low]) & (self._data <= [right, high])).all(axis=1)
        return 1e6 * (outside > 0) * (1 + outside) + 1e4 * meets + float(inside.sum())
