"""The figure of a grid: a line over one key, a map of two, parallel axes for more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlhw.grids.plan import GridPlan
from mlhw.grids.ranking import Ranked, Ranking
from mlhw.grids.rows import cells_of
from mlhw.result import plots
from mlhw.result.plots import Plot
from mlhw.text.values import is_number, number_text
from mlhw.text.words import quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LETTERS = 22
"""Of a value's label; of a longer one the beginning and the end are shown."""

MOST_TICKS = 12
MOST_CELLS = 14
"""A map with so many rows and columns at most has its numbers in its cells."""

_LETTER = 0.085
"""Inches that a letter of a label is reckoned with."""

_BUNDLE = 0.08
"""How much of an axis the lines through one value take."""

_WIDE = 30.0
"""Numbers whose largest is so many times the smallest are on a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """A key and its different values, numbers in order, words as they come.

    ``numeric``: all are numbers, and ``log``: they span so much that only a logarithmic axis shows all.
    """

    key: str
    values: list[Any]

    @classmethod
    def of(cls, key: str, values: Sequence[Any]) -> Axis:
        found = list(dict.fromkeys(values))
        return cls(key, sorted(found) if all(map(is_number, found)) else found)

    @property
    def numeric(self) -> bool:
        return all(map(is_number, self.values))

    @property
    def log(self) -> bool:
        return self.numeric and spans(self.values)

    @property
    def labels(self) -> list[str]:
        return [tick_label(value) for value in self.values]

    def ticks(self, most: int = MOST_TICKS) -> range:
        """The places of the values that are named: all, or every second, third and so on."""
        count = len(self.values)
        return range(0, count, -(-count // most))

    def share(self, value: Any) -> float:
        """Where a value stands on an axis from 0 to 1."""
        if len(self.values) == 1:
            return 0.5
        if not self.numeric:
            return self.values.index(value) / (len(self.values) - 1)
        scale = math.log if self.log else float
        low, high = scale(self.values[0]), scale(self.values[-1])
        return (scale(value) - low) / (high - low)


@dataclass(frozen=True)
class GridDrawing:
    """What a figure is made of: an axis for each key, the ranked settings, and by setting its cells."""

    axes: list[Axis]
    ranking: Ranking
    cells: dict[int, list[Any]]

    @property
    def ranked(self) -> list[Ranked]:
        return self.ranking.ranked

    @property
    def missing(self) -> list[list[Any]]:
        """The cells of settings without a number."""
        return [self.cells[setting.number] for setting in self.ranking.missing]


def spans(values: Sequence[float]) -> bool:
    """Whether positive numbers need a logarithmic axis."""
    return min(values) > 0 and max(values) / min(values) >= _WIDE


def tick_label(value: Any) -> str:
    """A value as a label, short and literal."""
    text = plots.number(value, 3) if isinstance(value, float) else plots.plain(str(value))
    if len(text) > MOST_LETTERS and not isinstance(value, float):
        text = f"{text[: MOST_LETTERS - 10]}…{text[-9:]}"
    return text


def plots_of(plan: GridPlan, ranking: Ranking) -> list[Plot]:
    """The grid's figure; none where no setting has a number."""
    cells = cells_of(plan)
    by_setting = {point.setting.number: cells[point.number] for point in plan.points}
    columns = list(zip(*by_setting.values(), strict=True))
    axes = [Axis.of(key, column) for key, column in zip(plan.grid.over, columns, strict=True)]
    drawn = GridDrawing(axes, ranking, by_setting)
    name = ranking.by.name
    first = ranking.ranked[0]
    at = ", ".join(
        f"{key} {number_text(cell)}"
        for key, cell in zip(plan.grid.over, by_setting[first.setting.number], strict=True)
    )
    found = f"First is {at} with {name} {number_text(first.mean)}, {ranking.by.words}"
    gaps = (
        f"; {quantity(len(ranking.missing), 'setting')} without a number" if ranking.missing else ""
    )
    repeated = plan.grid.repeats > 1
    mean = f"mean over {plan.grid.repeats} repeats" if repeated else "one run each"
    if len(axes) == 1:
        title = f"{name} over {axes[0].key}"
        caption = f"{mean.capitalize()}" + (
            ", each repeat as a dot, the bar one deviation" if repeated else ""
        )
        return [Plot("grid", title, f"{caption}.", f"{found}{gaps}.", lambda: lines(drawn))]
    if len(axes) == 2:
        title = f"{name} over {axes[0].key} and {axes[1].key}"
        caption = f"Colour is the {name}, {mean}; a cross is a setting without a number."
        return [Plot("grid", title, caption, f"{found}{gaps}.", lambda: heat_map(drawn))]
    title = f"{name} over {quantity(len(axes), 'key')}"
    caption = (
        f"A line is a setting, through its value of every key to its {name} at the right ({mean}); the "
        "first one is thick."
    )
    return [Plot("grid", title, caption, f"{found}{gaps}.", lambda: parallel(drawn))]


# ------------------------------------------------------------------------------------- one key


def lines(drawn: GridDrawing) -> Figure:
    """The number over the values of one key."""
    axis = drawn.axes[0]
    figure = plots.new_figure(7.0, 4.4)
    axes = figure.add_subplot()

    def place(value: Any) -> float:
        return float(value) if axis.numeric else float(axis.values.index(value))

    ordered = sorted(drawn.ranked, key=lambda one: place(drawn.cells[one.setting.number][0]))
    x = [place(drawn.cells[one.setting.number][0]) for one in ordered]
    for place_of, one in zip(x, ordered, strict=True):
        if len(one.values) > 1:
            axes.plot(
                [place_of] * len(one.values), list(one.values.values()), ".", color=plots.GREY, alpha=0.6
            )  # fmt: skip
    axes.errorbar(
        x,
        [one.mean for one in ordered],
        yerr=[one.deviation or 0.0 for one in ordered],
        color=plots.colour(0),
        marker="o",
        linestyle="-" if axis.numeric else "",
        capsize=3 if any(one.deviation for one in ordered) else 0,
    )
    if axis.log:
        axes.set_xscale("log")
    if spans([one.mean for one in ordered]):
        axes.set_yscale("log")
    if drawn.missing:
        gaps = [place(cells[0]) for cells in drawn.missing]
        axes.plot(
            gaps, [0.02] * len(gaps), "x", color=plots.RED, transform=axes.get_xaxis_transform(),
            label="no number",
        )  # fmt: skip
        plots.legend(axes)
    if not axis.numeric:
        _name_ticks(axes.xaxis, axis, 5.0)
        axes.margins(x=0.5 / max(len(axis.values), 1))
    axes.set_xlabel(plots.plain(axis.key))
    axes.set_ylabel(plots.plain(drawn.ranking.by.name))
    return figure


def _name_ticks(of: Any, axis: Axis, room: float = math.inf) -> None:
    """Name places 0, 1 … of an axis, which has ``room`` inches, by the values that stand there."""
    ticks = axis.ticks()
    labels = [axis.labels[i] for i in ticks]
    crowded = _LETTER * (max(map(len, labels)) + 2) * len(labels) > room
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    of.set_ticks(ticks, labels, **turned)


# ------------------------------------------------------------------------------------- two keys


def heat_map(drawn: GridDrawing) -> Figure:
    """The number in colour, the first key down, the second across."""
    import numpy as np

    down, across = drawn.axes
    means = np.full((len(down.values), len(across.values)), np.nan)
    for one in drawn.ranked:
        row, column = drawn.cells[one.setting.number]
        means[down.values.index(row), across.values.index(column)] = one.mean
    wide = max(3.0, min(0.62 * len(across.values), 8.0))
    high = max(1.6, min(0.42 * len(down.values), 7.0))
    figure = plots.new_figure(2.0 + wide + _LETTER * max(map(len, down.labels)), 1.4 + high)
    axes = figure.add_subplot()
    norm = _norm(drawn)
    image = axes.imshow(means, aspect="auto", norm=norm, interpolation="nearest")
    _name_ticks(axes.xaxis, across, wide)
    _name_ticks(axes.yaxis, down)
    axes.grid(False)
    if max(means.shape) <= MOST_CELLS:
        for row, column in np.argwhere(np.isfinite(means)).tolist():
            value = float(means[row, column])
            light = float(norm(value)) > 0.6
            text = f"{value:.3g}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=8, color="black" if light else "white"
            )  # fmt: skip
    if drawn.missing:
        places = [(across.values.index(b), down.values.index(a)) for a, b in drawn.missing]
        axes.plot(*zip(*places, strict=True), "x", color=plots.RED)
    axes.set_xlabel(plots.plain(across.key))
    axes.set_ylabel(plots.plain(down.key))
    figure.colorbar(image, label=plots.plain(drawn.ranking.by.name))
    return figure


def _norm(drawn: GridDrawing) -> Any:
    from matplotlib import colors

    means = [one.mean for one in drawn.ranked]
    kind = colors.LogNorm if spans(means) else colors.Normalize
    return kind(min(means), max(means))


# ------------------------------------------------------------------------------------- more keys


def parallel(drawn: GridDrawing) -> Figure:
    """A line for each setting through an axis for each key, to its number."""
    import matplotlib

    result = Axis.of(drawn.ranking.by.name, [one.mean for one in drawn.ranked])
    every = [*drawn.axes, result]
    figure = plots.new_figure(max(7.0, 1.7 * len(every)), 4.6)
    axes = figure.add_subplot()
    norm, colours = _norm(drawn), matplotlib.colormaps["cividis"]
    for i, one in reversed(list(enumerate(drawn.ranked))):
        values = [*drawn.cells[one.setting.number], one.mean]
        *shares, end = (axis.share(value) for axis, value in zip(every, values, strict=True))
        # Lines through one value are apart by how they end.
        shares = [*(share + _BUNDLE * (end - 0.5) for share in shares), end]
        axes.plot(
            range(len(every)),
            shares,
            color=plots.colour(1) if i == 0 else colours(norm(one.mean)),
            linewidth=3.0 if i == 0 else 1.1,
            alpha=1.0 if i == 0 or len(drawn.ranked) < 60 else 0.6,
        )
    for cells in drawn.missing:
        shares = [axis.share(value) for axis, value in zip(drawn.axes, cells, strict=True)]
        axes.plot(range(len(drawn.axes)), shares, color=plots.RED, linestyle=":", linewidth=1.0)
    for i, axis in enumerate(every):
        axes.axvline(i, color=plots.ink(), linewidth=0.8)
        last = i == len(every) - 1
        for place in {0, len(axis.values) - 1} if last else axis.ticks(8):
            axes.annotate(
                axis.labels[place],
                (i, axis.share(axis.values[place])),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                bbox={"facecolor": plots.paper(), "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )
    axes.set_xticks(range(len(every)), [plots.plain(axis.key) for axis in every])
    for tick in axes.get_xticklabels() if len(every) > 5 else ():
        tick.set(rotation=20, ha="right", rotation_mode="anchor")
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-0.1, len(every) - 0.45)
    return figure
