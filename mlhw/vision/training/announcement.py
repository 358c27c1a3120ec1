"""What a training is going to do, in words for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlhw.vision.images.inventory import tell_origins
from mlhw.vision.images.shapes import cropped_warning

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.training.preparation import Prepared
    from mlhw.vision.training.task import Task


def describe(prepared: Prepared, task: Task, recorder: Recorder) -> None:
    """What is going to happen, in the log."""
    config, splits, backbone, plan = prepared.config, prepared.splits, prepared.backbone, task.plan
    test = len(splits.test) if splits.test else "no"
    recorder.log(
        f"{config.model} ({backbone.weights}), {backbone.features} features, "
        f"{config.image_size} × {config.image_size} pixels, on {prepared.compute.describe()}"
    )
    recorder.log(
        f"{splits.name}: {len(splits.classes)} classes, {len(splits.train)} images to train, "
        f"{len(splits.val)} to validate, {test} to test"
    )
    if config.deterministic:
        recorder.log(
            "deterministic: no TF32, and any operation whose bits may differ ends the run with an error"
        )
    tell_origins(splits, recorder)
    if warning := cutting_warning(prepared):
        recorder.warn(warning)
    asked = config.unfreeze_stages
    if asked is not None and asked > len(backbone.stages):
        recorder.warn(
            f"unfreeze_stages: {config.model} has {len(backbone.stages)} stages, so that all are unfrozen "
            f"(got {asked})"
        )
    for name, reason in splits.skipped:
        recorder.log(f"left out: {name}: {reason}", screen=False)
    if splits.skipped:
        recorder.warn(f"{len(splits.skipped)} unreadable images are left out (listed in log.txt)")
    if not plan.ever_unfreezes:
        recorder.log("the backbone stays frozen; the head alone is trained")
    elif plan.frozen(0):
        recorder.log(
            f"the head alone is trained until epoch {plan.unfreeze_at}, then the backbone too"
        )
    if task.changes(0) is not None:
        recorder.log(f"random changes of the images: {when_changed(task)}")


def cutting_warning(prepared: Prepared) -> str | None:
    """Words about what the centre crop leaves out; None where it is little, or nothing is cut."""
    cuts = prepared.config.fit == "crop" and not prepared.backbone.preprocessing.squash
    return cropped_warning(prepared.splits) if cuts else None


def when_changed(task: Task) -> str:
    """In which epochs images are changed at random, in words."""
    first = task.plan.unfreeze_at
    if task.store is None:
        return "in every epoch"
    if task.recomputes:
        return "features are computed anew in every epoch; --views 4 stores those of four changes"
    if task.config.views:
        later = f"; from epoch {first} on new ones" if task.plan.ever_unfreezes else ""
        return f"{task.config.views} stored views of each, in turn{later}"
    return (
        f"from epoch {first} on; the frozen epochs before train on stored features of the images as "
        "they are (--views 4 stores those of four changes, --features off stores none)"
    )
