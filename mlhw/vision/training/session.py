"""One fine-tuning from its configuration to its numbers: prepare, train, reload, test, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mlhw.errors import RunError
from mlhw.maths.calibration import FEWEST_IMAGES
from mlhw.result.recorder import Recorder
from mlhw.result.tables import Table
from mlhw.system.provenance import usable_cpus
from mlhw.text.words import quantity
from mlhw.vision.assessment import (
    CLASS_COLUMNS,
    COVERAGE_COLUMNS,
    MOST_CLASSES,
    Assessment,
    confusion_columns,
)
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits
from mlhw.vision.images.image_sets import ImageSet
from mlhw.vision.training.allocator import keep_freed_memory
from mlhw.vision.training.announcement import describe
from mlhw.vision.training.checkpoints import (
    LAST,
    PREVIOUS,
    Best,
    Checkpoints,
    read_best,
    safetensors_bytes,
    tensor_digests,
)
from mlhw.vision.training.columns import EPOCH_COLUMNS, prediction_columns
from mlhw.vision.training.device import (
    deterministic_errors,
    device_name,
    find_device,
    memory_errors,
    torch_settings,
)
from mlhw.vision.training.joint_preparation import prepare_jointly
from mlhw.vision.training.loop import record_rate, train, validates
from mlhw.vision.training.preparation import Prepared
from mlhw.vision.training.progress import Progress, restore, shared_start
from mlhw.vision.training.task import Evaluation, Task, evaluate_network

if TYPE_CHECKING:
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.schedules import Plan


@dataclass(frozen=True)
class RandomWeights:
    """How the same network does from random weights; ``rows`` as in ``metrics.csv``.

    ``test_acc`` is that of the model with the best validation. It is None without test images, and where the
    training was stopped on its way (``is_early``): then ``val_acc`` is the best of its validations.
    """

    val_acc: float
    test_acc: float | None
    rows: list[list[Any]]
    is_early: bool = False

    @property
    def epochs(self) -> int:
        return len(self.rows)

    @property
    def split(self) -> str:
        return "validation" if self.test_acc is None else "test"

    @property
    def accuracy(self) -> float:
        return self.val_acc if self.test_acc is None else self.test_acc


@dataclass(frozen=True)
class Finetuned:
    """All that a run found out, for summary, claims and figures.

    Attributes:
        config: as resolved.
        splits, task: what was trained.
        progress: at the end; ``table`` the epochs.
        best: the best model as loaded back; ``reloaded`` its validation.
        test: None without a test split.
        changed_buffers: batch-norm buffers of the backbone that differ from the loaded ones after
            the last epoch; None where batch norm is trained, which changes them.
        random: the comparison with random weights, None without.
    """

    config: Config
    splits: ImageSplits
    task: Task
    progress: Progress
    table: Table
    best: Best
    reloaded: Evaluation
    test: Evaluation | None
    changed_buffers: int | None
    random: RandomWeights | None

    @property
    def split(self) -> str:
        return "validation" if self.test is None else "test"

    @property
    def evaluated(self) -> Evaluation:
        """The best model on the test images, or on the validation images where there are none."""
        return self.reloaded if self.test is None else self.test

    @property
    def rivalling(self) -> float:
        """The accuracy that is held against that from random weights: after as many epochs."""
        if self.random is None or not self.random.is_early:
            return self.evaluated.accuracy
        return best_accuracy(self.table.rows[: self.random.epochs])

    @property
    def images(self) -> ImageSet:
        """The images of ``evaluated``."""
        return self.splits.test or self.splits.val

    @property
    def labels(self) -> np.ndarray:
        return self.images.labels

    @property
    def temperature(self) -> float:
        """What the best model's logits are divided by; 1 for a file of before there was one."""
        return float(self.best.metadata.get("temperature", 1.0))

    @cached_property
    def assessed(self) -> Assessment:
        """The best model on ``images``, in numbers."""
        return Assessment(self.splits.classes, self.labels, self.evaluated.logits, self.temperature)


def finetune(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Finetuned:
    """Train as ``config`` says, from the start or from where ``recorder.resumes`` stands.

    Raises:
        ConfigError, DataError: before ``recorder.begin``.
        RunError: the loss is not finite, or memory is too small.
        Interrupted: a signal came; the state is saved.
    """
    group = recorder.group
    device = find_device(config.device, group.ranks if group else None)
    beside = group.ranks.local_world if group else 1
    threads = max(1, usable_cpus() // beside) if config.threads == "auto" else config.threads
    keep_freed_memory()
    with (
        torch_settings(threads, device, config.deterministic),
        memory_errors(config.batch_size),
        deterministic_errors(),
    ):
        prepared = prepare_jointly(config, recorder, device, threads, splits)
        config, splits = prepared.config, prepared.splits
        recorder.begin(
            config, device=device_name(device), threads=threads, data_digest=splits.digest
        )
        task = prepared.task(recorder)
        describe(prepared, task, recorder)
        folder = recorder.folder
        checkpoints = Checkpoints(folder / "checkpoints" if folder else None)
        unneeded = (PREVIOUS, LAST) if config.keep == "best" else (PREVIOUS,)
        if checkpoints.folder is not None:
            recorder.unneeded += [checkpoints.folder / name for name in unneeded]
        torch.manual_seed(config.seed % 2**63)
        progress = Progress()
        if prepared.saved:
            progress = restore(task, prepared.saved)
            recorder.log(f"going on at epoch {progress.epoch}, batch {progress.batch}")
            record_rate(task, progress, recorder)
        progress = shared_start(task, progress)
        if progress.probe and group and not group.leads:
            record_rate(task, progress, recorder)
        table = recorder.table("metrics", EPOCH_COLUMNS, kept=progress.rows)
        train(task, progress, checkpoints, recorder, table)
        changed = changed_buffers(task) if config.batch_norm == "eval" else None
        best, reloaded = reload_best(task, progress, checkpoints)
        recorder.log(
            f"best model: epoch {progress.best_epoch}, validation loss {progress.best_loss:.4f}, "
            f"accuracy {progress.best_accuracy:.4f}"
        )
        recorder.log(tempered(best, len(splits.val)))
        test = test_best(task, splits)
        random = from_random_weights(prepared, recorder) if config.compare != "none" else None
        found = Finetuned(
            task.config, splits, task, progress, table, best, reloaded, test, changed, random
        )
        write_tables(found, recorder)
        return found


# ------------------------------------------------------------------------------------- after


def changed_buffers(task: Task) -> int:
    """How many of the backbone's buffers are no longer bit for bit what was loaded."""
    buffers = dict(task.network.backbone.named_buffers())
    now = tensor_digests(buffers)
    return sum(now[name] != task.backbone_digests[name] for name in now)


def reload_best(
    task: Task, progress: Progress, checkpoints: Checkpoints
) -> tuple[Best, Evaluation]:
    """The best model, read back from where it was saved, in the network, and its validation."""
    if progress.best_epoch is None:
        raise RunError("no validation gave a finite loss, so no model is the best")
    best = best_of_the_first(task.group, checkpoints)
    task.network.load_state_dict(best.tensors)
    task.average = None  # it is what has been loaded
    return best, task.validate(progress.best_epoch)


def best_of_the_first(group: ProcessGroup | None, checkpoints: Checkpoints) -> Best:
    """The best model as it is on disk, which only the first of several processes can read."""
    if group is None:
        return checkpoints.load_best()
    if group.leads:
        best = checkpoints.load_best()
        group.broadcast(safetensors_bytes(best))
        return best
    return read_best(Path("process 0"), group.broadcast(None))


def test_best(task: Task, splits: ImageSplits) -> Evaluation | None:
    """The network on the test split: the first and only look at it."""
    if splits.test is None:
        return None
    loader = replace(task.val, images=splits.test)
    return evaluate_network(task.network, loader.all(), group=task.group)


def from_random_weights(prepared: Prepared, recorder: Recorder) -> RandomWeights:
    """Train the same from random weights, without records, and measure it.

    Under ``compare: first-open`` not to the end: what all layers have learnt in an epoch is enough to tell
    the two apart, and the epochs with all layers are nearly all of the work.
    """
    task = prepared.with_random_weights().task(recorder, on_disk=False)
    until = task.plan.epochs
    if task.config.compare == "first-open":
        until = epochs_to_compare(task.plan, task.config.val_every)
    is_early = until < task.plan.epochs
    recorder.log(
        "for comparison, the same from random weights"
        + (f", as far as {quantity(until, 'epoch')}" if is_early else "")
    )
    progress, checkpoints = Progress(), Checkpoints(None)
    table = Table("random", EPOCH_COLUMNS)
    train(task, progress, checkpoints, recorder, table, log=lambda line: None, until=until)
    if is_early:
        return RandomWeights(best_accuracy(progress.rows), None, progress.rows, is_early)
    _, reloaded = reload_best(task, progress, checkpoints)
    test = test_best(task, prepared.splits)
    return RandomWeights(reloaded.accuracy, test.accuracy if test else None, progress.rows)


def epochs_to_compare(plan: Plan, val_every: int) -> int:
    """Epochs up to the first validation of all layers; all where only the head learns."""
    opened = range(plan.unfreeze_at, plan.epochs) if plan.unfreeze_at is not None else ()
    return next(
        (epoch + 1 for epoch in opened if validates(epoch, plan.stretch(epoch)[1], val_every)),
        plan.epochs,
    )


def best_accuracy(rows: Sequence[Sequence[Any]]) -> float:
    """The highest validation accuracy in rows of ``metrics.csv``."""
    place = list(EPOCH_COLUMNS).index("val_acc")
    return max(float(row[place]) for row in rows if row[place] is not None)


def tempered(best: Best, images: int) -> str:
    """A line that says which temperature the probabilities have, and why."""
    if images < FEWEST_IMAGES:
        return (
            f"temperature 1: {images} validation images are too few to fit one "
            f"(at least {FEWEST_IMAGES}), so probabilities are those of the plain softmax"
        )
    found = best.metadata.get("temperature", 1.0)
    return f"temperature {found:.3f}, fitted on {images} validation images, for all probabilities"


def write_tables(o: Finetuned, recorder: Recorder) -> None:
    """``classes.csv``, ``confusion.csv``, ``coverage.csv``, and the ``predictions.csv`` that they sum up."""
    classes, found = o.splits.classes, o.assessed
    for name, columns, rows in (
        ("classes", CLASS_COLUMNS, found.class_rows()),
        ("confusion", confusion_columns(classes), found.confusion_rows()),
        ("coverage", COVERAGE_COLUMNS, found.coverage_rows()),
        ("predictions", prediction_columns(classes), found.prediction_rows(o.images.names)),
    ):
        table = recorder.table(name, columns)
        table.extend(rows)
        if name != "predictions":
            table.reported = MOST_CLASSES
