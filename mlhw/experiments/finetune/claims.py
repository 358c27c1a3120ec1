"""What a fine-tuning claims, each claim checked against the run's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.result.claims import Claim as Check
from mlhw.result.claims import Claims, check, not_applicable

if TYPE_CHECKING:
    from mlhw.vision.training.session import Finetuned

CLAIMS = Claims["Finetuned"]()


@CLAIMS.claim("best-reloads", "the best model, loaded back, reproduces its validation loss")
def best_reloads(o: Finetuned) -> Check:
    difference = abs(o.reloaded.loss - o.progress.best_loss)
    return check(
        difference <= 1e-6,
        measured=o.reloaded.loss,
        expected=o.progress.best_loss,
        tolerance=1e-6,
    )


@CLAIMS.claim("frozen-unchanged", "what is frozen stays bit for bit what it was")
def frozen_unchanged(o: Finetuned) -> Check:
    measured = {}
    if o.progress.changed_while_frozen is not None:
        measured["tensors until unfrozen"] = o.progress.changed_while_frozen
    if o.changed_buffers is not None:
        measured["batch-norm buffers until the end"] = o.changed_buffers
    if not measured:
        return not_applicable("the whole backbone is trained from the first epoch on")
    return check(
        not any(measured.values()),
        measured=measured,
        expected=dict.fromkeys(measured, 0),
        note="numbers of tensors that changed",
    )


# bfloat16 has 8 significant bits. The same kernels give the same bits; other batch sizes may take
# other kernels, whose last bits differ.
STORED_TOLERANCE = {"fp32": 1e-5, "bf16": 2e-2, "fp16": 5e-3}


@CLAIMS.claim("stored-features", "stored features give the loss of recomputed ones")
def stored_features(o: Finetuned) -> Check:
    stored, recomputed = o.progress.stored_loss, o.progress.recomputed_loss
    if stored is None or recomputed is None:
        return not_applicable("no epoch used stored features")
    tolerance = STORED_TOLERANCE[o.config.precision]
    return check(
        abs(stored - recomputed) <= tolerance * max(1.0, recomputed),
        measured=stored,
        expected=recomputed,
        tolerance=tolerance,
        note=f"validation loss, backbone in {o.config.precision}",
    )


@CLAIMS.claim("loss-fell", "the training loss fell")
def loss_fell(o: Finetuned) -> Check:
    losses = o.table.column("train_loss")
    if len(losses) < 2:
        return not_applicable("one epoch shows no course")
    return check(
        bool(losses[-1] < losses[0]),
        measured=losses[-1],
        expected=f"below {losses[0]:.6g}, the first epoch's",
    )


@CLAIMS.claim("best-is-best", "the saved epoch is the best of the table")
def best_is_best(o: Finetuned) -> Check:
    if o.config.best == "loss":
        best = int(np.nanargmin(o.table.column("val_loss")))
    else:
        best = int(np.nanargmax(o.table.column("val_acc")))
    return check(o.best.metadata["epoch"] == best, measured=o.best.metadata["epoch"], expected=best)


@CLAIMS.claim("beats-random", "the pre-trained network beats the same one from random weights")
def beats_random(o: Finetuned) -> Check:
    if o.random is None:
        return not_applicable("no comparison with random weights was asked for")
    return check(
        o.evaluated.accuracy > o.random.accuracy,
        measured=o.evaluated.accuracy,
        expected=f"above {o.random.accuracy:.6g}",
        note=f"{o.split} accuracy after {o.progress.epoch} epochs each",
    )
