"""What a saved network sees in image files.

A file that is no readable image is listed and does not stop the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlhw.errors import ConfigError
from mlhw.system.download import ProgressBar

if TYPE_CHECKING:
    from mlhw.vision.saved import SavedModel

TOP = 3


@dataclass(frozen=True)
class Prediction:
    """``top`` holds (class, probability) of the most probable classes, the first first.

    ``clipped`` is the share of the pixels that lie beyond the range of the training images.
    """

    path: str
    top: list[tuple[str, float]]
    clipped: float = 0.0


def image_paths(given: list[str]) -> Iterator[Path]:
    """The files among ``given``, and of each folder the images in it and below, sorted.

    Raises ConfigError for a path that does not exist and for a folder without images.
    """
    from mlhw.vision.images.decode import SUFFIXES

    for text in given:
        path = Path(text)
        if not path.is_dir():
            if not path.exists():
                raise ConfigError(f"{text}: no such file or folder")
            yield path
            continue
        found = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        )
        if not found:
            raise ConfigError(f"{text}: holds no image ({', '.join(sorted(SUFFIXES))})")
        yield from found


def predict(
    model: SavedModel, paths: list[Path], progress: ProgressBar
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    """Predictions for the readable images among ``paths``, and (path, reason) of the others."""
    import numpy as np

    from mlhw.vision.images.decode import (
        UnreadableImageError,
        decode_whole,
        eight_bit,
        quiet_pillow,
        read,
    )
    from mlhw.vision.images.depth import clipped_share
    from mlhw.vision.training.batches import evaluation_batch, pieces

    scale = model.preprocessing.pixels
    found: list[Prediction] = []
    unreadable: list[tuple[str, str]] = []
    for part in pieces(np.arange(len(paths)), evaluation_batch(model.preprocessing.size)):
        names, images, clipped = [], [], []
        with quiet_pillow():
            for path in (paths[i] for i in part):
                try:
                    image = decode_whole(read(path))
                    images.append(eight_bit(image, scale))
                    clipped.append(clipped_share(image, scale))
                    names.append(str(path))
                except UnreadableImageError as error:
                    unreadable.append((str(path), str(error)))
        rows = model.probabilities(images)
        for name, row, beyond in zip(names, rows, clipped, strict=True):
            top = np.argsort(-row, kind="stable")[:TOP]
            shown = [(model.classes[k], float(row[k])) for k in top]
            found.append(Prediction(name, shown, beyond))
        progress(int(part[-1]) + 1, len(paths), "images")
    return found, unreadable


def clipping(found: list[Prediction], model: SavedModel) -> str | None:
    """Words about images with pixels beyond the range of the training images; None without such."""
    beyond = [p for p in found if p.clipped]
    if not beyond or model.preprocessing.pixels.span is None:
        return None
    low, high = model.preprocessing.pixels.span
    worst = max(beyond, key=lambda p: p.clipped)
    return (
        f"{len(beyond)} of {len(found)} images have pixels beyond {low:g} … {high:g}, the range of the "
        f"training images, which are clipped (most in {worst.path}: {worst.clipped:.1%})"
    )
