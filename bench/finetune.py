"""finetune with stored features beside without.

    python bench/finetune.py [--images data/cifar10] [--weights FILE] [--device cpu]

Ten epochs of the head (the settings of configs/finetune-cifar10.yaml) with stored features, and one epoch
without, times ten, on the CIFAR-10 images of a folder; without one, on random images of the same shape. An
epoch of all layers beside a bare loop is a row of ``performance.py``.
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

from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from mlhw.vision.training.device import device_name
from mlhw.vision.training.session import finetune


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="data/cifar10")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="bf16")
    given = parser.parse_args()
    print(f"{machine()}; {device_name(torch.device(given.device))}")
    compare_features(given)


def images(given: argparse.Namespace) -> ImageSplits:
    """The folder's images; random ones where there is no folder."""
    if Path(given.images).is_dir():
        return load_images(f"folder:{given.images}", val=5000, test=0)
    print(f"no folder {given.images}: random images")
    generator = np.random.default_rng(0)
    labels = np.arange(45_500) % 10
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


def compare_features(given: argparse.Namespace) -> None:
    """Times from the table of epochs, the extraction within the first of them.

    The images are read, compared and decoded before, once: both ways keep them in memory and would pay
    for it alike.
    """
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # nothing from earlier runs
        started = time.perf_counter()
        splits = images(given)
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
