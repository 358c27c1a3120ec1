"""From a configuration to what is trained: images, network, precision, plan; all of it checked."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlhw.errors import ConfigError
from mlhw.result.recorder import Recorder
from mlhw.system.files import cache_folder
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.images.inventory import tell_duplicates
from mlhw.vision.images.own_files import Reading
from mlhw.vision.images.scales import scale_pixels
from mlhw.vision.images.splits import Fold
from mlhw.vision.names import augmentations
from mlhw.vision.networks.backbones import Backbone, load_backbone
from mlhw.vision.networks.feature_maps import feature_maps
from mlhw.vision.networks.head import TunedNetwork, new_head, set_learning, share_statistics
from mlhw.vision.networks.weight_files import Tensors
from mlhw.vision.schedules import Plan
from mlhw.vision.training.batches import Loader, count_steps
from mlhw.vision.training.compiling import compile_backbone, require_compiling
from mlhw.vision.training.device import Compute, choose_compute
from mlhw.vision.training.features import FeatureStore
from mlhw.vision.training.going_on import find_start, load_saved, with_added_epochs
from mlhw.vision.training.task import Task

# Digits of 8 × 8 pixels do not need a photograph's 224, and much larger ones show only blur.
LARGEST_ENLARGEMENT = 8
# Pixels in the batch that precision and layout are chosen with: 16 images of 64 × 64.
TRIAL_PIXELS = 1 << 16


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, checked, before the run begins.

    Attributes:
        config: with everything that was ``auto`` written out.
        splits: the images.
        backbone: with the weights that ``config`` names.
        network: the backbone with its new head, on the device.
        compute: the device, the precision and the memory layout.
        threads: CPU threads of the run.
        saved: the state that the run goes on from; None starts at the beginning.
        head: the tensors of the head at the start, if another run's are taken; None if it is random.
    """

    config: Config
    splits: ImageSplits
    backbone: Backbone
    network: TunedNetwork
    compute: Compute
    threads: int
    saved: dict[str, Any] | None = None
    head: Tensors | None = None

    @property
    def plan(self) -> Plan:
        config = self.config
        return Plan(
            epochs=config.epochs,
            steps_per_epoch=count_steps(config, len(self.splits.train)),
            unfreeze_at=config.first_open_epoch,
            stages=len(self.backbone.stages),
            unfreeze_stages=config.unfreeze_stages,
            schedule=config.schedule.name,
            warmup=config.schedule.warmup,
            lr=config.optim.lr,
            backbone_lr=config.optim.backbone_rate,
            layer_decay=config.optim.layer_decay,
            continued=tuple((done, planned) for done, planned in config.continued),
        )

    def task(self, recorder: Recorder, *, on_disk: bool = True) -> Task:
        """What is trained, with a new optimizer; ``on_disk=False`` keeps features in memory only."""
        config, backbone, plan = self.config, self.backbone, self.plan
        assert isinstance(config.workers, int)
        group = recorder.group
        loader = Loader(
            self.splits.train, backbone.preprocessing, self.compute, config.workers, group
        )
        store = None
        if config.features != "off" and plan.frozen(0):
            has_folder = config.features == "auto" and (recorder.folder is not None or group)
            kept = on_disk and (config.features == "disk" or has_folder)
            store = FeatureStore(
                self.network,
                backbone.features,
                backbone.weights_digest,
                cache_folder("features") if kept else None,
                self.threads,
                recorder,
                group,
            )
        metadata = {
            "model": config.model,
            "image_size": config.image_size,
            "preprocessing": backbone.preprocessing.to_json(),
            "head": config.head.model_dump(),
            "classes": self.splits.classes,
            "data": self.splits.digest,
        }
        validation = replace(loader, images=self.splits.val)
        return Task(
            config,
            self.network,
            backbone,
            plan,
            loader,
            validation,
            store,
            metadata,
            self.head,
            group,
        )

    def with_random_weights(self) -> Prepared:
        """The same network, data and epochs, but random weights at the start.

        Batch norm learns its statistics, whatever the configuration says: random weights come with
        none. Nor do they hold anything that a rate could undo, so ``backbone_lr: auto`` is lr.
        """
        optim = self.config.optim.model_copy(update={"find_lr": False})
        if optim.backbone_lr == "auto":
            optim = optim.model_copy(update={"backbone_lr": None})
        changes = {"weights": "none", "batch_norm": "train", "optim": optim}
        config = self.config.model_copy(update=changes)
        size = self.backbone.preprocessing.size
        backbone = load_backbone(config.model, "none", image_size=size, seed=config.seed)
        backbone = as_configured(backbone, config, self.splits)
        network = with_new_head(config, backbone, self.splits)
        self.compute.prepare(network)
        if config.compile:
            compile_backbone(network)
        return replace(
            self, config=config, backbone=backbone, network=network, saved=None, head=None
        )


def prepare(
    config: Config,
    recorder: Recorder,
    device: torch.device,
    threads: int,
    splits: ImageSplits | None = None,
) -> Prepared:
    """Read and check everything that ``config`` names; ``splits`` are used instead of its data.

    Raises ConfigError or DataError for what cannot be used.
    """
    if splits is None:
        splits = load_splits(config, recorder)
    tell_duplicates(splits, config.data.on_leak, recorder)
    saved = load_saved(config, recorder, splits)
    config = with_added_epochs(config, saved, recorder, len(splits.train))
    start = find_start(config)
    if start is not None:
        config = start.configured(config)
    backbone = load_network(config, splits, recorder)
    network = with_new_head(config, backbone, splits)
    head = start.give_head(network, config, splits.classes, recorder) if start else None
    if config.explain:
        feature_maps(network.eval(), backbone.preprocessing.size)
    compute = measured_compute(config, network, backbone, splits, device, recorder)
    compute.prepare(network)
    if config.compile:
        require_compiling(compute)
        compile_backbone(network)
    prepared = Prepared(config, splits, backbone, network, compute, threads, saved, head)
    prepared = replace(prepared, config=resolved(prepared, recorder))
    require_statistics(prepared)
    return prepared


def data_dir(config: Config) -> str:
    return config.data.dir or os.path.abspath("data")


def load_splits(config: Config, recorder: Recorder, *, remember: bool = True) -> ImageSplits:
    """The images that the configuration names, with a warning if a rerun finds others.

    ``remember=False`` keeps nothing for the next run.
    """
    data = config.data
    splits = load_images(
        data.name,
        data_dir=data_dir(config),
        val=data.val,
        test=data.test,
        seed=config.seed,
        fold=Fold(data.fold or 0, data.folds) if data.folds else None,
        download=data.download,
        reading=Reading(
            data.on_error,
            data.max_skipped,
            data.resident,
            Path(data.image_root) if data.image_root else None,
            data.group,
            remember,
        ),
        recorder=recorder,
    )
    if data.digest not in (None, splits.digest) and not recorder.resumes:
        recorder.warn(
            f"the data have changed since this configuration was recorded: digest "
            f"{splits.digest[:12]}, then {str(data.digest)[:12]}"
        )
    given = (data.pixel_range[0], data.pixel_range[1]) if data.pixel_range else None
    return replace(splits, pixels=scale_pixels(splits, recorder, given))


def load_network(config: Config, splits: ImageSplits, recorder: Recorder) -> Backbone:
    """The backbone at the size of the configuration, or at one that suits the images."""
    size = None if config.image_size == "auto" else config.image_size
    backbone = load_backbone(
        config.model,
        config.weights,
        image_size=size,
        seed=config.seed,
        data_dir=data_dir(config),
        recorder=recorder,
    )
    shape = splits.train.image_shape
    if size is None and shape is not None:
        largest = LARGEST_ENLARGEMENT * max(shape)
        if largest < backbone.preprocessing.size:
            return load_network(config.model_copy(update={"image_size": largest}), splits, recorder)
    return as_configured(backbone, config, splits)


def as_configured(backbone: Backbone, config: Config, splits: ImageSplits) -> Backbone:
    """The backbone with what the configuration and the images add to its own preprocessing."""
    preprocessing = replace(backbone.preprocessing, fit=config.fit, pixels=splits.pixels)
    return replace(backbone, preprocessing=preprocessing)


def with_new_head(config: Config, backbone: Backbone, splits: ImageSplits) -> TunedNetwork:
    """The network of the run: the backbone, and a head for the classes of the images."""
    if config.sync_batch_norm:
        share_statistics(backbone.module)
    head = new_head(
        backbone.features,
        len(splits.classes),
        hidden=config.head.hidden,
        dropout=config.head.dropout,
        seed=config.seed,
    )
    return TunedNetwork(backbone.module, head)


def measured_compute(
    config: Config,
    network: TunedNetwork,
    backbone: Backbone,
    splits: ImageSplits,
    device: torch.device,
    recorder: Recorder,
) -> Compute:
    """Precision and layout as configured; what is ``auto`` is measured on the first images."""
    trains = config.trains_backbone
    size = backbone.preprocessing.size
    count = max(4, min(config.batch_size if trains else 64, TRIAL_PIXELS // size**2))
    first = splits.train.images(np.arange(min(count, len(splits.train))))
    return choose_compute(
        network,
        backbone.preprocessing.to_batch(first),
        device,
        precision=None if config.precision == "auto" else config.precision,
        layout=None if config.layout == "auto" else config.layout,
        training=trains,
        log=lambda line: recorder.log(line, screen=False),
    )


def resolved(prepared: Prepared, recorder: Recorder) -> Config:
    """The configuration with everything that was ``auto`` written out.

    Of several processes each has its own GPU, so that none is named.
    """
    config, splits, compute = prepared.config, prepared.splits, prepared.compute
    # Where a GPU trains, the processor is free to change images one by one.
    one_by_one = set(augmentations(config.augment)) - {"flip", "crop"}
    changing = compute.device.type != "cpu" and bool(one_by_one)
    at_once = splits.train.resident and not changing
    digits = splits.name == "digits" and config.weights != "none"
    compare = "first-open" if digits else "none"
    optim = config.optim
    if digits and optim.backbone_lr == "auto":
        # Enlarged digits are nothing like photographs. A backbone that is to read them has to be changed
        # so much that a few steps look like harm: at lr × 0.1 it judges 0.95 of them right, at lr 0.99.
        optim = optim.model_copy(update={"backbone_lr": None})
    data = config.data.model_copy(update={"digest": splits.digest, "dir": data_dir(config)})
    if splits.pixels.span is not None:
        data = data.model_copy(update={"pixel_range": list(splits.pixels.span)})
    return config.model_copy(
        update={
            "image_size": prepared.backbone.preprocessing.size,
            "device": compute.device.type if recorder.group else str(compute.device),
            "precision": compute.precision,
            "layout": compute.layout,
            "threads": prepared.threads,
            "workers": (0 if at_once else 2) if config.workers == "auto" else config.workers,
            "best": config.best_by,
            "compare": compare if config.compare == "auto" else config.compare,
            "unfreeze_at": config.first_open_epoch,
            "optim": optim,
            "data": data,
        }
    )


def require_statistics(prepared: Prepared) -> None:
    """Raise ConfigError where batch norm would be trained on a single value for each channel.

    That happens with batches of one image, wherever the feature maps have shrunk to one pixel. torch
    raises in the first such step, and the comparison with random weights would reach it only after
    all training.
    """
    config, plan = prepared.config, prepared.plan
    trains = config.batch_norm == "train" or config.compare != "none"
    if config.batch_size > 1 or not trains or not plan.ever_unfreezes:
        return
    trial = copy.deepcopy(prepared.network)
    first = plan.first_open_stage(plan.epochs)
    set_learning(trial, prepared.backbone, first, batch_norm="train")
    size = prepared.backbone.preprocessing.size
    try:
        with torch.no_grad():
            trial(torch.zeros(1, 3, size, size, device=prepared.compute.device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        other = "batch_norm: eval" if config.batch_norm == "train" else "compare: none"
        raise ConfigError(
            f"batch_size: batch norm finds no variance in one image of {size} × {size} pixels, whose "
            f"feature maps shrink to one; give 2 or more, a larger image_size, or {other}"
        ) from None
