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
    """``top`` holds (class, probability) of the most probable classes, the first first."""

    path: str
    top: list[tuple[str, float]]


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

    from mlhw.vision.images.decode import UnreadableImageError, decode, quiet_pillow, read
    from mlhw.vision.training.batches import evaluation_batch, pieces

    found: list[Prediction] = []
    unreadable: list[tuple[str, str]] = []
    for part in pieces(np.arange(len(paths)), evaluation_batch(model.preprocessing.size)):
        names, images = [], []
        with quiet_pillow():
            for path in (paths[i] for i in part):
                try:
                    images.append(decode(read(path)))
                    names.append(str(path))
                except UnreadableImageError as error:
                    unreadable.append((str(path), str(error)))
        for name, row in zip(names, model.probabilities(images), strict=True):
            top = np.argsort(-row, kind="stable")[:TOP]
            found.append(Prediction(name, [(model.classes[k], float(row[k])) for k in top]))
        progress(int(part[-1]) + 1, len(paths), "images")
    return found, unreadable
