"""The figures of lr-sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.lr_sweep.evidence import Evidence
from mlhw.experiments.lr_sweep.paths import paths_figure, points_note
from mlhw.experiments.sweeps.figures import (
    eta_label,
    eta_text,
    left_out,
    lowest_line,
    separators_figure,
)
from mlhw.result import plots
from mlhw.result.labels import log_axis
from mlhw.result.plots import Figures
from mlhw.text.values import numbers_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = 30
"""So many iterations are shown again in an inset; what overshoots does so at once."""

INSET = (0.42, 0.54, 0.56, 0.38)
"""Left, bottom, width and height of the inset, in shares of the axes."""

STOPS = {
    "tolerance": ("o", "stopped by tolerance"),
    "diverged": ("X", "diverged"),
    "max_iterations": (">", "last iteration allowed"),
}
"""The marker at the end of a curve, by the reason."""

FIGURES = Figures[Evidence]()


def _has_optimum(e: Evidence) -> bool:
    return e.problem.optimum is not None


def _is_plane(e: Evidence) -> bool:
    return e.problem.d == 2


def _some_points(e: Evidence) -> str:
    """A sentence where a part of the points is shown, with a space before it, or nothing."""
    shown = len(e.problem.shown[0])
    return f" Shown are {shown:,} of {e.problem.n:,} points." if shown < e.problem.n else ""


def _oscillating(e: Evidence) -> str:
    rising = [one.eta for one in e.trajectories if one.oscillates]
    return f"Rates that oscillate: {numbers_text(rising)}." if rising else "None oscillates."


def _draw_rates(e: Evidence, axes: Any, less: float = 0.0) -> None:
    """The NLL of each rate, above ``less``, against the iteration."""
    for i, one in enumerate(e.trajectories):
        above = one.nll - less
        axes.plot(
            np.where(above > 0, above, np.nan),
            linewidth=1.1,
            label=eta_label(one.eta),
            **plots.line_style(i, len(e.trajectories)),
        )


def _mark_ends(e: Evidence, axes: Any, less: float = 0.0) -> None:
    """A marker at the end of each curve, by the reason; at the frame where the curve leaves it."""
    top = axes.get_ylim()[1]
    for i, one in enumerate(e.trajectories):
        above = one.nll - less
        end = _last_visible(above)
        if end is not None:
            axes.plot(
                end,
                min(above[end], top),
                marker=STOPS[one.stopped][0],
                color=plots.line_style(i, len(e.trajectories))["color"],
                markeredgecolor=plots.paper(),
                markersize=8,
                linestyle="",
                zorder=4,
                # A marker at the frame is seen whole.
                clip_on=False,
            )


def _last_visible(values: np.ndarray) -> int | None:
    """The last place where a logarithmic axis can show a value."""
    places = np.flatnonzero(np.isfinite(values) & (values > 0))
    return int(places[-1]) if len(places) else None


def _stop_handles(e: Evidence) -> list[Any]:
    from matplotlib.lines import Line2D

    reasons = [reason for reason in STOPS if any(one.stopped == reason for one in e.trajectories)]
    return [
        Line2D([], [], marker=STOPS[r][0], color=plots.GREY, linestyle="", label=STOPS[r][1])
        for r in reasons
    ]


def _critical(e: Evidence) -> str | None:
    """The critical rate, as the title of a legend."""
    if e.problem.critical_eta is None:
        return None
    return (
        rf"critical rate $2/\lambda_{{\max}}(H(w^*))$ = {plots.number(e.problem.critical_eta, 4)}"
    )


def _name_rates(e: Evidence, axes: Any) -> Any:
    """The legend: every rate and whether it is above the critical one, the optimum, the stop points."""
    handles = axes.get_legend_handles_labels()[0]
    critical = e.problem.critical_eta
    for handle, one in zip(handles, e.trajectories, strict=False):
        if critical is not None and one.eta > critical:
            handle.set_label(f"{eta_label(one.eta)}, above the critical rate")
    return plots.legend(
        axes,
        handles=[*handles, *_stop_handles(e)],
        title=_critical(e),
        alignment="left",
        ncols=1 if len(handles) <= 10 else 2,
    )


# ------------------------------------------------------------------------------------- NLL


def _nll_alt(e: Evidence) -> str:
    ends = ", ".join(f"{one.nll[-1]:.4g} at {eta_text(one.eta)}" for one in e.trajectories)
    return f"NLL against iteration; the curves end at {ends}. {_oscillating(e)}"


def _has_inset(e: Evidence) -> bool:
    return e.longest > 2 * FIRST


def _nll_caption(e: Evidence) -> str:
    words = "A large rate is fast and oscillates, a small one is smooth and slow."
    critical = e.problem.critical_eta
    if critical is not None:
        above = [one.eta for one in e.trajectories if one.eta > critical]
        words += f" Above the critical rate {critical:.4g} descent cannot settle at the optimum: "
        words += f"{numbers_text(above)}." if above else "none of these rates is."
    if _has_inset(e):
        words += f" The small panel repeats the first {FIRST} iterations."
    return words


@FIGURES.figure("nll", "NLL against iteration", _nll_caption, alt=_nll_alt)
def _nll(e: Evidence) -> Figure:
    figure = plots.new_figure(8.8, 5.2)
    axes = figure.add_subplot()
    _draw_rates(e, axes)
    lowest_line(axes, e.problem)
    axes.set(xlabel="iteration", ylabel="NLL (mean over the points)")
    _set_axes(e, axes, e.log_axis)
    if _has_inset(e):
        _inset(e, axes)
    _mark_ends(e, axes)
    if axes.get_yscale() == "log":
        log_axis(axes)
    _name_rates(e, axes)
    return figure


def _set_axes(e: Evidence, axes: Any, log_axis: str, less: float = 0.0) -> None:
    """The scales, and limits that a diverged rate does not stretch until all others lie flat."""
    if log_axis in ("iteration", "both"):
        axes.set_xscale("symlog", linthresh=1)
    if log_axis in ("nll", "both"):
        axes.set_yscale("log")
    calm = [one.nll.max() - less for one in e.trajectories if one.stopped != "diverged"]
    if calm and max(calm) > 0 and len(calm) < len(e.trajectories):
        if axes.get_yscale() == "linear":
            axes.set_ylim(0, 1.1 * max(calm))
        else:
            axes.set_ylim(_log_range(e, 30 * max(calm), less))
    # Settled before anything is placed by them.
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())


def _log_range(e: Evidence, top: float, less: float) -> tuple[float, float]:
    """From a little below all that is drawn under ``top``, as on any axis, to ``top``."""
    values = np.concatenate([one.nll - less for one in e.trajectories])
    low = float(values[values > 0].min())
    return low * (low / top) ** 0.05, top


def _inset(e: Evidence, axes: Any) -> None:
    """The first iterations once more, in the upper right, with room made so that they hide nothing."""
    _make_room(axes, left=INSET[0] - 0.08, top=INSET[1] - 0.10)
    small = axes.inset_axes(INSET)
    for i, one in enumerate(e.trajectories):
        style = plots.line_style(i, len(e.trajectories))
        small.plot(one.nll[: FIRST + 1], linewidth=1.1, **style)
    lowest_line(small, e.problem, named=False)
    small.set(xlim=(0, FIRST), title=f"the first {FIRST} iterations")
    small.title.set_fontsize(9)
    small.tick_params(labelsize=8)
    small.set_ylim(*_first_range(e))
    if axes.get_yscale() == "log":
        log_axis(small)


def _make_room(axes: Any, left: float, top: float) -> None:
    """Raise the upper limit until no curve is above ``top`` right of ``left``, in shares of the axes."""
    to_share = axes.transData + axes.transAxes.inverted()
    highest = 0.0
    for line in axes.get_lines():
        x, y = to_share.transform(line.get_xydata()).T
        seen = np.isfinite(y) & (x > left)
        highest = max(highest, y[seen].max(initial=0.0))
    if highest > top:
        scale = axes.yaxis.get_transform()
        low, high = scale.transform(np.array(axes.get_ylim()))
        raised = low + (high - low) * highest / top
        axes.set_ylim(top=float(scale.inverted().transform(np.array([raised]))[0]))


def _first_range(e: Evidence) -> tuple[float, float]:
    """From below to above what all rates have in the first iterations, a diverging one cut off."""
    first = [one.nll[: FIRST + 1] for one in e.trajectories]
    calm = [
        nll for nll, one in zip(first, e.trajectories, strict=True) if one.stopped != "diverged"
    ]
    values = np.concatenate(first)
    values = values[np.isfinite(values) & (values > 0)]
    top = max((nll.max() for nll in calm), default=values.max(initial=1.0))
    low = float(min(values.min(initial=np.inf), top))
    return 0.8 * low, (1.25 if len(calm) == len(first) else 10.0) * float(top)


# ------------------------------------------------------------------------------------- the local limit


def _limit_title(e: Evidence) -> str:
    return "A rate can raise the NLL only where it lies above its own limit"


def _limit_caption(e: Evidence) -> str:
    return (
        "Thick: the local limit 2/λmax(H(w)) at the weights of each iteration. Thin, in the same colour "
        "and dash: the rate η itself. Shaded: where it exceeds its limit. Below 2/L no rate can rise "
        "anywhere."
    )


@FIGURES.figure(
    "limit",
    _limit_title,
    _limit_caption,
    alt=lambda e: (
        f"The limit starts at {e.problem.start_limit:.4g}; 2/L is {e.problem.monotone_eta:.4g}. "
        f"Above their own limit somewhere: {_above_limit(e)}."
    ),
)
def _limit(e: Evidence) -> Figure:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = plots.new_figure(8.6, 4.8)
    axes = figure.add_subplot()
    for i, (one, local) in enumerate(zip(e.trajectories, e.limits, strict=True)):
        style = plots.line_style(i, len(e.trajectories))
        # Infinite where the curvature has vanished.
        limit = np.where(np.isfinite(local.eta), local.eta, np.nan)
        axes.plot(local.iterations, limit, linewidth=1.8, label=eta_label(one.eta), **style)
        axes.axhline(one.eta, linewidth=0.8, label="_rate", **style)
        axes.fill_between(
            local.iterations,
            np.minimum(limit, one.eta),
            one.eta,
            color=style["color"],
            alpha=0.22,
            linewidth=0,
            zorder=1,
        )
    named = axes.get_legend_handles_labels()[0]
    bound = axes.axhline(
        e.problem.monotone_eta,
        color=plots.ink(),
        linestyle=(0, (2, 1)),
        linewidth=1.4,
        label=f"$2/L$ = {plots.number(e.problem.monotone_eta, 4)}",
    )
    axes.set(xlabel="iteration", ylabel="learning rate")
    axes.set_title(_limit_title(e))
    # Where the curvature vanishes the limit has no bound, and would press all rates flat.
    rates = [*(one.eta for one in e.trajectories), e.problem.start_limit, e.problem.monotone_eta]
    most, least = min(max(rates), 1e300), max(min(rates), 1e-300)
    axes.set_yscale("log")
    axes.set_ylim(0.5 * least, min(axes.get_ylim()[1], 30.0 * most))
    axes.set_xlim(-0.03 * e.longest, 1.02 * e.longest)
    log_axis(axes)
    signs = [
        Line2D(
            [], [], color=plots.GREY, linewidth=1.8, label=r"its limit $2/\lambda_{\max}(H(w))$"
        ),
        Line2D([], [], color=plots.GREY, linewidth=0.8, label=r"the rate $\eta$ itself"),
        Patch(color=plots.GREY, alpha=0.3, label="the rate is above its limit"),
    ]
    plots.legend(axes, handles=[*named, *signs, bound], ncols=1 if len(e.trajectories) <= 12 else 2)
    return figure


def _above_limit(e: Evidence) -> str:
    above = [
        one.eta
        for one, local in zip(e.trajectories, e.limits, strict=True)
        if (one.eta > local.eta).any()
    ]
    return numbers_text(above) if above else "none"


# ------------------------------------------------------------------------------------- above the optimum


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
    figure = plots.new_figure(8.8, 4.6)
    axes = figure.add_subplot()
    lowest = e.problem.optimum.nll
    _draw_rates(e, axes, lowest)
    _set_axes(e, axes, "nll", lowest)
    _mark_ends(e, axes, lowest)
    axes.set(xlabel="iteration", ylabel=r"NLL $-$ optimum")
    axes.set_title("How far each rate is above the optimum: straight is linear convergence")
    log_axis(axes)
    _name_rates(e, axes)
    return figure


# ------------------------------------------------------------------------------------- paths


def _path_alt(e: Evidence) -> str:
    return f"A panel for each of {len(e.trajectories)} rates. {_oscillating(e)}"


@FIGURES.figure(
    "path",
    "Path in slope-intercept space",
    lambda e: (
        "The separator is the line x2 = slope · x1 + intercept with slope −w1/w2 and intercept "
        "−bias/w2; each panel shows how one rate moves it, from dark to pale. Contours: the lowest NLL "
        "that any weights with this line have"
        + points_note(e)
        + ". A triangle at the edge: from there "
        "the path comes in; what lies outside is counted."
        + left_out([one.eta for one in e.trajectories])
    ),
    alt=_path_alt,
    when=_is_plane,
)
def _path(e: Evidence) -> Figure:
    return paths_figure(e)


@FIGURES.figure(
    "separators",
    "Data and the last separator of each rate",
    lambda e: "On each line both classes have probability 1/2." + _some_points(e),
    alt=lambda e: f"{e.problem.n} points of two classes and {len(e.trajectories)} lines.",
    when=_is_plane,
)
def _separators(e: Evidence) -> Figure:
    return separators_figure(e.problem, [(one.eta, one.W[-1]) for one in e.trajectories])
