"""Figures: how an experiment declares them, and the one style in which they are drawn.

By matplotlib's object interface: no pyplot, no display, no global state. Symbols in labels are typeset
by its mathtext (``$\\eta$``); words from data go through ``plain`` or ``typeset`` first.
"""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from mlhw.result.printing import printed_png, printed_svg
from mlhw.system.files import write_whole
from mlhw.text.words import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Evidence = TypeVar("Evidence")
Words = str | Callable[[Evidence], str]

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), safe for colour-blind readers; its
# yellow is left out, too pale for lines on white. A second sign (dash or marker) goes with each
# colour, so that a grey print can be read too. Seven colours and five dashes have no common divisor:
# 35 things in a row differ as pairs.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.5, 1)), (0, (8, 2, 2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RED, GREEN, GREY = "#C1272D", "#1B7F3B", "#6B6B6B"

_STYLE: Any = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 10,
    # matplotlib's own list has ten, which an SVG repeats with each text; most are never there.
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    # Two dashes and two gaps of every pattern fit.
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.5,
    "image.cmap": "cividis",
    # Formulas in the letters of the words beside them.
    "mathtext.fontset": "dejavusans",
    # Text stays text: it can be searched, read aloud and copied.
    "svg.fonttype": "none",
    # Without these two, equal figures would differ in their ids and dates.
    "svg.hashsalt": "mlhw",
}


def colour(index: int) -> str:
    """A colour for the ``index``-th of several things, the same in every figure."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> Any:
    """A dash pattern beside ``colour(index)``."""
    return DASHES[index % len(DASHES)]


def line_style(index: int, count: int = 1) -> dict[str, Any]:
    """``color`` and ``linestyle`` of the ``index``-th of ``count`` lines of a run, in all its figures.

    Up to 35 lines differ in the pair, neighbours in both; of more, the colours run from dark to pale.
    """
    if count <= len(COLOURS) * len(DASHES):
        return {"color": colour(index), "linestyle": dash(index)}
    import matplotlib

    return {
        "color": matplotlib.colormaps["viridis"](0.92 * index / (count - 1)),
        "linestyle": dash(index),
    }


def ink() -> str:
    """The colour of text and axes, for lines that belong to no one: an optimum, a limit."""
    import matplotlib

    return str(matplotlib.rcParams["text.color"])


def paper() -> str:
    """The colour of the background, for boxes behind text and seams around lines."""
    import matplotlib

    return str(matplotlib.rcParams["figure.facecolor"])


def new_figure(width: float = 7.0, height: float = 4.4) -> Figure:
    """An empty figure of ``width`` by ``height`` inches that lays itself out without overlaps.

    A notebook shows it where it is a cell's value, with or without pyplot.
    """
    return _shown_figure()(figsize=(width, height), layout="constrained")


@cache
def _shown_figure() -> type[Figure]:
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure with the picture that notebooks ask objects for."""

        def _repr_png_(self) -> bytes:
            with in_style():
                return printed_png(self)

    return ShownFigure


MOST_NAMED = 20
"""A legend has at most so many entries; of more, some are named, evenly spread."""


def legend(axes: Any, outside: bool = True, *, handles: Sequence[Any] = (), **options: Any) -> Any:
    """A legend right of the axes, where it hides no data, and what matplotlib returns for it.

    ``handles`` are the labelled artists to name, else those of the axes. ``outside=False`` is for axes
    in which room was made for it. Without anything to name there is no legend, and None.
    """
    named = _named(handles or axes.get_legend_handles_labels()[0])
    if not named:
        return None
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    return axes.legend(handles=named, **({**place, **options} if outside else options))


def figure_legend(figure: Figure, handles: Sequence[Any], *, below: bool = False) -> Any:
    """One legend for several panels, right of them all or below them; None without ``handles``."""
    named = _named(handles)
    if not named:
        return None
    if below:
        columns = _columns_within(figure.get_size_inches()[0] - 0.3, named)
        return figure.legend(handles=named, loc="outside lower center", ncols=columns)
    return figure.legend(handles=named, loc="outside right upper")


def _columns_within(width: float, handles: Sequence[Any]) -> int:
    """How many columns of a legend fit ``width`` inches, a letter being reckoned as 0.08 of one."""
    wide = [0.85 + 0.08 * len(handle.get_label()) for handle in handles]
    for columns in range(len(wide), 1, -1):
        rows = -(-len(wide) // columns)
        if sum(max(wide[i : i + rows]) for i in range(0, len(wide), rows)) <= width:
            return columns
    return 1


def _named(handles: Sequence[Any]) -> list[Any]:
    """All of the artists, or where they are too many some of them and how many they are."""
    from matplotlib.lines import Line2D

    if len(handles) <= MOST_NAMED:
        return list(handles)
    last = len(handles) - 1
    chosen = dict.fromkeys(round(i * last / (MOST_NAMED - 1)) for i in range(MOST_NAMED))
    return [
        *(handles[i] for i in chosen),
        Line2D([], [], linestyle="", label=f"({MOST_NAMED} of {len(handles)} named)"),
    ]


@dataclass(frozen=True)
class Plot:
    """A figure that is drawn when somebody asks for it.

    ``name`` is the file name's stem, ``title`` a heading, ``caption`` says what to see, ``alt`` is
    the text for those who cannot see it (with the figure's own numbers), ``draw`` returns a
    ``matplotlib.figure.Figure``.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


class Figures(Generic[Evidence]):
    """The figures of one experiment, in the order in which they are declared and shown.

    ::

        FIGURES = Figures[Evidence]()

        @FIGURES.figure("nll", "NLL against iteration", "What to see.", alt=lambda e: f"Ends at {e.end}.")
        def nll(e: Evidence) -> Figure: ...

    ``FIGURES.plots(evidence)`` gives them undrawn.
    """

    def __init__(self) -> None:
        self._figures: dict[str, Callable[[Evidence], Plot | None]] = {}

    @property
    def names(self) -> list[str]:
        return list(self._figures)

    def figure(
        self,
        name: str,
        title: Words[Evidence],
        caption: Words[Evidence],
        *,
        alt: Words[Evidence],
        when: Callable[[Evidence], bool] = lambda evidence: True,
    ) -> Callable[[Callable[[Evidence], Figure]], Callable[[Evidence], Figure]]:
        """Declare the function below it as the figure ``name``, drawn where ``when`` says so.

        ``title``, ``caption`` and ``alt`` are as in ``Plot``: texts, or functions of the evidence.
        """

        def register(function: Callable[[Evidence], Figure]) -> Callable[[Evidence], Figure]:
            if name in self._figures:
                raise ValueError(f"two figures are called {name!r}")

            def plot(evidence: Evidence) -> Plot | None:
                if not when(evidence):
                    return None
                words = [
                    text if isinstance(text, str) else text(evidence)
                    for text in (title, caption, alt)
                ]
                return Plot(name, words[0], words[1], words[2], partial(function, evidence))

            self._figures[name] = plot
            return function

        return register

    def plots(self, evidence: Evidence) -> list[Plot]:
        """Every figure that this evidence has, undrawn, in the order of declaration."""
        found = [plot(evidence) for plot in self._figures.values()]
        return [plot for plot in found if plot is not None]


def draw(plot: Plot) -> Figure:
    """The figure of ``plot``, drawn in the project's style."""
    with in_style():
        return plot.draw()


def in_style() -> Any:
    """A context of the project's style alone: what a user's ``matplotlibrc`` says holds again after it."""
    import matplotlib

    defaults = matplotlib.rcParamsDefault
    # The window system is no matter of style, and setting it would load it.
    style = {key: defaults[key] for key in defaults if not key.startswith("backend")}
    return matplotlib.rc_context({**style, **_STYLE})


class Printed(NamedTuple):
    """A drawn figure as the bytes of its two files."""

    png: bytes
    svg: bytes


def save(plot: Plot, folder: Path) -> Printed:
    """Write ``NAME.png`` and ``NAME.svg`` into ``folder`` and return what they hold."""
    folder.mkdir(exist_ok=True)
    found = printed(plot)
    write_printed(plot.name, found, folder)
    return found


def printed(plot: Plot) -> Printed:
    """The figure drawn, and printed as both of its files."""
    with _drawn(plot) as figure:
        png = printed_png(figure)
        # The layout is settled now; the second canvas need not work it out again.
        figure.set_layout_engine("none")
        svg = printed_svg(figure)
    return Printed(png, svg)


def write_printed(name: str, found: Printed, folder: Path) -> None:
    """Write the two files of a figure that is drawn."""
    folder.mkdir(exist_ok=True)
    write_whole(folder / f"{name}.png", found.png)
    write_whole(folder / f"{name}.svg", found.svg)


def save_png(plot: Plot, folder: Path) -> None:
    """Write ``NAME.png`` alone into ``folder``."""
    with _drawn(plot) as figure:
        write_whole(folder / f"{plot.name}.png", printed_png(figure))


@contextmanager
def _drawn(plot: Plot) -> Iterator[Figure]:
    """The figure in the project's style, which holds in the block too, where it is printed."""
    import numpy as np

    # Logarithmic axes leave room beyond their values, which at 1e300 lies beyond all numbers.
    roomy = np.errstate(over="ignore")
    with in_style(), warnings.catch_warnings(), roomy, _uncollected():
        # A name in a script that the font lacks is a row of boxes in the PNG; the SVG has it as text.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield plot.draw()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looks for garbage: there is much to look through, and what a figure is made of goes with it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def panels(count: int, columns: int = 3) -> tuple[int, int]:
    """Rows and columns for ``count`` panels of one figure."""
    columns = min(count, columns)
    return -(-count // columns), columns


def centred_panels(
    figure: Figure, count: int, columns: int = 3, *, share: bool = False
) -> list[Any]:
    """Axes for ``count`` panels of one size, without an empty cell: a short last row is centred.

    With ``share`` all have the axes of the first, and tick labels stand only at the left and where no
    panel is below.
    """
    rows, columns = panels(count, columns)
    missing = rows * columns - count
    # Half cells only where they are needed: the layout leaves most room where no panel spans two.
    wide = 1 + missing % 2
    cells = figure.add_gridspec(rows, wide * columns)
    found: list[Any] = []
    for i in range(count):
        row, column = divmod(i, columns)
        first = wide * column + (wide * missing // 2 if row == rows - 1 else 0)
        with_first = {"sharex": found[0], "sharey": found[0]} if share and found else {}
        axes = figure.add_subplot(cells[row, first : first + wide], **with_first)
        if share:
            at_foot = row == rows - 1 or (missing and row == rows - 2)
            axes.tick_params(labelleft=column == 0, labelbottom=at_foot)
        found.append(axes)
    return found


def plain(text: str) -> str:
    """A text as matplotlib shows it literally: a dollar sign would begin a formula.

    Control characters, which an SVG cannot hold, are written out.
    """
    return printable(text).replace("$", r"\$")


def typeset(name: str) -> str:
    """A name from data as a label: ``x1`` as a letter with an index, any other one literally."""
    symbol = re.fullmatch(r"([A-Za-z])_?([0-9]{1,3})", name)
    return rf"${symbol[1]}_{{{symbol[2]}}}$" if symbol else plain(name)


def beside(words: str, formula: str, letters: str) -> str:
    """``formula`` to stand beside words from data, or ``letters`` where the words have signs that the
    formulas' font lacks: a text with a formula is set in that font as a whole."""
    return formula if all(ord(sign) < 0x530 for sign in words) else letters


def number(value: float, digits: int = 6) -> str:
    """A number as a label: ``0.05``, and with a power of ten where ``%g`` has an exponent."""
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text.replace("-", "−")
    mantissa, exponent = text.split("e")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa} \times {power}$"
