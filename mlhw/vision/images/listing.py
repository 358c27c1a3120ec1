"""What a list of image files holds, and the words by which splits are known."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlhw.errors import DataError

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders, and values in a CSV file, call the splits, in lower case; any case is understood, and so
is ``training_set`` or ``test data``."""

_SET = re.compile(r"[ _-]?(set|data|dataset|images)$")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

MOST_LINES = 20


@dataclass(frozen=True)
class ListedImage:
    """A file, its name in the data set, its class, and the group that no split may divide, if any."""

    path: Path
    name: str
    label: str
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """The images of each split that the data set comes with, sorted by name.

    ``classes`` are those of train, in order. ``origins`` says for each split where its images were
    found.
    """

    splits: dict[str, list[ListedImage]]
    classes: list[str]
    origins: dict[str, str] = field(default_factory=dict)


def split_of(word: str) -> str | None:
    """``train``, ``val`` or ``test`` for any word that means it, else None."""
    lower = word.strip().casefold()
    return SPLIT_WORDS.get(lower) or SPLIT_WORDS.get(_SET.sub("", lower))


def _alludes_to(name: str) -> set[str]:
    """The splits that parts of a name mean: ``seg_train``, ``testA``."""
    found = {split_of(part) for part in _PARTS.findall(name)}
    return {split for split in found if split}


def refuse(problems: list[str]) -> None:
    """Raise DataError with the first lines of ``problems``, if there are any."""
    if problems:
        rest = len(problems) - MOST_LINES
        more = [f"… and {rest} more"] if rest > 0 else []
        raise DataError(*problems[:MOST_LINES], *more)


def all_classes(splits: Mapping[str, Sequence[ListedImage]]) -> list[str]:
    """The classes of all splits, in order; numbers by their size."""
    labels = {sample.label for part in splits.values() for sample in part}
    numeric = all(label.isascii() and label.isdigit() for label in labels)
    return sorted(labels, key=lambda label: (int(label), label) if numeric else (0, label))


def class_problems(place: str, classes: dict[str, list[str]]) -> list[str]:
    """What is wrong with the class names of each split: one line for each fault."""
    train = classes["train"]
    problems = []
    if len(train) < 2:
        found = f"only {train[0]!r}" if train else "none"
        problems.append(
            f"{place}: at least two classes are needed, there is {found}; expected train/CLASS/* or CLASS/*"
        )
    elif all(map(_alludes_to, train)) and len(set.union(*map(_alludes_to, train))) > 1:
        names = ", ".join(train[:5]) + (", …" if len(train) > 5 else "")
        problems.append(
            f"{place}: the classes {names} are all named like splits; expected train/CLASS/*"
        )
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
