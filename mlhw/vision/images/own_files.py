"""A user's own image files, listed by folders or in a CSV file: read, checked, labelled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlhw.result.recorder import Recorder
from mlhw.vision.images import file_images
from mlhw.vision.images.csv_lists import list_csv
from mlhw.vision.images.cutting import LabelledImages
from mlhw.vision.images.folders import list_folder
from mlhw.vision.images.listing import Listing, refuse
from mlhw.vision.names import OnError

DEFAULT_SKIPPED = 0.01


@dataclass(frozen=True)
class Reading:
    """How a user's own files are read.

    Attributes:
        on_error: ``fail`` on an unreadable image, or ``skip`` it.
        max_skipped: the share of the images that may be skipped; one always may, unless this is 0.
        resident: keep decoded files in memory; None does where they have one size and fit in 2 GiB.
        image_root: where relative names in a CSV file begin; None is its own folder.
        group: the CSV column that names groups; None is ``group`` where there is one.
        remember: keep what the check has found for the next run.
    """

    on_error: OnError = "fail"
    max_skipped: float = DEFAULT_SKIPPED
    resident: bool | None = None
    image_root: Path | None = None
    group: str | None = None
    remember: bool = True


@dataclass(frozen=True)
class OwnImages:
    """The images of a listing that can be read.

    Attributes:
        images: all that are listed, labelled.
        own: positions of the readable ones in each split of the listing.
        origins: where each split was found.
        skipped: (name, reason) of the others.
    """

    images: LabelledImages
    own: dict[str, np.ndarray]
    origins: dict[str, str]
    skipped: list[tuple[str, str]]


def list_files(
    kind: str, place: Path, reading: Reading, recorder: Recorder, *, to_train: bool = True
) -> Listing:
    """The files of a ``folder`` or a ``csv``. Raises DataError."""
    if kind == "csv":
        found = list_csv(
            place,
            recorder.log,
            image_root=reading.image_root,
            group=reading.group,
            to_train=to_train,
        )
    else:
        found = list_folder(place, recorder.log, to_train=to_train)
    refuse(
        [
            f"{sample.path}: its name is not UTF-8, which tables and reports are; rename it"
            for part in found.splits.values()
            for sample in part
            if not _is_utf8(f"{sample.name}{sample.label}")
        ]
    )
    return found


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_files(spec: str, listing: Listing, reading: Reading, recorder: Recorder) -> OwnImages:
    """Read every file, and leave out what cannot be read where ``reading`` allows it.

    Raises DataError, one line for each file that cannot be read; ConfigError if images of different
    sizes are to be kept in memory.
    """
    samples = [sample for part in listing.splits.values() for sample in part]
    paths = [sample.path for sample in samples]
    found = file_images.survey(
        paths,
        resident=reading.resident,
        most_unreadable=_most_skipped(reading, len(paths)),
        progress=recorder.progress,
        remember=reading.remember,
        say=recorder.warn,
    )
    _refuse_unreadable(spec, paths, found.unreadable, reading)
    if found.unreadable:
        recorder.log(
            f"skipping {len(found.unreadable)} of {len(paths):,} images that cannot be read"
        )
        for i, reason in sorted(found.unreadable.items()):
            recorder.log(f"{paths[i]}: {reason}")
    kinds = {label: k for k, label in enumerate(listing.classes)}
    images = LabelledImages(
        file_images.file_source(paths, found, resident=reading.resident),
        np.array([kinds[sample.label] for sample in samples], dtype=np.int64),
        [sample.name for sample in samples],
        listing.classes,
        _group_numbers([sample.group for sample in samples]),
    )
    usable = np.array([i not in found.unreadable for i in range(len(paths))])
    ends = np.cumsum([0, *(len(part) for part in listing.splits.values())])
    own = {
        split: np.flatnonzero(usable[start:end]) + start
        for split, start, end in zip(listing.splits, ends[:-1], ends[1:], strict=True)
    }
    skipped = [(images.names[i], reason) for i, reason in sorted(found.unreadable.items())]
    return OwnImages(images, own, listing.origins, skipped)


def require_every_class(spec: str, found: OwnImages) -> None:
    """Raise DataError for each class of which no image is left to train."""
    classes = found.images.classes
    missing = set(range(len(classes))) - set(found.images.labels[found.own["train"]].tolist())
    refuse([f"{spec}: no image of class {classes[k]!r} is left" for k in sorted(missing)])


def _most_skipped(reading: Reading, count: int) -> int:
    if reading.on_error == "fail":
        return count
    return max(1, int(reading.max_skipped * count)) if reading.max_skipped else 0


def _refuse_unreadable(
    spec: str, paths: list[Path], unreadable: dict[int, str], reading: Reading
) -> None:
    """Raise DataError where more cannot be read than may be skipped."""
    lines = [f"{paths[i]}: {reason}" for i, reason in sorted(unreadable.items())]
    if reading.on_error == "fail":
        refuse(lines)
    elif len(lines) > _most_skipped(reading, len(paths)):
        refuse(
            [
                f"{spec}: more than {100 * reading.max_skipped:.3g}% of {len(paths):,} images cannot be "
                "read; --max-skipped (data.max_skipped) is the share that may be left out",
                *lines,
            ]
        )


def _group_numbers(groups: list[str]) -> np.ndarray | None:
    """A number for each group, for every image without one a number of its own; None without groups."""
    if not any(groups):
        return None
    table: dict[str | int, int] = {}
    return np.array(
        [table.setdefault(group or i, len(table)) for i, group in enumerate(groups)], dtype=np.int64
    )
