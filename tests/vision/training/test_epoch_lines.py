"""The table of epochs on the screen: what it shows, and how long it says that the rest takes."""

from __future__ import annotations

from typing import Any

import pytest

from mlhw.text.values import clock
from mlhw.vision.schedules import Plan
from mlhw.vision.training.columns import EPOCH_COLUMNS
from mlhw.vision.training.epoch_lines import HEADER, epoch_line, time_left

IMAGES = 1000


def plan(epochs: int, unfreeze_at: int | None) -> Plan:
    return Plan(epochs, 10, unfreeze_at, 4, None, "constant", None, 1e-3, 1e-3, 1.0)


def row(epoch: int, seconds: float, training: float | None = None, **values: float) -> list[Any]:
    """A row of ``metrics.csv``, ``training`` of its seconds spent in steps."""
    told = {"epoch": epoch, "train_loss": 1.25, "train_acc": 0.5, "seconds": seconds, **values}
    told["images_per_s"] = IMAGES / (training or seconds)
    return [told.get(name) for name in EPOCH_COLUMNS]


def test_a_row_stands_below_its_headings_within_eighty_columns() -> None:
    rows = [row(99999, 3600 * 10 + 59, val_loss=0.5, val_acc=0.98765)]
    line = epoch_line(rows, plan(100010, None), IMAGES, 99999)
    assert max(len(line), len(HEADER)) <= 80
    assert line.split() == [
        *("99999", "head", "1.2500", "0.5000", "0.5000", "0.9877", "10:00:59"),
        *(clock(36059 * 10), "best"),
    ]
    bare = epoch_line([row(3, 2.0)], plan(5, 2), IMAGES, 1)
    assert bare.split()[1:6] == ["all", "1.2500", "0.5000", "-", "-"]
    assert not bare.endswith("best")
    for word in ("train loss", "val loss"):
        assert line[: HEADER.index(word) + len(word)].split()[-1].startswith(("1.25", "0.5"))


def test_what_is_left_is_judged_by_the_epochs_of_the_same_kind() -> None:
    # Epoch 0 also computes the features; 6 frozen epochs of 2 s and 3 open ones of 20 s.
    frozen = [row(0, 30.0, 1.0), *(row(epoch, 2.0) for epoch in range(1, 6))]
    open_ones = [row(epoch, 20.0) for epoch in (6, 7, 8)]
    both = plan(9, 6)
    left = [time_left([*frozen, *open_ones][:n], both, IMAGES) for n in range(1, 10)]
    assert left[0] == "> 5.0 s"  # by the steps of epoch 0: five more of 1 s, then nobody knows
    assert left[1] == "> 8.0 s"
    assert left[4] == "> 2.0 s"
    assert left[5] == "?"
    assert left[6:] == ["0:40", "0:20", "0.0 s"]


def test_a_head_alone_has_no_unknown_end() -> None:
    assert time_left([row(0, 9.0, 3.0)], plan(3, None), IMAGES) == "6.0 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.74, "0.7 s"),
        (9.94, "9.9 s"),
        (9.96, "0:10"),
        (59.6, "1:00"),
        (725, "12:05"),
        (3599.6, "1:00:00"),
        (7810, "2:10:10"),
    ],
)
def test_times_are_short_and_rounded(seconds: float, text: str) -> None:
    assert clock(seconds) == text
