"""The figure ``path`` of lr-sweep: how each rate moves the separator, over contours of the NLL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.lr_sweep.evidence import Evidence
from mlhw.experiments.sweeps.figures import eta_label, with_panel
from mlhw.maths.line_nll import lowest_with_line
from mlhw.result import plots
from mlhw.result.labels import PointNames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 2000
"""Contours are worked out from at most so many points of the data, evenly spread."""
PRODUCTS = 800_000
"""Points of the data times places of the grid: a tenth of a second."""

LN_2 = float(np.log(2.0))
SHARES = (0.02, 0.08, 0.2, 0.4, 0.6, 0.8, 0.95)
"""Where contours lie between the lowest NLL of the frame and ln 2, which no line exceeds at its best."""


@dataclass(frozen=True)
class Frame:
    """The part of the plane of slope and intercept that all panels show: ``low`` and ``high`` (2,)."""

    low: np.ndarray
    high: np.ndarray

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(K,), which of the points (K, 2) are seen; one that is not finite is not."""
        with np.errstate(invalid="ignore"):
            return np.asarray(((points >= self.low) & (points <= self.high)).all(axis=1))


def line_of(W: np.ndarray) -> np.ndarray:
    """Slope and intercept (K, 2) of the lines w1 x1 + w2 x2 + bias = 0 of W (K, 3); not finite where
    the line is vertical."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.column_stack([-W[:, 0] / W[:, 1], -W[:, 2] / W[:, 1]])


def points_note(e: Evidence) -> str:
    """Words for the caption where contours are made from a part of the data."""
    n = e.problem.n
    return f" ({MOST_POINTS} of {n} points)" if n > MOST_POINTS else ""


def paths_figure(e: Evidence) -> Figure:
    from matplotlib.colors import LogNorm

    chosen = with_panel([one.eta for one in e.trajectories])
    lines = [line_of(e.trajectories[i].W) for i in chosen]
    star = None if e.problem.optimum is None else line_of(e.problem.optimum.w[None])[0]
    star = star if star is not None and np.isfinite(star).all() else None
    frame = _frame(lines, star)
    ground = _ground(e, frame)
    columns = 1 if len(chosen) == 1 else 2 if len(chosen) <= 6 else 3
    rows = -(-len(chosen) // columns)
    figure = plots.new_figure(4.6 * columns + 1.2 + 1.6 * (columns == 1), 3.7 * rows + 0.7)
    panels = plots.centred_panels(figure, len(chosen), columns, share=True)
    norm = LogNorm(1, max(2, e.longest - 1))
    panels[0].set(xlim=(frame.low[0], frame.high[0]), ylim=(frame.low[1], frame.high[1]))
    image: Any = None
    named: set[str] = set()
    for axes, i, line in zip(panels, chosen, lines, strict=True):
        values = _contours(axes, ground)
        image = _path(axes, line, norm, plots.line_style(i, len(e.trajectories)))
        named |= _name_places(axes, frame, line, star, values)
        outside = int(np.sum(~frame.inside(line)))
        note = f"{outside} of {len(line)} outside" if outside else ""
        axes.set_title(eta_label(e.trajectories[i].eta), loc="left")
        axes.set_title(note, loc="right", fontsize=9, color=plots.GREY)
        axes.grid(False)
    for number, axes in enumerate(panels):
        if number % columns == 0:
            axes.set_ylabel(r"intercept $-\mathrm{bias}/w_2$")
        if number + columns >= len(panels):
            axes.set_xlabel(r"slope $-w_1/w_2$")
    figure.colorbar(image, ax=panels, label="iteration", shrink=min(1.0, 1.6 / rows), pad=0.02)
    plots.figure_legend(figure, _handles(named), below=True)
    return figure


def _frame(lines: list[np.ndarray], star: np.ndarray | None) -> Frame:
    """A frame with all ends, the optimum, and nine tenths of all lines of all rates.

    The first separators of a path can be far out, and a vertical one is at infinity.
    """
    finite = [line[np.isfinite(line).all(axis=1)] for line in lines]
    everything = np.concatenate(finite)
    ends = [line[-1] for line in finite if len(line)] + ([star] if star is not None else [])
    if not ends:
        return Frame(np.full(2, -1.0), np.full(2, 1.0))
    seen = np.array(ends)
    if len(everything) > 20:
        seen = np.concatenate([seen, np.quantile(everything, [0.05, 0.95], axis=0)])
    else:
        seen = np.concatenate([seen, everything])
    low, high = seen.min(axis=0), seen.max(axis=0)
    margin = np.maximum(0.14 * (high - low), 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-9)
    return Frame(low - margin, high + margin)


# ------------------------------------------------------------------------------------- the ground


Ground = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Slopes (s,), intercepts (s,), and the lowest NLL with each line (s, s)."""


def _ground(e: Evidence, frame: Frame) -> Ground:
    """The lowest NLL that weights with each line of the frame have."""
    X, t = e.problem.shown
    step = -(-len(X) // MOST_POINTS)
    X, t = X[::step], t[::step]
    side = int(np.clip(np.sqrt(PRODUCTS / len(X)), 16, 64))
    slopes, intercepts = np.linspace(frame.low, frame.high, side).T
    grid = np.meshgrid(slopes, intercepts)
    lowest = lowest_with_line(X, t, grid[0].ravel(), grid[1].ravel())
    return slopes, intercepts, lowest.reshape(grid[0].shape)


def _contours(axes: Any, ground: Ground) -> np.ndarray:
    """Thin grey lines of equal NLL with their values; the places (m, 2) of these."""
    lowest, highest = float(ground[2].min()), min(LN_2, float(ground[2].max()))
    if not highest > lowest * (1 + 1e-6) + 1e-9:
        return np.zeros((0, 2))
    levels = [lowest + share * (highest - lowest) for share in SHARES]
    lines = axes.contour(*ground, levels, colors=plots.GREY, linewidths=0.6, zorder=1)
    texts = axes.clabel(lines, fmt=lambda level: f"{level:.3g}", fontsize=7, inline_spacing=2)
    return np.array([text.get_position() for text in texts]).reshape(-1, 2)


# ------------------------------------------------------------------------------------- the path


def _path(axes: Any, line: np.ndarray, norm: Any, style: dict[str, Any]) -> Any:
    """The lines of a path, dots coloured by the iteration, joined in the style of the rate."""
    shown = np.isfinite(line).all(axis=1)
    axes.plot(*line[shown].T, linewidth=0.7, alpha=0.7, label="_path", zorder=2, **style)
    # The start has no place on a logarithmic scale; it is marked by itself.
    iterations = np.maximum(np.flatnonzero(shown), 1)
    return axes.scatter(
        *line[shown].T, c=iterations, norm=norm, cmap="plasma", s=11, linewidth=0, zorder=3
    )


def _name_places(
    axes: Any, frame: Frame, line: np.ndarray, star: np.ndarray | None, values: np.ndarray
) -> set[str]:
    """Mark and name the start or where the path comes in, the end, and the optimum.

    ``values`` (m, 2) are where numbers of contours stand. Returns the words that came up.
    """
    inside = frame.inside(line)
    seen = line[inside]
    # The star and the numbers are broad and count like some dots.
    broad = values if star is None else np.concatenate([values, star[None]])
    names = PointNames(axes, np.concatenate([seen, np.repeat(broad, 9, axis=0)]))
    places: list[tuple[np.ndarray, str, str]] = []
    if len(line) and inside[-1] and np.isfinite(line[-1]).all():
        places.append((line[-1], "end", "s"))
    if inside[0]:
        places.append((line[0], "start", "o"))
    elif inside.any():
        entry, direction = _entry(frame, line, int(np.argmax(inside)))
        places.append((entry, "comes in", direction))
    if star is not None:
        places.append((star, "optimum", "*"))
    for place, word, marker in places:
        axes.plot(
            *place,
            marker=marker,
            markersize=13 if marker == "*" else 8,
            color=plots.RED if marker == "*" else plots.paper(),
            markeredgecolor=plots.paper() if marker == "*" else plots.ink(),
            linestyle="",
            zorder=5,
            clip_on=False,
            label="_" + word,
        )
        names.name(place, word)
    return {word for _, word, _ in places}


def _entry(frame: Frame, line: np.ndarray, first: int) -> tuple[np.ndarray, str]:
    """Where the path first crosses the edge of the frame on its way in, and a triangle that points out.

    ``first`` is the first iteration inside. A vertical line before it is at infinity: the edge
    nearest to the first one inside is taken.
    """
    here, before = line[first], line[first - 1]
    away = before - here
    if not np.isfinite(away).all() or not away.any():
        gaps = np.concatenate([here - frame.low, frame.high - here])
        axis, up = int(np.argmin(gaps)) % 2, int(np.argmin(gaps)) >= 2
        away = np.zeros(2)
        away[axis] = 1.0 if up else -1.0
    edges = np.where(away > 0, frame.high, frame.low)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(away != 0, (edges - here) / away, np.inf)
    axis = int(np.argmin(reach))
    point = here + reach[axis] * away
    point[axis] = edges[axis]
    out = ("<", ">") if axis == 0 else ("v", "^")
    return point, out[int(away[axis] > 0)]


def _handles(named: set[str]) -> list[Any]:
    """The legend: of the places those that are in some panel, and the contours."""
    from matplotlib.lines import Line2D

    white: Any = {"color": plots.paper(), "markeredgecolor": plots.ink(), "markersize": 8}
    places: list[tuple[str, str, Any]] = [
        ("start", "start", {"marker": "o", **white}),
        ("comes in", "comes in from outside", {"marker": "<", **white}),
        ("end", "end", {"marker": "s", **white}),
        ("optimum", "optimum", {"marker": "*", "color": plots.RED, "markersize": 12}),
    ]
    handles = [
        Line2D([], [], linestyle="", label=label, **style)
        for word, label, style in places
        if word in named
    ]
    grey: Any = {"color": plots.GREY, "linewidth": 0.6}
    return [*handles, Line2D([], [], label="contours: lowest NLL with this line", **grey)]
