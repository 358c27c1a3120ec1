"""What a fine-tuning claims, each claim checked against the run's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.experiments.finetune import audit, counted
from mlhw.maths.calibration import COLDEST, FEWEST_IMAGES, HOTTEST
from mlhw.result.claims import Claim as Check
from mlhw.result.claims import Claims, check, not_applicable

if TYPE_CHECKING:
    from mlhw.vision.names import BestBy
    from mlhw.vision.training.session import Finetuned

CLAIMS = Claims["Finetuned"]()

# The head learns in float32, and its rounding is carried through the steps of an epoch.
AGAIN = 1e-4


@CLAIMS.claim("best-reloads", "the best model, loaded back, reproduces its validation loss")
def best_reloads(o: Finetuned) -> Check:
    difference = abs(o.reloaded.loss - o.progress.best_loss)
    return check(
        difference <= 1e-6,
        measured=o.reloaded.loss,
        expected=o.progress.best_loss,
        tolerance=1e-6,
    )


@CLAIMS.claim(
    "frozen-unchanged",
    "what is frozen stays bit for bit what it was, and in the best model every open stage has learned",
)
def frozen_unchanged(o: Finetuned) -> Check:
    """The head alone learns for some epochs unless the whole backbone is to be trained from the first."""
    changed, due = audit.learned(o)
    expected: dict[str, object] = {"stages that learned": due}
    measured: dict[str, object] = {"stages that learned": changed}
    if o.config.first_open_epoch != 0:
        expected["tensors until unfrozen"] = 0
        measured["tensors until unfrozen"] = o.progress.changed_while_frozen
    if o.changed_buffers is not None:
        expected["batch-norm buffers until the end"] = 0
        measured["batch-norm buffers until the end"] = o.changed_buffers
    return check(
        measured == expected,
        measured=measured,
        expected=expected,
        note="numbers of tensors that changed; stages from the input, from 0",
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


@CLAIMS.claim(
    "loss-fell",
    "the training loss fell, with the backbone frozen and with it open",
    figure="losses",
)
def loss_fell(o: Finetuned) -> Check:
    """On one's own images, where rates and epochs are still to be found, it is an observation."""
    if not audit.on_built_in_images(o):
        return not_applicable("an observation, on images of one's own")
    parts = audit.training_losses(o)
    if not parts:
        return not_applicable("no two epochs that can be compared: one alone, or mixed images")
    return check(
        all(last < first for first, last in parts.values()),
        measured={name: last for name, (_, last) in parts.items()},
        expected={name: f"below {first:.6g}" for name, (first, _) in parts.items()},
        note="the last epoch's mean loss, and the first's of the same part of the run",
    )


@CLAIMS.claim(
    "rate-as-tried",
    "the backbone's rate is the largest that a few steps on copies show harmless, and they left no trace",
    figure="find-lr",
)
def rate_as_tried(o: Finetuned) -> Check:
    found = o.progress.probed
    if found is None:
        return not_applicable("no rate of the backbone was to be found")
    due = audit.rate_by_rule(found, o.config.optim.lr)
    used = o.config.optim.backbone_lr
    # A mean of 256 differences is the difference of the means but for rounding.
    scale = max([1.0, *(abs(loss) for loss in found.losses if np.isfinite(loss))])
    apart = [
        abs(loss - found.before - more)
        for loss, more in zip(found.losses, found.excess, strict=True)
        if np.isfinite(loss)
    ]
    off = max(apart, default=0.0) / scale
    return check(
        found.chosen == due
        and used == (found.chosen if found.given is None else found.given)
        and off <= 1e-12
        and found.changed == 0,
        measured={"chosen": found.chosen, "used": used, "differences": off}
        | {"changed tensors": found.changed},
        expected={"chosen": due, "used": due if found.given is None else found.given}
        | {"differences": 0, "changed tensors": 0},
        tolerance=1e-12,
        note="by the losses in rates.csv" if found.rates else found.why,
    )


PICKED_BY: dict[BestBy, str] = {
    "loss": "val_loss",
    "accuracy": "val_acc",
    "balanced-accuracy": "val_balanced_acc",
    "macro-f1": "val_macro_f1",
}


@CLAIMS.claim("best-is-best", "the saved epoch is the best of the table", figure="losses")
def best_is_best(o: Finetuned) -> Check:
    """Of the validations with a finite loss, as no other can be the best.

    Of equal shares the one with the lower loss, and of equals in that too the first.
    """
    loss = o.table.column("val_loss").astype(float)
    value = -o.table.column(PICKED_BY[o.config.best_by]).astype(float)
    value = -value if o.config.best_by == "loss" else value
    judged = np.flatnonzero(np.isfinite(loss))
    best = int(judged[np.lexsort((judged, loss[judged], value[judged]))[0]])
    asked = audit.validated_as_asked(o)
    return check(
        o.best.metadata["epoch"] == best and asked,
        measured=o.best.metadata["epoch"],
        expected=best,
        note="" if asked else "validations stand after other epochs than was asked for",
    )


@CLAIMS.claim(
    "first-epochs-again",
    "the head's first epochs, worked out again by the textbook's formulas, give the recorded losses",
)
def first_epochs_again(o: Finetuned) -> Check:
    reason = audit.why_not(o)
    if reason:
        return not_applicable(reason)
    # Of accuracies, one image in a thousand and one more: where two classes are all but equal,
    # rounding decides.
    few = 1e-3 + 1.5 / min(len(o.task.train), len(o.task.val))
    found, expected, right = {}, {}, True
    for epoch, again in enumerate(audit.first_epochs(o)):
        for name, value in again.items():
            recorded = float(o.table.column(name)[epoch])
            if np.isnan(recorded) and not audit.validated(o, epoch):
                continue
            found[f"{name} {epoch}"], expected[f"{name} {epoch}"] = recorded, value
            allowed = few if name.endswith("acc") else AGAIN * max(1.0, value)
            right = right and abs(recorded - value) <= allowed
    return check(
        right,
        measured=found,
        expected=expected,
        tolerance=AGAIN,
        note="mean losses and accuracies by epoch; accuracies to one image in a thousand",
    )


@CLAIMS.claim(
    "rates-as-scheduled",
    "the learning rates are those of the schedule, in the table and the optimizer, over the epochs asked for",
    figure="learning-rate",
)
def rates_as_scheduled(o: Finetuned) -> Check:
    steps = audit.steps_an_epoch(len(o.task.train), o.config)
    shares = audit.scheduled(o.config, steps)
    epochs = len(o.table)
    at_ends = shares[steps * np.arange(1, epochs + 1) - 1]
    off = np.abs(o.table.column("lr") / o.config.optim.lr - at_ends)
    first = o.config.first_open_epoch
    opened = np.arange(epochs) >= (epochs if first is None else first)
    of_backbone = o.table.column("backbone_lr").astype(float) / o.config.optim.backbone_rate
    off = np.where(opened, np.maximum(off, np.abs(of_backbone - at_ends)), off)
    last = max(abs(used - due) / o.config.optim.lr for used, due in audit.group_rates(o))
    measured = {"table": float(off.max()), "optimizer": last}
    counted = [int(epoch) for epoch in o.table.column("epoch")] == list(range(epochs))
    whole = epochs == o.config.epochs
    if o.progress.stopped:
        whole = audit.waited(o) == o.config.patience
    return check(
        max(measured.values()) <= 1e-12
        and o.progress.step == steps * epochs
        and counted
        and whole
        and bool(np.all(np.isnan(of_backbone[~opened]))),
        measured=measured | {"steps": o.progress.step},
        expected={"table": 0, "optimizer": 0, "steps": steps * epochs},
        tolerance=1e-12,
        note=f"differences from the rates by formula, relative to the full rate; {epochs} epochs",
    )


@CLAIMS.claim(
    "losses-fit-accuracies",
    "every image that is judged wrongly costs ln 2 or more, and the best model's figures are those of its "
    "probabilities",
)
def losses_fit_accuracies(o: Finetuned) -> Check:
    """Where another class is the most probable, p of the right one is 1/2 at most."""
    short = np.inf
    for part in ("train", "val"):
        losses, accuracies = o.table.column(f"{part}_loss"), o.table.column(f"{part}_acc")
        known = ~np.isnan(accuracies.astype(float))
        slack = losses[known] - np.log(2.0) * (1.0 - accuracies[known])
        inside = bool(np.all((accuracies[known] >= 0) & (accuracies[known] <= 1)))
        short = min(short, float(np.min(slack, initial=np.inf))) if inside else -np.inf
    p = o.evaluated.probabilities.astype(np.float64)
    with np.errstate(divide="ignore"):
        loss = float(-np.log(p[np.arange(len(p)), o.labels]).mean())
    wrong = abs(float((p.argmax(1) == o.labels).mean()) - o.evaluated.accuracy)
    # Probabilities are float32, the loss is of logits: where p underflows only the latter is finite.
    off = abs(loss - o.evaluated.loss) if np.isfinite(loss) else 0.0
    return check(
        bool(short >= -1e-6 and off <= 1e-4 * max(1.0, loss) and wrong <= 1e-9),
        measured={"least loss above ln 2 of the wrong": short, "loss": off, "accuracy": wrong},
        expected={"least loss above ln 2 of the wrong": "at least 0", "loss": 0, "accuracy": 0},
        tolerance=1e-4,
        note=f"over all epochs; then the {o.split} loss and accuracy off those of the probabilities",
    )


@CLAIMS.claim(
    "classes-alike",
    "every class counts the same: it is drawn equally often in each epoch, or its images weigh N/K together",
)
def classes_alike(o: Finetuned) -> Check:
    """Draws may differ by one, where N is no multiple of K; weights are float32."""
    labels, classes = o.task.train.images.labels, len(o.splits.classes)
    counts = np.bincount(labels, minlength=classes)
    if o.config.sampler == "balanced":
        drawn = [
            np.bincount(labels[o.task.order(e)], minlength=classes) for e in range(len(o.table))
        ]
        apart = max(int(np.ptp(times)) for times in drawn)
        whole = all(int(times.sum()) == len(labels) for times in drawn)
        return check(apart <= 1 and whole, measured=apart, expected="at most 1", tolerance=1)
    if o.task.class_weights is None:
        return not_applicable("sampler: shuffle and class_weights: none count every image the same")
    together = o.task.class_weights.double().cpu().numpy() * counts * classes / len(labels)
    off = float(np.abs(together - 1).max())
    return check(
        off <= 1e-6, measured=off, expected=0, tolerance=1e-6, note="largest relative difference"
    )


@CLAIMS.claim(
    "temperature-fitted",
    "no other temperature fits the validation images better than the one in the model's file",
    figure="reliability",
)
def temperature_fitted(o: Finetuned) -> Check:
    """The NLL is convex in 1/T: a T that is better than its neighbours is better than any."""
    if "temperature" not in o.best.metadata:
        return not_applicable("the model was saved without a temperature")
    if len(o.reloaded.labels) < FEWEST_IMAGES:
        return not_applicable("too few validation images to fit a temperature")
    if not np.isfinite(o.reloaded.logits).all():
        return not_applicable("a logit is not finite")
    losses = audit.neighbouring_losses(o)
    excess = losses["own"] - min(losses.values())
    return check(
        COLDEST <= o.temperature <= HOTTEST and excess <= 1e-9 * max(1.0, losses["own"]),
        measured={"temperature": o.temperature, "loss above the least": excess},
        expected={"temperature": f"{COLDEST:g} to {HOTTEST:g}", "loss above the least": 0},
        tolerance=1e-9,
        note=f"smoothed cross-entropy at temperatures {audit.NEIGHBOUR - 1:.2%} higher and lower",
    )


# Logits over the temperature are float32, of some 1e-7; counts and shares differ by far less.
COUNTED = 1e-6


@CLAIMS.claim(
    "counted-again",
    "precision, recall, F1, AUC, ranks, intervals and calibration errors are what counting the images gives",
    figure="confusion",
)
def counted_again(o: Finetuned) -> Check:
    """The calibration error may move by images whose confidence lies on the edge of a bin."""
    a = o.assessed
    rows, calibrated = a.per_class(), a.calibration()
    off = {
        "classes": counted.classes_off(rows, a.labels, a.logits, a.log_probabilities),
        "all": counted.metrics_off(a.metrics(), rows, a.labels, a.logits),
    }
    for name, temperature in (("ece_before", 1.0), ("ece_after", a.temperature)):
        again, edge = counted.binned_error(a.logits, a.labels, temperature, calibrated["bins"])
        off[name] = max(0.0, counted.apart(calibrated[name], again) - edge)
    return check(
        max(off.values()) <= COUNTED,
        measured=off,
        expected=0,
        tolerance=COUNTED,
        note=f"furthest of the numbers told, {len(rows)} classes, {len(a)} {o.split} images",
    )


@CLAIMS.claim("beats-random", "the pre-trained network beats the same one from random weights")
def beats_random(o: Finetuned) -> Check:
    if o.random is None:
        return not_applicable("no comparison with random weights was asked for")
    return check(
        o.rivalling > o.random.accuracy,
        measured=o.rivalling,
        expected=f"above {o.random.accuracy:.6g}",
        note=f"{o.random.split} accuracy after {o.random.epochs} epochs each"
        if o.random.is_early
        else f"{o.split} accuracy after {o.progress.epoch} epochs each",
    )
