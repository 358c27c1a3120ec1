"""Labelled images to judge a model by: one set, of any classes, whole or a split of a data set.

Nothing is trained on them, so what training needs is not asked for: one class is enough, and one image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlhw.errors import ConfigError, DataError
from mlhw.result.recorder import Recorder
from mlhw.text.words import listing
from mlhw.vision.images import archives
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.image_sets import ArraySource, ImageSet
from mlhw.vision.images.listing import Listing, refuse
from mlhw.vision.images.own_files import Reading, list_files, read_files
from mlhw.vision.names import CIFAR, MNIST, OWN_DATA, SplitChoice

if TYPE_CHECKING:
    from mlhw.vision.images.datasets import ImageSplits


@dataclass(frozen=True)
class LabelledSet:
    """Images whose classes are known.

    Attributes:
        name: the data set, as given.
        classes: names; the images' labels are positions in this list.
        images: at least one.
        split: which part of the data set; ``all`` is the whole.
        skipped: (name, reason) of the images left out because they cannot be read.
    """

    name: str
    classes: list[str]
    images: ImageSet
    split: str
    skipped: list[tuple[str, str]] = field(default_factory=list)


def split_to_judge(spec: str, choice: SplitChoice, present: list[str], whole: bool) -> str:
    """The split that ``choice`` means of those that are ``present``.

    ``auto`` is the test split, else the validation split; where the data set has neither, all of it.
    ``whole`` says that the images come without any split. Raises ConfigError for one that is not there.
    """
    if choice == "auto":
        return next((name for name in ("test", "val") if name in present), "all")
    if choice == "all" or (choice in present and not whole):
        return choice
    has = "no splits" if whole else f"only {listing(present)}"
    raise ConfigError(f"--split {choice}: {spec} has {has}; --split all takes every image")


def of_splits(splits: ImageSplits, choice: SplitChoice) -> LabelledSet:
    """A split of a data set that is split already."""
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    present = {name: part for name, part in parts.items() if part is not None}
    name = split_to_judge(splits.name, choice, list(present), whole=False)
    if name == "all":
        raise ConfigError(f"--split all: give the images as --data {splits.name}")
    return LabelledSet(splits.name, splits.classes, present[name], name, splits.skipped)


def labelled_images(
    spec: str,
    choice: SplitChoice,
    *,
    data_dir: str | Path = "data",
    reading: Reading | None = None,
    recorder: Recorder,
) -> LabelledSet:
    """The images that ``spec`` names, every one checked; of a data set with splits the chosen one.

    Args:
        spec: as ``load_images`` takes it.
        choice: which split; see ``split_to_judge``.
        data_dir: where cifar10, cifar100, mnist and fashion-mnist are kept.
        reading: how a user's own files are read.
        recorder: logs and warns, and shows the progress of reading.

    Raises ConfigError or DataError for what cannot be used.
    """
    reading = reading or Reading()
    kind, colon, place = spec.partition(":")
    if colon and f"{kind}:" in OWN_DATA and place:
        return _own_files(spec, kind, Path(place).expanduser(), choice, reading, recorder)
    if spec in CIFAR or spec in MNIST:
        fetching = archives.Fetching(Path(data_dir), False, recorder)
        arrays = (archives.cifar if spec in CIFAR else archives.mnist)(spec, fetching)
        parts = {
            "train": (arrays.train, arrays.train_labels),
            "test": (arrays.test, arrays.test_labels),
        }
        name = split_to_judge(spec, choice, list(parts), whole=False)
        chosen = [parts[name]] if name in parts else list(parts.values())
        pixels = np.concatenate([part[0] for part in chosen])
        labels = np.concatenate([part[1] for part in chosen])
        names = [str(i) for i in range(len(labels))]
        images = ImageSet(
            ArraySource(pixels), np.arange(len(labels)), labels, names, arrays.classes
        )
        return LabelledSet(spec, arrays.classes, images, name)
    splits = load_images(spec, data_dir=data_dir, recorder=recorder)  # names unknown ones
    whole = _joined_again(splits)
    return LabelledSet(
        spec, splits.classes, whole, split_to_judge(spec, choice, [], whole=True), splits.skipped
    )


def _joined_again(splits: ImageSplits) -> ImageSet:
    """All images of a data set that has no splits of its own, in its order."""
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    names = [name for part in parts for name in part.names]
    order = sorted(range(len(names)), key=lambda i: int(names[i]))
    pixels = np.concatenate([part.images(np.arange(len(part))) for part in parts])[order]
    labels = np.concatenate([part.labels for part in parts])[order]
    source = ArraySource(pixels)
    return ImageSet(
        source, np.arange(len(labels)), labels, [names[i] for i in order], splits.classes
    )


def _own_files(
    spec: str,
    kind: str,
    place: Path,
    choice: SplitChoice,
    reading: Reading,
    recorder: Recorder,
) -> LabelledSet:
    listed = list_files(kind, place, reading, recorder, to_train=False)
    whole = list(listed.splits) == ["train"]
    name = split_to_judge(spec, choice, list(listed.splits), whole=whole)
    chosen = [s for part, found in listed.splits.items() if name in (part, "all") for s in found]
    if not chosen:
        raise DataError(f"{place}: there is no image in a folder of a class; expected CLASS/*")
    found = read_files(spec, Listing({name: chosen}, listed.classes), reading, recorder)
    if not len(found.own[name]):
        refuse([f"{place / image}: {reason}" for image, reason in found.skipped])
    if found.skipped:
        recorder.warn(
            f"{len(found.skipped)} of {len(chosen)} images cannot be read and are left out"
        )
    images = found.images.subset(found.own[name])
    return LabelledSet(spec, listed.classes, images, name, found.skipped)
