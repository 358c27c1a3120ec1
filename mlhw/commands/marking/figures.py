"""The figures of a grading: scores, and which mistakes how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlhw.commands.marking.marked import ClassGrades
from mlhw.result import plots
from mlhw.result.plots import Figures
from mlhw.text.values import number_text
from mlhw.text.words import quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

FIGURES = Figures[ClassGrades]()

BINS = 20
MOST_CODES = 20


def _whole() -> Locator:
    """Ticks at whole numbers: of students."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, min_n_ticks=1)


def _scores_alt(e: ClassGrades) -> str:
    return (
        f"{quantity(len(e.marked), 'score')} out of {number_text(e.out_of)}; "
        f"mean {number_text(e.mean)}, median {number_text(e.median)}."
    )


@FIGURES.figure(
    "scores",
    "Scores",
    "How many students have how many points, those changed by hand included.",
    alt=_scores_alt,
    when=lambda e: bool(e.marked),
)
def scores_figure(e: ClassGrades) -> Figure:
    points = [one.points for one in e.marked]
    top = max(e.out_of, *points) or 1.0
    figure = plots.new_figure(height=3.6)
    axes = figure.add_subplot()
    axes.hist(points, bins=[top * i / BINS for i in range(BINS + 1)], color=plots.colour(0))
    assert e.mean is not None
    axes.axvline(e.mean, color=plots.ink(), linestyle=plots.dash(1), label=f"mean {e.mean:.3g}")
    axes.set(
        xlabel=f"points out of {number_text(e.out_of)}",
        ylabel="students",
        xlim=(-0.02 * top, 1.02 * top),
    )
    axes.yaxis.set_major_locator(_whole())
    axes.grid(axis="x", visible=False)
    plots.legend(axes)
    return figure


def _mistakes_alt(e: ClassGrades) -> str:
    some = ", ".join(
        f"{code} {len(students)}" for code, students in [*e.codes.items()][:MOST_CODES]
    )
    return f"Students by what is said of their derivation: {some}."


@FIGURES.figure(
    "mistakes",
    "Which mistakes how often",
    "How many students have each mistake or trait that was named; somebody may have several.",
    alt=_mistakes_alt,
    when=lambda e: bool(e.codes),
)
def mistakes_figure(e: ClassGrades) -> Figure:
    shown = [*e.codes.items()][:MOST_CODES]
    mistakes = e.mistakes
    figure = plots.new_figure(height=1.2 + 0.28 * len(shown))
    axes = figure.add_subplot()
    counts = [len(students) for _, students in shown]
    colours = [plots.colour(1) if code in mistakes else plots.colour(5) for code, _ in shown]
    bars = axes.barh([code for code, _ in shown], counts, color=colours, height=0.7)
    axes.bar_label(bars, padding=3, fontsize=9)
    axes.invert_yaxis()
    axes.set(xlabel="students", xlim=(0, 1.1 * max(counts)))
    axes.xaxis.set_major_locator(_whole())
    axes.grid(axis="y", visible=False)
    return figure
