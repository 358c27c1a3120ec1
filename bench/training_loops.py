"""An epoch of all layers by mlhw, by a loop written down directly, by timm's parts and by Lightning.

All train a network of the same layers on the same files in float32 and channels-last, with one thread of
torch a core. mlhw and the bare loop have the decoded images in memory, as mlhw keeps what fits; timm and
Lightning read them in two worker processes that stay, as their users have it, and change them no more than by
a flip. Lightning takes timm's images, for it has none of its own.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Epoch = Callable[[], object]


@dataclass(frozen=True)
class Training:
    """What is trained: ``folder`` holds a folder of images a class; ``timm_model`` has the same layers."""

    folder: Path
    model: str
    weights: str
    size: int
    batch: int
    augment: str
    timm_model: str | None = None


def epochs(training: Training) -> dict[str, Epoch]:
    """Functions that train for an epoch each, mlhw's first; peers that are not installed are left out."""
    import torch

    from mlhw.vision.images.datasets import load_images

    splits = load_images(f"folder:{training.folder}", test=0)
    images = splits.train
    images.images(np.arange(len(images)))
    task = mlhw_task(training, splits)
    found = {"mlhw": mlhw_epochs(task), "bare loop": bare_epochs(training, task)}
    classes = len(splits.classes)
    if find_spec("timm"):
        from mlhw.vision.networks.torchvision_import import torchvision

        torchvision()
        found["timm"] = timm_epochs(training, task, classes, torch.get_num_threads())
        if find_spec("lightning"):
            found["Lightning"] = lightning_epochs(training, task)
    return found


def mlhw_task(training: Training, splits: Any) -> Any:
    import torch

    from mlhw.config.load import from_keywords
    from mlhw.result.recorder import Recorder
    from mlhw.vision.config import Config
    from mlhw.vision.networks.backbones import load_backbone
    from mlhw.vision.networks.head import TunedNetwork, new_head
    from mlhw.vision.training.allocator import keep_freed_memory
    from mlhw.vision.training.device import Compute
    from mlhw.vision.training.preparation import Prepared

    keep_freed_memory()
    config = from_keywords(
        Config,
        {
            "model": training.model,
            "weights": training.weights,
            "image_size": training.size,
            "device": "cpu",
            "precision": "fp32",
            "layout": "channels-last",
            "compare": "none",
            "workers": 0,
            "epochs": 1000,
            "unfreeze_at": 0,
            "batch_norm": "train",
            "batch_size": training.batch,
            "augment": training.augment,
            "schedule": {"name": "constant"},
            "optim": {"name": "sgd", "lr": 0.01, "backbone_lr": None, "label_smoothing": 0.0},
        },
    )
    backbone = load_backbone(training.model, training.weights, image_size=training.size)
    network = TunedNetwork(backbone.module, new_head(backbone.features, len(splits.classes)))
    compute = Compute(torch.device("cpu"), "fp32", "channels-last")
    compute.prepare(network)
    threads = torch.get_num_threads()
    return Prepared(config, splits, backbone, network, compute, threads).task(Recorder())


def mlhw_epochs(task: Any) -> Epoch:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.training.loop import train_epoch
    from mlhw.vision.training.progress import Progress

    progress, recorder = Progress(), Recorder()

    def epoch() -> None:
        train_epoch(task, progress, recorder)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.seconds = progress.training_seconds = 0.0
        task.sums.zero_()

    return epoch


def optimizer_of(network: Any) -> Any:
    import torch

    return torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-2, fused=True)


def bare_epochs(training: Training, task: Any) -> Epoch:
    """What a user would write down: no records, no interrupts, no schedule, no checks."""
    import torch
    from torch.nn import functional

    from mlhw.vision.images import augment

    network, images = copy.deepcopy(task.network), task.train.images
    optimizer, preprocessing = optimizer_of(network), task.backbone.preprocessing
    draws = np.random.default_rng(0)

    def epoch() -> None:
        network.train()
        order = draws.permutation(len(images))
        for start in range(0, len(order), training.batch):
            indices = order[start : start + training.batch]
            pixels = preprocessing.fitted(images.images(indices))
            pixels = augment.change(pixels, draws.random((len(indices), 3)), training.augment)
            labels = torch.from_numpy(images.labels[indices])
            batch = preprocessing.normalize(pixels).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def timm_loader(training: Training, task: Any) -> Any:
    from timm.data import create_dataset, create_loader

    preprocessing = task.backbone.preprocessing
    dataset = create_dataset("", root=str(training.folder / "train"))
    return create_loader(
        dataset,
        input_size=(3, training.size, training.size),
        batch_size=training.batch,
        is_training=True,
        use_prefetcher=False,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        hflip=0.5,
        color_jitter=None,
        interpolation="bilinear",
        mean=preprocessing.mean,
        std=preprocessing.std,
        num_workers=2,
        pin_memory=False,
        persistent_workers=True,
    )


def timm_epochs(training: Training, task: Any, classes: int, threads: int) -> Epoch:
    """The loop of timm's ``train.py``, without what it does for several GPUs."""
    import torch
    from timm.models import create_model
    from timm.utils import AverageMeter

    torch.set_num_threads(threads)
    network = copy.deepcopy(task.network)
    if training.timm_model is not None:
        network = create_model(training.timm_model, num_classes=classes)
    network = network.to(memory_format=torch.channels_last)
    loader, optimizer = timm_loader(training, task), optimizer_of(network)
    loss_of = torch.nn.CrossEntropyLoss()

    def epoch() -> None:
        network.train()
        losses = AverageMeter()
        for images, labels in loader:
            images = images.contiguous(memory_format=torch.channels_last)
            loss = loss_of(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            losses.update(loss.item(), len(images))
            optimizer.step()

    return epoch


def lightning_epochs(training: Training, task: Any) -> Epoch:
    """Its trainer for one more epoch each time; no logger, no checkpoint, no bar."""
    import logging
    import warnings

    import lightning
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(task.network)

        def training_step(self, batch: Any, index: int) -> Any:
            images = batch[0].contiguous(memory_format=torch.channels_last)
            return torch.nn.functional.cross_entropy(self.net(images), batch[1])

        def configure_optimizers(self) -> Any:
            return optimizer_of(self)

    module, loader = Module(), timm_loader(training, task)

    def epoch() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, loader)

    return epoch


def speeds(times: Any) -> dict[str, bool]:
    """The goals of a loop, of those peers that were there."""
    found = {
        "at least the bare loop's images a second": times["bare loop"] >= times["mlhw"],
    }
    for peer in ("timm", "Lightning"):
        if peer in times:
            found[f"at least 1.2 times {peer}'s"] = times[peer] >= 1.2 * times["mlhw"]
        else:
            print(f"{peer} is not installed", file=sys.stderr)
    return found
