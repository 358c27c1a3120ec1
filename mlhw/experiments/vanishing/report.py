"""How ``vanishing`` tells what it found: rows, log lines, summary, answers and figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.vanishing.networks import Network, Setting
from mlhw.experiments.vanishing.sample import WIDTHS, Curve, Profile, least_slope
from mlhw.maths import survival
from mlhw.result import plots
from mlhw.result.plots import Plot
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula
from mlhw.result.tables import Table
from mlhw.text.words import text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "network": "how wide, and which draws: '|alive' only those where a ReLU lets something through",
    "activation": "of the hidden layers",
    "layer": "l of the weight w_11; 1 is the input's",
    "log10_median": "log10 of the median of |∂E/∂w_11| over the draws where it is not zero",
    "log10_q05": "the same of the 5 % quantile",
    "log10_q95": "the same of the 95 % quantile",
    "share_zero": "share of the draws where it is zero",
    "share_zero_theory": "the same by the law of dead ReLUs",
}
FORMULAS = [
    Formula(
        "The network of L layers: activations a, outputs z, weights W drawn at random; E is the loss "
        "against the target t.",
        r"a^{(l+1)} = W^{(l)} z^{(l)}, \quad z = h(a), \quad E = \frac{1}{2} (a^{(L)} - t)^2",
    ),
    Formula(
        "The gradient in a chain: a product of one h' and one weight for each layer above l. For the "
        "sigmoid h' is at most 1/4, for a ReLU 0 or 1.",
        r"\frac{\partial E}{\partial w_{11}^{(l)}} = "
        r"(a^{(L)} - t) \prod_{n=l+1}^{L-1} h'(a^{(n)}) \, w^{(n)} \cdot z^{(l)}",
    ),
    Formula(
        "The law of dead ReLUs for H hidden layers of m units: it takes one layer that is all dead, or "
        "a dead unit 1 in one of the s hidden layers among l and l + 1.",
        r"P(\text{gradient is zero}) = 1 - (1 - 2^{-m})^{H - s} \, 2^{-s}",
    ),
]


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers: dict[str, Any] = {}
    for row in summary["networks"]:
        name = f"{row['activation']} {row['rows']} (depth {row['depth']})"
        if row["decades_per_layer"] is not None:
            numbers[f"decades a layer, {name}"] = row["decades_per_layer"]
        numbers[f"zero at layer 1, {name}"] = row["share_zero_first_layer"]
    return numbers


# Draws below which a histogram says nothing.
FEWEST_BARS = 20
PROBABILITIES = (0.5, 0.9, 0.99)


def record(profile: Profile, table: Table, recorder: Recorder) -> None:
    """The rows of one network, and what was particular about it."""
    network, found = profile.network, profile.sample
    table.extend(
        (
            network.rows,
            network.activation,
            layer + 1,
            *(None if math.isnan(q) else q for q in profile.quantiles[:, layer].tolist()),
            float(profile.shares[layer]),
            survival.share_zero(profile.theory[layer]) if profile.theory else None,
        )
        for layer in range(network.depth - 1)
    )
    kept = found.log10.shape[1]
    if kept < found.draws:
        recorder.log(
            f"{network.title}: quantiles are over the first {kept} of {found.draws} draws, to bound "
            "memory; shares of zeros are over all"
        )
    if found.beyond:
        recorder.warn(
            f"{network.title}: {found.beyond} gradients are so small that even their logarithm has no "
            "float64; they enter the quantiles as 10^-4e289"
        )
    alive = f", {found.alive} alive" if network.plain_relu else ""
    accuracy = found.rounding.accuracy
    moves = "may change signs" if math.isinf(accuracy) else f"moves log10 by up to {accuracy:.1e}"
    recorder.log(
        f"{network.title}: {found.draws} draws{alive}; rounding {moves}", screen=accuracy > 1e-9
    )


def summary(depth: int, profiles: list[Profile]) -> dict[str, Any]:
    rows = []
    for p in profiles:
        n, s = p.network, p.sample
        rows.append(
            {
                "network": n.name,
                "activation": n.activation,
                "depth": n.depth,
                "width": n.width,
                "residual": n.residual,
                "rows": n.rows,
                "draws": s.draws,
                "quantile_draws": s.log10.shape[1],
                "decades_per_layer": p.slope[0] if p.slope else None,
                "decades_per_layer_error": p.slope[1] if p.slope else None,
                "log10_first_layer": p.quantiles[0, 0],
                "log10_last_layer": p.quantiles[0, -1],
                "share_zero_first_layer": p.shares[0],
                "share_zero_first_layer_theory": p.zero_theory,
                "share_alive": s.alive / s.draws if n.plain_relu else None,
                "log10_accuracy": s.rounding.accuracy,
            }
        )
    alive = {str(m): math.exp(survival.log_alive(m, depth)) for m in WIDTHS}
    needed = {f"{p:g}": survival.width_alive(p, depth) for p in PROBABILITIES}
    return {"networks": rows, "relu_alive": {"probability": alive, "width_needed": needed}}


def answers(setting: Setting, depth: int, profiles: list[Profile]) -> list[str]:
    header = [
        "network",
        "depth",
        "decades a layer",
        "|gradient| at layer 1",
        "last",
        "zero",
        "theory",
    ]
    rows = []
    for p in profiles:
        fall = f"{p.slope[0]:.4g} ± {p.slope[1]:.1g}" if p.slope else ""
        ends = [
            "all zero" if math.isnan(q) else f"10^{q:.5g}" for q in p.quantiles[0, [0, -1]].tolist()
        ]
        law = "" if p.zero_theory is None else f"{p.zero_theory:.6g}"
        name = f"{p.network.activation} {p.network.name}"
        rows.append([name, str(p.network.depth), fall, *ends, f"{p.shares[0]:.6g}", law])
    lines = [
        *text_table(header, rows),
        "",
        "|gradient| is the median of the draws where it is not zero, zero the share of those where it is",
        "(at layer 1); decades a layer is its fall towards the input.",
    ]
    if setting.random and any(p.network.plain_relu for p in profiles):
        m = next((p.network.width for p in profiles if p.network.width > 1), 2)
        needed = ", ".join(f"{p:g} with {survival.width_alive(p, depth)}" for p in PROBABILITIES)
        lines += [
            f"A ReLU network {m} wide is alive at depth {depth} with probability "
            f"(1 - 1/{2**m})^{depth - 2} = {math.exp(survival.log_alive(m, depth)):.2g};",
            f"probability and the units a layer it takes: {needed}.",
        ]
    return lines


# ------------------------------------------------------------------------------------- figures


def figures(setting: Setting, profiles: list[Profile], curves: list[Curve]) -> list[Plot]:
    drawn = [p for p in profiles if np.isfinite(p.quantiles[0]).any()]
    found = []
    if drawn:
        ends = "; ".join(
            f"{p.network.title}: from {p.quantiles[0, -1]:.4g} to {p.quantiles[0, 0]:.4g}"
            for p in drawn
        )
        all_zero = [p.network.title for p in profiles if p not in drawn]
        none = f" Zero in every draw: {', '.join(all_zero)}." if all_zero else ""
        found.append(
            Plot(
                "gradients",
                "Gradients against the layer",
                "Median of log10 |∂E/∂w_11| over the draws where it is not zero, and the band from 5 to "
                f"95 %.{none}",
                f"log10 of the median gradient from the last layer to the first: {ends}.{none}",
                lambda: _gradients_figure(setting, profiles),
            )
        )
    first = [p for p in drawn if not p.network.shallow and np.isfinite(p.quantiles[0, 0])]
    if first and setting.draws >= FEWEST_BARS and setting.random:
        middles = "; ".join(f"{p.network.title}: {p.quantiles[0, 0]:.4g}" for p in first)
        found.append(
            Plot(
                "histogram",
                "Gradients of the first layer",
                "log10 |∂E/∂w_11| at layer 1 over the draws where it is not zero.",
                f"Histograms of log10 |gradient| at layer 1; medians {middles}.",
                lambda: _histogram_figure(first),
            )
        )
    if curves:
        last = ", ".join(f"{c.zeros[-1] / c.draws:.4g} at width {c.width}" for c in curves)
        found.append(
            Plot(
                "zeros",
                "Share of zero gradients against depth",
                "ReLU networks, ∂E/∂w_11 at layer 1: lines are theory, 1 − (1 − 2^−m)^(H−1)/2 for H "
                "hidden layers of m units; points are drawn networks, the same at every depth, with the "
                "95 % error of their number.",
                f"Share of zero gradients at depth {curves[0].depths[-1]}: {last}.",
                lambda: _zeros_figure(curves),
            )
        )
    chains = [p for p in profiles if not p.network.shallow and p.network.width == 1] or profiles
    ranges = "; ".join(
        f"{p.network.title}: h' between {p.sample.slopes.min():.4g} and {p.sample.slopes.max():.4g}"
        for p in chains
    )
    found.append(
        Plot(
            "slopes",
            "h'(a) along one network",
            "h'(a) of the first unit of each hidden layer, along the first draw: the gradient is "
            "multiplied by it at every layer.",
            ranges,
            lambda: _slopes_figure(chains),
        )
    )
    return found


def _label(network: Network) -> str:
    return f"{network.activation} {network.name}"


def _style(network: Network) -> tuple[str, Any]:
    """One colour a kind of network; networks drawn alive are dashed."""
    kinds = [("sigmoid", False), ("relu", False), ("relu", True)]
    kind = (network.activation, network.width > 1)
    index = kinds.index(kind) if kind in kinds else 3
    return plots.colour(index), plots.dash(1 if network.alive else 0)


def _gradients_figure(setting: Setting, profiles: list[Profile]) -> Figure:
    parts = [
        [p for p in profiles if p.network.shallow == shallow]
        for shallow in dict.fromkeys(p.network.shallow for p in profiles)
    ]
    figure = plots.new_figure(11.0 if len(parts) > 1 else 8.4, 4.6)
    panels = figure.subplots(1, len(parts), width_ratios=[2.4, 1.0][: len(parts)], squeeze=False)[0]
    for axes, shown in zip(panels, parts, strict=True):
        for p in shown:
            _profile_line(axes, p, setting)
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


def _histogram_figure(profiles: list[Profile]) -> Figure:
    figure = plots.new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        values = p.sample.log10[0]
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


def _zeros_figure(curves: list[Curve]) -> Figure:
    figure = plots.new_figure(7.2, 4.4)
    axes = figure.add_subplot()
    fine = np.unique(np.geomspace(3, curves[0].depths[-1], 200).round())
    for i, curve in enumerate(curves):
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


def _slopes_figure(profiles: list[Profile]) -> Figure:
    figure = plots.new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for p in profiles:
        colour, dash = _style(p.network)
        axes.plot(
            np.arange(2, p.network.depth),
            p.sample.slopes,
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
