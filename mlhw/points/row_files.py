"""Files of rows that are read in part: NPY and Parquet, one or many, whatever their size.

What they hold is one table, the files one below the other. Its rows are read from any place, so that
data may be larger than memory, and several processes may each read their own.
"""

from __future__ import annotations

import bisect
import contextlib
import glob
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlhw.errors import DataError, reason_of
from mlhw.points.heading import LABEL
from mlhw.system.patterns import matches
from mlhw.text.plain_files import is_utf16, read_plain
from mlhw.text.words import in_short, not_there

LIST = ".list"
"""The suffix of a text that names one file a line, from its own folder."""
_MOST_LIST = 1 << 26


class RowFile(Protocol):
    """A file of rows: ``names`` are all its columns, ``rows`` their number; ``read`` some of them."""

    path: str
    names: tuple[str, ...]
    rows: int

    def read(self, start: int, stop: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Features (m, d) as float64, and the classes (m,), the last of ``columns``. DataError."""

    def ahead(self, start: int, stop: int) -> None:
        """Let the system begin to fetch rows that are read next."""


def is_many(text: str) -> bool:
    """Whether a path names several files: a pattern, or a list of them."""
    return text.endswith(LIST) or (glob.has_magic(text) and not os.path.exists(text))


def paths_of(text: str) -> list[str]:
    """The files that a path, a pattern or a list names, in their order. DataError if there are none."""
    if text.endswith(LIST):
        return _listed(text)
    if not is_many(text):
        return [text]
    found = matches(text)
    if not found:
        raise DataError(f"{text}: no file fits the pattern")
    return found


def _listed(text: str) -> list[str]:
    try:
        content = read_plain(text, _MOST_LIST)
        if is_utf16(content):
            raise DataError(f"{text}: is UTF-16; save it as UTF-8")
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{text}: {not_there(text)}") from None
    except UnicodeDecodeError:
        raise DataError(f"{text}: is no text; it should name one file a line") from None
    except OSError as error:
        raise DataError(f"{text}: cannot be read: {reason_of(error)}") from None
    folder = os.path.dirname(os.path.abspath(text))
    names = [line.strip() for line in lines]
    found = [os.path.join(folder, name) for name in names if name and not name.startswith("#")]
    if not found:
        raise DataError(f"{text}: names no file; it should name one a line")
    return found


def open_rows(path: str) -> RowFile | None:
    """A file that can be read in part; None for one of another form. DataError if it cannot be used."""
    try:
        with open(path, "rb") as file:
            begin = file.read(6)
    except FileNotFoundError:
        raise DataError(f"{path}: {not_there(path)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
    if begin == b"\x93NUMPY":
        return NpyRows(path)
    if begin[:4] == b"PAR1":
        return ParquetRows(path)
    return None


# ------------------------------------------------------------------------------------- NPY


class NpyRows:
    """An array (n, k) of numbers, in order of rows. Read by ``pread``, so that an error is an error."""

    def __init__(self, path: str) -> None:
        self.path = path
        form = np.lib.format
        try:
            with open(path, "rb") as file:
                version = form.read_magic(file)
                read = (
                    form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
                )
                shape, fortran, self.dtype = read(file)
                self.offset = file.tell()
                size = os.fstat(file.fileno()).st_size
        except ValueError as error:
            raise DataError(f"{path}: not a readable NPY file ({in_short(error)})") from None
        if len(shape) != 2 or shape[1] < 2 or self.dtype.kind not in "fiub":
            raise DataError(
                f"{path}: must be numbers of shape (n, d+1), the class the last column, not "
                f"{self.dtype} {shape}"
            )
        if fortran:
            raise DataError(
                f"{path}: stands column by column; save numpy.ascontiguousarray(X) to read it by rows"
            )
        self.rows, self.width = shape
        self.names = tuple(f"x{i}" for i in range(1, self.width + 1))
        self.stride = self.width * self.dtype.itemsize
        if size < self.offset + self.rows * self.stride:
            whole = max(0, size - self.offset) // self.stride
            raise DataError(f"{path}: is cut off after row {whole} of {self.rows}")

    def read(self, start: int, stop: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        content = np.empty((stop - start, self.width), self.dtype)
        view = memoryview(content.reshape(-1).view(np.uint8).data)
        place = self.offset + start * self.stride
        try:
            # Opened each time: there may be more files than a process may hold open.
            with open(self.path, "rb", buffering=0) as file:
                file.seek(place)
                while len(view):
                    count = file.readinto(view)
                    if not count:
                        row = (place - self.offset) // self.stride
                        raise DataError(f"{self.path}: is cut off after row {row} of {self.rows}")
                    view, place = view[count:], place + count
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {reason_of(error)}") from None
        return _picked(content, columns)

    def ahead(self, start: int, stop: int) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        begin, length = self.offset + start * self.stride, (stop - start) * self.stride
        with contextlib.suppress(OSError), open(self.path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), begin, length, os.POSIX_FADV_WILLNEED)


def _picked(content: np.ndarray, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes; columns that stand beside each other are looked at where they are."""
    *features, target = columns
    first = features[0]
    if features == list(range(first, first + len(features))):
        X = content[:, first : first + len(features)]
    else:
        X = content[:, features]
    with np.errstate(over="ignore"):  # what a wider kind has beyond float64 is refused as infinite
        return np.asarray(X, float), content[:, target]


# ------------------------------------------------------------------------------------- Parquet


class ParquetRows:
    """A Parquet file; a row group is decoded where a part of it is needed."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise DataError(f"{path}: to read Parquet takes pyarrow: pip install pyarrow") from None
        self._failures = (pyarrow.ArrowException, OSError)
        try:
            with parquet.ParquetFile(path) as file:
                found, self.names = file.metadata, tuple(file.schema_arrow.names)
        except self._failures as error:
            raise DataError(f"{path}: not a readable Parquet file ({in_short(error)})") from None
        self._metadata, self.rows = found, found.num_rows
        self._ends = np.cumsum(
            [found.row_group(i).num_rows for i in range(found.num_row_groups)], dtype=np.int64
        ).tolist()
        self._thread = threading.local()

    def read(self, start: int, stop: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        group = bisect.bisect_right(self._ends, start)
        while start < stop:
            first = self._ends[group - 1] if group else 0
            end = min(stop, self._ends[group])
            parts.append(self._group(group, tuple(columns)).slice(start - first, end - start))
            start, group = end, group + 1
        X = np.empty((sum(map(len, parts)), len(columns) - 1))
        classes, place = [], 0
        for part in parts:
            for j in range(len(columns) - 1):
                X[place : place + len(part), j] = self._numbers(part, j, columns[j])
            classes.append(self._classes(part.column(len(columns) - 1)))
            place += len(part)
        return X, np.concatenate(classes) if classes else np.zeros(0)

    def _group(self, number: int, columns: tuple[int, ...]) -> Any:
        # A thread asks for rows in their order: mostly for the group again that it has decoded last.
        kept = getattr(self._thread, "kept", None)
        if kept is None or kept[:2] != (number, columns):
            from pyarrow import parquet

            self._thread.kept = None  # not two of them at once
            names = [self.names[i] for i in columns]
            try:
                with parquet.ParquetFile(self.path, metadata=self._metadata) as file:
                    table = file.read_row_group(number, names, use_threads=False)
            except self._failures as error:
                raise DataError(f"{self.path}: cannot be read: {in_short(error)}") from None
            kept = self._thread.kept = (number, columns, table)
        return kept[2]

    def _numbers(self, part: Any, place: int, column: int) -> np.ndarray:
        found = part.column(place).to_numpy(zero_copy_only=False)
        if found.dtype.kind not in "fiub":
            if found.dtype.kind == "O" and all(
                value is None or isinstance(value, (int, float)) for value in found
            ):
                return np.array([np.nan if value is None else value for value in found], float)
            raise DataError(f"{self.path}: {self.names[column]}: is not a number")
        return np.asarray(found, float)

    def _classes(self, column: Any) -> np.ndarray:
        found = column.to_numpy(zero_copy_only=False)
        if found.dtype.kind in "fiub":
            return np.asarray(found)
        return np.array(["" if value is None else str(value) for value in found], str)

    def ahead(self, start: int, stop: int) -> None:
        pass


# ------------------------------------------------------------------------------------- in memory


class RowsInMemory:
    """Points that were read whole, such as those of a text."""

    def __init__(self, path: str, names: Sequence[str], X: np.ndarray, labels: np.ndarray) -> None:
        self.path = path
        self.names = (*names, LABEL)
        self.rows = len(X)
        self._X, self._labels = X, labels

    def read(self, start: int, stop: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        X = self._X[start:stop]
        features = list(columns[:-1])
        whole = features == list(range(X.shape[1]))
        return (X if whole else X[:, features]), self._labels[start:stop]

    def ahead(self, start: int, stop: int) -> None:
        pass


# ------------------------------------------------------------------------------------- all of them


@dataclass(frozen=True)
class RowFiles:
    """Files one below the other as one table; ``ends`` are the rows before the end of each."""

    files: tuple[RowFile, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, files: Sequence[RowFile]) -> RowFiles:
        """DataError where their columns differ, or where there are no rows."""
        for file in files[1:]:
            if file.names != files[0].names:
                raise DataError(
                    f"{file.path}: has other columns than {files[0].path} ({len(file.names)}: "
                    f"{', '.join(file.names[:6])}, not {len(files[0].names)}: "
                    f"{', '.join(files[0].names[:6])})"
                )
        ends = np.cumsum([file.rows for file in files]).tolist()
        if not ends[-1]:
            raise DataError(f"{files[0].path}: no rows")
        return cls(tuple(files), tuple(ends))

    @property
    def names(self) -> tuple[str, ...]:
        return self.files[0].names

    @property
    def rows(self) -> int:
        return self.ends[-1]

    def read(self, start: int, stop: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Features (m, d) and classes (m,) of the rows from ``start`` to ``stop``, of any files."""
        parts = [file.read(first, last, columns) for file, first, last in self._places(start, stop)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([X for X, _ in parts]), np.concatenate([c for _, c in parts])

    def ahead(self, start: int, stop: int) -> None:
        for file, first, last in self._places(start, min(stop, self.rows)):
            file.ahead(first, last)

    def place(self, row: int) -> str:
        """``FILE: row 17`` of a row of the table; rows count from 0."""
        (file, first, _), *_ = self._places(row, row + 1)
        return f"{file.path}: row {first}"

    def _places(self, start: int, stop: int) -> list[tuple[RowFile, int, int]]:
        found = []
        number = bisect.bisect_right(self.ends, start)
        while start < stop:
            before = self.ends[number - 1] if number else 0
            last = min(stop, self.ends[number])
            if last > start:
                found.append((self.files[number], start - before, last - before))
            start, number = last, number + 1
        return found
