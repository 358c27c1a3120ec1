"""The figures of lr-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.lr_sweep.evidence import Evidence
from mlhw.experiments.sweeps.figures import eta_label, separators_figure
from mlhw.result import plots
from mlhw.result.plots import Figures
from mlhw.text.values import numbers_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Figures[Evidence]()


def _has_optimum(e: Evidence) -> bool:
    return e.problem.optimum is not None


def _is_plane(e: Evidence) -> bool:
    return e.problem.d == 2


def _oscillating(e: Evidence) -> str:
    rising = [one.eta for one in e.trajectories if one.oscillates]
    return f"Rates that oscillate: {numbers_text(rising)}." if rising else "None oscillates."


def _nll_alt(e: Evidence) -> str:
    ends = ", ".join(f"{one.nll[-1]:.4g} at {eta_label(one.eta)}" for one in e.trajectories)
    return f"NLL against iteration; the curves end at {ends}. {_oscillating(e)}"


@FIGURES.figure(
    "nll",
    "NLL against iteration",
    "A large rate is fast and oscillates, a small one is smooth and slow.",
    alt=_nll_alt,
)
def _nll(e: Evidence) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, one in enumerate(e.trajectories):
        axes.plot(one.nll, color=plots.colour(i), linewidth=1.0, label=eta_label(one.eta))
    if e.problem.optimum is not None:
        axes.axhline(
            e.problem.optimum.nll, color="black", linestyle=":", linewidth=1, label="optimum"
        )
    if e.log_axis in ("iteration", "both"):
        axes.set_xscale("symlog", linthresh=1)
    if e.log_axis in ("nll", "both"):
        axes.set_yscale("log")
    else:
        # A diverged rate would press all others flat.
        calm = [one.nll for one in e.trajectories if one.stopped != "diverged"]
        if calm and len(calm) < len(e.trajectories):
            axes.set_ylim(0, 1.1 * max(nll.max() for nll in calm))
    axes.set(xlabel="iteration", ylabel="NLL (mean over the points)")
    plots.legend(axes, outside=True)
    return figure


@FIGURES.figure(
    "limit",
    "The local limit along each path",
    "Solid: 2/λmax(H(w)) at the weights of each iteration. A rate (its dotted line) can raise "
    "the NLL only where it lies above its own curve.",
    alt=lambda e: (
        f"The limit starts at {e.problem.start_limit:.4g}; 2/L is {e.problem.monotone_eta:.4g}."
    ),
)
def _limit(e: Evidence) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, (one, local) in enumerate(zip(e.trajectories, e.limits, strict=True)):
        label = eta_label(one.eta)
        axes.plot(local.iterations, local.eta, color=plots.colour(i), linewidth=1, label=label)
        axes.axhline(one.eta, color=plots.colour(i), linewidth=1, linestyle=":")
    axes.axhline(e.problem.monotone_eta, color="black", linestyle="--", linewidth=1, label="2/L")
    axes.set_yscale("log")
    axes.set(xlabel="iteration", ylabel="2 / λmax(H(w)),  dotted: η")
    plots.legend(axes, outside=True)
    return figure


def _gap_alt(e: Evidence) -> str:
    assert e.problem.optimum is not None
    return (
        f"NLL less its minimum {e.problem.optimum.nll:.6g}; critical rate "
        f"{e.problem.critical_eta:.4g}. {_oscillating(e)}"
    )


@FIGURES.figure(
    "gap",
    "NLL above the optimum",
    "On a logarithmic axis a straight line is linear convergence.",
    alt=_gap_alt,
    when=_has_optimum,
)
def _gap(e: Evidence) -> Figure:
    assert e.problem.optimum is not None
    figure = plots.new_figure()
    axes = figure.add_subplot()
    for i, one in enumerate(e.trajectories):
        above = one.nll - e.problem.optimum.nll
        axes.plot(
            np.where(above > 0, above, np.nan),
            color=plots.colour(i),
            linewidth=1.0,
            label=eta_label(one.eta),
        )
    axes.set_yscale("log")
    axes.set(xlabel="iteration", ylabel="NLL − optimum")
    axes.set_title(f"critical rate 2/λmax(H(w*)) = {e.problem.critical_eta:.4g}")
    plots.legend(axes, outside=True)
    return figure


@FIGURES.figure(
    "path",
    "Path in slope-intercept space",
    "The separator is the line x2 = slope · x1 + intercept with slope −w1/w2 and "
    "intercept −bias/w2; each panel shows how it moves, from pale to dark, and the star "
    "is the optimum.",
    alt=lambda e: f"A panel for each of {len(e.trajectories)} rates. {_oscillating(e)}",
    when=_is_plane,
)
def _path(e: Evidence) -> Figure:
    optimum = e.problem.optimum
    rows, columns = plots.panels(len(e.trajectories), columns=3)
    figure = plots.new_figure(3.1 * columns, 2.7 * rows)
    for i, one in enumerate(e.trajectories):
        axes = figure.add_subplot(rows, columns, i + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope, intercept = -one.W[:, 0] / one.W[:, 1], -one.W[:, 2] / one.W[:, 1]
        shown = np.isfinite(slope) & np.isfinite(intercept)
        slope, intercept = slope[shown], intercept[shown]
        axes.plot(slope, intercept, color=plots.colour(i), linewidth=0.6, alpha=0.6)
        axes.scatter(slope, intercept, c=np.flatnonzero(shown), s=7, cmap="Greys", vmin=-200)
        star: list[float] = []
        if optimum is not None and optimum.w[1] != 0:
            w = optimum.w
            star = [-w[0] / w[1], -w[2] / w[1]]
            axes.plot(*star, marker="*", color=plots.RED, markersize=11)
        # The first separators can be far out; nine tenths of the path, its end and the optimum
        # decide the frame.
        for values, set_limits, goal in (
            (slope, axes.set_xlim, star[:1]),
            (intercept, axes.set_ylim, star[1:]),
        ):
            if len(values) > 20:
                seen = [*np.quantile(values, [0.05, 0.95]), values[-1], *goal]
                margin = 0.12 * max(max(seen) - min(seen), 1e-9)
                set_limits(min(seen) - margin, max(seen) + margin)
        axes.set_title(eta_label(one.eta))
        axes.set(xlabel="slope −w1/w2", ylabel="intercept −bias/w2")
    return figure


@FIGURES.figure(
    "separators",
    "Data and the last separator of each rate",
    "On each line both classes have probability 1/2.",
    alt=lambda e: f"{len(e.problem.X)} points of two classes and {len(e.trajectories)} lines.",
    when=_is_plane,
)
def _separators(e: Evidence) -> Figure:
    lines = {eta_label(one.eta): one.W[-1] for one in e.trajectories}
    if e.problem.optimum is not None:
        lines["optimum"] = e.problem.optimum.w
    return separators_figure(e.problem, lines)
