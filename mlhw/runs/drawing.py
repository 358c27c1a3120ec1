"""A figure's SVG as a part of a page: light on paper and in the day, dark where the page is dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_COLOUR = re.compile(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})\b")
_THIN = re.compile(r"(?=.*\bfill: (?:#|var)).*(?<!-)\bopacity: 0\.")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_PLACE = re.compile(rf"(?:translate\(|M ){_NUMBER}[ ,]{_NUMBER}")
# matplotlib lists a dozen fonts with each text. Verdana is as wide as DejaVu Sans, its relative.
_FONTS = re.compile(r"'DejaVu Sans'[^;\"]*sans-serif")
# The palette's colours that are too dark on a dark page, which style.css has lighter.
_LIGHTENED = {"0072b2", "c1272d", "1b7f3b"}
_CONTOURS = ("QuadContourSet", "TriContourSet")


class Box(NamedTuple):
    """The inside of a figure's axes, in the SVG's own units."""

    left: float
    right: float
    top: float
    bottom: float

    def holds(self, x: float, y: float) -> bool:
        return self.left + 1 < x < self.right - 1 and self.top + 1 < y < self.bottom - 1


def embedded(svg: bytes, name: str, alt: str) -> str:
    """An SVG of matplotlib's as an element of an HTML page, where ``alt`` says what it shows.

    Its ids begin with ``name``, as two figures of a page would share them. Greys and a few colours
    become variables of the page's style, but for what lies on a field of colour (an image, filled
    contours), which is as light in the night as by day.
    """
    root = ElementTree.fromstring(svg)
    for element in list(root):
        if element.tag == f"{_SVG}metadata" or element.find(f"{_SVG}style") is not None:
            root.remove(element)
    _adapt(root, f"{name}-", None, False)
    width = root.attrib.pop("width", "")
    for attribute in ("height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {
        "class": "drawing",
        "role": "img",
        "aria-label": alt,
        "style": f"width:{width}",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(element: Element, prefix: str, field: Box | None, kept: bool) -> None:
    """Make an element and all below it part of a page.

    ``field`` is the box of the axes around it if they are a field of colour, ``kept`` whether the
    colours stay as they are.
    """
    element.tag = element.tag.removeprefix(_SVG)
    name = element.get("id", "")
    if name.startswith("axes_"):
        field, kept = _field(element), False
    elif name.startswith("matplotlib.axis"):
        kept = False
    elif field is not None and not kept:
        place = _place(element)
        # A contour begins at the edge of the field, and runs through it.
        inside = name.startswith(_CONTOURS) or (place is not None and field.holds(*place))
        kept = element.tag == "defs" or inside
        if kept and "fill" not in element.get("style", "fill"):
            # A text without a colour is black; elsewhere it takes the page's.
            element.set("style", f"fill: #000000; {element.get('style')}")
    if name:
        element.set("id", prefix + name)
    for attribute, value in list(element.attrib.items()):
        if attribute == f"{_XLINK}href":
            del element.attrib[attribute]
            element.set("href", f"#{prefix}{value[1:]}" if value.startswith("#") else value)
        elif attribute == "d":
            # A hundredth of a point is finer than a screen.
            element.set("d", re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split())))
        elif attribute != "id":
            if attribute == "style":
                value = _style(value, kept)
            element.set(attribute, value.replace("url(#", f"url(#{prefix}"))
    if element.tag != "text" and element.tag != "tspan":
        element.text = None
    if element.tag != "tspan":
        element.tail = None
    for child in element:
        _adapt(child, prefix, field, kept)
    if field is not None and not kept:
        _back(element)


def _back(element: Element) -> None:
    """White behind the parts that shine through: a legend's patches, in the colours of the field."""
    for index, child in reversed(list(enumerate(element))):
        if _THIN.search(child.get("style", "")):
            white = {"style": "fill: #ffffff", "d": child.get("d", "")}
            element.insert(index, Element(child.tag, white))


def _place(element: Element) -> tuple[float, float] | None:
    """Where an element begins; None for a group, which is where its parts are."""
    try:
        return float(element.attrib["x"]), float(element.attrib["y"])
    except (KeyError, ValueError):
        found = _PLACE.match(element.get("transform", "") or element.get("d", ""))
        return (float(found[1]), float(found[2])) if found else None


def _field(axes: Element) -> Box | None:
    """The inside of axes that an image, a mesh or filled contours cover; None for other axes."""
    patch = axes.find(f"{_SVG}g/{_SVG}path")
    if patch is None or not any(map(_covers, _own(axes))):
        return None
    numbers = [float(value) for value in re.findall(_NUMBER, patch.get("d", ""))]
    x, y = numbers[::2], numbers[1::2]
    return Box(min(x), max(x), min(y), max(y)) if y else None


def _own(axes: Element) -> Iterator[Element]:
    """Everything in these axes, but for axes within them."""
    for child in axes:
        if not child.get("id", "").startswith("axes_"):
            yield child
            yield from _own(child)


def _covers(element: Element) -> bool:
    if element.tag == f"{_SVG}image":
        return True
    if not element.get("id", "").startswith((*_CONTOURS, "QuadMesh")):
        return False
    return any("fill: #" in path.get("style", "") for path in element.iter(f"{_SVG}path"))


@lru_cache(4096)
def _style(style: str, kept: bool) -> str:
    style = _FONTS.sub("'DejaVu Sans',Verdana,sans-serif", style)
    return style if kept else _COLOUR.sub(_variable, style)


def _variable(found: re.Match[str]) -> str:
    """A colour as the page's style may change it: ``var(--g-d, #dddddd)`` for the 14th of 16 greys."""
    colour = found[0]
    if colour[1:] in _LIGHTENED:
        return f"var(--c-{colour[1:]},{colour})"
    red, green, blue = (int(part, 16) for part in found.groups())
    pale = min(red, green, blue) >= 0xD0
    if pale or max(red, green, blue) - min(red, green, blue) <= 12:
        return f"var(--g-{round((red + green + blue) / 3 / 17):x},{colour})"
    return colour
