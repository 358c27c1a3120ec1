"""The figures of a classifier on labelled images, also on the smallest and oddest sets of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlhw.vision.assessment import Assessment
from mlhw.vision.figures import (
    coverage_in_words,
    draw_confusion,
    draw_coverage,
    draw_images,
    draw_reliability,
    random_images,
    shortened,
    worst_images,
)
from tests.drawn import boxes_over_data, named_lines


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def images(count: int, name: str = "{}.png") -> Any:
    names = [name.format(i) for i in range(count)]
    return SimpleNamespace(
        names=names, images=lambda i: np.zeros((len(i), 4, 4, 3), np.uint8), labels=np.zeros(count)
    )


def random_set(count: int, classes: int, seed: int = 0) -> Assessment:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((count, classes)).astype(np.float32)
    names = [f"class {k}" for k in range(classes)]
    return Assessment(names, rng.integers(0, classes, count), logits, 1.3)


def test_long_names_are_shortened_with_a_sign() -> None:
    assert [shortened("abcdef", n) for n in (6, 5)] == ["abcdef", "abcd…"]


def test_dollar_signs_in_names_are_shown_as_they_are() -> None:
    names = ["$$", "$x$", r"a\$", "$"]
    found = Assessment(names, np.array([0, 1]), np.zeros((2, 4), np.float32), 1.0)
    # Text that is taken for a formula and is none fails where it is drawn.
    drawn(draw_confusion(found, "test"))
    drawn(draw_images(found, images(2, "$$/{}.png"), np.arange(2)))


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (3, 2), (150, 100)])
def test_every_figure_is_drawn_of_one_image_and_of_many_classes(count: int, classes: int) -> None:
    found = random_set(count, classes)
    drawn(draw_confusion(found, "test"))
    drawn(draw_reliability(found, "test"))
    drawn(draw_coverage(found, "test"))
    assert "with a probability of 0.9 or more" in coverage_in_words(found, "test")


def test_a_grid_of_images_may_hold_one() -> None:
    found = random_set(1, 2)
    drawn(draw_images(found, images(1), worst_images(found)))


@pytest.mark.parametrize(("count", "shown"), [(12, 0), (15, 3), (300, 12)])
def test_no_image_is_shown_twice(count: int, shown: int) -> None:
    found = random_set(count, 3)
    worst, others = worst_images(found), random_images(found, 0)
    assert len(set(worst) | set(others)) == 12 + shown
    assert len(others) == shown


def test_the_titles_above_images_are_explained() -> None:
    found = random_set(2, 2)
    long = "val/a folder with a long name/a file with a long name {}.png"
    figure = drawn(draw_images(found, images(2, long), np.arange(2)))
    pictures = [axes for axes in figure.axes if axes.images]
    own = [found.classes[k] for k in found.labels]
    assert [axes.get_title() for axes in pictures] == [
        f"{shortened(f'a file with a long name {i}.png', 18)}\nclass {name}"
        for i, name in enumerate(own)
    ]
    assert all(axes.title.get_window_extent().x0 >= 0 for axes in pictures)
    assert "above each image its name and its own class" in figure.get_supxlabel()


def test_the_reliability_figure_has_a_point_and_an_interval_for_each_bin_with_images() -> None:
    found = random_set(300, 3)
    axes, below = drawn(draw_reliability(found, "test")).axes
    (points, _, (intervals,)) = axes.containers[0]
    full = [bar.get_height() > 0 for bar in below.patches]
    assert len(below.patches) == 15
    assert len(points.get_xdata()) == len(intervals.get_segments()) == sum(full)
    assert points.get_linestyle() == "None"
    for x, y, segment in zip(*points.get_data(), intervals.get_segments(), strict=True):
        (_, low), (_, high) = segment
        assert 0 <= low <= y <= high <= 1
        assert full[int(np.ceil(x * 15)) - 1]
    assert boxes_over_data(axes.figure) == []


def test_the_reliability_figure_tells_the_sizes_and_draws_small_groups_hollow() -> None:
    found = random_set(60, 3)
    axes, below = drawn(draw_reliability(found, "test")).axes
    sizes = [int(bar.get_height()) for bar in below.patches if bar.get_height() > 0]
    assert [int(text.get_text()) for text in below.texts] == sizes
    hollow = named_lines(axes)["fewer than 10 images"]
    assert len(hollow.get_xdata()) == sum(size < 10 for size in sizes) > 0
    assert hollow.get_linestyle() == "None"
    assert hollow.get_markerfacecolor() == "white" != hollow.get_markeredgecolor()
    top = below.get_window_extent().y1
    assert all(text.get_window_extent().y1 <= top for text in below.texts)


def test_the_coverage_curve_ends_with_all_images_and_their_accuracy() -> None:
    found = random_set(300, 3)
    (axes,) = drawn(draw_coverage(found, "test")).axes
    curve = next(line for line in axes.lines if line.get_label() == "test images")
    assert curve.get_xdata()[-1] == 1
    assert curve.get_ydata()[-1] == found.accuracy


def test_the_worst_images_come_first_also_where_their_probabilities_round_to_0() -> None:
    logits = np.array([[0, 5000], [0, 4000], [0, 3000], [9, 0]], np.float32)
    found = Assessment(["a", "b"], np.zeros(4, np.int64), logits, 1.0)
    assert worst_images(found).tolist() == [0, 1, 2, 3]
