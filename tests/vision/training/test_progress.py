"""The progress of a run as it is saved and restored."""

from __future__ import annotations

import dataclasses
import json
import math

from mlhw.vision.training.columns import EPOCH_COLUMNS
from mlhw.vision.training.progress import Progress

ROW = [0, 0.1, 1 / 3, None, math.nan, 1e-300, None, 12.5, 3.0, None, 0.7]


def test_rows_come_back_bit_for_bit_and_each_is_written_once() -> None:
    assert len(ROW) == len(EPOCH_COLUMNS)
    progress = Progress(epoch=1, rows=[ROW])
    first = progress.saved()
    progress.rows.append([1, *ROW[1:]])
    found = Progress.restored(progress.saved())
    assert repr(found.rows) == repr(progress.rows)
    assert repr(Progress.restored(first).rows) == repr([ROW])
    assert found.epoch == 1


def test_a_save_takes_no_more_of_python_the_more_epochs_there_have_been() -> None:
    progress = Progress(rows=[[epoch, *ROW[1:]] for epoch in range(1000)])
    progress.saved()
    calls = 0

    def counted(value: object) -> str:
        nonlocal calls
        calls += 1
        return "[]"

    progress.rows.append(ROW)
    real, json.dumps = json.dumps, counted  # type: ignore[assignment]
    try:
        progress.saved()
    finally:
        json.dumps = real
    assert calls == 1


def test_the_rows_of_an_earlier_version_are_read() -> None:
    names = {one.name for one in dataclasses.fields(Progress) if one.init}
    saved = {name: getattr(Progress(), name) for name in names} | {"rows": [ROW, ROW[:-1]]}
    assert repr(Progress.restored(saved).rows[0]) == repr(ROW)
    assert len(Progress.restored(saved).rows[1]) == len(EPOCH_COLUMNS)
