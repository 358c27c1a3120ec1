"""Formulas of a report: drawn, so that they look alike everywhere, and as MathML for those who hear them.

A browser without a font for mathematics sets MathML badly. matplotlib's mathtext brings its own letters
(STIX) and gives their outlines, so a page needs no font of its reader's machine. The drawing is in the
colour of the text around it, its size in ``em`` and its baseline on the text's.
"""

from __future__ import annotations

import contextlib
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from mlhw.system import checked
from mlhw.system.files import cache_folder
from mlhw.system.provenance import package_version

UNIT = 100
"""Outlines have this many units to the em, matplotlib's own number for outlines of text."""
MARGIN = 4
"""Units around a drawing: an italic f leans out of its box."""

# Only what an outline is made of; a cached one that anything else has got into is drawn anew.
_OUTLINE = re.compile(r"[MLQCZ0-9 -]*")
# The same of MathML: its elements, attributes that say how they are set, and text.
_MATHML = re.compile(
    r"(?:</?m[a-z]+(?: (?:accent|columnalign|columnspacing|depth|display|displaystyle|fence|form|height"
    r"|linethickness|lspace|mathvariant|maxsize|minsize|movablelimits|rowspacing|rspace|scriptlevel|separator"
    r'|stretchy|width)="[\w .%-]*")* ?/?>|[^<>])*'
)
# A number of one run's own. What holds it is drawn for that run and not kept, or the cache would grow.
_OWN_NUMBER = re.compile(r"\d\.\d{4}")


class Drawing(NamedTuple):
    """An outline in ``UNIT`` to the em, y downwards from the baseline; and what it fills of it."""

    outline: str
    width: int
    height: int
    depth: int


def drawn_formula(formula: str) -> str:
    r"""A formula in LaTeX, ``\nabla E(w)``, as HTML: SVG for the eye, MathML for the ear and for copying.

    What is parted by ``, \quad`` or ``: \quad`` are drawings of their own, between which a narrow page
    breaks the line.
    A formula that cannot be drawn is MathML for the eye too.
    """
    # The sign before a wide gap stays with what is before it.
    parts = re.split(r"(?<=[,:])\s*\\quad\s*", formula.strip())
    said = mathml(formula)
    try:
        drawn = " ".join(svg(drawing_of(part)) for part in parts)
    except ValueError:
        return f'<span class="formula">{said}</span>'
    return f'<span class="formula"><span class="said">{said}</span>{drawn}</span>'


def svg(drawing: Drawing) -> str:
    """The drawing as an SVG element that stands on the baseline of the text around it."""
    width, height = drawing.width + 2 * MARGIN, drawing.height + drawing.depth + 2 * MARGIN
    box = f"{-MARGIN} {-drawing.height - MARGIN} {width} {height}"
    style = (
        f"width:{width / UNIT:g}em;height:{height / UNIT:g}em;"
        f"vertical-align:{-(drawing.depth + MARGIN) / UNIT:g}em"
    )
    return (
        f'<svg class="math" aria-hidden="true" focusable="false" viewBox="{box}" style="{style}">'
        f'<path fill="currentColor" d="{drawing.outline}"/></svg>'
    )


def mathml(formula: str) -> str:
    r"""A formula in LaTeX, ``\nabla E(w)``, as a MathML element, out of the cache as ``drawing_of``'s."""
    if _OWN_NUMBER.search(formula):
        return _converted(formula)
    path = _place(f"{formula}\nMathML {package_version('latex2mathml')}", "mathml")
    content = checked.recall(path)
    if content is not None:
        with contextlib.suppress(UnicodeDecodeError):
            found = content.decode()
            if _MATHML.fullmatch(found):
                return found
    made = _converted(formula)
    if _MATHML.fullmatch(made):
        checked.remember(path, made.encode())
    return made


def _converted(formula: str) -> str:
    from latex2mathml.converter import convert

    text: str = convert(formula, display="block")
    # HTML knows MathML without its namespace, and a page that names no address fetches none.
    return text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


def drawing_of(formula: str) -> Drawing:
    """The drawing of a formula in LaTeX, out of the cache if it has been drawn on this machine before.

    Mathtext knows most of LaTeX's mathematics and no environments (``cases``); it raises ValueError
    for what it does not know.
    """
    text = f"${_for_mathtext(formula)}$"
    if _OWN_NUMBER.search(text):
        return _drawn(text)
    path = _place(f"{text}\n{package_version('matplotlib')}\n{UNIT}", "json")
    found = _cached(path)
    if found is None:
        found = _drawn(text)
        checked.remember(path, json.dumps(found).encode())
    return found


def _place(made_from: str, ending: str) -> Path:
    return cache_folder("formulas") / f"{sha256(made_from.encode()).hexdigest()[:32]}.{ending}"


def _cached(path: Path) -> Drawing | None:
    content = checked.recall(path)
    if content is None:
        return None
    try:
        outline, *sizes = json.loads(content)
        width, height, depth = map(int, sizes)
        if not _OUTLINE.fullmatch(outline):
            return None
    except (ValueError, TypeError):
        return None
    return Drawing(outline, width, height, depth)


def _drawn(text: str) -> Drawing:
    """The outlines of a text in mathtext's own language, dollar signs around the mathematics."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=UNIT, math_fontfamily="stix")
    maker = TextToPath()
    size = maker.get_text_width_height_descent(text, font, ismath=True)
    # The outlines come at matplotlib's own size for them, whatever the font's.
    width, height, depth = (value * maker.FONT_SCALE / UNIT for value in size)
    letters = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    pieces = []

    def add(path: Outline, x: float, y: float, scale: float) -> None:
        for points, code in path.iter_segments(simplify=False, curves=True):
            if code == Outline.CLOSEPOLY:
                pieces.append("Z")
                continue
            places = points.reshape(-1, 2) * scale + (x, y)
            numbers = " ".join(f"{round(a)} {round(-b)}" for a, b in places.tolist())
            pieces.append(letters[code] + numbers)

    placed, glyphs, bars = maker.get_glyphs_mathtext(font, text)
    for glyph, x, y, scale in placed:
        vertices, codes = glyphs[glyph]
        add(Outline(vertices, codes), x, y, scale)
    for corners, steps in bars:
        add(Outline(corners, steps), 0.0, 0.0, 1.0)
    return Drawing("".join(pieces), round(width), round(height - depth), round(depth))


# What mathtext has under another name, and the thin spaces of TeX that it leaves out.
_NAMES = (
    (r"\\text\{", r"\\mathrm{"),
    (r"\\mathrm\{arg\}", r"\\mathrm{arg}\\,"),
    (r"\\le\b", r"\\leq"),
    (r"(?<=\S) ?\\ln\b", r"\\,\\ln"),
    (r"(\\sum|\\prod)(_\{[^{}]*\}|_\w)(\^\{[^{}]*\})?", r"\1\2\3\\,"),
)


def _for_mathtext(formula: str) -> str:
    for latex, name in _NAMES:
        formula = re.sub(latex, name, formula)
    # Spaces in upright words, "balanced accuracy", would be dropped as between symbols.
    formula = re.sub(r"\\mathrm\{[^{}]*\}", lambda word: word[0].replace(" ", r"\ "), formula)
    return _large_fractions(formula)


def _large_fractions(formula: str) -> str:
    """As a formula of its own line has them: those within braces stay small."""
    pieces = re.split(r"([{}]|\\frac\b)", formula)
    depth = 0
    for i, piece in enumerate(pieces):
        depth += (piece == "{") - (piece == "}")
        if piece == r"\frac" and depth == 0:
            pieces[i] = r"\dfrac"
    return "".join(pieces)
