"""What a fine-tuned network sees in images: the best model of a run, read back and used.

The preprocessing and the class names are kept in the model's file. A file that is no readable image
is listed and does not stop the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlhw.errors import ConfigError, DataError
from mlhw.system.download import ProgressBar

if TYPE_CHECKING:
    import numpy as np
    import torch

    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.networks.preprocessing import Preprocessing

TOP = 3


@dataclass(frozen=True)
class Prediction:
    """``top`` holds (class, probability) of the most probable classes, the first first.

    ``clipped`` is the share of the pixels that lie beyond the range of the training images.
    """

    path: str
    top: list[tuple[str, float]]
    clipped: float = 0.0


@dataclass(frozen=True)
class SavedModel:
    """A saved network, ready to be used, with what belongs to it."""

    network: TunedNetwork
    preprocessing: Preprocessing
    classes: list[str]
    device: torch.device


def load_model(run: str | Path, device: str = "auto") -> SavedModel:
    """The best model of a run folder, or a ``best.safetensors`` by itself.

    Raises ConfigError or DataError if there is none, or it is damaged.
    """
    from mlhw.vision.networks.backbones import load_backbone
    from mlhw.vision.networks.head import TunedNetwork, new_head
    from mlhw.vision.networks.preprocessing import Preprocessing
    from mlhw.vision.training.checkpoints import BEST, read_best
    from mlhw.vision.training.device import find_device

    where = find_device(device)
    path = Path(run)
    if path.is_dir():
        path = path / "checkpoints" / BEST
    if not path.is_file():
        raise ConfigError(
            f"{run}: has no {Path('checkpoints', BEST)}; give the run folder of an mlhw finetune that "
            "has validated at least once"
        )
    best = read_best(path, path.read_bytes())
    facts = best.metadata
    try:
        backbone = load_backbone(facts["model"], "none", image_size=facts["image_size"])
        head = new_head(
            backbone.features,
            len(facts["classes"]),
            hidden=facts["head"]["hidden"],
            dropout=facts["head"]["dropout"],
        )
        network = TunedNetwork(backbone.module, head)
        network.load_state_dict(best.tensors)
        preprocessing = Preprocessing.from_json(facts["preprocessing"])
        classes = [str(name) for name in facts["classes"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: its network cannot be rebuilt: {reason}") from None
    return SavedModel(network.to(where).eval(), preprocessing, classes, where)


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
        rows = probabilities(model, images)
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


def probabilities(model: SavedModel, images: list[np.ndarray]) -> np.ndarray:
    """float64 (N, classes) of 8-bit images (H, W, 3) of any sizes."""
    import numpy as np
    import torch

    if not images:
        return np.empty((0, len(model.classes)))
    batch = model.preprocessing.to_batch(images).to(model.device)
    with torch.inference_mode():
        return model.network(batch).cpu().double().softmax(1).numpy()  # type: ignore[no-any-return]
