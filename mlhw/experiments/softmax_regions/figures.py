"""The figures of ``softmax-regions``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.softmax_regions.grid import MAX_PANELS, Grid, Window
from mlhw.experiments.softmax_regions.report import floats
from mlhw.experiments.softmax_regions.setup import Fitted
from mlhw.maths.rational import unit
from mlhw.maths.rays import Path, distances
from mlhw.maths.regions import Envelope
from mlhw.result import plots
from mlhw.result.plots import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Levels of p at which lines are drawn; between them the colour says enough.
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Wide gaps, so that of two lines that coincide the lower one shows.
DASHES: tuple[Any, ...] = ("-", (0, (5, 4)), (0, (1.5, 2.5)), (0, (7, 3, 1, 3)), (0, (1, 5)))


def figures(
    envelope: Envelope,
    names: Sequence[str],
    boundaries: Sequence[Path],
    middles: Sequence[Path],
    grid: Grid,
    fitted: Fitted | None,
) -> list[Plot]:
    """The regions, p along the probed ways, p of each class, and the largest p."""
    labels = [plots.plain(name) for name in names]
    axes_labels = ("x1", "x2") if fitted is None else tuple(map(plots.plain, fitted.features))
    ways = [path for path in boundaries if path.kind != "line"]
    # Where there are too many for panels, the middles keep half of them.
    kept = middles[: max(MAX_PANELS - len(ways), MAX_PANELS // 2)]
    probed = [*ways[: MAX_PANELS - len(kept)], *kept]
    left_out = len(ways) + len(middles) - len(probed)
    shown = min(len(names), MAX_PANELS)
    drawn = Drawing(envelope, labels, axes_labels, middles, grid, fitted)
    corners = "; ".join(
        f"{', '.join(names[k] for k in vertex.classes)} meet at "
        f"({', '.join(f'{c:.4g}' for c in floats(vertex.point))})"
        for vertex in envelope.vertices[:10]
    )
    kinds = [boundary.kind for boundary in envelope.boundaries]
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    found = [
        Plot(
            "regions",
            "The regions and their boundaries",
            "In each region its class has the largest probability. On a red boundary two classes are "
            "equal; at a green point three or more meet; a dotted line is the middle ray, along "
            "which the margin to the runner-up grows fastest.",
            f"{len(envelope.with_area)} regions; boundaries: {counts or 'none'}; "
            f"{corners or 'no vertex'}.",
            drawn.regions,
        ),
        Plot(
            "probabilities",
            "The probability of each class",
            "Lines at 0.1, 0.3, 0.5, 0.7 and 0.9; red: the boundaries."
            + (f" The first {shown} of {len(names)} classes." if shown < len(names) else ""),
            f"A contour panel for each of {shown} classes, p from 0 to 1 over the plane.",
            drawn.probabilities,
        ),
        Plot(
            "max-p",
            "The largest probability",
            "Height is the largest p: low along the boundaries, lowest where many classes meet, and "
            "1 far inside a region.",
            f"The largest p in the window runs from {grid.top.min():.4g} to {grid.top.max():.4g}.",
            drawn.largest,
        ),
    ]
    if probed:
        found.insert(
            1,
            Plot(
                "rays",
                "Probabilities along the boundaries and the middle rays",
                "Away from a vertex along a boundary the two classes that it divides stay equal; "
                "away in the middle of a region its own probability rises. Distance is logarithmic."
                + (f" {left_out} more ways are in probes.csv." if left_out else ""),
                f"{len(probed)} panels of p against distance. At the far end of the first, p is "
                + ", ".join(f"{p:.4g}" for p in _end(probed[0], grid.window.scale)[:8])
                + ".",
                lambda: drawn.rays(probed),
            ),
        )
    return found


def _short(words: str, most: int = 24) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _end(path: Path, scale: float) -> np.ndarray:
    return np.asarray(path.p(distances(path, scale)[-1:])[0])


@dataclass(frozen=True)
class Drawing:
    """What the four figures share; each method draws one."""

    envelope: Envelope
    names: list[str]
    axes_labels: tuple[str, ...]
    middles: Sequence[Path]
    grid: Grid
    fitted: Fitted | None

    @property
    def window(self) -> Window:
        return self.grid.window

    def regions(self) -> Figure:
        from matplotlib.colors import to_rgb

        figure = plots.new_figure(7.4, 5.4)
        axes = figure.add_subplot()
        tints = np.array([to_rgb(plots.colour(k)) for k in range(len(self.names))])
        picture = 1 - 0.28 * (1 - tints[self.grid.region])
        axes.imshow(picture, origin="lower", extent=self._extent, interpolation="nearest")
        for path in self.middles:
            part = clip(path.points(np.zeros(1))[0], unit(path.direction), 0, np.inf, self.window)
            if part is not None:
                axes.plot(*part.T, color="black", linewidth=1.1, linestyle=":")
        self._points(axes)
        self._boundaries(axes, 2.2)
        self._vertices(axes)
        for region in self.envelope.with_area:
            self._name_region(axes, region.index)
        self._frame(axes)
        self._legend(axes)
        return figure

    def rays(self, paths: list[Path]) -> Figure:
        from matplotlib.ticker import LogLocator, NullLocator

        rows, columns = plots.panels(len(paths), columns=3)
        figure = plots.new_figure(3.0 * columns + 1.2, 2.3 * rows + 0.3)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, path in zip(panels.flat, paths, strict=False):
            r = distances(path, self.window.scale)
            for k, p in enumerate(path.p(r).T):
                # Tied lines coincide: each is thinner than the one below it, so that both show.
                width = 3.6 * 0.55 ** path.tied.index(k) if k in path.tied else 1.5
                axes.plot(
                    r,
                    p,
                    color=plots.colour(k),
                    linestyle=DASHES[k % len(DASHES)],
                    linewidth=width,
                    label=_short(self.names[k]),
                )
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(numticks=5))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_ylim(-0.03, 1.03)
            axes.set_title(self._title(path), fontsize=9.5)
        for axes in panels.flat[len(paths) :]:
            axes.set_visible(False)
        for column in range(columns):
            lowest = max(row for row in range(rows) if row * columns + column < len(paths))
            panels[lowest, column].set_xlabel("distance r")
        for row in panels:
            row[0].set_ylabel("p")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles[:12], labels[:12], loc="outside right upper")
        return figure

    def probabilities(self) -> Figure:
        shown = self.grid.p.shape[-1]
        rows, columns = plots.panels(shown, columns=3)
        figure = plots.new_figure(3.0 * columns + 0.9, 2.8 * rows + 0.2)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        image: Any = None
        for k, axes in enumerate(panels.flat):
            if k >= shown:
                axes.set_visible(False)
                continue
            image = self._height(axes, self.grid.p[..., k], LEVELS, lowest=0.0)
            axes.set_title(f"p of {_short(self.names[k])}")
            self._frame(axes, row_end=k % columns == 0, column_end=k + columns >= shown)
            axes.tick_params(labelbottom=k + columns >= shown)
        figure.colorbar(image, ax=panels, label="p", shrink=0.9)
        return figure

    def largest(self) -> Figure:
        figure = plots.new_figure(6.6, 5.0)
        axes = figure.add_subplot()
        levels = (0.6, 0.7, 0.8, 0.9, 0.99)
        image = self._height(axes, self.grid.top, levels, lowest=1 / len(self.names))
        self._vertices(axes)
        self._frame(axes)
        figure.colorbar(image, ax=axes, label="largest p")
        return figure

    @property
    def _extent(self) -> tuple[float, float, float, float]:
        x1_low, x1_high, x2_low, x2_high = self.window.bounds
        return x1_low, x1_high, x2_low, x2_high

    def _height(self, axes: Any, p: np.ndarray, levels: Sequence[float], *, lowest: float) -> Any:
        """p as colour from ``lowest`` to 1, lines at the levels it crosses, the boundaries in red."""
        image = axes.imshow(p, origin="lower", extent=self._extent, vmin=lowest, vmax=1)
        crossed = [level for level in levels if p.min() < level < p.max()]
        if crossed:
            lines = axes.contour(*self.grid.axes, p, crossed, colors="white", linewidths=0.7)
            axes.clabel(lines, fmt="%g", fontsize=7)
        self._boundaries(axes, 1.3)
        return image

    def _boundaries(self, axes: Any, width: float) -> None:
        for boundary in self.envelope.boundaries:
            u = unit(boundary.direction)
            start = np.array(floats(boundary.start))
            low = -np.inf if boundary.kind == "line" else 0.0
            high = np.inf
            if boundary.end is not None:
                high = float(np.linalg.norm(np.array(floats(boundary.end)) - start))
            part = clip(start, u, low, high, self.window)
            if part is not None:
                # A white seam keeps the red apart from dark and from orange alike.
                axes.plot(*part.T, color="white", linewidth=width + 1.2, alpha=0.8, zorder=2)
                axes.plot(*part.T, color=plots.RED, linewidth=width, zorder=2.1)

    def _vertices(self, axes: Any) -> None:
        for vertex in self.envelope.vertices:
            axes.plot(
                *floats(vertex.point),
                marker="o",
                color=plots.GREEN,
                markeredgecolor="white",
                markersize=8,
                zorder=4,
            )

    def _points(self, axes: Any) -> None:
        if self.fitted is None:
            return
        for k in range(len(self.names)):
            part = self.fitted.X[self.fitted.target == k]
            axes.scatter(
                part[:, 0],
                part[:, 1],
                s=20,
                marker=plots.MARKERS[k % len(plots.MARKERS)],
                facecolor=plots.colour(k),
                edgecolor="white",
                linewidth=0.5,
                zorder=3,
            )

    def _name_region(self, axes: Any, k: int) -> None:
        """The names of a region's classes in its middle, unless it is too small for them."""
        rows, columns = np.nonzero(self.grid.region == k)
        if len(rows) < 0.015 * self.grid.region.size or self.fitted is not None:
            return
        x1, x2 = self.grid.axes
        center = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
        words = _short(", ".join(self.names[j] for j in self.envelope.equals(k)))
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

    def _frame(self, axes: Any, *, row_end: bool = True, column_end: bool = True) -> None:
        x1_low, x1_high, x2_low, x2_high = self._extent
        axes.set(xlim=(x1_low, x1_high), ylim=(x2_low, x2_high))
        axes.set_aspect("equal" if self.window.square else "auto")
        axes.grid(False)
        if column_end:
            axes.set_xlabel(self.axes_labels[0])
        if row_end:
            axes.set_ylabel(self.axes_labels[1])

    def _legend(self, axes: Any) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        with_area = {region.index for region in self.envelope.with_area}
        handles: list[Any] = []
        for k, name in enumerate(self.names[:12]):
            if self.fitted is not None:
                marker = plots.MARKERS[k % len(plots.MARKERS)]
                handles.append(
                    Line2D(
                        [],
                        [],
                        marker=marker,
                        color=plots.colour(k),
                        linestyle="",
                        label=_short(name),
                    )
                )
            elif k in with_area:
                handles.append(Patch(color=plots.colour(k), alpha=0.28, label=_short(name)))
        if self.envelope.boundaries:
            handles.append(Line2D([], [], color=plots.RED, linewidth=2.2, label="boundary"))
        points = [np.array(floats(vertex.point)) for vertex in self.envelope.vertices]
        low, high = self.window.low, self.window.high
        if any(((low <= point) & (point <= high)).all() for point in points):
            one = self.envelope.common is not None
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
        if self.middles:
            handles.append(Line2D([], [], color="black", linestyle=":", label="middle ray"))
        plots.legend(axes, outside=True, handles=handles)

    def _title(self, path: Path) -> str:
        words = _short(" | ".join(self.names[k] for k in path.classes))
        if path.kind == "middle":
            return f"middle of {words}"
        vertex = "" if path.vertex is None else f" from vertex {path.vertex + 1}"
        return f"{words}{vertex}"


def clip(
    start: np.ndarray, u: np.ndarray, low: float, high: float, window: Window
) -> np.ndarray | None:
    """The part of start + t u, low ≤ t ≤ high, inside the window, (2, 2), or None (Liang–Barsky)."""
    for axis in (0, 1):
        near, far = window.low[axis] - start[axis], window.high[axis] - start[axis]
        if u[axis] == 0:
            if near > 0 or far < 0:
                return None
            continue
        entry, leave = sorted((near / u[axis], far / u[axis]))
        low, high = max(low, entry), min(high, leave)
    return start + np.outer([low, high], u) if low < high else None
