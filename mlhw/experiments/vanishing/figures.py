"""The figures of ``vanishing``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting
from mlhw.experiments.vanishing.lines import (
    named_once,
    network_label,
    network_style,
    profile_line,
    sigmoid_bound,
)
from mlhw.experiments.vanishing.sample import Profile
from mlhw.maths import survival
from mlhw.maths.random_weights import mean_log
from mlhw.result import plots
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_BARS = 20
"""With fewer draws a histogram says nothing."""

GRADIENT = r"$\log_{10}\,|\partial E/\partial w_{11}^{(l)}|$"
JACOBIAN = r"$\log_{10}\,|\partial a^{(L)}/\partial w_{11}^{(l)}|$"

FIGURES = Figures[Evidence]()


# ------------------------------------------------------------------------------------- by layer


def with_gradients(e: Evidence) -> list[Profile]:
    """The networks whose gradient is not zero in every draw."""
    return [p for p in e.profiles if np.isfinite(p.quantiles[0]).any()]


def all_zero(e: Evidence) -> str:
    """A sentence about the networks that the figure cannot show, with a space before it."""
    drawn = with_gradients(e)
    names = [p.network.title for p in e.profiles if p not in drawn]
    return f" Zero in every draw: {', '.join(names)}." if names else ""


def gradients_caption(e: Evidence) -> str:
    return (
        "Left log10 |∂E/∂w_11|, right log10 |∂a^(L)/∂w_11|, which is the gradient without its factor "
        "∂E/∂a^(L): medians over the draws where the gradient is not zero, and bars from 5 to 95 %."
        f"{half_by_target(e)}{all_zero(e)}"
    )


def half_by_target(e: Evidence) -> str:
    """That target 0 doubles the decades of ReLU networks, with a space before it."""
    ends = ", ".join(
        f"10^{p.jacobian[0, 0]:.3g} of 10^{p.quantiles[0, 0]:.3g} in {p.network.title}"
        for p in e.doubled
    )
    if not ends:
        return ""
    return (
        " With t = 0 the error a^(L) − t of a ReLU network is its product of weights once more, and "
        f"half of its decades come from that: without it, at layer 1, {ends}."
    )


def gradients_alt(e: Evidence) -> str:
    ends = "; ".join(
        f"{p.network.title}: from {p.quantiles[0, -1]:.4g} to {p.quantiles[0, 0]:.4g}, without "
        f"∂E/∂a^(L) from {p.jacobian[0, -1]:.4g} to {p.jacobian[0, 0]:.4g}"
        for p in with_gradients(e)
    )
    return f"log10 of the median gradient from the last layer to the first: {ends}.{all_zero(e)}"


@FIGURES.figure(
    "gradients",
    "Gradients against the layer",
    gradients_caption,
    alt=gradients_alt,
    when=lambda e: bool(with_gradients(e)),
)
def gradients_figure(e: Evidence) -> Figure:
    from matplotlib.ticker import MaxNLocator

    drawn = with_gradients(e)
    parts = [
        [p for p in e.profiles if p.network.shallow == shallow]
        for shallow in dict.fromkeys(p.network.shallow for p in drawn)
    ]
    figure = plots.new_figure(10.4, 2.2 + 3.2 * len(parts))
    panels = figure.subplots(
        len(parts),
        2,
        sharey="row",
        sharex="row",
        squeeze=False,
        height_ratios=[1.35, 1][: len(parts)],
    )
    for row, shown in zip(panels, parts, strict=True):
        seen = [p for p in shown if p in drawn]
        for axes, jacobian in zip(row, (False, True), strict=True):
            for place, p in enumerate(seen):
                profile_line(axes, p, jacobian, place - (len(seen) - 1) / 2)
                sigmoid_bound(axes, p, jacobian, e.setting)
            axes.set_xlabel("layer $l$")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if any((p.quantiles < -1e5).any() for p in seen):
                # The left tail of GELU and softplus can take a logarithm itself to -1e38.
                axes.set_yscale("symlog", linthresh=1e3, linscale=3.0)
        row[0].set_ylabel(GRADIENT)
        row[1].set_ylabel(JACOBIAN)
        missing = [network_label(p.network) for p in shown if p not in drawn]
        zero = f"\nzero in every draw: {', '.join(missing)}" if missing else ""
        row[0].set_title(f"depth {shown[0].network.depth}: the gradient, median and 5–95 %{zero}")
        row[1].set_title(r"without its factor $\partial E/\partial a^{(L)}$" + "\n" * bool(zero))
    if e.doubled:
        figure.suptitle(
            "$t = 0$: the error $a^{(L)} - t$ of a ReLU network is its product of weights once more,\n"
            "so half of its decades on the left come from $t = 0$",
            fontsize=11,
        )
    figure.legend(handles=named_once(panels.flat), loc="outside lower center", ncols=3)
    return figure


# ------------------------------------------------------------------------------------- the first layer


def at_layer_1(e: Evidence) -> list[Profile]:
    """The networks of the full depth with gradients at layer 1."""
    return [
        p for p in with_gradients(e) if not p.network.shallow and np.isfinite(p.quantiles[0, 0])
    ]


def histogram_alt(e: Evidence) -> str:
    middles = "; ".join(f"{p.network.title}: {p.quantiles[0, 0]:.4g}" for p in at_layer_1(e))
    return f"Densities of log10 |gradient| at layer 1; medians {middles}."


@FIGURES.figure(
    "histogram",
    "Gradients of the first layer",
    "The density of log10 |∂E/∂w_11| at layer 1 over the draws where it is not zero: each has the area "
    "1, however many these are.",
    alt=histogram_alt,
    when=lambda e: bool(at_layer_1(e)) and e.setting.draws >= FEWEST_BARS and e.setting.random,
)
def histogram_figure(e: Evidence) -> Figure:
    profiles = at_layer_1(e)
    figure = plots.new_figure(8.4, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        values = p.drawn.log10[0]
        values = values[np.isfinite(values)]
        style = network_style(p.network)
        axes.hist(
            values,
            bins=min(60, max(5, int(len(values) ** 0.5))),
            density=True,
            histtype="stepfilled",
            facecolor=(style["color"], 0.2),
            edgecolor=style["color"],
            linestyle=style["linestyle"],
            linewidth=1.2,
            label=f"{network_label(p.network)} ({len(values)} draws)",
        )
    for p in profiles:
        if law := expected_logs(p.network, e.setting):
            mean, deviation = law
            x = np.linspace(mean - 4 * deviation, mean + 4 * deviation, 200)
            axes.plot(
                x,
                np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi)),
                color=plots.ink(),
                linestyle=plots.dash(3),
                label=f"theory of {network_label(p.network)}:\nthe normal law of a sum of logarithms",
            )
    axes.set_xlabel(GRADIENT.replace("(l)", "(1)"))
    axes.set_ylabel("density")
    axes.set_title(f"depth {profiles[0].network.depth}")
    plots.legend(axes)
    return figure


def expected_logs(network: NetworkKind, setting: Setting) -> tuple[float, float] | None:
    """Mean and standard deviation of log10 |∂E/∂w^(1)| of living ReLU chains, where theory has them.

    With t = 0 it is x² w^(1) Π_{n>1} (w^(n))², so its logarithm is a sum: of log|w| the variance is π²/8
    of a normal weight and 1 of a uniform one. It is near a normal law where the terms are many.
    """
    known = network.alive and network.width == 1 and setting.weights != "constant"
    if not known or setting.t != 0 or setting.output != "identity" or network.depth < 30:
        return None
    doubled = network.depth - 2
    variance = 1.0 if setting.weights == "uniform" else math.pi**2 / 8
    mean = (2 * doubled + 1) * mean_log(setting.weights, setting.scale) + 2 * math.log(
        abs(setting.x)
    )
    ten = math.log(10.0)
    return mean / ten, math.sqrt((4 * doubled + 1) * variance) / ten


# ------------------------------------------------------------------------------------- zeros


def zeros_alt(e: Evidence) -> str:
    last = ", ".join(f"{c.zeros[-1] / c.draws:.4g} at width {c.width}" for c in e.curves)
    return f"Share of zero gradients at depth {e.curves[0].depths[-1]}: {last}."


@FIGURES.figure(
    "zeros",
    "Share of zero gradients against depth",
    "ReLU networks, ∂E/∂w_11 at layer 1: lines are theory, 1 − (1 − 2^−m)^(H−1)/2 for H "
    "hidden layers of m units; points are drawn networks with the 95 % error of their number. Each width "
    "has draws of its own; along the depths of one width they are the same networks, cut off there, so "
    "its points stray from theory together.",
    alt=zeros_alt,
    when=lambda e: bool(e.curves),
)
def zeros_figure(e: Evidence) -> Figure:
    from matplotlib.lines import Line2D

    figure = plots.new_figure(8.4, 4.6)
    axes = figure.add_subplot()
    deepest = int(e.curves[0].depths[-1])
    fine = np.unique(np.geomspace(3, deepest, 200).round())
    handles = [
        Line2D([], [], color=plots.ink(), linewidth=1.5, label="lines: theory"),
        Line2D([], [], color=plots.ink(), marker="o", linestyle="", label="points: drawn, ± 95 %"),
    ]
    for i, curve in enumerate(e.curves):
        law = [
            survival.share_zero(survival.log_nonzero(curve.width, int(depth), 1)) for depth in fine
        ]
        if len(fine) > 1:
            axes.plot(fine, law, **plots.line_style(i))
        else:
            axes.axhline(law[0], **plots.line_style(i))
        share = curve.zeros / curve.draws
        # At one depth alone the widths stand side by side.
        apart = 1.04 ** (i - (len(e.curves) - 1) / 2) if len(curve.depths) == 1 else 1.0
        axes.errorbar(
            curve.depths * apart,
            share,
            yerr=1.96 * np.sqrt(share * (1 - share) / curve.draws),
            elinewidth=0.8,
            linestyle="",
            marker=plots.MARKERS[i],
            markersize=4.5,
            color=plots.colour(i),
        )
        handles.append(
            Line2D(
                [],
                [],
                **plots.line_style(i),
                marker=plots.MARKERS[i],
                markersize=4.5,
                label=f"$m$ = {curve.width} ({curve.draws} draws)",
            )
        )
    _depth_axis(axes, deepest)
    axes.set_ylabel("share of gradients that are zero, layer 1")
    axes.set_title(
        "points of one width: the same networks, cut at each depth, so they stray together",
        fontsize=9,
        color=plots.GREY,
    )
    plots.legend(axes, handles=handles, title="$m$ units a layer")
    return figure


def _depth_axis(axes: Axes, deepest: int) -> None:
    """A log axis of depths, marked 3, 10, 30 … and at its end."""
    from matplotlib.ticker import NullLocator

    marks = [mark for mark in (3, 10, 30, 100, 300, 1000, 3000) if 1.3 * mark < deepest]
    axes.set_xscale("log")
    axes.set_xticks([*marks, deepest], [*map(str, marks), str(deepest)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("depth $L$ (layers)")


# ------------------------------------------------------------------------------------- slopes


def slopes_shown(e: Evidence) -> list[Profile]:
    """The chains of the full depth; where there are none, every network."""
    return [p for p in e.profiles if not p.network.shallow and p.network.width == 1] or e.profiles


def slopes_alt(e: Evidence) -> str:
    return "; ".join(
        f"{p.network.title}: h' between {p.drawn.slopes.min():.4g} and {p.drawn.slopes.max():.4g}"
        for p in slopes_shown(e)
    )


@FIGURES.figure(
    "slopes",
    "h'(a) along one network",
    "h'(a) of the first unit of each hidden layer, along the first draw: the gradient is "
    "multiplied by it at every layer.",
    alt=slopes_alt,
)
def slopes_figure(e: Evidence) -> Figure:
    from matplotlib.ticker import MaxNLocator

    profiles = slopes_shown(e)
    figure = plots.new_figure(8.4, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        # A step a layer: between two layers there is no h'.
        edges = np.arange(1.5, p.network.depth)
        style = {**network_style(p.network), "label": network_label(p.network), "linewidth": 1.6}
        axes.stairs(p.drawn.slopes, edges, baseline=None, **style)
    if any(p.network.activation == "sigmoid" for p in profiles):
        axes.axhline(
            0.25,
            color=plots.GREY,
            linestyle=plots.dash(3),
            linewidth=1.0,
            label="1/4, a sigmoid's most",
        )
    axes.set_xlabel("layer $n$")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("$h'(a_1^{(n)})$")
    axes.set_title(f"the first draw, depth {profiles[0].network.depth}")
    plots.legend(axes)
    return figure
