"""A gallery of the images that a network has judged: thumbnails from wherever the images lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlhw.result.gallery import Gallery
from mlhw.system.download import ProgressBar
from mlhw.vision.images.thumbnails import thumbnail, thumbnail_side

if TYPE_CHECKING:
    from mlhw.vision.images.image_sets import ImageSet

_AT_ONCE = 64  # decoded images in memory


def judged_images(
    images: ImageSet,
    labels: np.ndarray,
    classes: list[str],
    probabilities: np.ndarray,
    split: str,
    looks: Callable[[], dict[int, bytes]] = dict,
) -> Gallery:
    """The gallery of a split; its images are read again once the page is written.

    Args:
        images: the split, n images.
        labels: (n,), positions in ``classes``; those of ``images`` may be positions in another list.
        classes: class names, in the order of the columns of ``probabilities``.
        probabilities: (n, classes), in the order of the images.
        split: its name in a sentence, ``test``.
        looks: as in ``Gallery``.
    """

    def thumbnails(positions: np.ndarray, progress: ProgressBar) -> Iterator[bytes]:
        side = thumbnail_side(len(positions))
        for start in range(0, len(positions), _AT_ONCE):
            progress(start, len(positions), "gallery")
            for image in images.images(positions[start : start + _AT_ONCE]):
                yield thumbnail(image, side)

    return Gallery(split, classes, images.names, labels, probabilities, thumbnails, looks)
