"""Many classes: each has a sign of its own, neighbours another colour, and the bounded ones are seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlhw
from mlhw.experiments.softmax_regions.grid import grid_over
from mlhw.experiments.softmax_regions.signs import class_signs
from mlhw.experiments.softmax_regions.window import SEEN, around, figure_window, unseen
from mlhw.maths.regions import Envelope, upper_envelope
from mlhw.result import plots


def cells(count: int, seed: int, spread: float = 2.0) -> Envelope:
    """The planes of a power diagram: most of its regions are bounded."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(count, 2)) * spread
    biases = -(centers**2).sum(axis=1) / 2 + rng.normal(size=count) * 0.3
    return upper_envelope(centers.tolist(), biases.tolist())


@given(st.integers(9, 40), st.integers(0, 2**32))
@settings(max_examples=25)
def test_no_two_neighbours_have_one_colour_and_no_two_classes_one_sign(
    count: int, seed: int
) -> None:
    envelope = cells(count, seed)
    signs = class_signs(envelope)
    assert all(
        signs[i].colour != signs[j].colour for i, j in (b.classes for b in envelope.boundaries)
    )
    assert len({(sign.colour, sign.hatch) for sign in signs}) == count
    assert len({(sign.colour, sign.dash) for sign in signs}) == count
    assert len({(sign.colour, sign.marker) for sign in signs}) == count


def test_up_to_eight_classes_have_a_colour_each_and_no_hatch() -> None:
    signs = class_signs(cells(8, 0))
    assert len({sign.colour for sign in signs}) == 8
    assert [sign.colour for sign in signs[:7]] == [plots.colour(k) for k in range(7)]
    assert not any(sign.hatch for sign in signs)


@given(st.integers(4, 30), st.integers(0, 2**32), st.floats(0.2, 5.0))
@settings(max_examples=25, deadline=None)
def test_every_bounded_region_is_seen_or_named_with_a_window_that_shows_it(
    count: int, seed: int, spread: float
) -> None:
    envelope = cells(count, seed, spread)
    window = figure_window(None, envelope)
    small = unseen(envelope, window)
    region = grid_over(envelope, window).region
    for k in (r.index for r in envelope.with_area if r.bounded):
        if k in small:
            assert k not in unseen(envelope, around(envelope, k))
        else:
            # The grid's points and the exact polygon differ by the cells on its edge.
            assert np.mean(region == k) > SEEN / 2


def test_a_vertex_far_away_hides_no_region() -> None:
    # A triangle of side 3 around (0, 0), and two nearly parallel lines that meet at x1 = 3000.
    weights = [[0.0, 0.0], [2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7], [-1.001, -1.701]]
    biases = [2.0, 0.0, 0.0, 0.0, -3.0]
    envelope = upper_envelope(weights, biases)
    window = figure_window(None, envelope)
    assert max(abs(v) for vertex in envelope.vertices for v in map(float, vertex.point)) > 500
    assert unseen(envelope, window) == []
    assert (grid_over(envelope, window).region == 0).mean() > SEEN


def test_a_window_around_points_grows_to_a_bounded_region_beside_them() -> None:
    envelope = upper_envelope([[0, 0], [1, 0], [-1, 1], [-1, -1]], [1, 0, 0, 0])
    points = np.array([[1.5, -0.2], [2.5, 0.4], [2.0, 0.1], [1.6, 0.9]])
    window = figure_window(None, envelope, points)
    assert unseen(envelope, window) == []
    assert (points > window.low).all()
    assert (points < window.high).all()
    assert window.low[0] < 1.0 < window.high[0]
    # One that lies too far away would make the points a spot.
    far = figure_window(None, envelope, points + 100.0)
    assert unseen(envelope, far) == [0]


@pytest.mark.parametrize("count", [9, 20])
def test_the_figures_of_many_classes_show_every_class_in_one_sign(count: int) -> None:
    rng = np.random.default_rng(count)
    centers = rng.normal(size=(count, 2)) * 2
    result = mlhw.softmax_regions(
        weights=centers.tolist(), biases=(-(centers**2).sum(axis=1) / 2).tolist()
    )
    assert not result.fails
    figures = {plot.name: plot for plot in result.plots}
    assert "of classes with one colour all but one are hatched" in figures["regions"].caption
    regions = plots.draw(figures["regions"])
    legend = regions.axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert len([label for label in labels if label.startswith("class ")]) > 12 - (count == 9) * 6
    faces = {
        text.get_text(): (patch.get_facecolor()[:3], patch.get_hatch() or "")
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=False)
        if text.get_text().startswith("class ")
    }
    assert len(set(faces.values())) == len(faces)
    lines = plots.draw(figures["rays"]).axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == 8
