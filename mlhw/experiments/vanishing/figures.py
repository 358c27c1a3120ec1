"""The figures of ``vanishing``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting
from mlhw.experiments.vanishing.sample import Profile, least_slope
from mlhw.maths import survival
from mlhw.result import plots
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_BARS = 20
"""With fewer draws a histogram says nothing."""

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
        "Median of log10 |∂E/∂w_11| over the draws where it is not zero, and the band from 5 to "
        f"95 %.{all_zero(e)}"
    )


def gradients_alt(e: Evidence) -> str:
    ends = "; ".join(
        f"{p.network.title}: from {p.quantiles[0, -1]:.4g} to {p.quantiles[0, 0]:.4g}"
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
    parts = [
        [p for p in e.profiles if p.network.shallow == shallow]
        for shallow in dict.fromkeys(p.network.shallow for p in e.profiles)
    ]
    figure = plots.new_figure(11.0 if len(parts) > 1 else 8.4, 4.6)
    panels = figure.subplots(1, len(parts), width_ratios=[2.4, 1.0][: len(parts)], squeeze=False)[0]
    for axes, shown in zip(panels, parts, strict=True):
        for p in shown:
            _profile_line(axes, p, e.setting)
        axes.set_xlabel("layer l")
        axes.set_title(f"depth {shown[0].network.depth}")
        if any((p.quantiles < -1e5).any() for p in shown):
            # The left tail of GELU and softplus can take a logarithm itself to -1e38.
            axes.set_yscale("symlog", linthresh=1e3, linscale=3.0)
    panels[0].set_ylabel("log10 |∂E/∂w_11|")
    # The smaller depth shows no network that the other does not.
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8.5)
    return figure


def _profile_line(axes: Any, p: Profile, setting: Setting) -> None:
    """Median and band of one network; a sigmoid chain's bound beside."""
    network = p.network
    colour, dash = _style(network)
    layers = np.arange(1, network.depth)
    median, low, high = p.quantiles
    label = _label(network)
    if np.isnan(median).all():
        label += f"\n(depth {network.depth}: zero in every draw)"
    few = {"marker": "o", "markersize": 3.5} if network.depth <= 20 else {}
    axes.plot(layers, median, color=colour, linestyle=dash, label=label, **few)
    axes.fill_between(layers, low, high, color=colour, alpha=0.15, linewidth=0)
    if (network.activation, network.width, network.residual) == ("sigmoid", 1, False):
        bound = median[-1] - least_slope(setting) * (layers[-1] - layers)
        axes.plot(
            layers,
            bound,
            color=plots.GREY,
            linestyle=plots.dash(3),
            linewidth=1.0,
            label="|w|/4 a layer, the most\nthat a sigmoid lets through",
        )


# ------------------------------------------------------------------------------------- the first layer


def at_layer_1(e: Evidence) -> list[Profile]:
    """The networks of the full depth with gradients at layer 1."""
    return [
        p for p in with_gradients(e) if not p.network.shallow and np.isfinite(p.quantiles[0, 0])
    ]


def histogram_alt(e: Evidence) -> str:
    middles = "; ".join(f"{p.network.title}: {p.quantiles[0, 0]:.4g}" for p in at_layer_1(e))
    return f"Histograms of log10 |gradient| at layer 1; medians {middles}."


@FIGURES.figure(
    "histogram",
    "Gradients of the first layer",
    "log10 |∂E/∂w_11| at layer 1 over the draws where it is not zero.",
    alt=histogram_alt,
    when=lambda e: bool(at_layer_1(e)) and e.setting.draws >= FEWEST_BARS and e.setting.random,
)
def histogram_figure(e: Evidence) -> Figure:
    profiles = at_layer_1(e)
    figure = plots.new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        values = p.drawn.log10[0]
        values = values[np.isfinite(values)]
        colour, dash = _style(p.network)
        axes.hist(
            values,
            bins=min(60, max(5, int(len(values) ** 0.5))),
            histtype="stepfilled",
            facecolor=(colour, 0.25),
            edgecolor=colour,
            linestyle=dash,
            linewidth=1.2,
            label=f"{_label(p.network)} ({len(values)} draws)",
        )
    axes.set_xlabel("log10 |∂E/∂w_11| at layer 1")
    axes.set_ylabel("draws")
    axes.set_title(f"depth {profiles[0].network.depth}")
    # The legend stands above the highest bar.
    axes.margins(y=0.08 + 0.09 * len(profiles))
    axes.legend(loc="upper left")
    return figure


# ------------------------------------------------------------------------------------- zeros


def zeros_alt(e: Evidence) -> str:
    last = ", ".join(f"{c.zeros[-1] / c.draws:.4g} at width {c.width}" for c in e.curves)
    return f"Share of zero gradients at depth {e.curves[0].depths[-1]}: {last}."


@FIGURES.figure(
    "zeros",
    "Share of zero gradients against depth",
    "ReLU networks, ∂E/∂w_11 at layer 1: lines are theory, 1 − (1 − 2^−m)^(H−1)/2 for H "
    "hidden layers of m units; points are drawn networks, the same at every depth, with the "
    "95 % error of their number.",
    alt=zeros_alt,
    when=lambda e: bool(e.curves),
)
def zeros_figure(e: Evidence) -> Figure:
    figure = plots.new_figure(7.2, 4.4)
    axes = figure.add_subplot()
    fine = np.unique(np.geomspace(3, e.curves[0].depths[-1], 200).round())
    for i, curve in enumerate(e.curves):
        law = [
            survival.share_zero(survival.log_nonzero(curve.width, int(depth), 1)) for depth in fine
        ]
        axes.plot(fine, law, color=plots.colour(i))
        share = curve.zeros / curve.draws
        axes.errorbar(
            curve.depths,
            share,
            yerr=1.96 * np.sqrt(share * (1 - share) / curve.draws),
            elinewidth=0.8,
            linestyle="",
            marker=plots.MARKERS[i],
            markersize=4.5,
            color=plots.colour(i),
            label=f"{curve.width} ({curve.draws} draws)",
        )
    axes.set_xscale("log")
    axes.set_xlabel("depth (layers)")
    axes.set_ylabel("share of gradients that are zero, layer 1")
    plots.legend(axes, outside=True, title="units a layer")
    return figure


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
    profiles = slopes_shown(e)
    figure = plots.new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        colour, dash = _style(p.network)
        axes.plot(
            np.arange(2, p.network.depth),
            p.drawn.slopes,
            color=colour,
            linestyle=dash,
            linewidth=1.2,
            label=_label(p.network),
        )
    axes.set_xlabel("layer")
    axes.set_ylabel("h'(a)")
    axes.set_title(f"the first draw, depth {profiles[0].network.depth}")
    plots.legend(axes, outside=True)
    return figure


# ------------------------------------------------------------------------------------- lines


def _label(network: NetworkKind) -> str:
    return f"{network.activation} {network.name}"


def _style(network: NetworkKind) -> tuple[str, Any]:
    """One colour a kind of network; networks drawn alive are dashed."""
    kinds = [("sigmoid", False), ("relu", False), ("relu", True)]
    kind = (network.activation, network.width > 1)
    index = kinds.index(kind) if kind in kinds else 3
    return plots.colour(index), plots.dash(1 if network.alive else 0)
