"""Figures: how an experiment declares them, and the one style in which they are drawn.

By matplotlib's object interface: no pyplot, no display, no global state.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from mlhw.system.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Evidence = TypeVar("Evidence")
Words = str | Callable[[Evidence], str]

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), safe for colour-blind readers; its
# yellow is left out, too pale for lines on white. A second sign (dash or marker) goes with each
# colour, so that a grey print can be read too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.5, 1)), (0, (8, 2, 2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RED, GREEN, GREY = "#C1272D", "#1B7F3B", "#6B6B6B"

_STYLE: Any = {
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 10,
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
    "lines.linewidth": 1.5,
    "image.cmap": "cividis",
    "svg.fonttype": "none",
    # Without these two, equal figures would differ in their ids and dates.
    "svg.hashsalt": "mlhw",
}


def colour(index: int) -> str:
    """A colour for the ``index``-th of several things, the same in every figure."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> Any:
    """A dash pattern beside ``colour(index)``; it changes only once the colours are used up."""
    return DASHES[index % len(DASHES)]


def new_figure(width: float = 7.0, height: float = 4.4) -> Figure:
    """An empty figure of ``width`` by ``height`` inches that lays itself out without overlaps.

    A notebook shows it where it is a cell's value, with or without pyplot.
    """
    return _shown_figure()(figsize=(width, height), layout="constrained")


@cache
def _shown_figure() -> type[Figure]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure with the picture that notebooks ask objects for."""

        def _repr_png_(self) -> bytes:
            with matplotlib.rc_context(_STYLE):
                return _bytes(FigureCanvasAgg(self).print_png)

    return ShownFigure


def legend(axes: Any, outside: bool = False, **options: Any) -> None:
    """A legend in the emptiest corner, or right of the axes where the data fills them."""
    if outside:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, **options)
    else:
        axes.legend(**options)


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
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        return plot.draw()


class Printed(NamedTuple):
    """A drawn figure as the bytes of its two files."""

    png: bytes
    svg: bytes


def save(plot: Plot, folder: Path) -> Printed:
    """Write ``NAME.png`` and ``NAME.svg`` into ``folder`` and return what they hold."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    folder.mkdir(exist_ok=True)
    with _drawn(plot) as figure:
        png = _bytes(FigureCanvasAgg(figure).print_png)
        # The layout is settled now; the second canvas need not work it out again.
        figure.set_layout_engine("none")
        svg = _bytes(FigureCanvasSVG(figure).print_svg, metadata={"Date": None})
    write_whole(folder / f"{plot.name}.png", png)
    write_whole(folder / f"{plot.name}.svg", svg)
    return Printed(png, svg)


def save_png(plot: Plot, folder: Path) -> None:
    """Write ``NAME.png`` alone into ``folder``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _drawn(plot) as figure:
        write_whole(folder / f"{plot.name}.png", _bytes(FigureCanvasAgg(figure).print_png))


@contextmanager
def _drawn(plot: Plot) -> Iterator[Figure]:
    """The figure in the project's style, which holds in the block too, where it is printed."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is a row of boxes in the PNG; the SVG has it as text.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield plot.draw()


def _bytes(printer: Callable[..., Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    printer(buffer, **options)
    return buffer.getvalue()


def panels(count: int, columns: int = 3) -> tuple[int, int]:
    """Rows and columns for ``count`` panels of one figure."""
    columns = min(count, columns)
    return -(-count // columns), columns


def plain(text: str) -> str:
    """A text as matplotlib shows it literally: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
