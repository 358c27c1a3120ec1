"""Points in the sparse form of SVMlight and LIBSVM: ``LABEL INDEX:VALUE INDEX:VALUE … # comment``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from mlhw.errors import DataError
from mlhw.points.cells import as_labels, brief, cell_number, is_missing
from mlhw.points.dialect import MAX_COLUMNS
from mlhw.points.heading import LABEL
from mlhw.points.table import MAX_NUMBERS, ReadTable
from mlhw.text.values import is_digits

_LINE = re.compile(r"\S+(\s+qid:[0-9]+)?(\s+[0-9]+:\S+)*\s*")
_PAIR = re.compile(r"\s[0-9]+:[-+.0-9]")


def is_svmlight(sample: Sequence[str]) -> bool:
    """Whether lines are labels followed by pairs of an index and a value."""
    bare = [line.split("#", 1)[0].strip() for line in sample[:20] if len(line) < 1_000_000]
    content = [line for line in bare if line]
    return (
        bool(content)
        and any(_PAIR.search(line) for line in content)
        and all(_LINE.fullmatch(line) for line in content)
        and all(is_missing(line.split()[0]) or _is_label(line.split()[0]) for line in content)
    )


def _is_label(text: str) -> bool:
    return cell_number(text) is not None


def read_svmlight(path: str, lines: Iterable[str], label: int | str | None) -> ReadTable:
    """The table of a sparse file; features that a line does not name are 0 there.

    Indices begin with 1, or with 0 where one is 0. DataError with the line that is to blame.
    """
    if label is not None:
        raise DataError(
            f"{path}: label: a file of the svmlight form has its class first; leave it out"
        )
    rows: list[tuple[int, list[int], list[float]]] = []
    labels: list[str] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if is_missing(words[0]) or "," in words[0]:
            what = "several labels" if "," in words[0] else "the class is missing"
            raise DataError(f"{path}:{number}: {what}; one class is needed")
        labels.append(words[0])
        rows.append((number, *_pairs(path, number, words[1:])))
    if not rows:
        raise DataError(f"{path}: no rows")
    used = [index for _, indices, _ in rows for index in indices]
    if not used:
        raise DataError(f"{path}: no features; pairs INDEX:VALUE are needed")
    base = 0 if min(used) == 0 else 1
    width = max(used) - base + 1
    if width > MAX_COLUMNS or len(rows) * width > MAX_NUMBERS:
        at = next(number for number, indices, _ in rows if max(indices, default=0) == max(used))
        raise DataError(
            f"{path}:{at}: the index {max(used)} makes {width:,} columns and {len(rows) * width:,} "
            f"numbers; at most {MAX_COLUMNS:,} and {MAX_NUMBERS:,}"
        )
    X = np.zeros((len(rows), width))
    for i, (_, indices, values) in enumerate(rows):
        X[i, np.array(indices, int) - base] = values
    numbers = [number for number, _, _ in rows]
    return ReadTable(
        path,
        tuple(f"x{i}" for i in range(1, width + 1)),
        X,
        list(as_labels(labels)),
        LABEL,
        (f"svmlight form, indices from {base}",),
        lambda row, column: f"{path}:{numbers[row]}: {column}",
        numbers,
        named=False,
        class_said="the class stands first",
    )


def _pairs(path: str, number: int, words: list[str]) -> tuple[list[int], list[float]]:
    indices: list[int] = []
    values: list[float] = []
    for word in words:
        index, colon, text = word.partition(":")
        if index == "qid":
            continue
        value = cell_number(text)
        if not colon or not is_digits(index) or len(index) > 12 or value is None:
            raise DataError(f"{path}:{number}: '{brief(word)}' is no pair INDEX:VALUE")
        if value - value != 0.0:
            raise DataError(f"{path}:{number}: x{index}: {brief(text)} is not a finite number")
        if indices and int(index) <= indices[-1]:
            raise DataError(f"{path}:{number}: the index {index} comes after {indices[-1]}")
        indices.append(int(index))
        values.append(value)
    return indices, values
