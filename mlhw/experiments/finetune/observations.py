"""What finetune observes: how one run's training went, on whatever images and rates it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.finetune import audit
from mlhw.result.observations import Observation, Observations, seen

if TYPE_CHECKING:
    from mlhw.vision.training.session import Finetuned

OBSERVATIONS = Observations["Finetuned"]()


@OBSERVATIONS.observation(
    "loss-fell", "the training loss fell, with the backbone frozen and with it open"
)
def training_loss_fell(o: Finetuned) -> Observation | None:
    """On built-in images this is a claim."""
    parts = audit.training_losses(o)
    if audit.on_built_in_images(o) or not parts:
        return None
    return seen(
        all(last < first for first, last in parts.values()),
        measured={f"{name}, {when}": loss for name, when, loss in audit.ends(parts)},
        note="mean loss of the first and of the last epoch of each part of the run",
    )


@OBSERVATIONS.observation(
    "unfreezing-helped",
    "the last epoch judges at least as many validation images right as the best with a frozen backbone",
)
def unfreezing_helped(o: Finetuned) -> Observation | None:
    first = o.config.first_open_epoch
    if not o.config.trains_backbone or not first or first >= len(o.table):
        return None
    accuracy = o.table.column("val_acc").astype(float)
    if not np.isfinite(accuracy[:first]).any() or not np.isfinite(accuracy[-1]):
        return None
    best, last = float(np.nanmax(accuracy[:first])), float(accuracy[-1])
    count = len(o.splits.val)
    error = np.sqrt((best * (1 - best) + last * (1 - last)) / count)
    return seen(
        last >= best,
        measured={"best frozen": best, "last": last, "standard error": float(error)},
        note=f"accuracy on {count} validation images; the standard error of the difference takes the two "
        "for independent, which makes it too large",
    )
