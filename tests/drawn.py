"""What tests of figures ask of a drawn figure: its lines, its legends, its empty panels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from mlhw.result import plots
from mlhw.result.plots import Plot


def laid_out(plot: Plot) -> Any:
    """The figure of ``plot``, drawn in the project's style with everything at its place."""
    figure = plots.draw(plot)
    FigureCanvasAgg(figure).draw()
    return figure


def style_of(line: Any) -> tuple[str, str]:
    """Colour and dash of a line, to be compared."""
    return to_hex(line.get_color()), str(line._unscaled_dash_pattern)


def named_lines(axes: Any) -> dict[str, Any]:
    """The lines of axes that have a name, by it."""
    return {
        line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")
    }


def legends(figure: Any) -> list[Any]:
    """Every legend of a figure, of its axes and its own."""
    of_axes = [axes.get_legend() for axes in figure.axes]
    return [*figure.legends, *(legend for legend in of_axes if legend is not None)]


def boxes_over_data(figure: Any) -> list[str]:
    """The legends, by their first name, and insets whose box covers a point or a line of any axes."""
    covering = []
    boxes = [
        (legend.get_texts()[0].get_text(), legend.get_window_extent()) for legend in legends(figure)
    ]
    insets = [inset for axes in figure.axes for inset in axes.child_axes]
    boxes += [(inset.get_title(), inset.get_tightbbox()) for inset in insets]
    for name, box in boxes:
        for axes in figure.axes:
            if any(_meets(box, points) for points in _data(axes)):
                covering.append(name)
    return covering


def cut_off(figure: Any) -> bool:
    """Whether something that is drawn is cut off at the edge of the figure."""
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return not (
        box.x0 >= -0.01 and box.x1 <= width + 0.01 and box.y0 >= -0.01 and box.y1 <= height + 0.01
    )


def texts_over_each_other(axes: Any) -> list[tuple[str, str]]:
    """The pairs of texts inside axes whose boxes overlap."""
    texts = [text for text in axes.texts if text.get_visible() and text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    return [
        (texts[i].get_text(), texts[j].get_text())
        for i in range(len(texts))
        for j in range(i)
        if boxes[i].overlaps(boxes[j])
    ]


def empty_panels(figure: Any) -> list[Any]:
    """Axes of a figure that show nothing: no line, image, patch or collection."""
    return [
        axes
        for axes in figure.axes
        if not (axes.lines or axes.images or axes.patches or axes.collections)
    ]


def _data(axes: Any) -> Iterator[np.ndarray]:
    """What axes show, in pixels: points along each line (N, 2) and the points of each scatter."""
    frame = axes.get_window_extent()
    for line in axes.get_lines():
        with np.errstate(all="ignore"):
            path = line.get_transform().transform(line.get_xydata())
        path = path[np.isfinite(path).all(axis=1)]
        if len(path):
            fine = np.linspace(0, len(path) - 1, 20 * len(path))
            path = np.column_stack(
                [np.interp(fine, np.arange(len(path)), path[:, k]) for k in (0, 1)]
            )
            yield path[_inside(frame, path)]
    for collection in axes.collections:
        offsets = np.asarray(collection.get_offsets(), float)
        if len(offsets) > 1:
            points = collection.get_offset_transform().transform(offsets)
            yield points[_inside(frame, points)]


def _inside(box: Any, points: np.ndarray) -> np.ndarray:
    low, high = np.array([box.x0, box.y0]), np.array([box.x1, box.y1])
    return np.asarray(((low <= points) & (points <= high)).all(axis=1))


def _meets(box: Any, points: np.ndarray) -> bool:
    return bool(_inside(box, points).any())
