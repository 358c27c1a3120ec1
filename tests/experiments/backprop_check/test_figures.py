"""The figures of backprop-check: names beside the numbers, no line through a text, errors by layer."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

import mlhw
from mlhw.experiments.backprop_check.edge_labels import LabelBox, place_labels
from mlhw.experiments.backprop_check.figures import some_of
from mlhw.experiments.backprop_check.network_figure import draw_network
from mlhw.maths.four_ways import FourWays, differentiate
from mlhw.maths.network import Network
from mlhw.maths.random_networks import trial_of
from mlhw.result.plots import Plot
from tests.drawn import boxes_over_data, laid_out

COURSE = Network((3, 2, 2, 1), ("logistic", "logistic"), "identity", "half_squared_error", False)


def worked_out(network: Network, inputs: int = 1) -> FourWays:
    rng = np.random.default_rng(0)
    return differentiate(trial_of("a network", network, inputs, rng), rng)


def drawn(c: FourWays) -> Any:
    return laid_out(Plot("network", "", "", "", lambda: draw_network(c)))


def outline(text: Any) -> Path:
    """The corners of a text, rotated as it is, in pixels."""
    middle = text.get_transform().transform(text.get_position())
    angle = text.get_rotation()
    text.set_rotation(0)
    box = text.get_window_extent()
    text.set_rotation(angle)
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
    turned = Affine2D().rotate_deg_around(*middle, angle).transform(corners)
    return Path([*turned, turned[0]], closed=True)


NETWORKS = {
    "3-2-2-1": COURSE,
    "2-2": Network((2, 2), (), "softmax", "cross_entropy", False),
    "4-3-3-2, biases": Network(
        (4, 3, 3, 2), ("tanh", "gelu"), "identity", "half_squared_error", True
    ),
    "6 layers": Network(
        (6, 2, 6, 1, 3, 2), ("relu",) * 4, "logistic", "binary_cross_entropy", False
    ),
    "large": Network((3, 20, 1), ("softplus",), "identity", "half_squared_error", False),
    "8 layers": Network((1,) * 8, ("tanh",) * 6, "identity", "half_squared_error", False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_line_runs_through_a_text_and_no_text_over_another(name: str) -> None:
    figure = drawn(worked_out(NETWORKS[name], inputs=1 + (name == "2-2")))
    (axes,) = figure.axes
    texts = [(text.get_text(), outline(text)) for text in axes.texts]
    frame = axes.get_window_extent()
    for words, box in texts:
        assert frame.x0 <= box.vertices[:, 0].min() <= box.vertices[:, 0].max() <= frame.x1, words
        assert frame.y0 <= box.vertices[:, 1].min() <= box.vertices[:, 1].max() <= frame.y1, words
        for line in axes.lines:
            path = line.get_transform().transform_path(line.get_path())
            assert not box.intersects_path(path, filled=True), words
    for (words, box), (others, other) in combinations(texts, 2):
        assert not box.intersects_path(other, filled=True), (words, others)


def test_every_quantity_of_the_course_network_is_named_with_its_value() -> None:
    c = worked_out(COURSE)
    words = "\n".join(text.get_text() for text in drawn(c).axes[0].texts)
    names = Counter(word for word in words.replace("\n", " ").split() if word.startswith("$"))
    assert names["$a_{1}$"] == 3  # layers 2, 3 and 4
    assert names["$z_{2}$"] == names[r"$\delta_{2}$"] == 2
    assert names["$t_{1}$"] == names["$E$"] - 1 == 1  # E in the key too
    assert sum(count for name, count in names.items() if name.startswith("$w_{")) >= 12
    weight, slope = c.trial.weights[1][1, 0], c.analytic.weights[1][1, 0]
    assert f"$w_{{21}}$ = {weight:.3g}\n{slope:.2g}".replace("-", "−") in words
    assert f"{float(c.trial.T[0, 0]):.3g}".replace("-", "−") in words


def test_both_ends_of_every_edge_are_drawn_and_its_sign_is_told_twice() -> None:
    c = worked_out(COURSE)
    axes = drawn(c).axes[0]
    pieces = [line for line in axes.lines if line.get_linewidth() != 1.0]  # those to E are grey
    assert len(pieces) == 2 * 12
    signs = Counter((line.get_color(), str(line._unscaled_dash_pattern)) for line in pieces)
    above = sum(int((W > 0).sum()) for W in c.trial.weights)
    assert sorted(signs.values()) == sorted([2 * above, 2 * (12 - above)])


def test_labels_that_have_no_room_are_left_out() -> None:
    edges = [(0j, 1 + 0j), (0.01j, 1 + 0.01j)]
    assert place_labels(edges, [(0.4, 0.1), (0.4, 0.1)]) is None


def test_boxes_know_what_crosses_and_overlaps_them() -> None:
    turned = LabelBox(0j, complex(np.exp(0.25j * np.pi)), 2.0, 0.2)
    assert turned.is_crossed_by((-1 + 1j, 1 - 1j))
    assert not turned.is_crossed_by((1 + 0j, 2 + 0.5j))
    assert turned.overlaps(LabelBox(0.5 + 0.5j, 1 + 0j, 0.1, 0.1))
    assert not turned.overlaps(LabelBox(0.5 + 0j, 1 + 0j, 0.1, 0.1))


def test_every_error_stands_at_its_layer_and_way() -> None:
    result = mlhw.backprop_check(trials=4)
    plot = next(plot for plot in result.plots if plot.name == "agreement")
    figure = laid_out(plot)
    assert boxes_over_data(figure) == []
    own, all_networks = figure.axes
    ways = ["torch autograd", "complex step", "finite differences"]
    points = {line.get_label(): line for line in own.lines if line.get_label() in ways}
    # 3-2-2-1: 6, 4 and 2 weights, and the δ of the layers behind them.
    for line in points.values():
        assert Counter(np.rint(line.get_xdata())) == {2: 8, 1: 6, 0: 3}
    assert (points["torch autograd"].get_ydata() < 1e-12).all()
    assert np.median(points["finite differences"].get_ydata()) > 1e-16
    medians = [
        line
        for line in all_networks.lines
        if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.8
    ]
    assert len(medians) >= 3
    assert [text.get_text() for text in own.get_xticklabels()] == ["3", "2", "1"]
    assert own.xaxis_inverted()


def test_the_steps_have_typeset_decades() -> None:
    result = mlhw.backprop_check(trials=0)
    figure = laid_out(next(plot for plot in result.plots if plot.name == "steps"))
    (axes,) = figure.axes
    assert all("10^{" in text.get_text() for text in axes.get_xticklabels())
    assert boxes_over_data(figure) == []


def test_of_many_errors_some_are_drawn_and_the_largest_with_them() -> None:
    error = np.linspace(1e-18, 1e-15, 200)
    there = np.arange(200) < 150
    shown = some_of(there, error, np.random.default_rng(0))
    assert len(set(shown)) == 30
    assert there[shown].all()
    assert shown.max() == 149
    np.testing.assert_array_equal(
        np.sort(some_of(np.arange(200) < 4, error, np.random.default_rng(0))), range(4)
    )


def test_errors_are_drawn_where_no_network_has_a_complex_step() -> None:
    result = mlhw.backprop_check(hidden="relu", trials=0)
    figure = result.figures["agreement"]
    labels = figure.axes[-1].get_legend_handles_labels()[1]
    assert "complex step" not in labels
    assert len(labels) >= 2
