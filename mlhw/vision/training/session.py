"""One fine-tuning from its configuration to its numbers: load, choose, train, reload, test, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mlhw.errors import RunError
from mlhw.result.result import Recorder, Table
from mlhw.system.provenance import usable_cpus
from mlhw.vision.images.datasets import ImageSplits
from mlhw.vision.images.image_sets import ImageSet
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork
from mlhw.vision.training.allocator import keep_freed_memory
from mlhw.vision.training.checkpoints import Best, Checkpoints, tensor_digests
from mlhw.vision.training.columns import EPOCH_COLUMNS, prediction_columns
from mlhw.vision.training.device import (
    Compute,
    device_name,
    find_device,
    memory_errors,
    torch_settings,
)
from mlhw.vision.training.loop import Progress, restore, train
from mlhw.vision.training.preparation import (
    describe,
    head_for,
    load_network,
    load_saved,
    load_splits,
    measured_compute,
    new_task,
    require_statistics,
    resolved,
)
from mlhw.vision.training.task import Evaluation, Task, evaluate_network

if TYPE_CHECKING:
    from mlhw.vision.config import Config


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
class Finetuned:
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


def finetune(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Finetuned:
    """Train as ``config`` says, from the start or from where ``recorder.resumes`` stands.

    Raises:
        ConfigError, DataError: before ``recorder.begin``.
        RunError: the loss is not finite, or memory is too small.
        Interrupted: a signal came; the state is saved.
    """
    device = find_device(config.device)
    keep_freed_memory()
    if splits is None:
        splits = load_splits(config, recorder)
    saved = load_saved(recorder, splits)
    threads = usable_cpus() if config.threads == "auto" else config.threads
    with torch_settings(threads, device), memory_errors(config.batch_size):
        backbone = load_network(config, splits, recorder)
        network = TunedNetwork(backbone.module, head_for(config, backbone, splits))
        compute = measured_compute(config, network, backbone, splits, device, recorder)
        config = resolved(config, backbone, splits, compute, threads)
        compute.prepare(network)
        require_statistics(config, network, backbone, splits)
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
        table = recorder.table("metrics", EPOCH_COLUMNS, kept=progress.rows)
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
        outcome = Finetuned(
            config, splits, task, progress, table, best, reloaded, test, changed, random
        )
        write_predictions(outcome, recorder)
        return outcome


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
    return evaluate_network(task.network, replace(task.val, images=splits.test).all())


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
    network = TunedNetwork(backbone.module, head_for(config, backbone, splits))
    compute.prepare(network)
    task = new_task(config, network, backbone, splits, compute, recorder, kept=False)
    progress, checkpoints = Progress(), Checkpoints(None)
    train(
        task, progress, checkpoints, recorder, Table("random", EPOCH_COLUMNS), log=lambda line: None
    )
    _, reloaded = reload_best(task, progress, checkpoints)
    test = test_best(task, splits)
    return RandomWeights(reloaded.accuracy, test.accuracy if test else None, progress.rows)


def compute_size(config: Config) -> int:
    assert isinstance(config.image_size, int)
    return config.image_size


def write_predictions(o: Finetuned, recorder: Recorder) -> None:
    """``predictions.csv``: a row an image, label and prediction by class name, probabilities."""
    classes = o.splits.classes
    table = recorder.table("predictions", prediction_columns(classes))
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
