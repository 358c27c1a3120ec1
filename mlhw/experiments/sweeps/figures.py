"""Figures that both sweeps draw, and how they label a rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def eta_label(eta: float) -> str:
    return f"η = {eta:g}"


def separators_figure(problem: TwoClassProblem, weights: Mapping[str, np.ndarray]) -> Figure:
    """The two-dimensional data with the line p = 1/2 of each of the named weights (d+1,)."""
    figure = plots.new_figure(7.2, 5.0)
    axes = figure.add_subplot()
    for value, label in enumerate(problem.classes):
        part = problem.X[problem.t == value]
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=18,
            marker=plots.MARKERS[value],
            facecolor="none" if value else plots.GREY,
            edgecolor="black" if value else plots.GREY,
            linewidth=0.8,
            label=plots.plain(f"class {label} (t = {value})"),
        )
    low, high = problem.X[:, :2].min(axis=0), problem.X[:, :2].max(axis=0)
    margin = 0.06 * (high - low) + 1e-12
    low, high = low - margin, high + margin
    for i, (name, w) in enumerate(weights.items()):
        line = _line_in_box(w, low, high)
        if line is not None:
            axes.plot(*line.T, color=plots.colour(i), linestyle=plots.dash(i), label=name)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set(xlabel=plots.plain(problem.features[0]), ylabel=plots.plain(problem.features[1]))
    plots.legend(axes, outside=True)
    return figure


def _line_in_box(w: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """Two points (2, 2) of w1 x1 + w2 x2 + bias = 0 that span the box, or None."""
    steep = abs(w[0]) > abs(w[1])
    if not np.isfinite(w).all() or max(abs(w[0]), abs(w[1])) == 0:
        return None
    # Solve for the coordinate with the larger weight: no division by a small number.
    along, across = (1, 0) if steep else (0, 1)
    line = np.empty((2, 2))
    line[:, along] = low[along], high[along]
    line[:, across] = -(w[2] + w[along] * line[:, along]) / w[across]
    return line
