"""Points in NumPy's files: NPZ with ``X`` and ``y``, or NPY with the class as the last column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import IO, cast

import numpy as np

from mlhw.errors import DataError
from mlhw.points.cells import as_labels, brief, is_missing, tidy
from mlhw.points.content import Content, seekable
from mlhw.points.dialect import MAX_COLUMNS
from mlhw.points.heading import LABEL
from mlhw.points.points import Label
from mlhw.points.table import MAX_NUMBERS, Fault, ReadTable
from mlhw.text.words import in_short

_FEATURES = ("X", "x", "data", "features", "X_train", "x_train", "inputs", "train_X", "train_x")
_LABELS = (
    *("y", "Y", "t", "target", "targets", "label", "labels", "class", "classes", "y_train"),
    *("Y_train", "outputs", "train_y", "train_labels"),
)


def read_arrays(content: Content, label: int | str | None) -> ReadTable:
    """The table of an NPY or NPZ file; ``label`` names the array of the classes, or numbers a column.

    Raises
    ------
    DataError
        No arrays of this form; pickled content is refused.
    """
    path = content.path
    with seekable(content.open(), path) as stream:
        arrays = _loaded(path, stream, "NPY" if content.suffix == ".npy" else "NPZ")
    if isinstance(arrays, np.ndarray) or (len(arrays) == 1 and "X" not in arrays):
        only = arrays if isinstance(arrays, np.ndarray) else next(iter(arrays.values()))
        return _of_matrix(path, only, label)
    return _of_two(path, arrays, label)


def _loaded(path: str, stream: IO[bytes], form: str) -> np.ndarray | dict[str, np.ndarray]:
    try:
        _refuse_large(path, stream)
        stream.seek(0)
        found = np.load(stream, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if {"indices", "indptr", "format", "shape"} <= set(found.files):
                raise DataError(
                    f"{path}: is a sparse matrix of SciPy's, without classes; save X.toarray() and y "
                    "with numpy.savez"
                )
            keys = [key for key in found.files if not key.endswith("/")]
            for name in (
                n for n in found.zip.namelist() if n.removesuffix(".npy") in _needed(keys)
            ):
                with found.zip.open(name) as member:
                    _refuse_large(f"{path}: {name}", cast("IO[bytes]", member))
            return {key: np.asarray(found[key]) for key in _needed(keys)}
    except (DataError, OSError):
        raise
    # A damaged archive or header fails in any way, from BadZipFile to NotImplementedError.
    except Exception as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are refused; save plain arrays X and y"
            ) from None
        raise DataError(f"{path}: not a readable {form} file ({in_short(error)})") from None


def _refuse_large(what: str, stream: IO[bytes]) -> None:
    """Raise DataError for an array that is too large by the header at the front of ``stream``.

    The header decides how much memory is set aside, and a small file may unpack to any size.
    """
    form = np.lib.format
    if stream.read(len(form.MAGIC_PREFIX)) != form.MAGIC_PREFIX:
        return
    stream.seek(0)
    version = form.read_magic(stream)
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, _, dtype = read(stream)
    count = math.prod(shape)
    if count > MAX_NUMBERS or count * dtype.itemsize > 8 * MAX_NUMBERS:
        raise DataError(
            f"{what}: {dtype} {shape} is too large; at most {MAX_NUMBERS:,} numbers are read"
        )
    if len(shape) == 2 and shape[1] > MAX_COLUMNS:
        raise DataError(f"{what}: has {shape[1]:,} columns; at most {MAX_COLUMNS:,}")


def _needed(keys: Sequence[str]) -> Sequence[str]:
    """Of many arrays only X and y where they are called so."""
    return [key for key in keys if key in ("X", "y")] if {"X", "y"} <= set(keys) else keys


def _of_two(path: str, arrays: dict[str, np.ndarray], label: int | str | None) -> ReadTable:
    """X and y by their names, or the only two that fit."""
    y_key = _chosen(arrays, _LABELS, str(label) if label is not None else None)
    if label is not None and y_key is None:
        raise DataError(
            f"{path}: label: no array '{label}' (it holds {', '.join(map(brief, arrays))})"
        )
    X_key = _chosen(arrays, _FEATURES, None)
    if len(arrays) == 2 and X_key is None:
        rest = [key for key in arrays if key != y_key]
        X_key = max(rest, key=lambda key: arrays[key].ndim)
    if len(arrays) == 2 and y_key is None:
        y_key = next(key for key in arrays if key != X_key)
    if X_key is None or y_key is None or X_key == y_key:
        lacking = "X" if X_key is None else "y"
        held = ", ".join(map(brief, arrays)) or "nothing"
        raise DataError(f"{path}: no array '{lacking}' (it holds {held})")
    X, y = arrays[X_key], arrays[y_key]
    if X.ndim > 2:
        raise DataError(
            f"{path}: {X_key} must be numbers of shape (n, d), not {X.dtype} {X.shape}; "
            f"save {X_key}.reshape(len({X_key}), -1)"
        )
    if X.ndim != 2 or X.dtype.kind not in "fiub" or X.shape[1] == 0:
        remedy = f"; save {X_key}.real" if X.dtype.kind == "c" else ""
        raise DataError(
            f"{path}: {X_key} must be numbers of shape (n, d), not {X.dtype} {X.shape}{remedy}"
        )
    if y.ndim == 2 and y.shape[0] == len(X) and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (len(X),) or y.dtype.kind not in "fiubUS":
        remedy = f"; save {y_key}.argmax(axis=1)" if y.ndim == 2 and len(y) == len(X) else ""
        raise DataError(
            f"{path}: {y_key} must hold {len(X)} labels, not {y.dtype} {y.shape}{remedy}"
        )
    unread = [key for key in arrays if key not in (X_key, y_key)]
    said = [
        f"arrays {X_key} and {y_key}"
        + (f"; not read: {', '.join(map(brief, unread))}" if unread else "")
    ]
    names = tuple(f"x{i}" for i in range(1, X.shape[1] + 1))
    return _table(path, X, y, (names, X_key, y_key), said)


def _chosen(arrays: dict[str, np.ndarray], known: Sequence[str], wanted: str | None) -> str | None:
    return next((key for key in ((wanted,) if wanted else known) if key in arrays), None)


def _of_matrix(path: str, array: np.ndarray, label: int | str | None) -> ReadTable:
    """A single array: columns are features, and one is the class, the last unless ``label`` says."""
    if array.dtype.names:
        columns = list(array.dtype.names)
        numbers = [array.dtype[name].kind in "fiub" for name in columns]
        target = columns.index(str(label)) if str(label) in columns else len(columns) - 1
        if (label is not None and str(label) not in columns) or array.ndim != 1:
            raise DataError(
                f"{path}: label: no column '{label}' (there are {', '.join(map(brief, columns))})"
            )
        names = tuple(name for i, name in enumerate(columns) if i != target)
        wrong = next(
            (
                n
                for n, is_number in zip(columns, numbers, strict=True)
                if not is_number and n in names
            ),
            None,
        )
        if wrong is not None:
            raise DataError(f"{path}: {wrong}: is not a number but {array.dtype[wrong]}")
        X = np.column_stack([_as_floats(array[name]) for name in names])
        return _table(path, X, array[columns[target]], (names, "", columns[target]), ["one array"])
    if array.ndim != 2 or array.dtype.kind not in "fiub" or array.shape[1] < 2:
        raise DataError(
            f"{path}: X must be numbers of shape (n, d), the class the last column, not {array.dtype} "
            f"{array.shape}; save arrays X and y with numpy.savez"
        )
    width = array.shape[1]
    if label is not None and not (isinstance(label, int) and -width <= label < width):
        raise DataError(f"{path}: label: no column '{label}'; they are numbered 0 to {width - 1}")
    target = width - 1 if label is None else int(label) % width
    names = tuple(f"x{i}" for i in range(1, width))
    said = ["one array"]
    X = np.delete(array, target, axis=1)
    return _table(path, X, array[:, target], (names, "array", LABEL), said, f"column {target}")


def _table(
    path: str,
    X: np.ndarray,
    y: np.ndarray,
    named: tuple[tuple[str, ...], str, str],
    said: list[str],
    whose: str = "",
) -> ReadTable:
    """``named``: the features, and what the arrays of features and classes are called in errors."""
    names, X_name, y_name = named
    if len(X) == 0:
        raise DataError(f"{path}: no rows")
    X = np.ascontiguousarray(_as_floats(X))
    missing: dict[str, Fault] = {}
    wrong: dict[str, Fault] = {}
    if not np.isfinite(X).all():
        for row, column in np.argwhere(~np.isfinite(X)).tolist():
            value = X[row, column]
            kind = missing if np.isnan(value) else wrong
            kind.setdefault(names[column], Fault(str(value))).add(row)
    labels = _labels_of(y)
    for row, label in enumerate(labels):
        if label is None:
            missing.setdefault(y_name, Fault(str(y[row]))).add(row)

    def place(row: int, column: str) -> str:
        if column == y_name:
            return f"{path}: {y_name}[{row}]"
        return f"{path}: {X_name}[{row}, {names.index(column)}]"

    return ReadTable(
        path,
        names,
        X,
        labels,
        y_name,
        tuple(said),
        place,
        range(len(X)),
        named=X_name == "",
        class_said=f"the class is {whose or y_name}",
        missing=missing,
        wrong=wrong,
    )


def _labels_of(y: np.ndarray) -> list[Label | None]:
    """Labels as identities: whole numbers exact, NaN and empty texts None."""
    if y.dtype.kind in "US":
        texts = [
            (v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)).strip() for v in y
        ]
        there = iter(as_labels([text for text in texts if not is_missing(text)]))
        return [None if is_missing(text) else next(there) for text in texts]
    if y.dtype.kind in "iub":
        return [int(v) for v in y]
    return [tidy(v) if math.isfinite(v) else None for v in _as_floats(y).tolist()]


def _as_floats(array: np.ndarray) -> np.ndarray:
    """As float64; what a wider kind has beyond its range is infinite, which is refused by its place."""
    with np.errstate(over="ignore"):
        return np.asarray(array, float)
