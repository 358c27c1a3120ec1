"""The figures of sgd-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.sweeps.problem import eta_label, separators_figure
from mlhw.result import plots
from mlhw.result.plots import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.experiments.sgd_sweep.claims import Evidence


def figures(e: Evidence, weights: list[list[float]]) -> list[Plot]:
    """``weights`` are each rate's last ones in repeat 0."""
    repeats, epochs, _ = e.nll.shape
    bands = f" Lines are medians of {repeats} repeats, bands hold 5 to 95 %." if repeats > 1 else ""
    ends = ", ".join(
        f"{_median(e.nll)[-1, i]:.4g} at {eta_label(eta)}" for i, eta in enumerate(e.etas)
    )
    won = sum(row["faster"] == "gd" for row in e.against)
    all_plots = [
        Plot(
            "nll",
            "NLL against epoch",
            "Over all data, at each epoch's end. A large rate keeps fluctuating." + bands,
            f"NLL after {epochs} epochs: {ends}.",
            lambda: _nll_figure(e),
        ),
        Plot(
            "online",
            "Online and full NLL",
            "Left: the mean over an epoch of each sample's loss before its update, what a running "
            "log shows. Right: over all data at the epoch's end." + bands,
            f"Online and full NLL of {len(e.etas)} rates over {epochs} epochs.",
            lambda: _online_figure(e),
        ),
        Plot(
            "against_gd",
            "Stochastic against batch gradient descent",
            "After the same number of passes over the data, a panel a rate." + bands,
            f"Gradient descent has the lower NLL in {won} of {len(e.against)} comparisons.",
            lambda: _against_figure(e),
        ),
    ]
    if e.problem.d == 2:
        lines = {eta_label(eta): np.array(w, float) for eta, w in zip(e.etas, weights, strict=True)}
        if e.problem.optimum is not None:
            lines["optimum"] = e.problem.optimum.w
        all_plots.append(
            Plot(
                "separators",
                "Data and the last separator of each rate",
                "On each line both classes have probability 1/2"
                + (" (repeat 0)." if repeats > 1 else "."),
                f"{len(e.problem.X)} points of two classes and {len(e.etas)} lines.",
                lambda: separators_figure(e.problem, lines),
            )
        )
    return all_plots


def _median(curves: np.ndarray) -> np.ndarray:
    """Median over repeats (epochs, rates); a repeat that has stopped counts as NaN."""
    result: np.ndarray = np.median(curves, axis=0)
    return result


def _curve(axes: Any, x: np.ndarray, curves: np.ndarray, index: int, **style: Any) -> None:
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


def _nll_figure(e: Evidence) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    x = np.arange(e.nll.shape[1])
    for i, eta in enumerate(e.etas):
        _curve(axes, x, e.nll[:, :, i], i, label=eta_label(eta))
    if e.problem.optimum is not None:
        axes.axhline(
            e.problem.optimum.nll, color="black", linestyle=":", linewidth=1, label="optimum"
        )
    _limit_axis(axes, e.nll)
    axes.set(xlabel="epoch", ylabel="NLL (mean over the points)")
    plots.legend(axes, outside=True)
    return figure


def _online_figure(e: Evidence) -> Figure:
    figure = plots.new_figure(9.0, 4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    x = np.arange(e.nll.shape[1])
    for axes, curves, title in (
        (left, e.online, "online, before each update"),
        (right, e.nll, "over all data, at the end"),
    ):
        for i, eta in enumerate(e.etas):
            _curve(axes, x, curves[:, :, i], i, label=eta_label(eta))
        axes.set_title(title)
        axes.set_xlabel("epoch")
    _limit_axis(left, e.nll)
    left.set_ylabel("NLL (mean over the points)")
    plots.legend(right, outside=True)
    return figure


def _against_figure(e: Evidence) -> Figure:
    rows, columns = plots.panels(len(e.etas), columns=3)
    figure = plots.new_figure(3.1 * columns, 2.7 * rows)
    passes = np.arange(1, e.nll.shape[1] + 1)
    for i, eta in enumerate(e.etas):
        axes = figure.add_subplot(rows, columns, i + 1)
        _curve(axes, passes, e.nll[:, :, i], i, label="SGD")
        batch = np.where(np.isfinite(e.gd[1:, i]), e.gd[1:, i], np.nan)
        axes.plot(np.arange(1, len(e.gd)), batch, color="black", linewidth=1.2, label="GD")
        if len(passes) > 1:
            axes.set_xscale("log")
        axes.set_title(eta_label(eta))
        axes.set(xlabel="passes over the data", ylabel="NLL")
        plots.legend(axes)
    return figure
