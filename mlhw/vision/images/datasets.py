"""Images and labels by name, split into train, val and test: ``load_images("digits", …)``.

===================================  ===========================================================
``digits``                           scikit-learn's 1,797 handwritten digits, 8 × 8
``cifar10``, ``cifar100``            32 × 32 in colour, under ``data/``
``mnist``, ``fashion-mnist``         28 × 28, under ``data/``
``folder:PATH``                      ``train/CLASS/*``, ``val/CLASS/*``, ``test/CLASS/*``; or
                                     ``train/`` alone; or ``CLASS/*``; see ``folders``
``csv:PATH``                         ``file_name,label`` and maybe ``split``, ``group``; see
                                     ``csv_lists``
===================================  ===========================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlhw.errors import ConfigError, DataError
from mlhw.result.recorder import Recorder
from mlhw.text.words import hint, nearest
from mlhw.vision.images import archives
from mlhw.vision.images.cutting import LabelledImages, cut_images, no_validation, own_split
from mlhw.vision.images.duplicates import Duplicates, find_duplicates
from mlhw.vision.images.image_sets import ArraySource, ImageSet, ImageSource, ListSource, as_pixels
from mlhw.vision.images.listing import Listing
from mlhw.vision.images.own_files import (
    OwnImages,
    Reading,
    list_files,
    read_files,
    require_every_class,
)
from mlhw.vision.images.splits import Amount, Fold, Shares
from mlhw.vision.names import CIFAR, DATA_SETS, MNIST, OWN_DATA
from mlhw.vision.networks.preprocessing import EIGHT_BIT, PixelScale

if TYPE_CHECKING:
    from torch.utils.data import Dataset


@dataclass(frozen=True)
class ImageSplits:
    """A data set.

    Attributes:
        name: the specification, as given.
        classes: class names; a label is a position in this list.
        train, val: never empty; train has every class.
        test: None if there is none.
        digest: sha256 over the splits' digests and the class names.
        skipped: (name, reason) of the images left out under ``on_error="skip"``.
        origins: for each split, where its images are from: a folder, a column, or cut out of which.
        divided: groups that the data set itself has in more than one split.
        pixels: how those of more than 8 bits are scaled, once ``scales.scale_pixels`` has fixed it.
    """

    name: str
    classes: list[str]
    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    digest: str
    skipped: list[tuple[str, str]] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    divided: int = 0
    pixels: PixelScale = EIGHT_BIT

    @property
    def parts(self) -> dict[str, ImageSet]:
        """The splits that there are, by name."""
        found = {"train": self.train, "val": self.val}
        return found if self.test is None else {**found, "test": self.test}

    def counts(self, split: str) -> list[int]:
        """How many images of each class are in a split."""
        counts = np.bincount(self.parts[split].labels, minlength=len(self.classes))
        return [int(count) for count in counts]

    @cached_property
    def duplicates(self) -> Duplicates:
        """Pictures that are there more than once."""
        return find_duplicates(
            [(split, part.fingerprints, part.labels) for split, part in self.parts.items()]
        )


def load_images(
    spec: str,
    *,
    data_dir: Path | str = "data",
    val: Amount | None = None,
    test: Amount | None = None,
    seed: int = 0,
    fold: Fold | None = None,
    download: bool = False,
    reading: Reading | None = None,
    recorder: Recorder | None = None,
) -> ImageSplits:
    """The data set that ``spec`` names, every image checked.

    Args:
        spec: a name of the table at the top.
        data_dir: where cifar10, cifar100, mnist and fashion-mnist are kept, laid out as torchvision
            does.
        val, test: a count (1 or more) or a fraction (below 1) of the images to set aside; None for
            the data set's own split, or 15 % where it has none (no test images are cut out of a
            folder that has ``val/``); ``test=0`` for no test split.
        seed: of the splits. Which split an image falls in depends on the seed, its class and its
            name, not on the order of files or rows.
        fold: the images that validate, in place of ``val``.
        download: fetch what is missing under ``data_dir``.
        reading: how a user's own files are read.
        recorder: logs downloads and the files left out, and shows the progress of reading and
            downloading; None for neither.

    Raises:
        ConfigError: no such data set, or splits that cannot be cut.
        DataError: what is missing, unreadable or contradictory, one line for each file.
    """
    recorder = recorder or Recorder()
    reading = reading or Reading()
    shares = Shares(val, test, seed, fold)
    kind, colon, place = spec.partition(":")
    if colon and f"{kind}:" in OWN_DATA and place:
        listing = list_files(kind, Path(place).expanduser(), reading, recorder)
        return _from_files(spec, listing, shares, reading, recorder)
    if spec == "digits":
        return _digits(shares)
    fetching = archives.Fetching(Path(data_dir), download, recorder)
    if spec in CIFAR:
        return _from_arrays(spec, archives.cifar(spec, fetching), shares)
    if spec in MNIST:
        return _from_arrays(spec, archives.mnist(spec, fetching), shares)
    raise _unknown(spec)


def from_dataset(
    dataset: Dataset[tuple[object, int]],
    *,
    val: Amount | None = None,
    test: Amount | None = None,
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

    Every image is taken once and kept, so that a data set with random transforms is one fixed data
    set here. Floats from 0 to 1, as ``ToTensor`` makes them, are read as 8-bit values.

    Raises DataError for anything that is no such sample, with its index.
    """
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise DataError(f"{name}: a data set needs a length and indices") from error
    pixels, labels = [], np.empty(count, dtype=np.int64)
    for i in range(count):
        image, label = dataset[i]
        pixels.append(as_pixels(image, f"{name}: sample {i}"))
        labels[i] = int(label)
    known = classes if classes is not None else getattr(dataset, "classes", None)
    if count and (labels.min() < 0 or (known is not None and labels.max() >= len(known))):
        raise DataError(f"{name}: has labels beyond 0 … {len(known or []) - 1}")
    if known is None:
        known = [str(k) for k in range(int(labels.max()) + 1)] if count else []
    uniform = len({image.shape for image in pixels}) == 1
    source: ImageSource = ArraySource(np.stack(pixels)) if uniform else ListSource(pixels)
    images = LabelledImages(source, labels, _numbers(count), [str(c) for c in known])
    return _cut(name, images, Shares(val, test, seed))


# --------------------------------------------------------------------------------- from where


def _digits(shares: Shares) -> ImageSplits:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 grey levels, 0 … 16
    labels = digits.target.astype(np.int64)
    images = LabelledImages(ArraySource(pixels), labels, _numbers(len(labels)), _numbers(10))
    return _cut("digits", images, shares)


def _from_arrays(spec: str, arrays: archives.Arrays, shares: Shares) -> ImageSplits:
    if shares.test:
        raise own_split(spec, "test", len(arrays.test))
    count, classes = len(arrays.train), arrays.classes
    names = _numbers(count)
    images = LabelledImages(ArraySource(arrays.train), arrays.train_labels, names, classes)
    parts = cut_images(spec, images, replace(shares, test=0))
    train, val = (images.subset(parts[split]) for split in ("train", "val"))
    how = f"fold {shares.fold.number} of {shares.fold.count}" if shares.fold else "cut out"
    origins = {"train": "its training images", "val": f"{how} of its training images"}
    own_test = None
    if shares.test is None:
        names = _numbers(len(arrays.test))
        testing = LabelledImages(ArraySource(arrays.test), arrays.test_labels, names, classes)
        own_test = testing.subset(np.arange(len(arrays.test)))
        origins["test"] = "its test images"
    return _splits(spec, (train, val, own_test), classes, origins)


def _from_files(
    spec: str, listing: Listing, shares: Shares, reading: Reading, recorder: Recorder
) -> ImageSplits:
    for what, amount in (("val", shares.val), ("test", shares.test)):
        if what in listing.splits and amount:
            raise own_split(spec, what, len(listing.splits[what]))
    if shares.val == 0 and "val" in listing.splits:
        raise no_validation()
    found = read_files(spec, listing, reading, recorder)
    require_every_class(spec, found)
    splits = _cut(spec, found.images, shares, found, recorder)
    return replace(splits, divided=_divided(found))


def _divided(found: OwnImages) -> int:
    """Groups with images in more than one split of the listing."""
    if found.images.groups is None:
        return 0
    sets = [np.unique(found.images.groups[part]) for part in found.own.values()]
    return int((np.bincount(np.concatenate(sets)) > 1).sum())


# --------------------------------------------------------------------------------- splits


def _cut(
    spec: str,
    images: LabelledImages,
    shares: Shares,
    found: OwnImages | None = None,
    recorder: Recorder | None = None,
) -> ImageSplits:
    """The splits that ``found`` has, and those that it has not cut out of its training images."""
    own = found.own if found else None
    parts = cut_images(spec, images, shares, own=own, log=(recorder or Recorder()).log)
    train, val, test = (images.subset(parts[split]) for split in ("train", "val", "test"))
    known = found.origins if found else {}
    source = known.get("train", spec)
    origins = dict.fromkeys(("val", "test"), f"cut out of {source}")
    if shares.fold is not None:
        origins["val"] = f"fold {shares.fold.number} of {shares.fold.count} of {source}"
    origins |= {"train": source, **known}
    return _splits(
        spec,
        (train, val, test if len(test) else None),
        images.classes,
        origins,
        found.skipped if found else [],
    )


def _splits(
    spec: str,
    parts: tuple[ImageSet, ImageSet, ImageSet | None],
    classes: list[str],
    origins: dict[str, str],
    skipped: Sequence[tuple[str, str]] = (),
) -> ImageSplits:
    train, val, test = parts
    texts = [train.digest, val.digest, test.digest if test else "", *classes]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return ImageSplits(spec, classes, train, val, test, digest, list(skipped), origins)


def _numbers(count: int) -> list[str]:
    """Names for images, or classes, that have none."""
    return [str(i) for i in range(count)]


def _unknown(spec: str) -> ConfigError:
    near = nearest(spec, DATA_SETS) if spec.strip() else ""
    path = Path(spec)
    if path.is_dir():
        near = f"folder:{spec}"
    elif path.suffix.lower() == ".csv":
        near = f"csv:{spec}"
    return ConfigError(
        f"data.name: unknown data set {spec!r}{hint(near)} (known: {', '.join(DATA_SETS)}, folder:PATH, "
        "csv:PATH)"
    )
