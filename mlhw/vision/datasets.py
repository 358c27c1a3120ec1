"""Images and labels by name, split into train, val and test: ``load_images("digits", …)``.

===================================  ===========================================================
``digits``                           scikit-learn's 1,797 handwritten digits, 8 × 8
``cifar10``, ``cifar100``            32 × 32 in colour, under ``data/``
``mnist``, ``fashion-mnist``         28 × 28, under ``data/``
``folder:PATH``                      ``train/CLASS/*``, ``val/CLASS/*``, ``test/CLASS/*``; or
                                     ``train/`` alone; or ``CLASS/*``
``csv:PATH``                         ``file_name,label`` with paths relative to the file
===================================  ===========================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

OnError = Literal["fail", "skip"]
Amount: TypeAlias = "int | float | None"


class ImageSet:
    """One split: images, labels and names in a fixed order.

    Attributes:
        labels: int64 (n,), positions in ``ImageSplits.classes``.
        names: a file's path relative to the data set's folder, or a sample's index as text.
        digest: sha256 over names, classes and contents; the same wherever the folder lies and in
            whatever order its files are listed.
        image_shape: (H, W) where all images have one size, else None.
        resident: the decoded images are all in memory, as bytes.
    """

    labels: np.ndarray
    names: list[str]
    digest: str
    image_shape: tuple[int, int] | None
    resident: bool

    def __len__(self) -> int: ...

    def images(self, indices: ArrayLike) -> np.ndarray | list[np.ndarray]:
        """Decoded 8-bit RGB images of the samples at ``indices`` (n,).

        Returns:
            A new array (n, H, W, 3) where all images of the data set have one size, else a list of
            arrays (H, W, 3).
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ImageSplits:
    """A data set.

    Attributes:
        name: the specification, as given.
        classes: class names; a label is a position in this list.
        train, val: never empty, every class in train.
        test: None if there is none.
        skipped: (name, reason) of the images left out under ``on_error="skip"``.
        digest: sha256 over the splits' digests and the class names.
    """

    name: str
    classes: list[str]
    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    digest: str
    skipped: list[tuple[str, str]] = field(default_factory=list)


def load_images(
    spec: str,
    *,
    data_dir: Path | str = "data",
    val: Amount = None,
    test: Amount = None,
    seed: int = 0,
    on_error: OnError = "fail",
    download: bool = False,
    resident: bool | None = None,
    log: Callable[[str], None] = lambda line: None,
    progress: Callable[[float, float, str], None] = lambda done, total, what: None,
) -> ImageSplits:
    """The data set that ``spec`` names, every image checked.

    Args:
        spec: a name of the table at the top.
        data_dir: where cifar10, cifar100, mnist and fashion-mnist are kept, laid out as torchvision
            does.
        val, test: a count (1 or more) or a fraction (below 1) of the images to set aside; None for
            the data set's own split, or 15 % where it has none; ``test=0`` for no test split.
        seed: of the splits. Which split an image falls in depends on the seed, its class and its
            name, not on the order of files or rows.
        on_error: ``fail`` on an unreadable image, or ``skip`` up to 1 % of them.
        download: fetch what is missing under ``data_dir``.
        resident: keep the decoded images in memory; None does where they have one size and fit.
        log: takes a line on anything worth knowing.
        progress: takes (done, total, what) while reading and downloading.

    Raises:
        ConfigError: no such data set, or splits that cannot be cut.
        DataError: what is missing, unreadable or contradictory, one line for each file.
    """
    raise NotImplementedError


def from_dataset(
    dataset: Dataset[tuple[object, int]],
    *,
    val: Amount = None,
    test: Amount = None,
    classes: list[str] | None = None,
    name: str = "dataset",
    seed: int = 0,
) -> ImageSplits:
    """The same from a map-style ``torch.utils.data.Dataset`` of (image, label).

    Args:
        dataset: images as Pillow images, 8-bit arrays (H, W, 3) or (H, W), or 8-bit tensors
            (3, H, W); labels as integers 0 … K − 1. Its ``classes`` attribute gives the class names
            where ``classes`` is None.
        val, test, seed: as in ``load_images``.
        name: what messages call it.
    """
    raise NotImplementedError


class Source(Protocol):
    """Where images come from: one array in memory, or files decoded when asked for."""

    def __len__(self) -> int: ...

    def images(self, indices: np.ndarray) -> np.ndarray | list[np.ndarray]: ...
