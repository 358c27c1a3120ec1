"""The figures of vanishing, by what is drawn in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw.experiments.vanishing.claims import CLAIMS
from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.figures import FIGURES, expected_logs
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks
from mlhw.experiments.vanishing.sample import profile, survival_curves
from mlhw.maths.chain import decades
from mlhw.result.result import Result
from tests.drawn import boxes_over_data, laid_out, legends, named_lines, texts_over_each_other


@pytest.fixture(scope="module")
def compared() -> Result:
    return mlhw.vanishing(depth=153, draws=60)


@pytest.fixture(scope="module")
def drawn(compared: Result) -> dict[str, Any]:
    return {plot.name: laid_out(plot) for plot in compared.plots}


def labels(figure: Any) -> list[str]:
    return [text.get_text() for legend in legends(figure) for text in legend.get_texts()]


def evidence(kind: NetworkKind, setting: Setting) -> Evidence:
    return Evidence(setting, kind.depth, [profile(kind, setting)], [])


def test_no_legend_lies_over_data_or_over_another_text(drawn: dict[str, Any]) -> None:
    for name, figure in drawn.items():
        assert boxes_over_data(figure) == [], name
        assert not any(texts_over_each_other(axes) for axes in figure.axes), name


def test_every_entry_of_the_legend_has_a_line_that_is_seen(drawn: dict[str, Any]) -> None:
    figure = drawn["gradients"]
    seen = {
        name
        for axes in figure.axes
        for name, line in named_lines(axes).items()
        if np.isfinite(line.get_ydata()).any()
    }
    assert set(labels(figure)) == seen
    assert "relu chain" in figure.axes[0].get_title()  # zero in every draw at depth 153


def test_half_of_the_decades_left_are_missing_right_and_the_figure_says_why(
    compared: Result, drawn: dict[str, Any]
) -> None:
    figure = drawn["gradients"]
    left, right = (named_lines(axes)["relu chain, alive"].get_ydata() for axes in figure.axes[:2])
    np.testing.assert_allclose(right, left / 2, atol=1.5)
    assert "come from $t = 0$" in figure.get_suptitle()
    plot = next(plot for plot in compared.plots if plot.name == "gradients")
    assert "half of its decades come from that" in plot.caption
    assert any("Without it, |∂a^(L)/∂w| at layer 1" in line for line in compared.answers)
    summary = next(n for n in compared.summary["networks"] if n["network"] == "chain|alive")
    assert summary["log10_first_layer_jacobian"] == right[0]
    column = compared.tables["gradients"].column("log10_median_jacobian")
    assert right[0] in column


def test_with_another_target_both_sides_agree_and_nothing_is_said_of_halves() -> None:
    setting = Setting("normal", 1.0, 40, 1.0, 1.0, 0)
    e = evidence(NetworkKind("relu", 1, 100, alive=True), setting)
    (plot,) = [plot for plot in FIGURES.plots(e) if plot.name == "gradients"]
    figure = laid_out(plot)
    left, right = (named_lines(axes)["relu chain, alive"].get_ydata() for axes in figure.axes)
    np.testing.assert_allclose(left, right, atol=1e-6)  # a^(L) − t is −1
    assert "half" not in plot.caption
    assert figure.get_suptitle() == ""


def test_the_bars_of_networks_stand_beside_each_other(drawn: dict[str, Any]) -> None:
    for axes in drawn["gradients"].axes:
        places = [
            {round(segment[0][0], 3) for segment in collection.get_segments()}
            for collection in axes.collections
        ]
        assert len(places) >= 2
        assert sum(map(len, places)) == len(set().union(*places))


def test_densities_have_the_area_one_and_the_law_is_in_the_legend(drawn: dict[str, Any]) -> None:
    (axes,) = drawn["histogram"].axes
    assert len(axes.patches) == 3
    for patch in axes.patches:
        x, y = patch.get_xy().T
        area = 0.5 * abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
        assert area == pytest.approx(1.0)
    assert any(name.startswith("theory") for name in labels(drawn["histogram"]))


def test_the_law_of_the_histogram_is_that_of_many_draws() -> None:
    kind = NetworkKind("relu", 1, 60, alive=True)
    setting = Setting("uniform", 2.0, 4000, 3.0, 0.0, 0)
    found = profile(kind, setting).drawn.log10[0]
    law = expected_logs(kind, setting)
    assert law is not None
    assert found.mean() == pytest.approx(law[0], abs=5 * law[1] / np.sqrt(4000))
    assert found.std() == pytest.approx(law[1], rel=0.06)


@pytest.mark.parametrize(
    ("depth", "marks"),
    [(3, "3"), (12, "3 12"), (153, "3 10 30 100 153"), (2000, "3 10 30 100 300 1000 2000")],
)
def test_depths_are_marked_in_round_numbers_and_at_their_end(depth: int, marks: str) -> None:
    kind, setting = NetworkKind("relu", 1, depth), Setting("normal", 1.0, 1, 1.0, 0.0, 0)
    e = Evidence(setting, depth, [profile(kind, setting)], list(survival_curves(setting, depth)))
    (plot,) = [plot for plot in FIGURES.plots(e) if plot.name == "zeros"]
    (axes,) = laid_out(plot).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == marks.split()
    assert axes.get_xticklabels(minor=True) == []


def test_theory_and_the_dependence_of_the_points_are_named(drawn: dict[str, Any]) -> None:
    names = labels(drawn["zeros"])
    assert {"lines: theory", "points: drawn, ± 95 %"} < set(names)
    assert "the same networks" in drawn["zeros"].axes[0].get_title()


def test_slopes_are_steps_a_layer(drawn: dict[str, Any]) -> None:
    (axes,) = drawn["slopes"].axes
    values, edges, _ = axes.patches[0].get_data()
    assert len(values) == 151
    np.testing.assert_array_equal(edges, np.arange(1.5, 153))
    assert axes.patches[0].get_label() == "sigmoid chain"


@pytest.mark.parametrize(("width", "activation"), [(1, "sigmoid"), (3, "tanh"), (1, "relu")])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_the_jacobian_is_that_of_torch(width: int, activation: str, output: str) -> None:
    """∂a^(L)/∂w_11 does not know the target: from E = ½(y − t)² by autograd over dE/da^(L) of its own."""
    import torch

    kind = NetworkKind(activation, width, 6, alive=activation == "relu")
    setting = Setting("normal", 1.0, 8, 0.7, 0.3, 5, output)
    (w,) = blocks(kind, setting)
    g = block_gradients(kind, w, setting.x, setting)
    h = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[activation]
    layers = (
        [torch.tensor(row[None, None]) for row in w[0]]
        if width == 1
        else [*map(torch.tensor, w[0]), torch.tensor(w[1][None])]
    )
    z = torch.full((width, 8), 0.7, dtype=torch.float64)
    for layer in layers:
        layer.requires_grad_()
        a = torch.einsum("ijn,jn->in", layer, z)
        z = h(a)
    a.sum().backward()
    due = np.array([layer.grad[0, 0].abs().log10().numpy() for layer in layers])
    np.testing.assert_allclose(decades(g.log - g.error_log), due, atol=1e-10)


def test_a_jacobian_that_is_not_that_of_the_draws_fails_its_claim() -> None:
    setting = Setting("normal", 1.0, 30, 1.0, 0.0, 0)
    e = evidence(NetworkKind("sigmoid", 1, 12), setting)

    def verdict(e: Evidence) -> str:
        return next(c.verdict for c in CLAIMS.judge(e) if c.id == "told-as-drawn")

    assert verdict(e) == "holds"
    e.profiles[0] = replace(e.profiles[0], jacobian=e.profiles[0].jacobian + 0.01)
    assert verdict(e) == "fails"
