"""The figures of sgd-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.experiments.sweeps.figures import eta_label, separators_figure
from mlhw.result import plots
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Figures[Evidence]()


def _bands(e: Evidence) -> str:
    """A sentence for captions; empty where there is one repeat."""
    repeats = len(e.nll)
    return f" Lines are medians of {repeats} repeats, bands hold 5 to 95 %." if repeats > 1 else ""


def _median(curves: np.ndarray) -> np.ndarray:
    """Median over repeats (epochs, rates); a repeat that has stopped counts as NaN."""
    result: np.ndarray = np.median(curves, axis=0)
    return result


def _draw_rate(axes: Any, x: np.ndarray, curves: np.ndarray, index: int, **style: Any) -> None:
    """One rate's median (repeats, epochs) with its band."""
    if len(curves) > 1:
        low, high = np.quantile(curves, [0.05, 0.95], axis=0)
        axes.fill_between(x, low, high, color=plots.colour(index), alpha=0.2, linewidth=0)
    axes.plot(x, _median(curves), color=plots.colour(index), linewidth=1.0, **style)


def _limit_axis(axes: Any, curves: np.ndarray) -> None:
    """A logarithmic axis where one rate is far above the others, so that all can be seen."""
    finite = curves[np.isfinite(curves)]
    if len(finite) and finite.min() > 0 and finite.max() > 8 * np.median(finite):
        axes.set_yscale("log")


def _nll_alt(e: Evidence) -> str:
    last = _median(e.nll)[-1].tolist()
    ends = ", ".join(
        f"{nll:.4g} at {eta_label(eta)}" for nll, eta in zip(last, e.etas, strict=True)
    )
    return f"NLL after {e.nll.shape[1]} epochs: {ends}."


@FIGURES.figure(
    "nll",
    "NLL against epoch",
    lambda e: "Over all data, at each epoch's end. A large rate keeps fluctuating." + _bands(e),
    alt=_nll_alt,
)
def _nll(e: Evidence) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    x = np.arange(e.nll.shape[1])
    for i, eta in enumerate(e.etas):
        _draw_rate(axes, x, e.nll[:, :, i], i, label=eta_label(eta))
    if e.problem.optimum is not None:
        axes.axhline(
            e.problem.optimum.nll, color="black", linestyle=":", linewidth=1, label="optimum"
        )
    _limit_axis(axes, e.nll)
    axes.set(xlabel="epoch", ylabel="NLL (mean over the points)")
    plots.legend(axes, outside=True)
    return figure


@FIGURES.figure(
    "online",
    "Online and full NLL",
    lambda e: (
        "Left: the mean over an epoch of each sample's loss before its update, what a running "
        "log shows. Right: over all data at the epoch's end." + _bands(e)
    ),
    alt=lambda e: f"Online and full NLL of {len(e.etas)} rates over {e.nll.shape[1]} epochs.",
)
def _online(e: Evidence) -> Figure:
    figure = plots.new_figure(9.0, 4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    x = np.arange(e.nll.shape[1])
    for axes, curves, title in (
        (left, e.online, "online, before each update"),
        (right, e.nll, "over all data, at the end"),
    ):
        for i, eta in enumerate(e.etas):
            _draw_rate(axes, x, curves[:, :, i], i, label=eta_label(eta))
        axes.set_title(title)
        axes.set_xlabel("epoch")
    _limit_axis(left, e.nll)
    left.set_ylabel("NLL (mean over the points)")
    plots.legend(right, outside=True)
    return figure


def _against_alt(e: Evidence) -> str:
    won = sum(row["faster"] == "gd" for row in e.against)
    return f"Gradient descent has the lower NLL in {won} of {len(e.against)} comparisons."


@FIGURES.figure(
    "against_gd",
    "Stochastic against batch gradient descent",
    lambda e: "After the same number of passes over the data, a panel a rate." + _bands(e),
    alt=_against_alt,
)
def _against_gd(e: Evidence) -> Figure:
    rows, columns = plots.panels(len(e.etas), columns=3)
    figure = plots.new_figure(3.1 * columns, 2.7 * rows)
    passes = np.arange(1, e.nll.shape[1] + 1)
    for i, eta in enumerate(e.etas):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_rate(axes, passes, e.nll[:, :, i], i, label="SGD")
        batch = np.where(np.isfinite(e.gd[1:, i]), e.gd[1:, i], np.nan)
        axes.plot(np.arange(1, len(e.gd)), batch, color="black", linewidth=1.2, label="GD")
        if len(passes) > 1:
            axes.set_xscale("log")
        axes.set_title(eta_label(eta))
        axes.set(xlabel="passes over the data", ylabel="NLL")
        plots.legend(axes)
    return figure


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
    lines = {eta_label(eta): last[eta] for eta in e.etas}
    if e.problem.optimum is not None:
        lines["optimum"] = e.problem.optimum.w
    return separators_figure(e.problem, lines)
