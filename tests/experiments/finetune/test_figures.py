"""The curves of a fine-tuning: the dip after unfreezing by its name, the test accuracy beside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.finetune.figures import course_figure, dip_in_words, dips
from mlhw.result.plots import Plot
from mlhw.result.tables import Table
from mlhw.vision.assessment import Assessment
from mlhw.vision.training.columns import EPOCH_COLUMNS
from tests.drawn import boxes_over_data, laid_out, named_lines, style_of

TRAINING = [0.5, 0.98, 0.70, 0.97]
VALIDATION = [0.6, 0.94, 0.93, 0.99]
AT_RANDOM = [0.2, 0.80, 0.40, 0.70]


def rows(training: list[float], validation: list[float]) -> list[list[Any]]:
    names = list(EPOCH_COLUMNS)
    found = []
    for epoch, (t, v) in enumerate(zip(training, validation, strict=True)):
        row: list[Any] = [0.0] * len(names)
        row[0] = epoch
        row[names.index("train_acc")], row[names.index("val_acc")] = t, v
        row[names.index("train_loss")], row[names.index("val_loss")] = 1.1 - t, 1.1 - v
        found.append(row)
    return found


def outcome(unfreeze_at: int | None = 2, test: bool = True) -> Any:
    """What the figures read of a fine-tuning of 4 epochs, unfrozen before the third."""
    table = Table("metrics", EPOCH_COLUMNS)
    table.extend(rows(TRAINING, VALIDATION))
    logits = np.eye(2, dtype=np.float32)[np.arange(50) % 2] * 3
    labels = np.where(np.arange(50) < 5, (np.arange(50) + 1) % 2, np.arange(50) % 2)
    return SimpleNamespace(
        table=table,
        task=SimpleNamespace(
            plan=SimpleNamespace(ever_unfreezes=unfreeze_at is not None, unfreeze_at=unfreeze_at)
        ),
        progress=SimpleNamespace(best_epoch=3, epoch=4, rows=rows(TRAINING, VALIDATION)),
        random=SimpleNamespace(rows=rows(TRAINING, AT_RANDOM)),
        splits=SimpleNamespace(train=range(200), val=range(100)),
        test=SimpleNamespace(accuracy=0.9) if test else None,
        labels=labels,
        assessed=Assessment(["a", "b"], labels, logits, 1.0),
    )


def drawn(o: Any, what: str) -> Any:
    return laid_out(Plot(what, "", "", "", lambda: course_figure(o, what)))


def test_a_fall_with_unfreezing_that_chance_does_not_explain_is_a_dip() -> None:
    # Of 100 images 0.94 and 0.93 are within chance.
    assert [(d.curve, d.epoch, d.before, d.after) for d in dips(outcome())] == [
        ("training", 2, 0.98, 0.70),
        ("from random weights", 2, 0.80, 0.40),
    ]
    assert "training from 0.980 to 0.700" in dip_in_words(outcome())


@pytest.mark.parametrize("unfreeze_at", [None, 0])
def test_without_frozen_epochs_nothing_is_called_a_dip(unfreeze_at: int | None) -> None:
    assert dips(outcome(unfreeze_at)) == []
    assert dip_in_words(outcome(unfreeze_at)) == ""


@pytest.mark.parametrize(("what", "after"), [("acc", [0.70, 0.40]), ("loss", [0.40, 0.70])])
def test_the_dip_is_named_and_ringed(what: str, after: list[float]) -> None:
    figure = drawn(outcome(), what)
    (axes,) = figure.axes
    (ring,) = (
        line for name, line in named_lines(axes).items() if name.startswith("dip after unfreezing")
    )
    assert list(ring.get_xdata()) == [2, 2]
    assert list(ring.get_ydata()) == pytest.approx(after)
    assert boxes_over_data(figure) == []


def test_the_accuracy_of_the_test_stands_behind_the_last_epoch_with_its_interval() -> None:
    axes = drawn(outcome(), "acc").axes[0]
    (point,) = axes.containers
    assert point.get_label() == "test of the best model: 0.9000\n(50 images, 95 % interval)"
    assert point[0].get_xdata()[0] > 3
    (segment,) = point[2][0].get_segments()
    assert segment[0][1] == pytest.approx(0.786, abs=1e-3)  # Wilson's interval of 45 of 50
    assert segment[1][1] == pytest.approx(0.957, abs=1e-3)
    assert drawn(outcome(), "loss").axes[0].containers == []
    assert drawn(outcome(test=False), "acc").axes[0].containers == []


def test_the_curves_differ_by_colour_and_dash() -> None:
    lines = named_lines(drawn(outcome(), "acc").axes[0])
    curves = ["training", "validation", "validation, from random weights"]
    styles = [style_of(lines[name]) for name in curves]
    assert len({colour for colour, _ in styles}) == len({dash for _, dash in styles}) == 3
