"""The figures of lr-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.sweeps.problem import Problem, eta_label, separators_figure
from mlhw.result import plots
from mlhw.result.plots import Plot
from mlhw.text.values import numbers_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.experiments.lr_sweep.claims import Curve


def figures(
    problem: Problem,
    curves: list[Curve],
    limits: list[tuple[np.ndarray, np.ndarray]],
    log_axis: str,
) -> list[Plot]:
    ends = ", ".join(f"{c.nll[-1]:.4g} at {eta_label(c.eta)}" for c in curves)
    rising = [c.eta for c in curves if c.oscillates]
    oscillating = f"Rates that oscillate: {numbers_text(rising)}." if rising else "None oscillates."
    all_plots = [
        Plot(
            "nll",
            "NLL against iteration",
            "A large rate is fast and oscillates, a small one is smooth and slow.",
            f"NLL against iteration; the curves end at {ends}. {oscillating}",
            lambda: _nll_figure(problem, curves, log_axis),
        ),
        Plot(
            "limit",
            "The local limit along each path",
            "Solid: 2/λmax(H(w)) at the weights of each iteration. A rate (its dotted line) can raise "
            "the NLL only where it lies above its own curve.",
            f"The limit starts at {problem.start_limit:.4g}; 2/L is {problem.monotone_eta:.4g}.",
            lambda: _limit_figure(problem, curves, limits),
        ),
    ]
    if problem.optimum is not None:
        all_plots.append(
            Plot(
                "gap",
                "NLL above the optimum",
                "On a logarithmic axis a straight line is linear convergence.",
                f"NLL less its minimum {problem.optimum.nll:.6g}; critical rate "
                f"{problem.critical_eta:.4g}. {oscillating}",
                lambda: _gap_figure(problem, curves),
            )
        )
    if problem.d == 2:
        all_plots += [
            Plot(
                "path",
                "Path in slope-intercept space",
                "The separator is the line x2 = slope · x1 + intercept with slope −w1/w2 and "
                "intercept −bias/w2; each panel shows how it moves, from pale to dark, and the star "
                "is the optimum.",
                f"A panel for each of {len(curves)} rates. {oscillating}",
                lambda: _path_figure(problem, curves),
            ),
            Plot(
                "separators",
                "Data and the last separator of each rate",
                "On each line both classes have probability 1/2.",
                f"{len(problem.X)} points of two classes and {len(curves)} lines.",
                lambda: separators_figure(problem, _last_weights(problem, curves)),
            ),
        ]
    return all_plots


def _last_weights(problem: Problem, curves: list[Curve]) -> dict[str, np.ndarray]:
    weights = {eta_label(curve.eta): curve.W[-1] for curve in curves}
    return weights | ({"optimum": problem.optimum.w} if problem.optimum is not None else {})


def _nll_figure(problem: Problem, curves: list[Curve], log_axis: str) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, curve in enumerate(curves):
        axes.plot(curve.nll, color=plots.colour(i), linewidth=1.0, label=eta_label(curve.eta))
    if problem.optimum is not None:
        axes.axhline(
            problem.optimum.nll, color="black", linestyle=":", linewidth=1, label="optimum"
        )
    if log_axis in ("iteration", "both"):
        axes.set_xscale("symlog", linthresh=1)
    if log_axis in ("nll", "both"):
        axes.set_yscale("log")
    else:
        # A diverged rate would press all others flat.
        calm = [c.nll for c in curves if c.stopped != "diverged"]
        if calm and len(calm) < len(curves):
            axes.set_ylim(0, 1.1 * max(nll.max() for nll in calm))
    axes.set(xlabel="iteration", ylabel="NLL (mean over the points)")
    plots.legend(axes, outside=True)
    return figure


def _limit_figure(
    problem: Problem, curves: list[Curve], limits: list[tuple[np.ndarray, np.ndarray]]
) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, (curve, (iterations, local)) in enumerate(zip(curves, limits, strict=True)):
        axes.plot(iterations, local, color=plots.colour(i), linewidth=1, label=eta_label(curve.eta))
        axes.axhline(curve.eta, color=plots.colour(i), linewidth=1, linestyle=":")
    axes.axhline(problem.monotone_eta, color="black", linestyle="--", linewidth=1, label="2/L")
    axes.set_yscale("log")
    axes.set(xlabel="iteration", ylabel="2 / λmax(H(w)),  dotted: η")
    plots.legend(axes, outside=True)
    return figure


def _gap_figure(problem: Problem, curves: list[Curve]) -> Figure:
    assert problem.optimum is not None
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, curve in enumerate(curves):
        gap = curve.nll - problem.optimum.nll
        axes.plot(
            np.where(gap > 0, gap, np.nan),
            color=plots.colour(i),
            linewidth=1.0,
            label=eta_label(curve.eta),
        )
    axes.set_yscale("log")
    axes.set(xlabel="iteration", ylabel="NLL − optimum")
    axes.set_title(f"critical rate 2/λmax(H(w*)) = {problem.critical_eta:.4g}")
    plots.legend(axes, outside=True)
    return figure


def _path_figure(problem: Problem, curves: list[Curve]) -> Figure:
    rows, columns = plots.panels(len(curves), columns=3)
    figure = plots.new_figure(3.1 * columns, 2.7 * rows)
    for i, curve in enumerate(curves):
        axes = figure.add_subplot(rows, columns, i + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope, intercept = -curve.W[:, 0] / curve.W[:, 1], -curve.W[:, 2] / curve.W[:, 1]
        shown = np.isfinite(slope) & np.isfinite(intercept)
        slope, intercept = slope[shown], intercept[shown]
        axes.plot(slope, intercept, color=plots.colour(i), linewidth=0.6, alpha=0.6)
        axes.scatter(slope, intercept, c=np.flatnonzero(shown), s=7, cmap="Greys", vmin=-200)
        star: list[float] = []
        if problem.optimum is not None and problem.optimum.w[1] != 0:
            w = problem.optimum.w
            star = [-w[0] / w[1], -w[2] / w[1]]
            axes.plot(*star, marker="*", color=plots.RED, markersize=11)
        # The first separators can be far out; nine tenths of the path, its end and the optimum
        # decide the frame.
        for values, limit, goal in (
            (slope, axes.set_xlim, star[:1]),
            (intercept, axes.set_ylim, star[1:]),
        ):
            if len(values) > 20:
                seen = [*np.quantile(values, [0.05, 0.95]), values[-1], *goal]
                margin = 0.12 * max(max(seen) - min(seen), 1e-9)
                limit(min(seen) - margin, max(seen) + margin)
        axes.set_title(eta_label(curve.eta))
        axes.set(xlabel="slope −w1/w2", ylabel="intercept −bias/w2")
    return figure
