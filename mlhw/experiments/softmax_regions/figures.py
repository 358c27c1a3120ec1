"""The figures of softmax-regions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.softmax_regions.evidence import Evidence, floats
from mlhw.experiments.softmax_regions.ways_figures import (
    falling_ways,
    label,
    law_figure,
    rate_of,
    rays_figure,
    short,
    shown_ways,
)
from mlhw.experiments.softmax_regions.window import around, clipped, unseen
from mlhw.maths.rational import to_float, unit
from mlhw.maths.rays import distances
from mlhw.result import plots
from mlhw.result.labels import PointNames
from mlhw.result.plots import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Levels of p at which lines are drawn; between them the colour says enough.
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
DARK = 0.45
"""Up to this share of the colours' range white is read better than black."""
MOST_NAMES = 24  # in a legend
MOST_DIGITS = 3
"""A fraction is written as one if neither its numerator nor its denominator has more."""

FIGURES = Figures[Evidence]()


# ------------------------------------------------------------------------------------- regions


def _regions_alt(e: Evidence) -> str:
    corners = "; ".join(
        f"{', '.join(e.names[k] for k in vertex.classes)} meet at "
        f"({', '.join(f'{c:.4g}' for c in floats(vertex.point))})"
        for vertex in e.envelope.vertices[:10]
    )
    kinds = [boundary.kind for boundary in e.envelope.boundaries]
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    return (
        f"{len(e.envelope.with_area)} regions; boundaries: {counts or 'none'}; "
        f"{corners or 'no vertex'}."
    )


def _regions_caption(e: Evidence) -> str:
    words = (
        "In each region its class has the largest probability. On a red boundary two classes are "
        "equal; at a green point three or more meet; a dotted line is the middle ray, along "
        "which the margin to the runner-up grows fastest."
    )
    if any(sign.hatch for sign in e.signs):
        words += " Neighbours differ in colour; of classes with one colour all but one are hatched."
    small = unseen(e.envelope, e.grid.window)
    if small:
        bounds = ",".join(f"{bound:.6g}" for bound in around(e.envelope, small[0]).bounds)
        words += (
            f" Bounded, but too small or too far away to be seen here: {e.listed(small)}; "
            f"--window {bounds} shows {e.names[small[0]]}."
        )
    return words


@FIGURES.figure(
    "regions",
    "The regions and their boundaries",
    _regions_caption,
    alt=_regions_alt,
)
def _regions(e: Evidence) -> Figure:
    from matplotlib.colors import to_rgb

    figure = plots.new_figure(7.4, 5.4)
    axes = figure.add_subplot()
    tints = np.array([to_rgb(sign.colour) for sign in e.signs])
    picture = 1 - 0.28 * (1 - tints[e.grid.region])
    axes.imshow(picture, origin="lower", extent=_extent(e), interpolation="nearest")
    _hatches(e, axes)
    for way in e.middles:
        part = clipped(way.points(np.zeros(1))[0], unit(way.direction), 0, np.inf, e.grid.window)
        if part is not None:
            axes.plot(*part.T, color="black", linewidth=1.1, linestyle=":")
    _points(e, axes)
    _boundaries(e, axes, 2.2)
    _vertices(e, axes)
    for region in e.envelope.with_area:
        _name_region(e, axes, region.index)
    _frame(e, axes)
    _name_common(e, axes)
    _legend(e, axes)
    return figure


def _hatches(e: Evidence, axes: Any) -> None:
    """Lines over the regions whose colour another class has too."""
    for region in e.envelope.with_area:
        sign = e.signs[region.index]
        here = (e.grid.region == region.index).astype(float)
        if sign.hatch and here.any():
            drawn = axes.contourf(
                *e.grid.axes, here, levels=[0.5, 1.5], colors="none", hatches=[sign.hatch]
            )
            drawn.set_edgecolor(sign.colour)
            drawn.set_linewidth(0.0)


def _points(e: Evidence, axes: Any) -> None:
    if e.fitted is None:
        return
    for k in range(len(e.names)):
        part = e.fitted.X[e.fitted.target == k]
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=20,
            marker=e.signs[k].marker,
            facecolor=e.signs[k].colour,
            edgecolor="white",
            linewidth=0.5,
            zorder=3,
        )


def _name_region(e: Evidence, axes: Any, k: int) -> None:
    """The names of a region's classes in its middle, unless it is too small for them."""
    rows, columns = np.nonzero(e.grid.region == k)
    if len(rows) < 0.015 * e.grid.region.size or e.fitted is not None:
        return
    x1, x2 = e.grid.axes
    center = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    words = short(", ".join(label(e, j) for j in e.envelope.equals(k)))
    axes.text(
        x1[columns[center]],
        x2[rows[center]],
        words,
        ha="center",
        va="center",
        fontsize=11,
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 2},
    )


def _name_common(e: Evidence, axes: Any) -> None:
    """The coordinates of the point in which all classes meet, and p there, beside it."""
    common = e.envelope.common
    if common is None or common.kind != "point":
        return
    point = floats(common.point)
    if not ((e.grid.window.low < point) & (point < e.grid.window.high)).all():
        return
    x1, x2 = map(exact, common.point)
    words = f"({x1}, {x2});  p = 1/{len(e.names)}"
    # Where lines, points and names are, as places to be left visible.
    covered = [part for line in axes.get_lines() if len(part := _dots(line.get_xydata()))]
    covered += [] if e.fitted is None else [e.fitted.X]
    covered += [np.array([text.get_position()] * 50) for text in axes.texts]
    names = PointNames(axes, np.concatenate(covered), letter=(0.0165, 0.045))
    names.name(point, words)


def _dots(ends: np.ndarray) -> np.ndarray:
    """Points along a line from its two ends; one that is a point is left out."""
    if len(ends) < 2:
        return np.zeros((0, 2))
    return np.asarray(np.linspace(ends[0], ends[-1], 100))


def exact(value: Fraction) -> str:
    """A fraction as one where that is short, else rounded."""
    shown = abs(value.numerator) < 10**MOST_DIGITS and value.denominator < 10**MOST_DIGITS
    return plots.number(to_float(value), 4) if not shown else str(value).replace("-", "−")


def _legend(e: Evidence, axes: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with_area = {region.index for region in e.envelope.with_area}
    handles: list[Any] = []
    for k in range(min(MOST_NAMES, len(e.names))):
        sign = e.signs[k]
        name = short(label(e, k))
        if e.fitted is not None:
            handles.append(
                Line2D([], [], marker=sign.marker, color=sign.colour, linestyle="", label=name)
            )
        elif k in with_area:
            handles.append(Patch(color=sign.colour, alpha=0.28, label=name, hatch=sign.hatch))
    if e.envelope.boundaries:
        handles.append(Line2D([], [], color=plots.RED, linewidth=2.2, label="boundary"))
    points = [np.array(floats(vertex.point)) for vertex in e.envelope.vertices]
    low, high = e.grid.window.low, e.grid.window.high
    if any(((low <= point) & (point <= high)).all() for point in points):
        one = e.envelope.common is not None
        handles.append(
            Line2D(
                [],
                [],
                marker="o",
                color=plots.GREEN,
                linestyle="",
                markersize=8,
                label="common point" if one else "vertex",
            )
        )
    if e.middles:
        handles.append(Line2D([], [], color="black", linestyle=":", label="middle ray"))
    plots.legend(axes, handles=handles)


# ------------------------------------------------------------------------------------- rays


def _rays_caption(e: Evidence) -> str:
    left_out = len(e.probed) - len(shown_ways(e))
    return (
        "Away from a vertex along a boundary the two classes that it divides stay equal; "
        "away in the middle of a region its own probability rises. Distance is logarithmic. Curves "
        "that coincide are stripes of their colours."
        + (f" {left_out} more ways are in probes.csv." if left_out else "")
    )


def _rays_alt(e: Evidence) -> str:
    ways = shown_ways(e)
    end = ways[0].p(distances(ways[0], e.scale)[-1:])[0]
    return (
        f"{len(ways)} panels of p against distance. At the far end of the first, p is "
        + ", ".join(f"{p:.4g}" for p in end[:8])
        + "."
    )


@FIGURES.figure(
    "rays",
    "Probabilities along the boundaries and the middle rays",
    _rays_caption,
    alt=_rays_alt,
    when=lambda e: bool(e.probed),
)
def _rays(e: Evidence) -> Figure:
    return rays_figure(e)


def _law_alt(e: Evidence) -> str:
    rates = ", ".join(
        f"{rate_of(way):.4g} in {e.names[way.classes[0]]}" for way in falling_ways(e)[:8]
    )
    return f"1 − p against distance in the middle of each region, a straight line; rates {rates}."


@FIGURES.figure(
    "law",
    "1 − p in the middle of each region",
    "On a logarithmic axis an exponential is a straight line. Its rate ρ is the distance from the "
    "class's weights to the convex hull of the others'; thin: the law itself.",
    alt=_law_alt,
    when=lambda e: bool(falling_ways(e)),
)
def _law(e: Evidence) -> Figure:
    return law_figure(e)


# ------------------------------------------------------------------------------------- heights


def _probabilities_caption(e: Evidence) -> str:
    shown, all_of_them = e.grid.p.shape[-1], len(e.names)
    return "Lines at 0.1, 0.3, 0.5, 0.7 and 0.9; red: the boundaries." + (
        f" The first {shown} of {all_of_them} classes." if shown < all_of_them else ""
    )


@FIGURES.figure(
    "probabilities",
    "The probability of each class",
    _probabilities_caption,
    alt=lambda e: (
        f"A contour panel for each of {e.grid.p.shape[-1]} classes, p from 0 to 1 over the plane."
    ),
)
def _probabilities(e: Evidence) -> Figure:
    shown = e.grid.p.shape[-1]
    rows, columns = plots.panels(shown, columns=3)
    figure = plots.new_figure(3.0 * columns + 0.9, 2.8 * rows + 0.2)
    panels = plots.centred_panels(figure, shown, columns, share=True)
    image: Any = None
    for k, axes in enumerate(panels):
        image = _height(e, axes, e.grid.p[..., k], LEVELS, lowest=0.0)
        name = short(label(e, k))
        axes.set_title(f"{plots.beside(name, '$p$', 'p')} of {name}")
        _frame(e, axes, row_end=k % columns == 0, column_end=k + columns >= shown)
    figure.colorbar(image, ax=panels, label="$p$", shrink=0.9)
    return figure


@FIGURES.figure(
    "max-p",
    "The largest probability",
    "Height is the largest p: low along the boundaries, lowest where many classes meet, and "
    "1 far inside a region.",
    alt=lambda e: (
        f"The largest p in the window runs from {e.grid.top.min():.4g} to {e.grid.top.max():.4g}."
    ),
)
def _largest(e: Evidence) -> Figure:
    figure = plots.new_figure(6.6, 5.0)
    axes = figure.add_subplot()
    levels = (0.6, 0.7, 0.8, 0.9, 0.99)
    image = _height(e, axes, e.grid.top, levels, lowest=1 / len(e.names))
    _vertices(e, axes)
    _frame(e, axes)
    figure.colorbar(image, ax=axes, label="largest $p$")
    return figure


def _height(
    e: Evidence, axes: Any, p: np.ndarray, levels: Sequence[float], *, lowest: float
) -> Any:
    """p as colour from ``lowest`` to 1, lines at the levels it crosses, the boundaries in red."""
    image = axes.imshow(p, origin="lower", extent=_extent(e), vmin=lowest, vmax=1)
    crossed = [level for level in levels if p.min() < level < p.max()]
    if crossed:
        # White is read on the dark colours, black on the pale ones; they are the picture's, not the page's.
        share = (np.array(crossed) - lowest) / (1 - lowest)
        colours = ["black" if part > DARK else "white" for part in share]
        lines = axes.contour(*e.grid.axes, p, crossed, colors=colours, linewidths=0.7)
        axes.clabel(lines, fmt="%g", fontsize=8)
    _boundaries(e, axes, 1.3)
    return image


# ------------------------------------------------------------------------------------- shared


def _axes_labels(e: Evidence) -> tuple[str, str]:
    if e.fitted is None:
        return "$x_1$", "$x_2$"
    first, second = e.fitted.features
    return plots.typeset(first), plots.typeset(second)


def _extent(e: Evidence) -> tuple[float, float, float, float]:
    x1_low, x1_high, x2_low, x2_high = e.grid.window.bounds
    return x1_low, x1_high, x2_low, x2_high


def _frame(e: Evidence, axes: Any, *, row_end: bool = True, column_end: bool = True) -> None:
    x1_low, x1_high, x2_low, x2_high = _extent(e)
    axes.set(xlim=(x1_low, x1_high), ylim=(x2_low, x2_high))
    axes.set_aspect("equal" if e.grid.window.square else "auto")
    axes.grid(False)
    if column_end:
        axes.set_xlabel(_axes_labels(e)[0])
    if row_end:
        axes.set_ylabel(_axes_labels(e)[1])


def _boundaries(e: Evidence, axes: Any, width: float) -> None:
    for boundary in e.envelope.boundaries:
        u = unit(boundary.direction)
        start = np.array(floats(boundary.start))
        low = -np.inf if boundary.kind == "line" else 0.0
        high = np.inf
        if boundary.end is not None:
            high = float(np.linalg.norm(np.array(floats(boundary.end)) - start))
        part = clipped(start, u, low, high, e.grid.window)
        if part is not None:
            # A white seam keeps the red apart from dark and from orange alike.
            axes.plot(*part.T, color="white", linewidth=width + 1.2, alpha=0.8, zorder=2)
            axes.plot(*part.T, color=plots.RED, linewidth=width, zorder=2.1)


def _vertices(e: Evidence, axes: Any) -> None:
    for vertex in e.envelope.vertices:
        axes.plot(
            *floats(vertex.point),
            marker="o",
            color=plots.GREEN,
            markeredgecolor="white",
            markersize=8 if len(e.envelope.vertices) <= 12 else 5,
            zorder=4,
        )
