"""Figures that both sweeps draw, and how they label a rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.sweeps.two_classes import TwoClasses
from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_PANELS = 12
"""Of more rates, some have a panel, evenly spread."""

MOST_VECTORS = 3000


def eta_text(eta: float) -> str:
    """A rate in a sentence: ``η = 0.5``."""
    return f"η = {eta:g}"


def eta_label(eta: float) -> str:
    """A rate in a legend or a title, typeset."""
    return rf"$\eta$ = {plots.number(eta)}"


def with_panel(etas: Sequence[float]) -> list[int]:
    """The positions of the rates that have a panel each: all, or ``MOST_PANELS`` of them."""
    if len(etas) <= MOST_PANELS:
        return list(range(len(etas)))
    spread = np.linspace(0, len(etas) - 1, MOST_PANELS).round().astype(int)
    return [int(i) for i in spread]


def left_out(etas: Sequence[float]) -> str:
    """A sentence for captions about the rates without a panel, with a space before it, or nothing."""
    if len(etas) <= MOST_PANELS:
        return ""
    return f" {MOST_PANELS} of the {len(etas)} rates have a panel."


def lowest_line(axes: Any, problem: TwoClasses, *, named: bool = True) -> None:
    """A dotted line at what no NLL lies below, where it is above 0 and known."""
    lowest = problem.infimum
    if lowest is not None and lowest > 0:
        word = "optimum" if problem.optimum is not None else "infimum"
        label = f"{word}, {plots.number(lowest, 4)}" if named else "_" + word
        axes.axhline(lowest, color=plots.ink(), linestyle=":", linewidth=1.2, label=label)


def separators_figure(problem: TwoClasses, weights: Sequence[tuple[float, np.ndarray]]) -> Figure:
    """The two-dimensional data with the line p = 1/2 of each rate's weights (d+1,), and the optimum's."""
    figure = plots.new_figure(7.2, 5.0)
    axes = figure.add_subplot()
    X, t = problem.shown
    for value, label in enumerate(problem.classes):
        part = X[t == value]
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=18,
            marker=plots.MARKERS[value],
            facecolor="none" if value else plots.GREY,
            edgecolor=plots.ink() if value else plots.GREY,
            linewidth=0.8,
            # So many points would make the SVG too heavy for a browser.
            rasterized=len(part) > MOST_VECTORS,
            label=plots.plain(f"class {label} ")
            + plots.beside(str(label), f"($t$ = {value})", f"(t = {value})"),
        )
    low, high = X[:, :2].min(axis=0), X[:, :2].max(axis=0)
    margin = np.maximum(0.06 * (high - low), 1e-6 * np.abs(high) + 1e-12)
    low, high = low - margin, high + margin
    for i, (eta, w) in enumerate(weights):
        line = _line_in_box(w, low, high)
        if line is not None:
            axes.plot(*line.T, label=eta_label(eta), **plots.line_style(i, len(weights)))
    if problem.optimum is not None:
        line = _line_in_box(problem.optimum.w, low, high)
        if line is not None:
            axes.plot(*line.T, color=plots.ink(), linestyle=":", linewidth=2.2, label="optimum")
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set(xlabel=plots.typeset(problem.features[0]), ylabel=plots.typeset(problem.features[1]))
    plots.legend(axes)
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
