"""Images that are drawn for the tests, in folders of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.errors import UsageError
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.images.image_sets import ImageSet


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (9, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def class_folders(root: Path, classes: dict[str, int]) -> Path:
    seed = 0
    for name, count in classes.items():
        for i in range(count):
            picture(root / name / f"{i:03}.png", seed := seed + 1)
    return root


def everything(splits: ImageSplits) -> list[ImageSet]:
    return [part for part in (splits.train, splits.val, splits.test) if part is not None]


def errors_of(spec: str, **options: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load_images(spec, **options)
    assert caught.value.exit_code == 2
    return list(caught.value.lines)
