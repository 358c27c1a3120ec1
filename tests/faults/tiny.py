"""The least that can be fine-tuned: made images of two classes, a small network that stays frozen."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

OPTIONS = [
    *("--model", "cifar_resnet20", "--weights", "none", "--image-size", "8"),
    *("--val", "8", "--test", "8", "--batch-size", "8", "--features", "disk"),
    *("--unfreeze-at", "null", "--compare", "none", "--threads", "1"),
    *("--precision", "fp32", "--layout", "channels-last", "--no-plots", "-q", "--no-check"),
]


def images(folder: Path) -> Path:
    """A folder ``train/CLASS/N.png``: 16 dark and 16 bright squares with noise, 8 pixels each way."""
    generator = np.random.default_rng(0)
    for name, level in (("dark", 60), ("bright", 180)):
        place = folder / "train" / name
        place.mkdir(parents=True)
        for number in range(16):
            pixels = generator.normal(level, 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def numbers(run: Path) -> tuple[list[list[str]], bytes, bytes]:
    """What a run found, without the times: rows of metrics.csv, predictions.csv, best.safetensors."""
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    timed = ("seconds", "images_per_s")
    plain = [[value for key, value in row.items() if key not in timed] for row in rows]
    best = (run / "checkpoints" / "best.safetensors").read_bytes()
    return plain, (run / "predictions.csv").read_bytes(), best
