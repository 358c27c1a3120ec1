"""Images listed in a CSV file: which files, which class, which split, which group.

Only names are looked at here; ``file_images`` reads the files. All that is wrong is reported at once.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlhw.errors import DataError
from mlhw.text.plain_files import open_plain
from mlhw.vision.images.listing import (
    ListedImage,
    Listing,
    all_classes,
    class_problems,
    portable_name,
    refuse,
    split_of,
)

FILE_COLUMNS = ("file_name", "filename", "file", "path", "image")
LABEL_COLUMNS = ("label", "class")
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
# A column that says yes or no: the split of those with a yes.
FLAG_COLUMNS = {
    **dict.fromkeys(("is_valid", "is_val", "is_validation"), "val"),
    "is_test": "test",
}
# One that says where an image is not: those with a no may validate or test.
_HALF_SAID = ("is_train", "is_training", "is_training_image")
GROUP_COLUMN = "group"
_YES = {"true", "t", "yes", "y", "1", "1.0"}
_NO = {"false", "f", "no", "n", "0", "0.0"}
# What separates several labels of one image elsewhere.
_BETWEEN_LABELS = ",;|"
_MOST_NAMED = 10
_LONGEST_LINE = 1 << 20  # characters


def list_csv(
    path: Path,
    log: Callable[[str], None] = lambda line: None,
    *,
    image_root: Path | None = None,
    group: str | None = None,
    to_train: bool = True,
) -> Listing:
    """``file_name,label`` under a header, with a column for the split and one for the group if there are.

    Args:
        path: the file. Relative file names in it begin at its folder, or at ``image_root``.
        log: is told of columns that are not read.
        image_root: the folder of the images.
        group: name of the column whose values no split may divide; None is ``group`` where there is one.
        to_train: without it nothing is asked of the classes, and no row need be in train.

    ``split`` (or another of ``SPLIT_COLUMNS``) says any word of ``SPLIT_WORDS``; ``is_valid`` and the
    others of ``FLAG_COLUMNS`` say true or false.

    Raises DataError, one line for each row without a file or a label, with several labels, with no
    split where others have one, each relative path that leaves the folder, each file listed twice.
    """
    try:
        with io.TextIOWrapper(open_plain(path), "utf-8-sig", newline="") as file:
            rows = csv.reader(_lines(path, file), strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            columns = _columns(path, header, group)
            listed = _Rows(path, (image_root or path.parent).resolve(), columns)
            listed.read(rows)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{path}:1: {error}") from error
    decides = columns.decides
    splits = listed.splits()
    if decides and not columns.decides:
        log(f"{path}: column {columns.names} is empty, so the splits are cut")
    if columns.group is not None and to_train:
        name = (group or GROUP_COLUMN).strip()
        log(f"{path}: images with the same value in column {name} stay in one split")
    if columns.idle:
        more = len(columns.idle) - _MOST_NAMED
        names = ", ".join(columns.idle[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        log(f"{path}: columns that are not read: {names}")
    classes = all_classes({"train": splits.get("train", [])} if to_train else splits)
    if to_train:
        if "train" not in splits:
            raise DataError(
                f"{path}: no row is in train; column {columns.names} has {', '.join(splits)} alone"
            )
        kinds = {split: all_classes({split: part}) for split, part in splits.items()}
        refuse(class_problems(str(path), kinds))
    where = f"column {columns.names} of {path.name}" if columns.decides else path.name
    return Listing(splits, classes, dict.fromkeys(splits, where))


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    """The lines of a list; raises DataError for one that is longer than a list's."""
    for number in itertools.count(1):
        line = file.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise DataError(
                f"{path}:{number}: the line is longer than {_LONGEST_LINE:,} characters"
            )
        if not line:
            return
        yield line


# --------------------------------------------------------------------------------- header


@dataclass
class _Columns:
    """Positions of the columns that are read: file, label, split, flags by the split that they mean, group.

    ``idle`` are the names of the others.
    """

    width: int
    file: int
    label: int
    split: int | None
    flags: dict[int, str]
    group: int | None
    names: str
    idle: list[str]

    @property
    def decides(self) -> bool:
        """Whether a column says in which split an image is."""
        return self.split is not None or bool(self.flags)


def _columns(path: Path, header: list[str], group: str | None) -> _Columns:
    file, label = _column(path, header, FILE_COLUMNS), _column(path, header, LABEL_COLUMNS)
    deciding = [name for name in header if name in SPLIT_COLUMNS or name in FLAG_COLUMNS]
    repeated = [name for name in deciding if header.count(name) > 1]
    both = any(name in SPLIT_COLUMNS for name in deciding) and len(deciding) > 1
    flagged = [FLAG_COLUMNS[name] for name in deciding if name in FLAG_COLUMNS]
    if repeated or both or len(set(flagged)) < len(flagged):
        raise DataError(
            f"{path}:1: the columns {', '.join(deciding)} all say which split an image is in; keep one"
        )
    half = [name for name in header if name in _HALF_SAID]
    if half and not deciding:
        raise DataError(
            f"{path}:1: column {half[0]} does not say whether the others validate or test; write train, "
            "val or test in a column split"
        )
    wanted = (group or GROUP_COLUMN).strip().lower()
    if header.count(wanted) > 1 or (group is not None and wanted not in header):
        raise DataError(
            f"{path}:1: data.group: the header needs one column named {wanted} (it has {', '.join(header)})"
        )
    group_column = header.index(wanted) if wanted in header else None
    split = next((header.index(name) for name in deciding if name in SPLIT_COLUMNS), None)
    flags = {header.index(n): FLAG_COLUMNS[n] for n in deciding if n in FLAG_COLUMNS}
    read = {file, label, split, group_column, *flags}
    idle = [name or "(no name)" for place, name in enumerate(header) if place not in read]
    return _Columns(len(header), file, label, split, flags, group_column, ", ".join(deciding), idle)


def _column(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    found = [name for name in names if name in header]
    if len(found) != 1 or header.count(found[0]) != 1:
        raise DataError(
            f"{path}:1: the header needs one column named {' or '.join(names)} "
            f"(it has {', '.join(header) or 'nothing'})"
        )
    return header.index(found[0])


# --------------------------------------------------------------------------------- rows


@dataclass
class _Rows:
    """The images that the rows list; files are looked for in ``root``."""

    path: Path
    root: Path
    columns: _Columns
    lines: dict[str, int] = field(default_factory=dict)
    samples: list[tuple[ListedImage, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)

    def read(self, rows: Any) -> None:
        """All rows of the file. Raises DataError with all that is wrong."""
        while True:
            line = rows.line_num + 1  # where the row begins; a quoted value may run over several
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise DataError(*self.problems, f"{self.path}:{line}: {error}") from error
            if row is None:
                break
            if row:
                self.problems += [
                    f"{self.path}:{line}: {fault}" for fault in self._faults(row, line)
                ]
        if len(self.undecided) < len(self.samples):
            self.problems += [
                f"{self.path}:{line}: has no split in column {self.columns.names}, as other rows have"
                for line in self.undecided
            ]
        refuse(self.problems)
        if not self.samples:
            raise DataError(f"{self.path}: lists no images")

    def splits(self) -> dict[str, list[ListedImage]]:
        """The images of each split, sorted by name; all in train where no column decides."""
        if self.columns.decides and len(self.undecided) == len(self.samples):  # an empty column
            self.columns.split, self.columns.flags = None, {}
        if not self.columns.decides:
            self.samples = [(sample, "train") for sample, _ in self.samples]
        found: dict[str, list[ListedImage]] = {}
        for sample, split in sorted(self.samples, key=lambda pair: pair[0].name):
            found.setdefault(split, []).append(sample)
        return {split: found[split] for split in ("train", "val", "test") if split in found}

    def _faults(self, row: list[str], line: int) -> Iterator[str]:
        """Take in one row, or say what is wrong with it."""
        columns = self.columns
        if len(row) != columns.width:
            yield f"{len(row)} values for {columns.width} columns"
            return
        text, label = row[columns.file].strip(), row[columns.label].strip()
        if not text or not label:
            yield f"has no {'label' if text else 'file name'}"
            return
        if any(sign in label for sign in _BETWEEN_LABELS):
            yield (
                f"several labels for one image are not supported: {label!r}; if it is the name of one "
                "class, write it without , ; |"
            )
            return
        place, reason = self._place(text)
        if reason:
            yield reason
            return
        name = portable_name(place.relative_to(self.root) if self._inside(place) else place)
        if name in self.lines:
            yield f"{text} is listed already in line {self.lines[name]}"
            return
        split, reason = self._split(row)
        if reason:
            yield reason
            return
        if not split:
            self.undecided.append(line)
        self.lines[name] = line
        group = "" if columns.group is None else row[columns.group].strip()
        self.samples.append((ListedImage(place, name, label, group), split))

    def _place(self, text: str) -> tuple[Path, str]:
        """The file that a row names, and what is wrong with it, if anything."""
        if "\0" in text:
            return self.root, "a file name cannot hold a NUL character"
        # As written: a link may lead out of the folder, but no name does by going upwards.
        place = Path(os.path.normpath(self.root / Path(text)))
        if not (self._inside(place) or Path(text).is_absolute()):
            return place, (
                f"{text} leads out of the folder {self.root}; --image-root DIR (data.image_root) is where "
                "relative names begin"
            )
        if place.is_file():
            return place, ""
        if place.is_symlink():
            return place, f"{text} is a link to {os.readlink(place)}, where no file is"
        return place, f"there is no file {text}" + (
            "" if Path(text).is_absolute() else f" in {self.root}"
        )

    def _inside(self, place: Path) -> bool:
        return place.is_relative_to(self.root)

    def _split(self, row: list[str]) -> tuple[str, str]:
        """The split of a row, empty where it says none, and what is wrong with it, if anything."""
        columns = self.columns
        if columns.split is not None:
            word = row[columns.split].strip()
            split = split_of(word)
            if word and split is None:
                return (
                    "",
                    f"split {word!r} is none of train, val (valid, validation, dev, eval), test",
                )
            return split or "", ""
        found, empty = [], 0
        for place, split in columns.flags.items():
            word = row[place].strip().casefold()
            if word and word not in _YES | _NO:
                return (
                    "",
                    f"{row[place].strip()!r} in column {columns.names} is neither true nor false",
                )
            found += [split] * (word in _YES)
            empty += not word
        if len(found) > 1:
            return "", f"is in val and in test by the columns {columns.names}"
        if empty and not found:
            return "", ""
        return (found or ["train"])[0], ""
