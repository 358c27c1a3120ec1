"""Peak memory of a fine-tuning on 50,000 images: the images as bytes, the features and 600 MB.

    python bench/memory.py [--images 50000] [--unfreeze]

Random images of CIFAR-10's shape, so that nothing has to be downloaded; ``--unfreeze`` trains all
layers of a CIFAR-ResNet-20 in the second of two epochs.
"""

from __future__ import annotations

import argparse
import resource
import sys

import numpy as np
import torch
from timing import machine, record

from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import from_dataset
from mlhw.vision.training.session import finetune

ALLOWED = 600e6


class RandomImages(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """``count`` images made when asked for, so that the data set itself holds nothing."""

    classes = tuple(map(str, range(10)))

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index >= self.count:
            raise IndexError(index)
        generator = np.random.default_rng(index)
        return generator.integers(0, 256, (32, 32, 3), dtype=np.uint8), index % 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--unfreeze", action="store_true")
    given = parser.parse_args()
    splits = from_dataset(RandomImages(given.images), val=0.1, test=0)
    config = from_keywords(
        Config,
        {
            "model": "cifar_resnet20",
            "weights": "none",
            "epochs": 2,
            "batch_size": 256,
            "unfreeze_at": 1 if given.unfreeze else None,
            "features": "memory",
            "compare": "none",
        },
    )
    outcome = finetune(config, Recorder(), splits)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    pixels = given.images * 32 * 32 * 3
    features = 4 * given.images * outcome.task.backbone.features
    rest = peak - pixels - features
    print(machine())
    print(f"{given.images} images: {pixels / 1e6:.0f} MB, features {features / 1e6:.0f} MB")
    print(f"peak {peak / 1e6:.0f} MB, so {rest / 1e6:.0f} MB besides (at most {ALLOWED / 1e6:.0f})")
    unfrozen = "all_layers" if given.unfreeze else "head"
    record(
        "memory", {unfrozen: {"images": given.images, "peak_bytes": peak, "besides_bytes": rest}}
    )
    sys.exit(rest > ALLOWED)


if __name__ == "__main__":
    main()
