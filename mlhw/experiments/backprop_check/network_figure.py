"""The figure of a network: each unit with a, z and δ, each edge with its weight and the derivative by it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from mlhw.experiments.backprop_check.edge_labels import LabelBox, Segment, place_labels
from mlhw.maths.four_ways import FourWays
from mlhw.maths.network import forward, losses
from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 6
"""A layer is drawn with at most so many units, and of a network so many layers, the last ones."""

MOST_LABELLED = 12
"""Of more edges between two layers none is labelled."""

# Inches: a line of a unit's text, what is left between columns with and without labels, above and below
# all units.
LINE, FREE, TIGHT, ABOVE, BELOW = 0.21, 2.1, 0.8, 0.75, 0.7
PITCHES = (1.4, 1.6, 1.8, 2.1, 2.5)
"""Inches from unit to unit: the least with which every label has a place."""

SIZE = 9  # points

KEY = (
    r"in layer $l$: $a_j$ what unit $j$ takes in, $z_j = h(a_j)$ what it gives on, "
    r"$\delta_j = \partial E/\partial a_j$; $t_j$ target, $E$ loss",
    "{labels}solid blue: weight above 0, dashed orange: below, thick: large",
)
LABELS = r"on the edge from $i$ to $j$ the weight $w_{ji}$, below it $\partial E/\partial w_{ji}$; "


@dataclass(frozen=True)
class UnitPlaces:
    """Where the units of the columns stand, in inches from the left foot: ``x`` by column.

    ``units`` are how many of each column are drawn, ``wide`` and ``tall`` the sides of a box, ``pitch``
    is the distance of two in a column.
    """

    units: dict[int, int]
    x: dict[int, float]
    wide: float
    tall: float
    pitch: float

    @property
    def middle(self) -> float:
        """Half of the height."""
        return ((max(self.units.values()) - 1) * self.pitch + self.tall) / 2

    def at(self, column: int, unit: int) -> complex:
        """The middle of a unit's box."""
        up = (self.units[column] - 1) / 2 - unit
        return complex(self.x[column], self.middle + up * self.pitch)

    def edge(self, column: int, i: int, j: int) -> Segment:
        """From unit i of a column to unit j of the next, at places of its own on their sides."""
        here, there = (0.6 * self.tall / self.units[k] for k in (column + 1, column))
        start = (
            self.at(column, i) + self.wide / 2 + 1j * here * ((self.units[column + 1] - 1) / 2 - j)
        )
        end = (
            self.at(column + 1, j) - self.wide / 2 + 1j * there * ((self.units[column] - 1) / 2 - i)
        )
        return start, end

    def edges(self, column: int) -> list[Segment]:
        """All edges from a column to the next, in the order of ``pairs``."""
        return [self.edge(column, i, j) for i, j in self.pairs(column)]

    def pairs(self, column: int) -> list[tuple[int, int]]:
        """The units (i, j) that they join."""
        return list(product(range(self.units[column]), range(self.units[column + 1])))


def draw_network(c: FourWays) -> Figure:
    """Its last layers, from left to right, and the loss; no edge runs through a text."""
    sizes = c.trial.network.layers
    columns = range(max(0, len(sizes) - SHOWN), len(sizes))
    units = {column: min(sizes[column], SHOWN) for column in columns}
    texts = {column: _unit_texts(c, column, units[column]) for column in columns}
    labelled = [k for k in columns[:-1] if units[k] * units[k + 1] <= MOST_LABELLED]
    figure = plots.new_figure()
    # Data are inches: nothing is left to be laid out.
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    lines = [unit for column in texts.values() for unit in column]
    wide = max(_extent(axes, line)[0] for unit in lines for line in unit) + 0.12
    tall = LINE * max(map(len, lines)) + 0.12
    x = {columns[0]: wide / 2 + 0.15}
    for column in columns[:-1]:
        x[column + 1] = x[column] + wide + (FREE if column in labelled else TIGHT)
    layout, labels = _room_for_labels(
        axes, c, UnitPlaces(units, x, wide, tall, tall + 0.15), labelled
    )

    more = 0.3 * any(sizes[column] > SHOWN for column in columns)
    loss_x = x[columns[-1]] + wide + 0.7
    width = max(loss_x + max(wide / 2 + 0.15, 0.85), 8.0)
    height = 2 * layout.middle + ABOVE + BELOW + more
    figure.set_size_inches(width, height)
    # The feet of the boxes stand at 0, or a pitch's part above.
    axes.set(xlim=(0, width), ylim=(-BELOW - more, height - BELOW - more))
    top = 2 * layout.middle + ABOVE - 0.32
    for column in columns[:-1]:
        _edges(axes, c, layout, column, labels.get(column))
        if column in labels:
            _gap_heading(axes, column, complex((x[column] + x[column + 1]) / 2, top))
    for column in columns:
        kind = "input" if column == 0 else c.trial.network.activation(column + 1)
        _text(axes, complex(x[column], top), f"layer {column + 1}\n{kind}", size=10)
        for unit in range(units[column]):
            _unit(axes, layout, layout.at(column, unit), texts[column][unit])
        if sizes[column] > SHOWN:
            below = layout.at(column, units[column] - 1) - 1j * (tall / 2 + 0.16)
            _text(axes, below, f"and {sizes[column] - SHOWN} more")
    _loss(axes, c, layout, complex(loss_x, layout.middle))
    _text(axes, complex(loss_x, top), _loss_name(c), size=10)
    for row, line in enumerate(KEY):
        words = line.format(labels=LABELS if labels else "")
        place = complex(width / 2, -more - 0.28 - 0.24 * row)
        _text(axes, place, words, color=plots.GREY)
    return figure


def _room_for_labels(
    axes: Axes, c: FourWays, least: UnitPlaces, labelled: list[int]
) -> tuple[UnitPlaces, dict[int, list[LabelBox]]]:
    """The least pitch with which all labels find a place, and these by column; else those that do."""
    sizes = {
        k: [_extent(axes, words) for words in _edge_texts(c, least.units, k)] for k in labelled
    }
    best, most = least, dict[int, list[LabelBox]]()
    apart = labelled and max(least.units.values()) > 1
    for pitch in PITCHES if apart else (least.pitch,):
        layout = replace(least, pitch=max(pitch, least.pitch))
        found = {k: place_labels(layout.edges(k), sizes[k]) for k in labelled}
        labels = {k: boxes for k, boxes in found.items() if boxes}
        if len(labels) > len(most):
            best, most = layout, labels
        if len(labels) == len(labelled):
            break
    return best, most


# ------------------------------------------------------------------------------------- units


def _unit_texts(c: FourWays, column: int, count: int) -> list[list[str]]:
    """The lines inside each of the first units of a layer, for the first input."""
    p = c.trial
    activity = forward(p.network, p.weights, p.X)
    found = []
    for unit in range(count):
        j = unit + 1
        if column == 0:
            found.append([_equation(f"z_{{{j}}} = x_{{{j}}}", None), _value(p.X[0, unit])])
            continue
        lines = [
            _equation(f"a_{{{j}}}", activity.a[column - 1][0, unit]),
            _equation(f"z_{{{j}}}", activity.z[column][0, unit]),
        ]
        if column == len(p.network.layers) - 1:
            lines.append(_equation(f"t_{{{j}}}", p.T[0, unit]))
        lines.append(_equation(rf"\delta_{{{j}}}", c.analytic.deltas[column - 1][0, unit]))
        found.append(lines)
    return found


def _unit(axes: Axes, layout: UnitPlaces, place: complex, lines: list[str]) -> None:
    """A box with its lines, δ in red."""
    _frame(axes, place, layout.wide, layout.tall)
    for row, line in enumerate(lines):
        up = (len(lines) - 1) / 2 - row
        colour = plots.RED if r"\delta" in line else plots.ink()
        _text(axes, place + 1j * LINE * up, line, color=colour)


def _frame(axes: Axes, place: complex, wide: float, tall: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = place - complex(wide, tall) / 2
    axes.add_patch(
        FancyBboxPatch(
            (corner.real, corner.imag),
            wide,
            tall,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=plots.paper(),
            edgecolor=plots.ink(),
            zorder=3,
        )
    )


def _loss(axes: Axes, c: FourWays, layout: UnitPlaces, place: complex) -> None:
    """E of the first input, with a line from each output."""
    p = c.trial
    n = "_1" if len(p.X) > 1 else ""
    last = max(layout.units)
    for unit in range(layout.units[last]):
        ends = layout.at(last, unit) + layout.wide / 2, place - layout.wide / 2
        axes.plot(*_coordinates(ends), color=plots.GREY, linewidth=1.0, zorder=1)
    _frame(axes, place, layout.wide, LINE + 0.16)
    of_each = losses(p.network, forward(p.network, p.weights, p.X).a[-1], p.T)
    _text(axes, place, _equation(f"E{n}", float(of_each[0])))


def _loss_name(c: FourWays) -> str:
    words = c.trial.network.loss.replace("_", " ")
    which = f"input 1 of {len(c.trial.X)}" if len(c.trial.X) > 1 else "loss"
    return f"{which}\n{words}"


# ------------------------------------------------------------------------------------- edges


def _edge_texts(c: FourWays, units: dict[int, int], column: int) -> list[str]:
    """The weight of each edge from a column to the next, and below it the derivative by it."""
    W, G = c.trial.weights[column], c.analytic.weights[column]
    pairs = product(range(units[column]), range(units[column + 1]))
    return [f"{_equation(_weight(j, i), W[j, i])}\n{_value(G[j, i], 2)}" for i, j in pairs]


def _edges(
    axes: Axes, c: FourWays, layout: UnitPlaces, column: int, boxes: list[LabelBox] | None
) -> None:
    """The edges from a column to the next; each is interrupted by its label, where they have some."""
    W = c.trial.weights[column]
    words = _edge_texts(c, layout.units, column) if boxes else []
    for k, (i, j) in enumerate(layout.pairs(column)):
        start, end = layout.edge(column, i, j)
        pieces = [(start, end)]
        if boxes:
            box = boxes[k]
            _text(axes, box.middle, words[k], rotation=box.degrees)
            reach = box.direction * box.width / 2
            pieces = [(start, box.middle - reach), (box.middle + reach, end)]
        for piece in pieces:
            axes.plot(
                *_coordinates(piece),
                **plots.line_style(0 if W[j, i] > 0 else 1),
                linewidth=0.7 + min(2.3, 1.2 * abs(W[j, i])),
                zorder=1,
            )


def _gap_heading(axes: Axes, column: int, place: complex) -> None:
    weight = rf"w_{{ji}}^{{({column + 1})}}"
    _text(axes, place, rf"${weight}$" + "\n" + rf"$\partial E/\partial {weight}$", size=10)


def _weight(j: int, i: int) -> str:
    comma = "," if max(i, j) > 8 else ""
    return f"w_{{{j + 1}{comma}{i + 1}}}"


def _extent(axes: Axes, words: str) -> tuple[float, float]:
    """Width and height of a text in inches, with some air."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure: Any = axes.get_figure()
    canvas: Any = FigureCanvasAgg(figure)
    text = _text(axes, 0, words)
    box = text.get_window_extent(canvas.get_renderer())
    text.remove()
    return box.width / figure.dpi + 0.06, box.height / figure.dpi + 0.02


def _coordinates(points: tuple[complex, ...]) -> tuple[list[float], list[float]]:
    return [point.real for point in points], [point.imag for point in points]


# ------------------------------------------------------------------------------------- text


def _text(axes: Axes, place: complex, words: str, *, size: float = SIZE, **options: Any) -> Any:
    return axes.text(
        complex(place).real,
        complex(place).imag,
        words,
        ha="center",
        va="center",
        fontsize=size,
        zorder=4,
        **options,
    )


def _equation(symbol: str, value: float | None, digits: int = 3) -> str:
    return f"${symbol}$" if value is None else f"${symbol}$ = {_value(value, digits)}"


def _value(value: float, digits: int = 3) -> str:
    return plots.number(float(value) + 0.0, digits) if math.isfinite(value) else str(value)
