"""The rows that a configuration names: files that are read in parts, or points that are in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlhw.errors import ConfigError, DataError
from mlhw.points.choice import Choice, Columns, kept_numbers
from mlhw.points.config import PointsConfig
from mlhw.points.heading import LABEL
from mlhw.points.load import load_points
from mlhw.points.row_files import NpyRows, RowFile, RowFiles, RowsInMemory, open_rows, paths_of


def rows_named(
    data: PointsConfig,
) -> tuple[RowFiles, tuple[str, ...], tuple[int, ...], Sequence[str]]:
    """The rows that a configuration names: files, names of features, places of these and of the class,
    and notes. DataError or ConfigError for what cannot be read in parts.
    """
    opened = (
        [open_rows(path) for path in paths_of(data.file)] if data.file not in (None, "-") else []
    )
    files = [file for file in opened if file is not None]
    if len(opened) > 1 and len(files) < len(opened):
        wrong = paths_of(str(data.file))[opened.index(None)]
        raise DataError(f"{wrong}: is neither NPY nor Parquet; several files are read row by row")
    if not files:
        return _in_memory(data)
    _refuse_idle(data)
    found = RowFiles.of(files)
    target = _target(files[0], data.label)
    others = [i for i in range(len(found.names)) if i != target]
    names = [found.names[i] for i in others]
    if isinstance(files[0], NpyRows):
        names = [f"x{i}" for i in range(1, len(others) + 1)]
    columns = Columns(tuple(names), tuple(names), (), {})
    kept = kept_numbers(files[0].path, columns, Choice(data.features, data.drop))
    places = (*(others[i] for i in kept), target)
    said = f"{len(files)} file{'s' * (len(files) > 1)} of rows, read in parts; the class is "
    said += f"column {target}" if isinstance(files[0], NpyRows) else f"'{found.names[target]}'"
    return found, tuple(names[i] for i in kept), places, [said]


def _in_memory(
    data: PointsConfig,
) -> tuple[RowFiles, tuple[str, ...], tuple[int, ...], Sequence[str]]:
    points = load_points(data)
    d = len(points.features)
    labels = np.array(points.labels)
    if labels.dtype.kind not in "fiubU":
        labels = np.array([str(label) for label in points.labels])
    file: RowFile = RowsInMemory(points.name, points.features, points.X, labels)
    return RowFiles.of([file]), points.features, tuple(range(d + 1)), points.notes


def _refuse_idle(data: PointsConfig) -> None:
    """Raise ConfigError for keys that choose or change rows: these are used as they stand."""
    given = {
        "classes": data.classes is not None,
        "missing": data.missing != "fail",
        "encode": data.encode != "none",
        "encoding": data.encoding is not None,
        "header": data.header is not None,
    }
    lines = [
        f"data.{key}: rows that are read in parts are used as they stand; leave it out"
        for key, there in given.items()
        if there
    ]
    if lines:
        raise ConfigError(*lines)


def _target(file: RowFile, label: int | str | None) -> int:
    width = len(file.names)
    if label is None:
        return file.names.index(LABEL) if LABEL in file.names else width - 1
    if isinstance(label, int) and -width <= label < width:
        return label % width
    if label in file.names and not isinstance(file, NpyRows):
        return file.names.index(str(label))
    raise DataError(f"{file.path}: label: no column '{label}'; they are numbered 0 to {width - 1}")
