"""What a saved network sees in image files, one after the other.

A file that is no readable image is reported and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mlhw.vision.saved import SavedModel


@dataclass(frozen=True)
class Prediction:
    """What is seen in a file.

    Attributes:
        path: the file.
        top: (class, probability) of the most probable classes, the first first.
        probabilities: of every class, in the model's order.
        unsure: the first of ``top`` is less probable than was asked for.
        clipped: the share of the pixels that lie beyond the range of the training images.
    """

    path: str
    top: list[tuple[str, float]]
    probabilities: list[float] = field(default_factory=list)
    unsure: bool = False
    clipped: float = 0.0


@dataclass(frozen=True)
class Unreadable:
    """A file in which nothing is seen, and why."""

    path: str
    reason: str


def predict(
    model: SavedModel, groups: Iterable[list[Path]], *, top: int = 3, threshold: float = 0.0
) -> Iterator[Prediction | Unreadable]:
    """A prediction, or why there is none, for each path in its order.

    Args:
        model: as it was saved.
        groups: paths; those of a group are worked on together, so that a group that comes through a
            pipe has its answers before the next is waited for.
        top: how many of the most probable classes are wanted.
        threshold: the probability below which a prediction is unsure.
    """
    from mlhw.vision.images.decode import (
        UnreadableImageError,
        decode_whole,
        eight_bit,
        quiet_pillow,
        read,
    )
    from mlhw.vision.images.depth import clipped_share
    from mlhw.vision.training.batches import evaluation_batch

    most, scale = evaluation_batch(model.preprocessing.size), model.preprocessing.pixels
    for group in groups:
        for start in range(0, len(group), most):
            part = group[start : start + most]
            images, clipped, reasons = [], [], {}
            with quiet_pillow():
                for path in part:
                    try:
                        image = decode_whole(read(path))
                        images.append(eight_bit(image, scale))
                        clipped.append(clipped_share(image, scale))
                    except UnreadableImageError as error:
                        reasons[path] = str(error)
            rows = zip(model.probabilities(images), clipped, strict=True)
            for path in part:
                if path in reasons:
                    yield Unreadable(str(path), reasons[path])
                else:
                    row, beyond = next(rows)
                    found = _prediction(str(path), row, model.classes, top, threshold)
                    yield replace(found, clipped=beyond)


def _prediction(
    path: str, row: np.ndarray, classes: list[str], top: int, threshold: float
) -> Prediction:
    import numpy as np

    # The logits are float32; digits beyond theirs would say nothing.
    shares = [float(str(value)) for value in row.astype(np.float32)]
    order = np.argsort(-row, kind="stable")[:top]
    best = [(classes[k], shares[k]) for k in order]
    return Prediction(path, best, shares, unsure=best[0][1] < threshold)
