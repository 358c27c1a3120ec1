"""The figures of backprop-check: the network with its numbers, steps, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlhw.maths.four_ways import WAYS, Comparison, Point
from mlhw.maths.network import forward, losses
from mlhw.maths.step_errors import StepErrors
from mlhw.result import plots
from mlhw.result.plots import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6
"""A layer is drawn with at most so many units."""

_LABELS = {
    "autograd": "torch autograd",
    "complex_step": "complex step",
    "finite_difference": "finite differences",
}


# ------------------------------------------------------------------------------------- figures


def figures(c: Comparison, points: Sequence[Point]) -> list[Plot]:
    """The three figures."""
    steps = StepErrors(c)
    layers = "-".join(map(str, c.problem.network.layers))
    worst = ", ".join(f"{_LABELS[way]} {w.error:.1e}" for way, w in c.worst.items())
    return [
        Plot(
            "network",
            f"The network {layers} with its weights and deltas",
            "On each edge the weight (bold) and the derivative of the loss by it; in each unit z, and "
            "below it δ. Large networks are drawn in part, biases not at all.",
            f"Network {layers}; loss {_loss(c):.6g}; largest relative error by {worst}.",
            lambda: _network_figure(c),
        ),
        Plot(
            "steps",
            f"Error against step size, for {steps.name}",
            "Differences lose to the formula's error on the right and to cancellation on the left: a V. "
            "The complex step has nothing to cancel, so its error stays at rounding as the step shrinks.",
            "Relative error against step; " + ", ".join(map(steps.best, steps.found)) + ".",
            lambda: _steps_figure(steps),
        ),
        Plot(
            "agreement",
            "Agreement of all entries",
            "Left: derivatives by back-propagation against each other way, a sample of all networks; "
            "equal values lie on the line. Right: their relative errors, rounding alone.",
            f"{len(points)} derivatives; largest relative error shown "
            f"{max((p[3] for p in points), default=0.0):.1e}.",
            lambda: _agreement_figure(points),
        ),
    ]


def _loss(c: Comparison) -> float:
    p = c.problem
    return float(losses(p.network, forward(p.network, p.weights, p.X).a[-1], p.T).mean())


def _network_figure(c: Comparison) -> Figure:
    p = c.problem
    sizes = p.network.layers
    z = forward(p.network, p.weights, p.X).z
    first = max(0, len(sizes) - 6)
    columns = range(first, len(sizes))
    tallest = min(SHOWN, max(sizes[column] for column in columns))
    gap = 2.6
    figure = plots.new_figure(max(6.5, 2.3 * len(columns)), 1.3 + 1.05 * tallest)
    axes = figure.add_subplot()
    axes.set_axis_off()

    def place(column: int, unit: int) -> tuple[float, float]:
        return gap * (column - first), -(unit - (min(sizes[column], SHOWN) - 1) / 2)

    labelled_any = False
    for column in columns[:-1]:
        here, there = (min(sizes[k], SHOWN) for k in (column, column + 1))
        labelled = here * there <= 12
        labelled_any |= labelled
        W, G = p.weights[column], c.analytic.weights[column]
        for j in range(there):
            for i in range(here):
                _edge(axes, place(column, i), place(column + 1, j), W[j, i], G[j, i], i, labelled)
    for column in columns:
        for unit in range(min(sizes[column], SHOWN)):
            x, y = place(column, unit)
            axes.scatter(x, y, s=950, color="white", edgecolor="black", zorder=3)
            axes.text(
                x, y, f"{z[column][0, unit]:.3g}", ha="center", va="center", fontsize=8, zorder=4
            )
            if column:
                delta = c.analytic.deltas[column - 1][0, unit] + 0.0  # no -0
                axes.text(
                    x,
                    y - 0.34,
                    f"δ = {delta:.3g}",
                    ha="center",
                    va="top",
                    fontsize=8,
                    color=plots.RED,
                    zorder=4,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
                )
        hidden = sizes[column] - SHOWN
        low = place(column, min(sizes[column], SHOWN) - 1)[1]
        if hidden > 0:
            axes.text(
                gap * (column - first), low - 0.72, f"and {hidden} more", ha="center", fontsize=8
            )
    top = (tallest - 1) / 2
    for column in columns:
        kind = "input" if column == 0 else p.network.activation(column + 1)
        axes.text(gap * (column - first), top + 0.45, f"layer {column + 1}\n{kind}", ha="center")
    axes.set(xlim=(-0.7, gap * (len(columns) - 1) + 0.7), ylim=(-top - 0.8, top + 0.85))
    notes = [f"z and δ of input 1 of {len(p.X)}"] if len(p.X) > 1 else []
    notes += ["bold: weight, below it ∂E/∂w"] if labelled_any else []
    notes += ["solid blue: weight above 0, dashed orange: below"]
    axes.set_title("; ".join(notes), fontsize=9, color=plots.GREY)
    return figure


def _edge(
    axes: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    weight: float,
    gradient: float,
    i: int,
    labelled: bool,
) -> None:
    colour = plots.COLOURS[0] if weight > 0 else plots.COLOURS[1]
    axes.plot(
        [start[0], end[0]],
        [start[1], end[1]],
        color=colour,
        linestyle="-" if weight > 0 else (0, (4, 2)),
        linewidth=0.6 + min(2.5, 1.2 * abs(weight)),
        alpha=0.6,
        zorder=1,
    )
    if labelled:
        # At different places of different edges, so that crossing ones keep their labels apart.
        share = 0.30 + 0.17 * (i % 3)
        x, y = (s + share * (e - s) for s, e in zip(start, end, strict=True))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        axes.text(
            x,
            y,
            f"{weight:.3g}",
            ha="center",
            va="bottom",
            fontsize=7.5,
            weight="bold",
            bbox=box,
            zorder=2,
        )
        axes.text(x, y, f"{gradient:.2g}", ha="center", va="top", fontsize=7.5, bbox=box, zorder=2)


def _steps_figure(steps: StepErrors) -> Figure:
    import numpy as np

    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, name in enumerate(steps.found):
        axes.loglog(
            steps.steps,
            steps.relative(name),
            color=plots.colour(i),
            marker=plots.MARKERS[i],
            markersize=3,
            linewidth=1.0,
            label=name,
        )
    axes.axhline(
        np.finfo(float).eps, color="black", linestyle=":", linewidth=1, label="rounding unit"
    )
    axes.set(xlabel="step", ylabel=r"relative error of $\partial E/\partial w_{11}^{(1)}$")
    _plain_decades(axes.xaxis)
    _plain_decades(axes.yaxis)
    plots.legend(axes, outside=True)
    return figure


def _plain_decades(axis: Any, ticks: int = 9) -> None:
    """A log axis marked ``1e-06`` every few decades: minor ticks and raised exponents cost a second."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FormatStrFormatter("%.0e"))


def _agreement_figure(points: Sequence[Point]) -> Figure:
    import numpy as np

    figure = plots.new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    bins = np.arange(-18.0, -5.9, 0.5)
    for i, way in enumerate(WAYS):
        chosen = np.array([point[1:] for point in points if point[0] == way]).reshape(-1, 3)
        size = np.abs(chosen)
        seen = (size[:, 0] > 0) & (size[:, 1] > 0)
        left.loglog(
            size[seen, 1],
            size[seen, 0],
            plots.MARKERS[i],
            color=plots.colour(i),
            markersize=5 - 1.5 * i,
            fillstyle="none" if i < 2 else "full",
            linestyle="none",
            rasterized=True,
            label=_LABELS[way],
        )
        error = np.clip(np.log10(np.maximum(chosen[:, 2], 1e-18)), -18, -6)
        right.hist(
            error,
            bins=bins,
            histtype="step",
            color=plots.colour(i),
            linestyle=plots.dash(i),
            linewidth=1.5,
            label=_LABELS[way],
        )
    ends = [v for p in points for v in (abs(p[1]), abs(p[2])) if v > 0] or [1.0]
    left.plot([min(ends), max(ends)], [min(ends), max(ends)], color="black", linewidth=0.7)
    left.set(xlabel="|derivative| by the other way", ylabel="|derivative| by back-propagation")
    right.set(xlabel="log10 of the relative error (−18: none)", ylabel="derivatives")
    _plain_decades(left.xaxis, 5)
    _plain_decades(left.yaxis)
    plots.legend(left, loc="upper left")
    plots.legend(right, loc="upper right")
    return figure
