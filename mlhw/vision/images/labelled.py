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
from mlhw.vision.images import archives, file_images
from mlhw.vision.images.csv_lists import list_csv
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.folders import list_folder
from mlhw.vision.images.image_sets import ArraySource, ImageSet
from mlhw.vision.images.listing import refuse
from mlhw.vision.names import CIFAR, MNIST, OWN_DATA, OnError, SplitChoice

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
    on_error: OnError = "fail",
    recorder: Recorder,
) -> LabelledSet:
    """The images that ``spec`` names, every one checked; of a data set with splits the chosen one.

    Args:
        spec: as ``load_images`` takes it.
        choice: which split; see ``split_to_judge``.
        data_dir: where cifar10, cifar100, mnist and fashion-mnist are kept.
        on_error: ``fail`` on an unreadable image, or ``skip`` it.
        recorder: logs and warns, and shows the progress of reading.

    Raises ConfigError or DataError for what cannot be used.
    """
    kind, colon, place = spec.partition(":")
    if colon and f"{kind}:" in OWN_DATA and place:
        return _own_files(spec, kind, Path(place).expanduser(), choice, on_error, recorder)
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
    on_error: OnError,
    recorder: Recorder,
) -> LabelledSet:
    if kind == "folder":
        listed = list_folder(place, recorder.log, to_train=False)
    else:
        listed = list_csv(place, recorder.log, to_train=False)
    name = split_to_judge(spec, choice, list(listed.splits), whole=list(listed.splits) == ["train"])
    samples = [s for part, found in listed.splits.items() if name in (part, "all") for s in found]
    if not samples:
        raise DataError(f"{place}: there is no image in a folder of a class; expected CLASS/*")
    paths = [sample.path for sample in samples]
    checked = file_images.survey(
        paths, resident=None, most_unreadable=len(paths), progress=recorder.progress
    )
    lines = [f"{paths[i]}: {reason}" for i, reason in sorted(checked.unreadable.items())]
    if on_error == "fail" or len(lines) == len(paths):
        refuse(lines)
    for line in lines:
        recorder.warn(f"left out: {line}")
    usable = np.array([i for i in range(len(paths)) if i not in checked.unreadable])
    labels = np.array([listed.classes.index(samples[i].label) for i in usable], dtype=np.int64)
    # Memory would be filled with all files, the unreadable ones too.
    resident = False if lines else None
    source = file_images.file_source(paths, checked, resident=resident)
    names = [samples[i].name for i in usable]
    images = ImageSet(source, usable, labels, names, listed.classes)
    skipped = [(samples[i].name, reason) for i, reason in sorted(checked.unreadable.items())]
    return LabelledSet(spec, listed.classes, images, name, skipped)
