"""The figures of softmax-regions: coinciding curves, the exponential law, labels that can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.contour import ContourSet

import mlhw
from tests.drawn import (
    boxes_over_data,
    cut_off,
    empty_panels,
    laid_out,
    named_lines,
    texts_over_each_other,
)


def drawn(result: Any) -> dict[str, Any]:
    return {plot.name: laid_out(plot) for plot in result.plots}


@pytest.fixture(scope="module")
def course() -> Any:
    return mlhw.softmax_regions()


@pytest.fixture(scope="module")
def figures(course: Any) -> dict[str, Any]:
    return drawn(course)


def pixels_of(figure: Any, axes: Any, colour: str) -> int:
    """How many pixels inside axes have nearly this colour."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    box = axes.get_window_extent()
    rows = slice(round(len(image) - box.y1), round(len(image) - box.y0))
    part = image[rows, round(box.x0) : round(box.x1), :3] / 255.0
    return int((np.abs(part - to_rgb(colour)).max(axis=2) < 0.08).sum())


def test_curves_that_coincide_all_stay_visible(figures: dict[str, Any]) -> None:
    figure = figures["rays"]
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert len(panels) == 6
    colours = {name: line.get_color() for name, line in named_lines(panels[0]).items()}
    # In the first panel classes 1 and 2 are equal all along, in the fifth 1 and 3.
    for panel, pair in ((panels[0], ("class 1", "class 2")), (panels[4], ("class 1", "class 3"))):
        seen = [pixels_of(figure, panel, colours[name]) for name in pair]
        assert min(seen) > 60
        assert max(seen) < 2 * min(seen)


def test_the_law_is_drawn_with_the_rate_that_is_claimed(
    course: Any, figures: dict[str, Any]
) -> None:
    (axes,) = figures["law"].axes
    assert axes.get_yscale() == "log"
    rates = {middle["class"]: middle["rate"] for middle in course.summary["middles"]}
    laws = [line for line in axes.get_lines() if line.get_label() == "_law"]
    curves = [line for line in axes.get_lines() if line.get_label() != "_law"]
    assert len(laws) == len(curves) == 3
    for law, (number, rate) in zip(laws, rates.items(), strict=True):
        r, y = law.get_data()
        assert np.diff(np.log(y)) == pytest.approx(-rate * np.diff(r), rel=1e-9), number
        # Far out the curve of the class lies on its law.
        near = [np.log(line.get_ydata()[200]) - np.log(y[200]) for line in curves]
        assert np.abs(near).min() < 1e-6
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[:3] == [rf"class {k}: $\rho$ = {rate:.4g}" for k, rate in rates.items()]


def test_the_common_point_has_its_coordinates_and_probability_beside_it(
    figures: dict[str, Any],
) -> None:
    (axes,) = figures["regions"].axes
    texts = [text.get_text() for text in axes.texts]
    assert "(3/22, −4/11);  p = 1/3" in texts
    assert texts_over_each_other(axes) == []


def test_contours_are_dark_where_the_colours_are_pale(figures: dict[str, Any]) -> None:
    for name in ("probabilities", "max-p"):
        panels = [axes for axes in figures[name].axes if axes.images]
        assert panels
        for axes in panels:
            (lines,) = (c for c in axes.collections if isinstance(c, ContourSet))
            image = axes.images[0]
            for level, colour in zip(lines.levels, lines.get_edgecolor(), strict=True):
                ground = np.array(image.cmap(image.norm(level))[:3])
                # Luminance far enough from what it is drawn on.
                apart = abs(float(ground @ [0.299, 0.587, 0.114]) - float(np.mean(colour[:3])))
                assert apart > 0.35, (name, level, to_hex(colour))


@pytest.mark.parametrize(
    "keys",
    [
        {"weights": [[1, 0], [-1, 0], [0, 1], [0, -1], [0.1, 0.1]], "biases": [0, 0, 0, 0, 0.5]},
        {"fit": {"name": "iris", "features": [2, 3]}},
        {
            "weights": [[np.cos(a), np.sin(a)] for a in np.arange(10) * 0.6283],
            "biases": (0.01 * np.arange(10)).tolist(),
        },
        {"weights": [[1, 0], [-1, 0]], "biases": [0, 1]},
    ],
    ids=["five", "iris", "ten", "two"],
)
def test_legends_hide_no_data_and_no_panel_is_empty(keys: dict[str, Any]) -> None:
    result = mlhw.softmax_regions(**keys)
    titles = [plot.title for plot in result.plots]
    assert len(set(titles)) == len(titles)
    for figure in drawn(result).values():
        assert boxes_over_data(figure) == []
        assert not cut_off(figure)
        assert empty_panels(figure) == []


def test_the_legends_of_the_default_hide_no_data(figures: dict[str, Any]) -> None:
    for figure in figures.values():
        assert boxes_over_data(figure) == []
        assert not cut_off(figure)
        assert empty_panels(figure) == []
