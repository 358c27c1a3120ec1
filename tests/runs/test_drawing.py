"""A figure's SVG in a page: its names its own, dark where the page is, whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest

from mlhw.result import plots
from mlhw.result.plots import Plot
from mlhw.runs.drawing import embedded

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def lines(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color="black")
    axes.text(0.5, 0.5, "middle <&>")
    axes.set_title("title")


def field(axes: Any) -> None:
    lines(axes)
    axes.imshow(np.eye(2), extent=(0, 1, 0, 1))


def drawn(draw: Any, folder: Path) -> ElementTree.Element:
    def figure() -> Figure:
        made = plots.new_figure(3, 3)
        draw(made.add_subplot())
        return made

    svg = plots.save(Plot("p", "t", "c", "a", figure), folder).svg
    return ElementTree.fromstring(embedded(svg, "p", 'say "<alt>"'))


def texts(root: ElementTree.Element) -> dict[str, str]:
    return {text.text or "": text.get("style", "") for text in root.iter("text")}


def test_greys_follow_the_page_and_fall_back_to_what_was_drawn(tmp_path: Path) -> None:
    root = drawn(lines, tmp_path)
    styles = " ".join(element.get("style", "") for element in root.iter())
    assert "var(--g-f,#ffffff)" in styles  # the paper
    assert "var(--g-0,#000000)" in styles  # the line
    assert not re.search(r"(?<!,)#(000000|ffffff|dddddd)", styles)
    # A text without a colour takes the drawing's, which style.css sets.
    assert "fill" not in texts(root)["middle <&>"]


def test_what_lies_on_a_field_of_colour_stays_as_it_was(tmp_path: Path) -> None:
    """Black on yellow would be white on yellow in the dark."""
    found = texts(drawn(field, tmp_path))
    assert "fill: #000000" in found["middle <&>"]
    assert "fill" not in found["title"]


def test_a_contour_that_begins_at_the_edge_of_a_field_stays_as_it_was(tmp_path: Path) -> None:
    def contours(axes: Any) -> None:
        axes.imshow([[0.0, 1.0]] * 2, extent=(0, 1, 0, 1))
        axes.contour([0, 1], [0, 1], [[0.0, 1.0]] * 2, [0.5], colors="black")

    root = drawn(contours, tmp_path)
    (group,) = (each for each in root.iter("g") if "QuadContourSet" in each.get("id", ""))
    styles = [path.get("style", "") for path in group.iter("path")]
    assert styles
    assert all("stroke: #000000" in style for style in styles)


def test_a_legends_pale_colour_is_as_pale_in_the_dark(tmp_path: Path) -> None:
    """It shines through, as the field does by day, when the page is white."""

    def legend(axes: Any) -> None:
        field(axes)
        axes.bar([0.5], [0.5], color="#0072B2", alpha=0.3, label="a")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))

    root = drawn(legend, tmp_path)
    (box,) = (each for each in root.iter("g") if each.get("id") == "p-legend_1")
    styles = [path.get("style", "") for path in box.iter("path")]
    pale = next(i for i, style in enumerate(styles) if "opacity: 0.3" in style)
    assert styles[pale - 1] == "fill: #ffffff"


@pytest.mark.parametrize("draw", [lines, field])
def test_names_are_the_figures_own_and_lead_somewhere(draw: Any, tmp_path: Path) -> None:
    root = drawn(draw, tmp_path)
    names = [name for element in root.iter() if (name := element.get("id"))]
    assert len(names) == len(set(names))
    assert all(name.startswith("p-") for name in names)
    text = ElementTree.tostring(root, encoding="unicode")
    used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text)
    assert used
    assert {a or b for a, b in used} <= set(names)
    assert "https://" not in text
    assert "http://" not in text
    assert "<style" not in text
    assert root.get("aria-label") == 'say "<alt>"'
    assert root.get("role") == "img"
