"""How the lines of ``vanishing`` look: one colour, dash and name a kind of network in every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.vanishing.kinds import NetworkKind, Setting
from mlhw.experiments.vanishing.sample import Profile, least_slope
from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW_LAYERS = 20
"""Of so many layers each has a marker of its own."""

BARS = 12
"""The spread of the draws is shown at so many layers, a network beside the other."""


def network_label(network: NetworkKind) -> str:
    return f"{network.activation} {network.name}".replace("|", ", ")


KINDS = (
    ("sigmoid", False, False),
    ("relu", False, True),
    ("relu", True, True),
    ("relu", False, False),
    ("relu", True, False),
)
"""Activation, whether wider than a chain, and whether drawn alive: what a comparison has."""


def _index(network: NetworkKind) -> int:
    kind = (network.activation, network.width > 1, network.alive)
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def network_style(network: NetworkKind) -> dict[str, Any]:
    """Colour and dash of a kind of network, the same in every figure."""
    return plots.line_style(_index(network))


def network_marker(network: NetworkKind) -> str:
    return plots.MARKERS[_index(network)]


def named_once(panels: Any) -> list[Any]:
    """The labelled artists of several axes, one of each label."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values())


def profile_line(axes: Axes, p: Profile, jacobian: bool, place: float) -> None:
    """Median of one network, and bars of its spread beside those of the others.

    ``place`` is how many networks it stands from the middle.
    """
    network = p.network
    layers = np.arange(1, network.depth)
    median, low, high = p.jacobian if jacobian else p.quantiles
    style = network_style(network)
    (line,) = axes.plot(layers, median, **style, label=network_label(network))
    if network.depth <= FEW_LAYERS:
        line.set(marker=network_marker(network), markersize=4)
    at = np.unique(np.linspace(0, len(layers) - 1, BARS).round().astype(int))
    at = at[np.isfinite(median[at])]
    shift = 0.14 * len(layers) / BARS * place
    axes.vlines(
        layers[at] + shift, low[at], high[at], color=style["color"], linewidth=2.2, alpha=0.55
    )


def sigmoid_bound(axes: Axes, p: Profile, jacobian: bool, setting: Setting) -> None:
    """What a sigmoid chain keeps at most, from its last layer on."""
    network = p.network
    if (network.activation, network.width, network.residual) != ("sigmoid", 1, False):
        return
    layers = np.arange(1, network.depth)
    median = (p.jacobian if jacobian else p.quantiles)[0]
    axes.plot(
        layers,
        median[-1] - least_slope(setting) * (layers[-1] - layers),
        color=plots.GREY,
        linestyle=plots.dash(3),
        linewidth=1.0,
        label="theory: $|w|/4$ a layer on average,\nthe most of a sigmoid",
    )
