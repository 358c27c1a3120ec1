"""One fine-tuning from its configuration to its numbers: load, choose, train, reload, test, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mlhw.errors import DataError, RunError
from mlhw.provenance import usable_cpus
from mlhw.result import Recorder, Table
from mlhw.vision import features
from mlhw.vision.backbones import Backbone, load_backbone
from mlhw.vision.batches import Loader, evaluation_batch
from mlhw.vision.checkpoints import Best, Checkpoints, tensor_digests
from mlhw.vision.datasets import ImageSet, ImageSplits, load_images
from mlhw.vision.device import Compute, choose, device_name, find_device, memory_errors, settings
from mlhw.vision.head import Network, new_head
from mlhw.vision.schedules import Plan
from mlhw.vision.task import Evaluation, Task, evaluate
from mlhw.vision.training import COLUMNS, Progress, restore, train

if TYPE_CHECKING:
    from mlhw.experiments.finetune import Config

# Digits of 8 × 8 pixels do not need a photograph's 224; and much larger ones show only blur.
LARGEST_ENLARGEMENT = 8
# Images in the batch that device, precision and layout are chosen with.
TRIAL_BATCH = 32


@dataclass(frozen=True)
class RandomWeights:
    """How the same network does from random weights; ``rows`` as in ``metrics.csv``."""

    val_acc: float
    test_acc: float | None
    rows: list[list[Any]]

    @property
    def split(self) -> str:
        return "validation" if self.test_acc is None else "test"

    @property
    def accuracy(self) -> float:
        return self.val_acc if self.test_acc is None else self.test_acc


@dataclass(frozen=True)
class Outcome:
    """All that a run found out, for summary, claims and figures.

    Attributes:
        config: as resolved.
        splits, task: what was trained.
        progress: at the end; ``table`` the epochs.
        best: the best model as loaded back; ``reloaded`` its validation.
        test: None without a test split.
        changed_buffers: batch-norm buffers of the backbone that differ from the loaded ones after
            the last epoch; None where they are meant to.
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
    def images(self) -> ImageSet:
        """The images of ``evaluated``."""
        return self.splits.test or self.splits.val

    @property
    def labels(self) -> np.ndarray:
        return self.images.labels


def finetune(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Outcome:
    """Train as ``config`` says, from the start or from where ``recorder.resumes`` stands.

    Raises:
        ConfigError, DataError: before ``recorder.begin``.
        RunError: the loss is not finite, or memory is too small.
        Interrupted: a signal came; the state is saved.
    """
    device = find_device(config.device)
    if splits is None:
        splits = load_splits(config, recorder)
    saved = load_saved(recorder, splits)
    threads = usable_cpus() if config.threads == "auto" else config.threads
    with settings(threads, device), memory_errors(config.batch_size):
        backbone = load_network(config, splits, recorder)
        network = Network(backbone.module, head_for(config, backbone, splits))
        compute = choose_compute(config, network, backbone, splits, device, recorder)
        config = resolved(config, backbone, splits, compute, threads)
        compute.prepare(network)
        recorder.begin(
            config, device=device_name(device), threads=threads, data_digest=splits.digest
        )
        task = new_task(config, network, backbone, splits, compute, recorder)
        describe(task, splits, recorder)
        folder = recorder.folder
        checkpoints = Checkpoints(folder / "checkpoints" if folder else None)
        torch.manual_seed(config.seed % 2**63)
        progress = restore(task, saved) if saved else Progress()
        if saved:
            recorder.log(f"going on at epoch {progress.epoch}, batch {progress.batch}")
        table = recorder.table("metrics", COLUMNS, kept=progress.rows)
        train(task, progress, checkpoints, recorder, table)
        changed = changed_buffers(task) if config.batch_norm == "eval" else None
        best, reloaded = reload_best(task, progress, checkpoints)
        recorder.log(
            f"best validation loss {progress.best_loss:.4f} at epoch {progress.best_epoch}"
        )
        test = test_best(task, splits)
        random = None
        if config.compare == "random":
            random = from_random_weights(config, splits, compute, recorder)
        outcome = Outcome(
            config, splits, task, progress, table, best, reloaded, test, changed, random
        )
        write_predictions(outcome, recorder)
        return outcome


# ------------------------------------------------------------------------------------- before


def load_splits(config: Config, recorder: Recorder) -> ImageSplits:
    data = config.data
    splits = load_images(
        data.name,
        data_dir=data.dir,
        val=data.val,
        test=data.test,
        seed=config.seed,
        on_error=data.on_error,
        download=data.download,
        resident=data.resident,
        log=recorder.log,
        progress=recorder.progress,
    )
    if data.digest not in (None, splits.digest) and not recorder.resumes:
        recorder.warn(
            f"the data have changed since this configuration was recorded: digest "
            f"{splits.digest[:12]}, then {str(data.digest)[:12]}"
        )
    return splits


def load_saved(recorder: Recorder, splits: ImageSplits) -> dict[str, Any] | None:
    """The state of the run that goes on; None for a new one or one that had saved nothing yet."""
    if recorder.resumes is None:
        return None
    folder = recorder.resumes / "checkpoints"
    if not folder.is_dir() or not any(folder.glob("*.pt")):
        recorder.log("nothing was saved yet: the run starts from the beginning")
        return None
    saved = Checkpoints(folder).load_last(recorder.warn)
    if saved["data"] != splits.digest:
        raise DataError(
            f"{recorder.resumes}: the data have changed since this run (digest {splits.digest[:12]}, "
            f"then {saved['data'][:12]}), so it cannot go on"
        )
    return saved


def load_network(config: Config, splits: ImageSplits, recorder: Recorder) -> Backbone:
    """The backbone at the size of the configuration, or at one that suits the images."""
    size = None if config.image_size == "auto" else config.image_size
    backbone = load_backbone(
        config.model,
        config.weights,
        image_size=size,
        seed=config.seed,
        data_dir=config.data.dir,
        log=recorder.log,
        progress=recorder.progress,
    )
    shape = splits.train.image_shape
    if size is None and shape is not None:
        largest = LARGEST_ENLARGEMENT * max(shape)
        if largest < backbone.preprocessing.size:
            return load_network(config.model_copy(update={"image_size": largest}), splits, recorder)
    return backbone


def head_for(config: Config, backbone: Backbone, splits: ImageSplits) -> torch.nn.Module:
    return new_head(
        backbone.features,
        len(splits.classes),
        hidden=config.head.hidden,
        dropout=config.head.dropout,
        seed=config.seed,
    )


def choose_compute(
    config: Config,
    network: Network,
    backbone: Backbone,
    splits: ImageSplits,
    device: torch.device,
    recorder: Recorder,
) -> Compute:
    """Precision and layout as configured; what is ``auto`` is measured on the first images."""
    trains = config.unfreeze_at is not None and config.unfreeze_at < config.epochs
    size = backbone.preprocessing.size
    count = min(config.batch_size if trains else evaluation_batch(size), TRIAL_BATCH)
    first = splits.train.images(np.arange(min(count, len(splits.train))))
    return choose(
        network,
        backbone.preprocessing.to_batch(first),
        device,
        precision=None if config.precision == "auto" else config.precision,
        layout=None if config.layout == "auto" else config.layout,
        training=trains,
        log=lambda line: recorder.log(line, screen=False),
    )


def resolved(
    config: Config, backbone: Backbone, splits: ImageSplits, compute: Compute, threads: int
) -> Config:
    """The configuration with everything that was ``auto`` written out."""
    in_memory = splits.train.resident
    compare = "random" if splits.name == "digits" and config.weights != "none" else "none"
    return config.model_copy(
        update={
            "image_size": backbone.preprocessing.size,
            "device": str(compute.device),
            "precision": compute.precision,
            "layout": compute.layout,
            "threads": threads,
            "workers": (0 if in_memory else 2) if config.workers == "auto" else config.workers,
            "compare": compare if config.compare == "auto" else config.compare,
            "data": config.data.model_copy(update={"digest": splits.digest}),
        }
    )


def new_task(
    config: Config,
    network: Network,
    backbone: Backbone,
    splits: ImageSplits,
    compute: Compute,
    recorder: Recorder,
    *,
    kept: bool = True,
) -> Task:
    """``kept=False`` stores features in memory only."""
    assert isinstance(config.workers, int)
    plan = Plan(
        epochs=config.epochs,
        steps_per_epoch=-(-len(splits.train) // config.batch_size),
        unfreeze_at=config.unfreeze_at,
        stages=len(backbone.stages),
        unfreeze_stages=config.unfreeze_stages,
        schedule=config.schedule.name,
        warmup=config.schedule.warmup,
        lr=config.optim.lr,
        backbone_lr=config.optim.backbone_lr or config.optim.lr,
        layer_decay=config.optim.layer_decay,
    )
    loader = Loader(splits.train, backbone.preprocessing, compute, config.workers)
    store = None
    if config.features != "off" and plan.frozen(0):
        on_disk = kept and (
            config.features == "disk" or (config.features == "auto" and recorder.folder is not None)
        )
        store = features.FeatureStore(
            network,
            backbone.features,
            backbone.weights_digest,
            features.cache_folder() if on_disk else None,
            log=recorder.log,
            warn=recorder.warn,
            progress=recorder.progress,
        )
    metadata = {
        "model": config.model,
        "image_size": config.image_size,
        "preprocessing": backbone.preprocessing.to_json(),
        "head": config.head.model_dump(),
        "classes": splits.classes,
        "data": splits.digest,
    }
    return Task(
        config, network, backbone, plan, loader, replace(loader, images=splits.val), store, metadata
    )


def describe(task: Task, splits: ImageSplits, recorder: Recorder) -> None:
    """What is going to happen, in the log."""
    config, plan, backbone = task.config, task.plan, task.backbone
    test = len(splits.test) if splits.test else "no"
    recorder.log(
        f"{config.model} ({backbone.weights}), {backbone.features} features, "
        f"{config.image_size} × {config.image_size} pixels, on {task.train.compute.describe()}"
    )
    recorder.log(
        f"{splits.name}: {len(splits.classes)} classes, {len(splits.train)} images to train, "
        f"{len(splits.val)} to validate, {test} to test"
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
    if task.store is not None and config.augment != "none":
        recorder.log(
            "random changes of the images: features are computed anew in every frozen epoch"
            if task.recomputes
            else f"random changes of the images: {config.views} stored views of each, in turn"
        )


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
    best = checkpoints.load_best()
    task.network.load_state_dict(best.tensors)
    return best, task.validate(progress.best_epoch)


def test_best(task: Task, splits: ImageSplits) -> Evaluation | None:
    """The network on the test split: the first and only look at it."""
    if splits.test is None:
        return None
    return evaluate(task.network, replace(task.val, images=splits.test).all())


def from_random_weights(
    config: Config, splits: ImageSplits, compute: Compute, recorder: Recorder
) -> RandomWeights:
    """The same network, data, epochs and rates, but random weights at the start.

    Batch norm learns its statistics here, whatever the configuration says: those that it has know
    nothing yet.
    """
    recorder.log("for comparison, the same from random weights")
    config = config.model_copy(update={"weights": "none", "batch_norm": "train"})
    backbone = load_backbone(
        config.model, "none", image_size=compute_size(config), seed=config.seed
    )
    network = Network(backbone.module, head_for(config, backbone, splits))
    compute.prepare(network)
    task = new_task(config, network, backbone, splits, compute, recorder, kept=False)
    progress, checkpoints = Progress(), Checkpoints(None)
    train(task, progress, checkpoints, recorder, Table("random", COLUMNS), log=lambda line: None)
    _, reloaded = reload_best(task, progress, checkpoints)
    test = test_best(task, splits)
    return RandomWeights(reloaded.accuracy, test.accuracy if test else None, progress.rows)


def compute_size(config: Config) -> int:
    assert isinstance(config.image_size, int)
    return config.image_size


def write_predictions(o: Outcome, recorder: Recorder) -> None:
    """``predictions.csv``: a row an image, label and prediction by class name, probabilities."""
    classes = o.splits.classes
    table = recorder.table(
        "predictions", ["name", "label", "predicted", *(f"p_{name}" for name in classes)]
    )
    found = o.evaluated.probabilities
    table.extend(
        (name, classes[label], classes[predicted], *row)
        for name, label, predicted, row in zip(
            o.images.names,
            o.labels,
            found.argmax(1),
            found.astype(np.float64).tolist(),
            strict=True,
        )
    )
