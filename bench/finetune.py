"""finetune beside a bare PyTorch loop, and with stored features beside without.

    python bench/finetune.py [--images data/cifar10] [--weights FILE] [--device cpu] [--part loop]

``loop``: all layers of a CIFAR-ResNet-20, flip and crop, SGD, batch 256, bfloat16: five alternating
pairs of our training epoch and the same written down directly. ``features``: ten epochs of the head
(the settings of configs/finetune-cifar10.yaml) with stored features, and one epoch without, times
ten. Both take the CIFAR-10 images from a folder; without one, random images of the same shape.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import machine, record, show
from torch.nn import functional

from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.vision.config import Config
from mlhw.vision.images import augment
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.training.device import Compute, device_name, torch_settings
from mlhw.vision.training.loop import Progress, train_epoch
from mlhw.vision.training.preparation import Prepared
from mlhw.vision.training.session import finetune
from mlhw.vision.training.task import Task

PAIRS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="data/cifar10")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--count", type=int, default=5120, help="images of an epoch of the loop")
    parser.add_argument("--part", choices=["loop", "features", "both"], default="both")
    given = parser.parse_args()
    print(f"{machine()}; {device_name(torch.device(given.device))}")
    if given.part != "features":
        compare_loops(given, images(given, given.count))
    if given.part != "loop":
        compare_features(given)


def images(given: argparse.Namespace, count: int | None) -> ImageSplits:
    """The folder's images, ``count`` of them to train; random ones where there is no folder."""
    if Path(given.images).is_dir():
        val = 5000 if count is None else 50_000 - count
        return load_images(f"folder:{given.images}", val=val, test=0)
    print(f"no folder {given.images}: random images")
    generator = np.random.default_rng(0)
    labels = np.arange((count or 45_000) + 500) % 10
    pixels = generator.integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
    data = torch.utils.data.TensorDataset(torch.from_numpy(pixels), torch.from_numpy(labels))
    return from_dataset(data, val=500, test=0, classes=[str(k) for k in range(10)])  # type: ignore[arg-type]


def config(given: argparse.Namespace, **keys: Any) -> Config:
    common = {
        "model": "cifar_resnet20",
        "weights": given.weights,
        "device": given.device,
        "precision": given.precision,
        "layout": "channels-last",
        "image_size": 32,
        "compare": "none",
        "workers": 2 if given.device.startswith("cuda") else 0,
    }
    return from_keywords(Config, common | keys)


# ------------------------------------------------------------------------------------- loop


def compare_loops(given: argparse.Namespace, splits: ImageSplits) -> None:
    c = config(
        given,
        epochs=2 * PAIRS,
        unfreeze_at=0,
        batch_norm="train",
        batch_size=256,
        augment="flip-crop",
        optim={"name": "sgd", "lr": 0.15, "weight_decay": 5e-4, "label_smoothing": 0.0},
    )
    compute = Compute(torch.device(given.device), c.precision, "channels-last")  # type: ignore[arg-type]
    ours, bare = task(c, splits, compute), task(c, splits, compute)
    progress = Progress()
    ratios, times = [], []
    with torch_settings(torch.get_num_threads(), compute.device):
        for turn in range(PAIRS + 1):
            seconds = [timed(lambda: our_epoch(ours, progress)), timed(lambda: bare_epoch(bare))]
            if turn:
                ratios.append(seconds[1] / seconds[0])
                times.append(seconds)
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    show(
        f"an epoch of {len(splits.train)} images, all layers, {c.precision}",
        {"mlhw": a, "bare PyTorch loop": b},
        [
            f"mlhw: {len(splits.train) / a:.0f} images/s",
            f"speed of mlhw over that of the bare loop, median of {PAIRS} pairs: "
            f"{statistics.median(ratios):.3f} (at least 0.97)",
        ],
    )


def task(c: Config, splits: ImageSplits, compute: Compute) -> Task:
    backbone = load_backbone(c.model, c.weights, image_size=32)
    network = TunedNetwork(backbone.module, new_head(backbone.features, len(splits.classes)))
    compute.prepare(network)
    prepared = Prepared(c, splits, backbone, network, compute, torch.get_num_threads())
    return prepared.task(Recorder())


def timed(function: Any) -> float:
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def our_epoch(ours: Task, progress: Progress) -> None:
    train_epoch(ours, progress, Recorder())
    progress.epoch, progress.batch = progress.epoch + 1, 0
    progress.seconds = progress.training_seconds = 0.0
    ours.sums.zero_()


def bare_epoch(bare: Task) -> None:
    """What a user would write down: no records, no interrupts, no schedule, no checks."""
    network, images = bare.network, bare.train.images
    device, dtype = bare.device, network.autocast
    network.train()
    optimizer, preprocessing = bare.optimizer, bare.backbone.preprocessing
    order = np.random.permutation(len(images))
    for start in range(0, len(order), 256):
        indices = order[start : start + 256]
        pixels = torch.from_numpy(images.images(indices)).permute(0, 3, 1, 2).to(device)
        pixels = augment.change(pixels, np.random.random((len(indices), 3)), "flip-crop")
        labels = torch.from_numpy(images.labels[indices]).to(device)
        batch = preprocessing.normalize(pixels)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits = network.head(network.backbone(batch))
        loss = functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# ------------------------------------------------------------------------------------- features


def compare_features(given: argparse.Namespace) -> None:
    """Times from the table of epochs, the extraction within the first of them.

    The images are read, compared and decoded before, once: both ways keep them in memory and would pay
    for it alike.
    """
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # nothing from earlier runs
        started = time.perf_counter()
        splits = images(given, None)
        for part in (splits.train, splits.val):
            part.images(np.arange(len(part)))
        decoding = time.perf_counter() - started
        for name, epochs, kept in (("stored", 10, "memory"), ("recomputed", 1, "off")):
            c = config(
                given,
                epochs=epochs,
                unfreeze_at=None,
                batch_size=100,
                features=kept,
                optim={"name": "sgd", "weight_decay": 1e-3, "label_smoothing": 0.0},
                schedule={"name": "constant"},
            )
            found = finetune(c, Recorder(), splits)
            seconds[name] = found.table.column("seconds").tolist()
            if name == "stored":
                best = found.progress
    stored, recomputed = sum(seconds["stored"]), 10 * seconds["recomputed"][0]
    record(
        "finetune",
        {
            "images": len(splits.train),
            "precision": given.precision,
            "decoding_s": decoding,
            "stored_s": stored,
            "recomputed_s": recomputed,
            "later_epoch_s": statistics.median(seconds["stored"][1:]),
            "val_loss": best.best_loss,
            "val_acc": best.best_accuracy,
        },
    )
    show(
        f"ten epochs of the head on {len(splits.train)} images, {given.precision}",
        {
            "reading and decoding, once": decoding,
            "stored features": stored,
            "recomputed features (one epoch × 10)": recomputed,
        },
        [
            f"stored features are {recomputed / stored:.1f} times as fast (at least 6)",
            f"slowest epoch after the first: {max(seconds['stored'][1:]):.2f} s (below 1)",
            f"validation loss {best.best_loss:.4f}, accuracy {best.best_accuracy:.4f}",
        ],
    )


if __name__ == "__main__":
    main()
