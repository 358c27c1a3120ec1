"""Images in folders or listed in a CSV file: which files, which class, which split.

Only names are looked at here; ``file_images`` reads the files. All that is wrong is reported at once.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhw.errors import DataError
from mlhw.vision.images.decode import SUFFIXES

FILE_COLUMNS = ("file_name", "filename", "file", "path", "image")
LABEL_COLUMNS = ("label", "class")
_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
_NOT_CLASSES = {"__MACOSX", "@eaDir"}
MOST_LINES = 20


@dataclass(frozen=True)
class ListedImage:
    """A file, its name in the data set and its class."""

    path: Path
    name: str
    label: str


@dataclass(frozen=True)
class Listing:
    """The images of each split that the data set comes with, sorted by name.

    ``classes`` are those of train, in order.
    """

    splits: dict[str, list[ListedImage]]
    classes: list[str]


def refuse(problems: list[str]) -> None:
    """Raise DataError with the first lines of ``problems``, if there are any."""
    if problems:
        rest = len(problems) - MOST_LINES
        more = [f"… and {rest} more"] if rest > 0 else []
        raise DataError(*problems[:MOST_LINES], *more)


# --------------------------------------------------------------------------------- folders


def list_folder(root: Path, log: Callable[[str], None], *, to_train: bool = True) -> Listing:
    """``train/CLASS/*`` with ``val/`` and ``test/`` or without, or ``CLASS/*``.

    Files may lie deeper in a class's folder. Hidden files and files without the suffix of an image
    are left out; ``log`` is told how many of each kind. Without ``to_train`` nothing is asked of the
    classes, and no split need be there.

    Raises DataError for an empty class, a class that train lacks, fewer than two classes, names that
    differ in case alone, and links that lead out of the folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: {'is no folder' if root.exists() else 'there is no such folder'}")
    try:
        return _listing(root.resolve(), log, to_train)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _listing(root: Path, log: Callable[[str], None], to_train: bool) -> Listing:
    folders = _split_folders(root, to_train)
    walk = _Walk(root)
    splits: dict[str, list[ListedImage]] = {}
    classes: dict[str, list[str]] = {}
    for split, folder in folders.items():
        names = walk.class_folders(folder)
        classes[split] = names
        splits[split] = [
            sample for name in names for sample in walk.samples(folder / name, label=name)
        ]
        present = {sample.label for sample in splits[split]}
        walk.problems += [
            f"{folder / name}: class {name!r} is empty: there is no image in its folder"
            for name in names
            if name not in present
        ]
        splits[split].sort(key=lambda sample: sample.name)
    if to_train:
        walk.problems += _class_problems(str(root), classes)
    refuse(walk.problems)
    if walk.left_out:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in walk.left_out.most_common(5))
        log(f"{root}: passed over files that are no images of a class: {kinds}")
    return Listing(splits, classes["train"] if to_train else all_classes(splits))


def all_classes(splits: Mapping[str, Sequence[ListedImage]]) -> list[str]:
    """The classes of all splits, in order; numbers by their size."""
    labels = {sample.label for part in splits.values() for sample in part}
    numeric = all(label.isascii() and label.isdigit() for label in labels)
    return sorted(labels, key=lambda label: (int(label), label) if numeric else (0, label))


def _split_folders(root: Path, to_train: bool) -> dict[str, Path]:
    """The folders of the splits; the root itself as ``train`` where it holds the classes."""
    inside = [entry.name for entry in entries_of(root) if entry.is_dir() and _counts(entry.name)]
    named = [name for name in inside if name in _SPLITS]
    has_splits = "train" in named and (
        set(inside) <= set(_SPLITS) or any(entry.is_dir() for entry in entries_of(root / "train"))
    )
    has_splits = has_splits or (bool(named) and len(named) == len(inside) and not to_train)
    if not has_splits:
        if inside and set(inside) <= set(_SPLITS):
            raise DataError(f"{root}: has {', '.join(sorted(named))} but no train")
        return {"train": root}
    if "val" in named and "validation" in named:
        raise DataError(f"{root}: has both val and validation; which one is meant?")
    return {_SPLITS[name]: root / name for name in sorted(named)}


class _Walk:
    """Finds images below ``root``; collects problems, and counts the files that it leaves out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self.left_out: Counter[str] = Counter()

    def class_folders(self, folder: Path) -> list[str]:
        names = []
        for entry in entries_of(folder):
            if not _counts(entry.name):
                continue
            if entry.is_dir():
                names.append(entry.name)
            elif entry.is_file():
                self.left_out[os.path.splitext(entry.name)[1].lower() or "no suffix"] += 1
        return sorted(names)

    def samples(self, folder: Path, label: str) -> Iterator[ListedImage]:
        pending, seen = [folder], set()
        while pending:
            current = pending.pop()
            real = current.resolve()
            if real in seen:  # a link to a folder above it
                continue
            seen.add(real)
            if not self._stays_inside(current, real):
                continue
            for entry in entries_of(current):
                if not _counts(entry.name):
                    continue
                path = Path(entry.path)
                if entry.is_dir():
                    pending.append(path)
                elif os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
                    self.left_out[os.path.splitext(entry.name)[1].lower() or "no suffix"] += 1
                elif entry.is_symlink() and not self._stays_inside(path, path.resolve()):
                    continue
                elif entry.is_file():
                    yield ListedImage(path, portable_name(path.relative_to(self.root)), label)
                else:
                    self.problems.append(f"{path}: is no file")

    def _stays_inside(self, path: Path, real: Path) -> bool:
        if real.is_relative_to(self.root):
            return True
        self.problems.append(f"{path}: leads out of the folder {self.root}, to {real}")
        return False


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_CLASSES


def _class_problems(place: str, classes: dict[str, list[str]]) -> list[str]:
    train = classes["train"]
    problems = []
    if len(train) < 2:
        found = f"only {train[0]!r}" if train else "none"
        problems.append(f"{place}: at least two classes are needed, there is {found}")
    spellings: dict[str, str] = {}
    for name in train:
        other = spellings.setdefault(name.casefold(), name)
        if other != name:
            problems.append(f"{place}: classes {other!r} and {name!r} differ in case alone")
    for split in ("val", "test"):
        unknown = [name for name in classes.get(split, []) if name not in train]
        if unknown:
            names = ", ".join(map(repr, unknown[:5]))
            problems.append(f"{place}: {split} has classes that train lacks: {names}")
    return problems


def portable_name(path: Path) -> str:
    """``path`` with forward slashes, bytes that are no UTF-8 written as ``\\xNN``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


# --------------------------------------------------------------------------------- csv


def list_csv(path: Path, *, to_train: bool = True) -> Listing:
    """``file_name,label`` under a header; other columns are ignored, paths relative to the file.

    Raises DataError, one line for each row without a file or a label, each path that leaves the
    folder, each file listed twice.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            columns = _column(path, header, FILE_COLUMNS), _column(path, header, LABEL_COLUMNS)
            samples = _csv_samples(path, rows, len(header), *columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{path}:1: {error}") from error
    splits = {"train": sorted(samples, key=lambda sample: sample.name)}
    classes = all_classes(splits)
    if to_train:
        refuse(_class_problems(str(path), {"train": classes}))
    return Listing(splits, classes)


def _column(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    found = [name for name in names if name in header]
    if len(found) != 1 or header.count(found[0]) != 1:
        raise DataError(
            f"{path}:1: the header needs one column named {' or '.join(names)} "
            f"(it has {', '.join(header) or 'nothing'})"
        )
    return header.index(found[0])


def _csv_samples(
    path: Path, rows: Any, width: int, file_column: int, label_column: int
) -> list[ListedImage]:
    root = path.parent.resolve()
    lines: dict[str, int] = {}
    samples: list[ListedImage] = []
    problems: list[str] = []
    while True:
        line = rows.line_num + 1  # where the row begins; a quoted value may run over several
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(*problems, f"{path}:{line}: {error}") from error
        if row is None:
            break
        if not row:
            continue
        if len(row) != width:
            problems.append(f"{path}:{line}: {len(row)} values for {width} columns")
            continue
        text, label = row[file_column].strip(), row[label_column].strip()
        if not text or not label:
            problems.append(f"{path}:{line}: has no {'label' if text else 'file name'}")
            continue
        if "\0" in text:
            problems.append(f"{path}:{line}: a file name cannot hold a NUL character")
            continue
        real = (root / text).resolve()
        if not real.is_relative_to(root):
            problems.append(f"{path}:{line}: {text} leads out of the folder {root}")
        elif not real.is_file():
            problems.append(f"{path}:{line}: there is no file {text}")
        elif (name := portable_name(real.relative_to(root))) in lines:
            problems.append(f"{path}:{line}: {text} is listed already in line {lines[name]}")
        else:
            lines[name] = line
            samples.append(ListedImage(real, name, label))
    refuse(problems)
    if not samples:
        raise DataError(f"{path}: lists no images")
    return samples
