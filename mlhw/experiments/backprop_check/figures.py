"""The figures of ``backprop-check``: the network with its numbers, steps, agreement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.backprop_check.evidence import Evidence
from mlhw.experiments.backprop_check.network_figure import draw_network
from mlhw.maths.arrays import Array
from mlhw.maths.four_ways import TOLERANCES, WAYS, Entry, drawn_entries
from mlhw.maths.network import forward, losses
from mlhw.result import plots
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 300
"""So many errors of the configured network are drawn for each way."""

_LABELS = {
    "autograd": "torch autograd",
    "complex_step": "complex step",
    "finite_difference": "finite differences",
}

FIGURES = Figures[Evidence]()


# ------------------------------------------------------------------------------------- the network


def layer_sizes(e: Evidence) -> str:
    """``3-2-2-1``."""
    return "-".join(map(str, e.configured.trial.network.layers))


def network_alt(e: Evidence) -> str:
    p = e.configured.trial
    loss = float(losses(p.network, forward(p.network, p.weights, p.X).a[-1], p.T).mean())
    worst = ", ".join(f"{_LABELS[way]} {w.error:.1e}" for way, w in e.configured.worst.items())
    return f"Network {layer_sizes(e)}; loss {loss:.6g}; largest relative error by {worst}."


@FIGURES.figure(
    "network",
    lambda e: f"The network {layer_sizes(e)} with its weights and deltas",
    "In each unit a, z and δ; on each edge the weight and below it the derivative of the loss E by it. "
    "Large networks are drawn in part, biases not at all; every number stands in gradients.csv.",
    alt=network_alt,
)
def network_figure(e: Evidence) -> Figure:
    return draw_network(e.configured)


# ------------------------------------------------------------------------------------- steps


@FIGURES.figure(
    "steps",
    lambda e: f"Error against step size, for {e.steps.name}",
    "Differences lose to the formula's error on the right and to cancellation on the left: a V. "
    "The complex step has nothing to cancel, so its error stays at rounding as the step shrinks.",
    alt=lambda e: f"Relative error against step; {', '.join(map(e.steps.best, e.steps.found))}.",
)
def steps_figure(e: Evidence) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, name in enumerate(e.steps.found):
        axes.loglog(
            e.steps.steps,
            e.steps.relative(name),
            **plots.line_style(i),
            marker=plots.MARKERS[i],
            markersize=3,
            linewidth=1.0,
            label=name,
        )
    axes.axhline(
        np.finfo(float).eps,
        color=plots.ink(),
        linestyle=plots.dash(3),
        linewidth=1,
        label="rounding unit",
    )
    axes.set(xlabel="step", ylabel=r"relative error of $\partial E/\partial w_{11}^{(1)}$")
    _decades(axes.xaxis)
    _decades(axes.yaxis)
    plots.legend(axes)
    figure.set_size_inches(8.4, 4.4)
    return figure


def _decades(axis: Any, ticks: int = 9) -> None:
    """A log axis marked every few decades; minor ticks would take a second."""
    from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(LogFormatterMathtext())


# ------------------------------------------------------------------------------------- agreement


MOST_IN_LANE = 30
"""So many errors of one layer and way are drawn; their median is over all."""

NO_ERROR = 1e-18
"""Where an error of 0 is drawn on a log axis; the others are at least a few 1e-17."""


def agreement_alt(e: Evidence) -> str:
    largest = [
        f"{_LABELS[way]} {max(entry.error for entry in e.entries if entry.way == way):.1e}"
        for way in WAYS
        if any(entry.way == way for entry in e.entries)
    ]
    return f"{len(e.entries)} relative errors by layer; the largest by {', '.join(largest)}."


@FIGURES.figure(
    "agreement",
    "Agreement by layer and method",
    "The relative error of each derivative beside back-propagation, by the layer of its weight or δ and by "
    "the way it was worked out: as points, of more than 30 some and the largest, and as a bar the median of "
    "all. Grey lines are what the claims allow. Left the configured network, right a sample of all "
    "networks, if there are others: their depths differ. The output is right, the input left.",
    alt=agreement_alt,
)
def agreement_figure(e: Evidence) -> Figure:
    layers = e.configured.trial.network.depth - 1
    own = drawn_entries(e.configured, np.random.default_rng(0), MOST_POINTS)
    several = e.networks > 1
    figure = plots.new_figure(10.4 if several else 7.0, 4.4)
    panels = figure.subplots(1, 1 + several, sharey=True, squeeze=False)[0]
    _errors_by_layer(panels[0], own, 0)
    name = layer_sizes(e) if layers < 8 else f"of {layers + 1} layers"
    panels[0].set_title(f"the network {name}")
    panels[0].set_xlabel(r"layer $l$ of $w^{(l)}$ and $\delta^{(l+1)}$")
    shown = range(0, layers, -(-layers // 12))
    panels[0].set_xticks(shown, [str(layers - back) for back in shown])
    if several:
        _errors_by_layer(panels[1], e.entries, 1)
        panels[1].set_title(f"{len(e.entries)} derivatives of {e.networks} networks")
        panels[1].set_xlabel("layers between it and the output")
        deepest = 1 + max(entry.back for entry in e.entries)
        panels[1].set_xticks(range(0, deepest, -(-deepest // 12)))
    for axes in panels:
        axes.invert_xaxis()
    panels[0].set_yscale("log")
    panels[0].set_ylim(NO_ERROR / 3, 3 * max(TOLERANCES.values()))
    marks = [10.0**power for power in range(-16, -7, 2)]
    panels[0].set_yticks([NO_ERROR, *marks], ["0", *map(plots.number, marks)])
    panels[0].minorticks_off()
    panels[0].set_ylabel("relative error")
    _tolerances(panels)
    handles = panels[-1].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _errors_by_layer(axes: Any, entries: list[Entry], seed: int) -> None:
    """The errors of each layer and way as points side by side, with their medians."""
    rng = np.random.default_rng(seed)
    lane = 0.8 / len(WAYS)
    for i, way in enumerate(WAYS):
        chosen = [entry for entry in entries if entry.way == way]
        if not chosen:  # no complex step through a kinked unit
            continue
        back = np.array([entry.back for entry in chosen])
        error = np.maximum([entry.error for entry in chosen], NO_ERROR)
        # Larger x lies left, so the first way stands left of the others.
        middle = lane * ((len(WAYS) - 1) / 2 - i)
        shown = np.concatenate([some_of(back == layer, error, rng) for layer in np.unique(back)])
        axes.plot(
            back[shown] + middle + lane * rng.uniform(-0.35, 0.35, len(shown)),
            error[shown],
            linestyle="",
            marker=plots.MARKERS[i],
            markersize=2.5,
            color=plots.colour(i),
            alpha=0.5,
            label=_LABELS[way],
        )
        for layer in np.unique(back):
            median = float(np.median(error[back == layer]))
            ends = layer + middle - lane / 2, layer + middle + lane / 2
            axes.plot(ends, (median, median), color=plots.ink(), linewidth=1.8, zorder=5)


def some_of(there: Array, error: Array, rng: np.random.Generator) -> Array:
    """Positions of up to MOST_IN_LANE errors of those ``there``, the largest among them."""
    found = np.flatnonzero(there)
    largest = found[np.argmax(error[found])]
    others = found[found != largest]
    few = rng.choice(others, min(MOST_IN_LANE - 1, len(others)), replace=False)
    return np.append(few, largest)


def _tolerances(panels: Any) -> None:
    """What the claims allow, by way."""
    named: dict[float, list[str]] = {}
    for way, tolerance in TOLERANCES.items():
        named.setdefault(tolerance, []).append(_LABELS[way])
    for k, (tolerance, ways) in enumerate(named.items()):
        for axes in panels:
            axes.axhline(
                tolerance,
                color=plots.GREY,
                linestyle=plots.dash(3 + k),
                linewidth=1.2,
                label=f"allowed: {', '.join(ways)}",
            )
