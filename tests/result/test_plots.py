"""The common style: signs of lines, legends beside the data, panels without gaps, words and numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from mlhw.result import plots
from tests.drawn import boxes_over_data, laid_out, style_of


def plot_of(draw: Callable[[], Figure]) -> plots.Plot:
    return plots.Plot("a", "A", "What to see.", "A.", draw)


@pytest.mark.parametrize("count", [1, 2, 5, 9, 35, 36, 100])
def test_the_lines_of_a_run_differ_in_colour_and_dash(count: int) -> None:
    def draw() -> Figure:
        figure = plots.new_figure()
        axes = figure.add_subplot()
        for i in range(count):
            axes.plot([0, 1], [i, i], label=str(i), **plots.line_style(i, count))
        plots.legend(axes)
        return figure

    figure = laid_out(plot_of(draw))
    styles = [style_of(line) for line in figure.axes[0].get_lines()]
    assert len(set(styles)) == count
    for one, other in pairwise(styles):
        assert one[0] != other[0]
        assert one[1] != other[1]
    texts = figure.axes[0].get_legend().get_texts()
    assert len(texts) == min(count, plots.MOST_NAMED + 1)
    assert (texts[0].get_text(), texts[min(count, plots.MOST_NAMED) - 1].get_text()) == (
        "0",
        str(count - 1),
    )
    assert boxes_over_data(figure) == []


def test_nothing_to_name_makes_no_legend() -> None:
    figure = plots.new_figure()
    assert plots.legend(figure.add_subplot()) is None
    assert plots.figure_legend(figure, []) is None


@pytest.mark.parametrize(("count", "columns"), [(1, 3), (2, 3), (4, 3), (5, 2), (5, 3), (9, 3)])
def test_panels_have_one_size_and_a_short_last_row_stands_in_the_middle(
    count: int, columns: int
) -> None:
    def draw() -> Figure:
        figure = plots.new_figure(6, 6)
        for axes in plots.centred_panels(figure, count, columns, share=True):
            axes.plot([0, 1])
        return figure

    figure = laid_out(plot_of(draw))
    boxes = np.array([axes.get_position().bounds for axes in figure.axes])
    assert len(boxes) == count
    assert np.ptp(boxes[:, 2:], axis=0) == pytest.approx(0, abs=0.02)
    middles = boxes[:, 0] + boxes[:, 2] / 2
    rows = [middles[np.isclose(boxes[:, 1], y, atol=0.02)].mean() for y in boxes[:, 1]]
    assert np.ptp(rows) == pytest.approx(0, abs=0.02)


def test_names_from_data_are_shown_literally_and_letters_with_numbers_as_symbols() -> None:
    assert plots.typeset("x1") == "$x_{1}$"
    assert plots.typeset("w_12") == "$w_{12}$"
    assert plots.typeset("price in $") == r"price in \$"
    assert plots.typeset("sepal length") == "sepal length"
    assert plots.beside("café", "$p$", "p") == "$p$"
    assert plots.beside("犬", "$p$", "p") == "p"
    assert plots.number(0.05) == "0.05"
    assert plots.number(-0.25) == "−0.25"
    assert plots.number(1e-5) == "$10^{-5}$"
    assert plots.number(2.5e9) == r"$2.5 \times 10^{9}$"


def test_a_users_own_style_draws_no_figure_here_and_stays_for_theirs() -> None:
    import matplotlib

    with matplotlib.rc_context({"axes.facecolor": "red"}):
        figure = plots.draw(plot_of(lambda: plots.new_figure().add_subplot().figure))
        assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
        assert matplotlib.rcParams["axes.facecolor"] == "red"
