"""PNG and SVG files of figures: the pixels and shapes that matplotlib gives, in fewer bytes."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from mlhw.result.printing import printed_png, printed_svg

NAMES = 'C1_0_0123456789 x="0.123456" <use>'


def figure(*, field: bool = False, face: str = "white") -> Figure:
    drawn = Figure(figsize=(4, 3), facecolor=face)
    axes = drawn.add_subplot()
    rng = np.random.default_rng(0)
    if field:
        axes.imshow(rng.random((200, 300)), cmap="viridis")
    else:
        places = rng.random((400, 2)) * 3.3
        axes.scatter(*places.T, c=places[:, 0], s=9)
        axes.scatter(*places[:50].T, s=4, c=places[:50, 1])
        axes.plot(*places.T, "s")
        axes.set_title(NAMES)
    return drawn


@pytest.mark.parametrize("field", [False, True])
@pytest.mark.parametrize("face", ["white", (1, 1, 1, 0.5)])
def test_a_png_has_every_pixel_that_matplotlib_draws(field: bool, face: str) -> None:
    expected = io.BytesIO()
    FigureCanvasAgg(figure(field=field, face=face)).print_png(expected)
    found = printed_png(figure(field=field, face=face))
    with Image.open(io.BytesIO(found)) as ours, Image.open(expected) as theirs:
        assert ours.mode == ("RGB" if face == "white" else "RGBA")
        assert ours.info["dpi"] == pytest.approx(theirs.info["dpi"], abs=0.1)
        np.testing.assert_array_equal(ours.convert("RGBA"), theirs.convert("RGBA"))
    assert len(found) < 1.05 * len(expected.getvalue())


def test_an_svg_has_the_same_shapes_at_the_same_places() -> None:
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "x"}):
        theirs = io.BytesIO()
        FigureCanvasSVG(figure()).print_svg(theirs, metadata={"Date": None})
        found = printed_svg(figure())
    assert len(found) < 0.75 * len(theirs.getvalue())
    ours, expected = ElementTree.fromstring(found), ElementTree.fromstring(theirs.getvalue())
    assert [text.text for text in ours.iter() if text.tag.endswith("text")] == [
        text.text for text in expected.iter() if text.tag.endswith("text")
    ]
    shapes = [
        [shape for shape in root.iter() if shape.tag.endswith(("}use", "}path"))]
        for root in (ours, expected)
    ]
    assert len(shapes[0]) == len(shapes[1])
    for one, other in zip(*shapes, strict=True):
        assert one.get("style") == other.get("style")
        for attribute in ("x", "y", "d"):
            here, there = (
                np.array(re.findall(r"-?\d+\.?\d*", shape.get(attribute, "")), dtype=float)
                for shape in (one, other)
            )
            np.testing.assert_allclose(here, there, atol=0.01)


def test_every_dot_of_an_svg_has_a_shape_and_stays_within_the_axes() -> None:
    root = ElementTree.fromstring(printed_svg(figure()))
    names = [shape.get("id") for shape in root.iter() if shape.get("id")]
    assert len(set(names)) == len(names)
    parents = {child: parent for parent in root.iter() for child in parent}
    dots = [
        use
        for use in root.iter("{http://www.w3.org/2000/svg}use")
        if "fill" in use.get("style", "")
    ]
    clipped = 0
    for dot in dots:
        assert dot.attrib["{http://www.w3.org/1999/xlink}href"][1:] in names
        clipped += "clip-path" in parents[dot].attrib
    assert clipped >= 850
