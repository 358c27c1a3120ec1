"""Labelled points read from text, CSV, TSV and NPZ files, with errors that name file, line and column."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from typing import IO

import numpy as np

from mlhw.errors import DataError, reason_of
from mlhw.points.points import Label, Points
from mlhw.text.words import near_file

_MAX_ERRORS = 5  # a file with one wrong separator would otherwise fill the screen

Row = tuple[int, list[str]]
"""A line's number and its cells."""


def read_points(path: str) -> Points:
    """The points in a file, by its suffix.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame; at most five of them.
    """
    suffix = os.path.splitext(path)[1].lower()
    try:
        if os.path.isdir(path):
            raise DataError(f"{path}: is a folder, not a file of points")
        if suffix == ".npz":
            return _from_npz(path)
        if suffix in (".csv", ".tsv"):
            return _from_rows(path, _separated(path, "," if suffix == ".csv" else "\t"))
        return _from_rows(path, _blank_separated(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file{near_file(path)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a UTF-8 text file (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None


def _blank_separated(path: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            cells = line.split("#", 1)[0].split()
            if cells:
                yield number, cells


def _separated(path: str, delimiter: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}") from None


def _from_rows(path: str, rows: Iterator[Row]) -> Points:
    table = list(rows)
    if not table:
        raise DataError(f"{path}: no rows")
    notes = []
    first = table[0][1]
    if len(first) < 2:
        raise DataError(f"{path}:{table[0][0]}: one column only; features and a class are needed")
    # A header has a word where the features stand; without one only the class may be a word.
    if all(_number(cell) is not None for cell in first[:-1]):
        header = [f"x{i}" for i in range(1, len(first))] + ["label"]
        if path.lower().endswith((".csv", ".tsv")):
            notes.append("no header line; the last column is the class")
    else:
        header = first
        table = table[1:]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise DataError(f"{path}:1: two columns are called '{twice[0]}'")
        if not table:
            raise DataError(f"{path}: no rows below the header")
    target = header.index("label") if "label" in header else len(header) - 1
    errors: list[str] = []
    values, texts = [], []
    for line, cells in table:
        if len(cells) != len(header):
            errors.append(f"{path}:{line}: {len(cells)} columns, {len(header)} expected")
            continue
        texts.append(cells[target])
        if not cells[target]:
            errors.append(f"{path}:{line}: {header[target]}: the class is empty")
        row = []
        for i, cell in enumerate(cells):
            if i == target:
                continue
            value = _number(cell)
            row.append(value if value is not None else math.nan)
            if value is None:
                wrong = "is empty" if not cell else f"'{cell[:40]}' is not a number"
                errors.append(f"{path}:{line}: {header[i]}: {wrong}")
            elif not math.isfinite(value):
                errors.append(f"{path}:{line}: {header[i]}: {cell} is not a finite number")
        values.append(row)
        if len(errors) > _MAX_ERRORS:
            break
    if errors:
        more = ["… and more"] if len(errors) > _MAX_ERRORS else []
        raise DataError(*errors[:_MAX_ERRORS], *more)
    names = [name for i, name in enumerate(header) if i != target]
    return _without_bias(path, np.array(values), _labels(texts), names, notes)


def _number(text: str) -> float | None:
    """The number that ``text`` is, or None; Python's ``1_000`` is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _labels(texts: list[str]) -> list[Label]:
    """Numbers where all are numbers (``0.000`` is 0), else the texts."""
    numbers = {text: _number(text) for text in set(texts)}
    if all(n is not None and math.isfinite(n) for n in numbers.values()):
        return [_tidy(float(numbers[text] or 0.0)) for text in texts]
    return list(texts)


def _tidy(value: float) -> Label:
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _without_bias(
    path: str, X: np.ndarray, labels: list[Label], names: list[str], notes: list[str]
) -> Points:
    """Take a column of ones out: the model adds its own, last."""
    ones = [i for i in range(X.shape[1]) if np.all(X[:, i] == 1.0)]
    if ones:
        notes = [*notes, f"column {ones[0] + 1} is one throughout: taken as the bias column"]
        keep = [i for i in range(X.shape[1]) if i not in ones]
        if not keep:
            raise DataError(f"{path}: no features beside the bias column")
        named = all(name == f"x{i}" for i, name in enumerate(names, 1))
        X = X[:, keep]
        names = [f"x{i}" for i in range(1, len(keep) + 1)] if named else [names[i] for i in keep]
    return Points(path, np.ascontiguousarray(X), labels, tuple(names), notes=tuple(notes))


_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # as a zip file begins, and an empty one


def _from_npz(path: str) -> Points:
    with open(path, "rb") as stream:
        start = stream.read(6)
        if not start.startswith(_ZIP):
            what = "a single array (NPY)" if start == b"\x93NUMPY" else "no NPZ file"
            raise DataError(f"{path}: is {what}; save arrays X and y with numpy.savez")
        stream.seek(0)
        X, y = _two_arrays(path, stream)
    if X.ndim != 2 or X.dtype.kind not in "fiub" or X.shape[1] == 0:
        raise DataError(f"{path}: X must be numbers of shape (n, d), not {X.dtype} {X.shape}")
    if y.shape != (len(X),) or y.dtype.kind not in "fiubUS":
        raise DataError(f"{path}: y must hold {len(X)} labels, not {y.dtype} {y.shape}")
    if len(X) == 0:
        raise DataError(f"{path}: no rows")
    X = X.astype(float)
    if not np.isfinite(X).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
        raise DataError(f"{path}: X[{row}, {column}] is {X[row, column]}, not a finite number")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"{path}: y[{int(np.argmin(np.isfinite(y)))}] is not a finite number")
    if y.dtype.kind in "US":
        labels = _labels(
            [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in y]
        )
    else:
        labels = [_tidy(float(v)) for v in y]
    return _without_bias(path, X, labels, [f"x{i}" for i in range(1, X.shape[1] + 1)], [])


def _two_arrays(path: str, stream: IO[bytes]) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(stream, allow_pickle=False) as file:
            missing = [key for key in ("X", "y") if key not in file.files]
            if missing:
                held = ", ".join(file.files) or "nothing"
                raise DataError(f"{path}: no array '{missing[0]}' (it holds {held})")
            return np.asarray(file["X"]), np.asarray(file["y"])
    except (DataError, OSError):
        raise
    # A damaged archive or header fails in any way, from BadZipFile to NotImplementedError.
    except Exception as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are refused; save plain arrays X and y"
            ) from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: not a readable NPZ file ({reason})") from None
