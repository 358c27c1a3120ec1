"""The table of epochs that a person watches: losses, accuracies, the time an epoch took and what is left."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlhw.text.values import NOTHING, clock
from mlhw.vision.training.columns import EPOCH_COLUMNS

if TYPE_CHECKING:
    from mlhw.vision.schedules import Plan

HEADER = "epoch  part  train loss  accuracy  val loss  accuracy     time       left"
_RECENT = 3  # epochs of one kind, by which the next ones are judged
_EPOCH, _SPEED, _SECONDS = (
    list(EPOCH_COLUMNS).index(n) for n in ("epoch", "images_per_s", "seconds")
)


def epoch_line(rows: Sequence[Sequence[Any]], plan: Plan, images: int, best: int | None) -> str:
    """The table's row of the last of ``rows``, those of ``metrics.csv``; ``part`` is what it has trained.

    ``images`` are trained on in an epoch; ``best`` is the epoch whose model is kept so far.
    """
    epoch, train_loss, train_acc, val_loss, val_acc = rows[-1][:5]
    cells = [
        f"{epoch:>5}",
        f"{'head' if plan.frozen(epoch) else 'all':<4}",
        f"{train_loss:>10.4f}",
        f"{train_acc:>8.4f}",
        f"{NOTHING if val_loss is None else format(val_loss, '.4f'):>8}",
        f"{NOTHING if val_acc is None else format(val_acc, '.4f'):>8}",
        f"{clock(rows[-1][_SECONDS]):>7}",
        f"{time_left(rows, plan, images):>9}",
    ]
    return "  ".join(cells) + ("  best" if epoch == best else "")


def time_left(rows: Sequence[Sequence[Any]], plan: Plan, images: int) -> str:
    """How long the epochs that are still to come take, by the last ones of their kind.

    Before the backbone has been trained for an epoch nobody knows how long one takes: what is known is then
    a lower bound, ``> 0:25``, or nothing. Features, computed once in the first epoch, do not count.
    """
    to_come = [plan.frozen(epoch) for epoch in range(rows[-1][_EPOCH] + 1, plan.epochs)]
    known = 0.0
    unknown = False
    for frozen in (True, False):
        of_kind = (row for row in reversed(rows) if plan.frozen(row[_EPOCH]) == frozen)
        seen = list(islice(of_kind, _RECENT))
        taken = [row[_SECONDS] for row in seen if row[_EPOCH] or not frozen]
        taken = taken or [images / row[_SPEED] for row in seen]
        if taken:
            known += to_come.count(frozen) * statistics.median(taken)
        elif frozen in to_come:
            unknown = True
    if unknown and known < 1:
        return "?"
    return f"{'> ' if unknown else ''}{clock(known)}"
