"""The figures of both sweeps: what they show, that it can be told apart, and that nothing hides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.contour import ContourSet
from scipy.optimize import minimize_scalar

import mlhw
from mlhw.experiments.sgd_sweep.experiment import REPEATS, Config, affordable_repeats
from mlhw.experiments.sweeps.problem import load_problem
from mlhw.maths import logistic
from mlhw.maths.line_nll import lowest_with_line
from mlhw.result import plots
from tests.drawn import (
    boxes_over_data,
    cut_off,
    empty_panels,
    laid_out,
    legends,
    named_lines,
    style_of,
)

RATES = [0.5, 0.3, 0.1, 0.05, 0.01]


def drawn(result: Any) -> dict[str, Any]:
    return {plot.name: laid_out(plot) for plot in result.plots}


@pytest.fixture(scope="module")
def lr() -> Any:
    return mlhw.lr_sweep(max_iterations=90)


@pytest.fixture(scope="module")
def lr_figures(lr: Any) -> dict[str, Any]:
    return drawn(lr)


@pytest.fixture(scope="module")
def sgd() -> Any:
    return mlhw.sgd_sweep(epochs=30, repeats=5)


@pytest.fixture(scope="module")
def sgd_figures(sgd: Any) -> dict[str, Any]:
    return drawn(sgd)


def rate_styles(axes: Any) -> dict[str, tuple[str, str]]:
    """Colour and dash of each rate, by its number."""
    return {
        name.split("= ")[1]: style_of(line)
        for name, line in named_lines(axes).items()
        if name.startswith(r"$\eta$")
    }


def test_a_rate_has_one_colour_and_dash_in_every_figure_of_a_run(
    lr_figures: dict[str, Any], sgd_figures: dict[str, Any]
) -> None:
    for figures, names in (
        (lr_figures, ("nll", "gap", "limit", "separators")),
        (sgd_figures, ("nll", "online", "separators")),
    ):
        found = [rate_styles(figures[name].axes[0]) for name in names]
        assert list(found[0]) == [f"{eta:g}" for eta in RATES]
        assert len(set(found[0].values())) == 5
        assert all(styles == found[0] for styles in found)
    path = [axes for axes in lr_figures["path"].axes if axes.get_xlabel() or axes.get_title("left")]
    joined = [
        style_of(next(line for line in axes.get_lines() if line.get_label() == "_path"))
        for axes in path
        if axes.get_title("left")
    ]
    assert joined == list(rate_styles(lr_figures["nll"].axes[0]).values())
    panels = [axes for axes in sgd_figures["against_gd"].axes if axes.get_title()]
    assert [style_of(axes.get_lines()[0]) for axes in panels] == list(
        rate_styles(sgd_figures["nll"].axes[0]).values()
    )


def test_no_two_titles_are_the_same(lr: Any, sgd: Any, lr_figures: dict[str, Any]) -> None:
    for result in (lr, sgd):
        titles = [plot.title for plot in result.plots]
        assert len(set(titles)) == len(titles)
    above = [figure.axes[0].get_title() for figure in lr_figures.values()]
    above = [title for title in above if title]
    assert len(set(above)) == len(above) == 2
    assert "critical" not in " ".join(above)


# ------------------------------------------------------------------------------------- lr-sweep


def test_the_nll_is_logarithmic_with_the_first_iterations_in_an_inset(
    lr: Any, lr_figures: dict[str, Any]
) -> None:
    axes = lr_figures["nll"].axes[0]
    assert axes.get_yscale() == "log"
    (inset,) = axes.child_axes
    assert inset.get_xlim() == (0, 30)
    rows = lr.tables["metrics"]
    first = [row for row in rows.rows if row[0] == 0.5][:31]
    assert np.array_equal(inset.get_lines()[0].get_ydata(), [row[2] for row in first])


def test_the_end_of_each_rate_and_the_critical_rate_are_marked(
    lr: Any, lr_figures: dict[str, Any]
) -> None:
    axes = lr_figures["nll"].axes[0]
    marks = {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.get_lines()
        if len(line.get_xdata()) == 1
    }
    runs = lr.summary["runs"]
    assert marks == {(run["iterations"] - 1, run["nll"]) for run in runs}
    (legend,) = legends(lr_figures["nll"])
    critical = lr.summary["critical_eta"]
    assert legend.get_title().get_text().endswith(f"= {critical:.4g}")
    texts = [text.get_text() for text in legend.get_texts()]
    assert f"optimum, {lr.summary['optimum']['nll']:.4g}" in texts
    assert "last iteration allowed" in texts
    assert not any("above" in text for text in texts), "no default rate is above it"
    large = drawn(mlhw.lr_sweep(etas=[1.0, 0.1], max_iterations=8))["nll"]
    texts = [text.get_text() for text in legends(large)[0].get_texts()]
    assert [text for text in texts if "above the critical rate" in text] == [
        "$\\eta$ = 1, above the critical rate"
    ]


@pytest.mark.parametrize(
    ("axis", "scales"), [("none", ("linear", "linear")), ("both", ("symlog", "log"))]
)
def test_the_axes_are_as_asked(axis: str, scales: tuple[str, str]) -> None:
    result = mlhw.lr_sweep(etas=[0.1], max_iterations=5, log_axis=axis)
    (axes,) = laid_out(result.plots[0]).axes
    assert (axes.get_xscale(), axes.get_yscale()) == scales
    assert axes.child_axes == [], "five iterations need no inset"


def test_the_limit_shades_where_a_rate_exceeds_it_and_names_all_it_shows(
    lr_figures: dict[str, Any],
) -> None:
    figure = lr_figures["limit"]
    shades = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    heights = [np.ptp(shade.get_paths()[0].vertices[:, 1]) for shade in shades]
    assert [height > 0 for height in heights] == [True, True, False, False, False]
    texts = [text.get_text() for text in legends(figure)[0].get_texts()]
    assert len(texts) == 5 + 4
    assert "above its own limit" in figure.axes[0].get_title()


def test_paths_lie_over_contours_of_the_nll_on_the_same_axes_with_their_places_named(
    lr: Any, lr_figures: dict[str, Any]
) -> None:
    figure = lr_figures["path"]
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    assert len(panels) == 5
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    w = lr.summary["optimum"]["w"]
    for axes, run in zip(panels, lr.summary["runs"], strict=True):
        (contours,) = (c for c in axes.collections if isinstance(c, ContourSet))
        assert len(contours.levels) == 7
        assert lr.summary["optimum"]["nll"] < contours.levels[0] < contours.levels[-1] < np.log(2)
        assert contours.labelTexts
        texts = {text.get_text(): text.xy for text in axes.texts if hasattr(text, "xy")}
        assert set(texts) == {"end", "comes in", "optimum"}
        assert np.allclose(texts["optimum"], [-w[0] / w[1], -w[2] / w[1]])
        end = run["w"]
        assert np.allclose(texts["end"], [-end[0] / end[1], -end[2] / end[1]])
        (dots,) = (c for c in axes.collections if isinstance(c, PathCollection))
        assert len(dots.get_offsets()) == run["iterations"] - 1, "the first line is vertical"
        outside = int(axes.get_title("right").split(" of ")[0])
        inside = (
            (dots.get_offsets() >= [axes.get_xlim()[0], axes.get_ylim()[0]])
            & (dots.get_offsets() <= [axes.get_xlim()[1], axes.get_ylim()[1]])
        ).all(axis=1)
        assert outside == run["iterations"] - inside.sum()
        left, low, right, high = *axes.get_xlim(), *axes.get_ylim()
        edges = np.abs(np.array(texts["comes in"])[[0, 0, 1, 1]] - [left, low, right, high])
        assert edges.min() < 1e-9 * max(map(abs, (left, low, right, high)))
    bars = [axes for axes in figure.axes if axes not in panels]
    assert [axes.get_ylabel() for axes in bars] == ["iteration"]
    # No start: from weights of zero the first line is vertical, and no panel shows it.
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[:-1] == ["comes in from outside", "end", "optimum"]


def test_the_lowest_nll_with_a_line_is_what_a_minimizer_finds() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(40, 2)) * [1.0, 30.0] + [5.0, -100.0], np.ones(40)])
    t = (rng.random(40) < 0.4).astype(float)
    slope, intercept = rng.normal(size=12) * 20, rng.normal(size=12) * 50 - 100
    found = lowest_with_line(X, t, slope, intercept)
    for m, c, lowest in zip(slope, intercept, found, strict=True):

        def nll(s: float, m: float = m, c: float = c) -> float:
            return float(logistic.nll(X, t, s * np.array([-m, 1.0, -c])))

        best = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
        assert lowest == pytest.approx(best.fun, abs=2e-6)
    t = (X[:, 1] > 2.0 * X[:, 0] - 110.0).astype(float)
    assert lowest_with_line(X, t, np.array([2.0]), np.array([-110.0]))[0] < 0.01, (
        "a separating line"
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"etas": [0.1]},
        {"etas": "0.01:1:log9"},
        {"etas": [3000, 900, 0.1], "tolerance": 0},
        {"data": {"name": "iris", "classes": [0, 1], "features": [0, 2]}},
        {"data": {"name": "wine", "classes": [0, 1]}, "standardize": True},
    ],
    ids=["one", "nine", "diverging", "separable", "no plane"],
)
def test_legends_hide_no_data_and_no_panel_is_empty(keys: dict[str, Any]) -> None:
    for figure in drawn(mlhw.lr_sweep(max_iterations=70, **keys)).values():
        assert boxes_over_data(figure) == []
        assert not cut_off(figure)
        assert empty_panels(figure) == []


def test_the_legends_of_the_defaults_hide_no_data(
    lr_figures: dict[str, Any], sgd_figures: dict[str, Any]
) -> None:
    for figure in [*lr_figures.values(), *sgd_figures.values()]:
        assert boxes_over_data(figure) == []
        assert not cut_off(figure)
        assert empty_panels(figure) == []


def test_of_very_many_rates_some_have_a_panel_and_a_name() -> None:
    result = mlhw.lr_sweep(etas="0.001:0.4:log60", max_iterations=4)
    plots_of = {plot.name: plot for plot in result.plots}
    assert "12 of the 60 rates have a panel" in plots_of["path"].caption
    figure = laid_out(plots_of["nll"])
    assert any("20 of" in text.get_text() for text in legends(figure)[0].get_texts())
    assert (
        len({style_of(line) for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 2})
        == 60
    )


def test_text_stays_text_in_the_svg(lr: Any, tmp_path: Path) -> None:
    plots.save(lr.plots[0], tmp_path)
    svg = (tmp_path / "nll.svg").read_text()
    assert ">iteration</text>" in svg
    assert "η" in svg, "a typeset symbol too"
    assert "the first 30 iterations</text>" in svg


# ------------------------------------------------------------------------------------- sgd-sweep


def test_medians_and_bands_are_those_of_the_repeats_over_the_optimum(
    sgd: Any, sgd_figures: dict[str, Any]
) -> None:
    rows = np.array([row[:5] for row in sgd.tables["metrics"].rows], float)
    for name, column in (("nll", 4), ("online", 3)):
        (axes,) = sgd_figures[name].axes
        assert axes.get_yscale() == "log"
        values = np.array(
            [rows[(rows[:, 0] == 0.3) & (rows[:, 1] == repeat)][:, column] for repeat in range(5)]
        )
        line = named_lines(axes)[r"$\eta$ = 0.3"]
        assert np.allclose(line.get_ydata(), np.median(values, axis=0), rtol=1e-12)
        bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
        assert len(bands) == 5
        low, high = np.quantile(values, [0.05, 0.95], axis=0)
        corners = bands[1].get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(low.min(), rel=1e-12)
        assert corners[:, 1].max() == pytest.approx(high.max(), rel=1e-12)
        optimum = next(line for label, line in named_lines(axes).items() if "optimum" in label)
        assert optimum.get_ydata()[0] == sgd.summary["optimum"]["nll"]
        texts = [text.get_text() for text in legends(sgd_figures[name])[0].get_texts()]
        assert texts[-2:] == ["median of 5 repeats", "5 to 95 %"]


def test_both_descents_stand_in_panels_with_the_same_axes(sgd_figures: dict[str, Any]) -> None:
    figure = sgd_figures["against_gd"]
    assert len(figure.axes) == 5
    assert len({(axes.get_xlim(), axes.get_ylim(), axes.get_yscale()) for axes in figure.axes}) == 1


def test_there_are_20_repeats_unless_they_would_take_long() -> None:
    assert {run["repeat"] for run in mlhw.sgd_sweep(etas=[0.1], epochs=1).summary["runs"]} == set(
        range(REPEATS)
    )
    problem = load_problem(Config())
    assert affordable_repeats(Config(), problem) == 20
    assert affordable_repeats(Config(epochs=5_000), problem) == 6
    assert affordable_repeats(Config(epochs=1_000_000), problem) == 1


def test_one_repeat_has_no_bands() -> None:
    for figure in drawn(mlhw.sgd_sweep(etas=[0.5], epochs=4, repeats=1)).values():
        assert not [
            c for axes in figure.axes for c in axes.collections if isinstance(c, PolyCollection)
        ]
        assert boxes_over_data(figure) == []
        assert not cut_off(figure)
