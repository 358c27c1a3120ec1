"""The figures of sgd-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.experiments.sweeps.figures import (
    eta_label,
    eta_text,
    left_out,
    lowest_line,
    separators_figure,
    with_panel,
)
from mlhw.result import plots
from mlhw.result.labels import log_axis
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GD_DASH = (0, (4, 1.5))

FIGURES = Figures[Evidence]()


def _bands(e: Evidence) -> str:
    """A sentence for captions; empty where there is one repeat."""
    repeats = len(e.nll)
    return f" Lines are medians of {repeats} repeats, bands hold 5 to 95 %." if repeats > 1 else ""


def _median(curves: np.ndarray) -> np.ndarray:
    """Median over repeats (epochs, rates); a repeat that has stopped counts as NaN."""
    result: np.ndarray = np.median(curves, axis=0)
    return result


def _draw_rate(axes: Any, x: np.ndarray, curves: np.ndarray, label: str, **style: Any) -> None:
    """One rate's median (repeats, epochs) with its band."""
    curves = np.where(np.isfinite(curves) & (curves > 0), curves, np.nan)
    if len(curves) > 1:
        low, high = np.quantile(curves, [0.05, 0.95], axis=0)
        axes.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axes.plot(x, _median(curves), linewidth=1.2, label=label, **style)


def _rates_figure(e: Evidence, curves: np.ndarray, ylabel: str, title: str) -> Figure:
    """Medians and bands of all rates, ``curves`` (repeats, epochs, rates), over the optimum."""
    figure = plots.new_figure(8.4, 4.8)
    axes = figure.add_subplot()
    for i, eta in enumerate(e.etas):
        style = plots.line_style(i, len(e.etas))
        _draw_rate(axes, np.arange(curves.shape[1]), curves[:, :, i], eta_label(eta), **style)
    lowest_line(axes, e.problem)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.set_title(title)
    log_axis(axes)
    handles = axes.get_legend_handles_labels()[0]
    plots.legend(axes, handles=[*handles, *_band_handles(e)], ncols=1 if len(handles) <= 14 else 2)
    return figure


def _band_handles(e: Evidence) -> list[Any]:
    """What line and band are, for a legend; nothing where there is one repeat."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if len(e.nll) == 1:
        return []
    return [
        Line2D([], [], color=plots.GREY, label=f"median of {len(e.nll)} repeats"),
        Patch(color=plots.GREY, alpha=0.3, linewidth=0, label="5 to 95 %"),
    ]


def _nll_alt(e: Evidence) -> str:
    last = _median(e.nll)[-1].tolist()
    ends = ", ".join(f"{nll:.4g} at {eta_text(eta)}" for nll, eta in zip(last, e.etas, strict=True))
    return f"NLL after {e.nll.shape[1]} epochs: {ends}."


@FIGURES.figure(
    "nll",
    "NLL against epoch",
    lambda e: "Over all data, at each epoch's end. A large rate keeps fluctuating." + _bands(e),
    alt=_nll_alt,
)
def _nll(e: Evidence) -> Figure:
    title = "Over all data, at each epoch's end"
    return _rates_figure(e, e.nll, "NLL (mean over the points)", title)


def _online_alt(e: Evidence) -> str:
    last = _median(e.online)[-1].tolist()
    ends = ", ".join(f"{nll:.4g} at {eta_text(eta)}" for nll, eta in zip(last, e.etas, strict=True))
    return f"Online NLL of {len(e.etas)} rates over {e.online.shape[1]} epochs; it ends at {ends}."


@FIGURES.figure(
    "online",
    "Online NLL against epoch",
    lambda e: (
        "The mean over an epoch of each sample's loss just before its own update: what a running log "
        "shows." + _bands(e)
    ),
    alt=_online_alt,
)
def _online(e: Evidence) -> Figure:
    title = "What a running log shows: each sample just before its own update"
    return _rates_figure(e, e.online, "online NLL (mean over an epoch)", title)


def _against_alt(e: Evidence) -> str:
    won = sum(row["faster"] == "gd" for row in e.against)
    return f"Gradient descent has the lower NLL in {won} of {len(e.against)} comparisons."


@FIGURES.figure(
    "against_gd",
    "Stochastic against batch gradient descent",
    lambda e: (
        "After the same number of passes over the data, a panel a rate, all with the same axes."
        + _bands(e)
        + left_out(e.etas)
    ),
    alt=_against_alt,
)
def _against_gd(e: Evidence) -> Figure:
    chosen = with_panel(e.etas)
    columns = min(len(chosen), 3)
    rows = -(-len(chosen) // columns)
    figure = plots.new_figure(3.4 * columns + 1.9 * (columns == 1), 2.7 * rows + 0.5)
    panels = plots.centred_panels(figure, len(chosen), columns, share=True)
    passes = np.arange(1, e.nll.shape[1] + 1)
    for number, (axes, i) in enumerate(zip(panels, chosen, strict=True)):
        style = plots.line_style(i, len(e.etas))
        _draw_rate(axes, passes, e.nll[:, :, i], "SGD", **style)
        batch = np.where(np.isfinite(e.gd[1:, i]), e.gd[1:, i], np.nan)
        axes.plot(
            np.arange(1, len(e.gd)), batch, color=plots.ink(), linestyle=GD_DASH, linewidth=1.4
        )
        lowest_line(axes, e.problem, named=False)
        axes.set_title(eta_label(e.etas[i]))
        if number + columns >= len(chosen):
            axes.set_xlabel("passes over the data")
        if number % columns == 0:
            axes.set_ylabel("NLL")
    if len(passes) > 1:
        log_axis(panels[0], "x")
    log_axis(panels[0])
    plots.figure_legend(figure, _against_handles(e), below=True)
    return figure


def _against_handles(e: Evidence) -> list[Any]:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=plots.GREY, label="SGD, in its colour"),
        Line2D([], [], color=plots.ink(), linestyle=GD_DASH, linewidth=1.4, label="GD"),
    ]
    if e.problem.infimum:
        word = "optimum" if e.problem.optimum is not None else "infimum"
        handles.append(Line2D([], [], color=plots.ink(), linestyle=":", label=word))
    return [*handles, *_band_handles(e)]


@FIGURES.figure(
    "separators",
    "Data and the last separator of each rate",
    lambda e: (
        "On each line both classes have probability 1/2"
        + (" (repeat 0)." if len(e.nll) > 1 else ".")
    ),
    alt=lambda e: f"{len(e.problem.X)} points of two classes and {len(e.etas)} lines.",
    when=lambda e: e.problem.d == 2,
)
def _separators(e: Evidence) -> Figure:
    last = {run["eta"]: np.array(run["w"], float) for run in e.runs if run["repeat"] == 0}
    return separators_figure(e.problem, [(eta, last[eta]) for eta in e.etas])
