"""The figures of softmax-regions about ways: p along each, and the law by which 1 − p falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.softmax_regions.evidence import Evidence
from mlhw.experiments.softmax_regions.grid import MAX_PANELS
from mlhw.maths.rays import Way, distances
from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COINCIDE = 0.004
"""Curves nowhere farther apart than this share of the axis are one line to the eye."""
STRIPE = 3.0
"""The length of a stripe where curves coincide, in widths of the line."""

LEAST = 1e-16
"""How far down 1 − p is shown."""
E_FOLDS = 38.0
"""By how much 1 − p falls until it is below ``LEAST``."""


def shown_ways(e: Evidence) -> list[Way]:
    """The probed ways that get a panel; where there are too many, the middles keep half of them."""
    ways = [way for way in e.boundaries if way.kind != "line"]
    middles = e.middles[: max(MAX_PANELS - len(ways), MAX_PANELS // 2)]
    return [*ways[: MAX_PANELS - len(middles)], *middles]


def falling_ways(e: Evidence) -> list[Way]:
    """The middle rays along which 1 − p falls to 0."""
    return [way for way in e.middles if way.reaches][:MAX_PANELS]


def rate_of(way: Way) -> float:
    """The rate at which the margin to the runner-up grows along a middle ray, for each length of x."""
    return float(way.gaps.slope[way.others].min())


def short(words: str, most: int = 24) -> str:
    """Words that fit a title or a legend."""
    return words if len(words) <= most else words[: most - 1] + "…"


def label(e: Evidence, k: int) -> str:
    """The name of class k as matplotlib shows it literally."""
    return plots.plain(e.names[k])


# ------------------------------------------------------------------------------------- p along each way


def rays_figure(e: Evidence) -> Figure:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullLocator

    ways = shown_ways(e)
    rows, columns = plots.panels(len(ways), columns=3)
    figure = plots.new_figure(3.0 * columns + 1.4, 2.4 * rows + 0.3)
    panels = plots.centred_panels(figure, len(ways), columns)
    for number, (axes, way) in enumerate(zip(panels, ways, strict=True)):
        r = distances(way, e.scale)
        _draw_classes(e, axes, r, way.p(r))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(_title(e, way), fontsize=9.5)
        if number + columns >= len(ways):
            axes.set_xlabel("distance $r$")
        if number % columns == 0:
            axes.set_ylabel("$p$")
    handles = [
        Line2D([], [], color=sign.colour, linestyle=sign.dash, label=short(label(e, k)))
        for k, sign in enumerate(e.signs)
    ]
    plots.figure_legend(figure, handles)
    return figure


def _draw_classes(e: Evidence, axes: Any, r: np.ndarray, p: np.ndarray) -> None:
    """p (R, K) of each class; of curves that coincide each has a stripe in turn, so that all show."""
    for group in coinciding(p):
        for place, k in enumerate(group):
            dash: Any = e.signs[k].dash
            if len(group) > 1:
                dash = (place * STRIPE, (STRIPE, (len(group) - 1) * STRIPE))
            axes.plot(
                r,
                p[:, k],
                color=e.signs[k].colour,
                linestyle=dash,
                linewidth=2.6 if len(group) > 1 else 1.8,
                dash_capstyle="butt",
                label=short(label(e, k)),
            )


def coinciding(curves: np.ndarray) -> list[list[int]]:
    """The columns of curves (R, K) in groups that lie on each other all along, in order."""
    groups: list[list[int]] = []
    for k in range(curves.shape[1]):
        for group in groups:
            if np.abs(curves[:, k] - curves[:, group[0]]).max() <= COINCIDE:
                group.append(k)
                break
        else:
            groups.append([k])
    return groups


def _title(e: Evidence, way: Way) -> str:
    words = short(" | ".join(label(e, k) for k in way.classes))
    if way.kind == "middle":
        return f"middle of {words}"
    vertex = "" if way.vertex is None else f" from vertex {way.vertex + 1}"
    return f"{words}{vertex}"


# ------------------------------------------------------------------------------------- the law

LAW: Any = {"linewidth": 1.1, "linestyle": (0, (3, 4))}
"""Thin and with gaps, so that the curve below it shows."""


def _names(e: Evidence, way: Way) -> str:
    """The classes of a region, all that are equal in it."""
    return short(", ".join(label(e, k) for k in way.tied))


def _rate_label(words: str, rate: float) -> str:
    return plots.beside(words, rf"$\rho$ = {plots.number(rate, 4)}", f"ρ = {rate:.4g}")


def law_figure(e: Evidence) -> Figure:
    """1 − p along every middle ray, and the exponential that it becomes."""
    from matplotlib.lines import Line2D

    ways = falling_ways(e)
    rates = [rate_of(way) for way in ways]
    reach = min(E_FOLDS / min(rates), 8 * E_FOLDS / max(rates))
    r = np.linspace(0.0, reach, 240)
    figure = plots.new_figure(8.0, 4.6)
    axes = figure.add_subplot()
    logs = np.array([way.log_rest(r) for way in ways])
    for group in coinciding(logs.T / E_FOLDS):
        for place, n in enumerate(group):
            sign = e.signs[ways[n].classes[0]]
            dash: Any = sign.dash
            if len(group) > 1:
                dash = (place * STRIPE, (STRIPE, (len(group) - 1) * STRIPE))
            axes.plot(r, np.exp(logs[n]), color=sign.colour, linestyle=dash, linewidth=3.0)
    handles = [
        Line2D(
            [],
            [],
            color=e.signs[way.classes[0]].colour,
            linestyle=e.signs[way.classes[0]].dash,
            linewidth=3.0,
            label=f"{_names(e, way)}: " + _rate_label(_names(e, way), rate),
        )
        for way, rate in zip(ways, rates, strict=True)
    ]
    for way, rate in zip(ways, rates, strict=True):
        far = 2.0 * reach
        log_c = float(way.log_rest(np.array([far]))[0]) + rate * far
        axes.plot(r, np.exp(log_c - rate * r), label="_law", **LAW, color=plots.ink())
    law = Line2D([], [], label=r"the law $C\,e^{-\rho r}$", color=plots.ink(), **LAW)
    handles.append(law)
    axes.set_yscale("log")
    axes.set(xlim=(0, reach), ylim=(LEAST, 2.0))
    axes.set(xlabel="distance $r$", ylabel="$1 - p$ of the region's own class")
    axes.set_title("In the middle of a region $1 - p$ falls exponentially: a straight line")
    plots.legend(axes, handles=handles)
    return figure
