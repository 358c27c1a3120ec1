"""The live figures of finetune: its course by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.result.live import LiveCurve, LiveCurves, LiveFigures
from mlhw.vision.training.columns import EPOCH_COLUMNS

if TYPE_CHECKING:
    from mlhw.vision.training.session import Finetuned

LIVE = LiveFigures["Finetuned"]()


def _course(o: Finetuned, what: str, name: str) -> LiveCurves:
    """``what`` is ``loss`` or ``acc``: training, validation, and validation from random weights."""
    rows: dict[str, tuple[str, Sequence[Sequence[Any]]]] = {
        "training": ("train", o.table.rows),
        "validation": ("val", o.table.rows),
    }
    if o.random is not None:
        rows["validation, from random weights"] = ("val", o.random.rows)
    columns = list(EPOCH_COLUMNS)
    curves = []
    for place, (label, (split, found)) in enumerate(rows.items()):
        column = columns.index(f"{split}_{what}")
        # An epoch may go by without a validation.
        shown = [(row[0], row[column]) for row in found if row[column] is not None]
        xy = np.array(shown, float).reshape(-1, 2)
        curves.append(LiveCurve(label, xy[:, 0], xy[:, 1], place))
    return LiveCurves("epoch", name, curves, log_y=what == "loss")


@LIVE.figure("losses")
def _losses(o: Finetuned) -> LiveCurves:
    return _course(o, "loss", "mean cross-entropy")


@LIVE.figure("accuracy")
def _accuracy(o: Finetuned) -> LiveCurves:
    return _course(o, "acc", "accuracy")
