"""A table of points as it was read, with what is missing in it and what is no number."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlhw.errors import DataError
from mlhw.points.cells import as_labels, brief, cell_number, is_missing
from mlhw.points.dialect import Row
from mlhw.points.heading import Heading, counts_rows
from mlhw.points.points import Label

MAX_NUMBERS = 100_000_000
_SHOWN = 4  # further lines of the same fault that are named


@dataclass
class Fault:
    """What is wrong in the same way in one column: the first cell, and where it is so again.

    ``rows`` are the first of them by number, ``count`` is of all.
    """

    text: str
    rows: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, row: int) -> None:
        self.count += 1
        if len(self.rows) <= _SHOWN:
            self.rows.append(row)

    def extend(self, rows: Sequence[int]) -> None:
        """Add rows in their order."""
        self.count += len(rows)
        self.rows += rows[: _SHOWN + 1 - len(self.rows)]


@dataclass
class ReadTable:
    """Everything that a file holds, before anything of it is chosen.

    ``X`` (n, k) has the columns ``names`` but for the class's, NaN where there is no number; ``labels``
    (n,) has None where the class is missing. ``words`` are the texts of columns without any number,
    None where one is missing; ``missing`` and ``wrong`` the cells of others that are no number.
    ``missing`` has the class under its own name. ``place`` gives the words for row and column in errors,
    ``lines`` (n,) the numbers of the rows' lines. ``said`` and ``class_said`` say what was recognised.
    ``row_numbers``: the first column counts the rows, and its name says so.
    """

    path: str
    names: tuple[str, ...]
    X: np.ndarray
    labels: list[Label | None]
    target: str
    said: tuple[str, ...]
    place: Callable[[int, str], str]
    lines: Sequence[int]
    named: bool = True
    class_said: str = ""
    built_in: bool = False
    row_numbers: bool = False
    words: dict[str, list[str | None]] = field(default_factory=dict)
    missing: dict[str, Fault] = field(default_factory=dict)
    wrong: dict[str, Fault] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def places(self) -> dict[str, int]:
        """The columns' numbers by name."""
        return {name: place for place, name in enumerate(self.names)}

    def line(self, row: int) -> int:
        """The number of a row's line; arrays have none, and the row's number stands for it."""
        return self.lines[row]

    def column(self, name: str) -> np.ndarray:
        """The numbers of a column (n,)."""
        values: np.ndarray = self.X[:, self.places[name]]
        return values


class _Cells:
    """Gathers the rows of a text; columns without a number so far are kept as texts."""

    def __init__(self, heading: Heading, decimal_comma: bool) -> None:
        self.names = heading.names
        self.columns = [i for i in range(len(heading.names)) if i != heading.target]
        self.comma = decimal_comma
        self.numbers = array("d")
        self.numeric: list[int] = []  # places in a row of numbers, of columns that have had one
        self.words: dict[int, list[str]] = {place: [] for place in range(len(self.columns))}
        self.missing: dict[int, Fault] = {}
        self.wrong: dict[int, Fault] = {}
        self.rows = 0

    def add(self, cells: list[str]) -> None:
        """One row, of as many cells as the table has columns."""
        here = [cells[i] for i in self.columns]
        values = self._all_numbers(here)
        if values is None:
            values = [self._cell(place, cell) for place, cell in enumerate(here)]
        elif self.words:
            for place in list(self.words):
                self._is_numeric(place)
        self.numbers.extend(values)
        self.rows += 1

    def _all_numbers(self, here: list[str]) -> list[float] | None:
        """The numbers of a row where all of it are numbers, the quick way."""
        joined = "".join(here)
        if "_" in joined or not joined.isascii() or (self.comma and "." in joined):
            return None
        try:
            values = (
                [float(c.replace(",", ".")) for c in here] if self.comma else list(map(float, here))
            )
        except ValueError:
            return None
        total = sum(values)
        return values if total - total == 0.0 else None

    def _cell(self, place: int, cell: str) -> float:
        """The number of a cell, NaN where it is none; notes what is missing or wrong."""
        number = None if cell in ("", "?", "NA") else cell_number(cell, decimal_comma=self.comma)
        if number is not None and number - number == 0.0:
            if place in self.words:
                self._is_numeric(place)
            return number
        if number is not None and number != number:
            number, cell = None, cell or "nan"
        if number is not None:  # infinite
            _note(self.wrong, place, cell, self.rows)
            return number
        if place in self.words:
            self.words[place].append(cell)
        elif is_missing(cell, number=True):
            _note(self.missing, place, cell, self.rows)
        else:
            _note(self.wrong, place, cell, self.rows)
        return float("nan")

    def _is_numeric(self, place: int) -> None:
        """A column has its first number: the texts before it are missing or wrong."""
        for row, text in enumerate(self.words.pop(place)):
            found = self.missing if is_missing(text, number=True) else self.wrong
            _note(found, place, text, row)


def _note(found: dict[int, Fault], place: int, text: str, row: int) -> None:
    found.setdefault(place, Fault(text)).add(row)


def table_of_rows(
    path: str, heading: Heading, rows: Iterable[Row], *, decimal_comma: bool = False
) -> ReadTable:
    """Read the points below a heading.

    Raises
    ------
    DataError
        Rows of another number of cells, or none.
    """
    gathered = _Cells(heading, decimal_comma)
    lines = array("q")
    labels: list[str] = []
    ragged: list[tuple[int, int]] = []
    target, width = heading.target, len(heading.names)
    known: dict[str, str] = {}
    for line, cells in rows:
        fitted = heading.fitted(cells)
        if fitted is None:
            ragged.append((line, len(cells)))
            continue
        lines.append(line)
        label = fitted[target]
        labels.append(known.setdefault(label, label))
        gathered.add(fitted)
        if len(gathered.numbers) > MAX_NUMBERS:
            raise _too_many(path, line)
    if ragged:
        raise DataError(*_ragged_lines(path, ragged, width))
    if not labels:
        below = " below the header" if heading.rows else ""
        raise DataError(f"{path}: no rows{below}")
    X = np.frombuffer(gathered.numbers, dtype=float).reshape(len(labels), len(gathered.columns))
    return assembled(
        path,
        heading,
        X,
        labels,
        lines,
        words=gathered.words,
        missing=gathered.missing,
        wrong=gathered.wrong,
    )


def check_size(path: str, rows: int, columns: int, first_line: int) -> None:
    """Raise DataError where a table whose rows are lines from ``first_line`` on has too many numbers."""
    if rows * columns > MAX_NUMBERS:
        raise _too_many(path, first_line + MAX_NUMBERS // columns)


def _too_many(path: str, line: int) -> DataError:
    return DataError(f"{path}:{line}: more than {MAX_NUMBERS:,} numbers; take a part of them")


def _ragged_lines(path: str, ragged: list[tuple[int, int]], width: int) -> list[str]:
    """A line for each number of cells that occurs, five at most."""
    by_count: dict[int, list[int]] = {}
    for line, count in ragged:
        by_count.setdefault(count, []).append(line)
    found = [
        f"{path}:{lines[0]}: {count} column{'s' * (count != 1)}, {width} expected{also(lines[1:])}"
        for count, lines in by_count.items()
    ]
    return found[:5] + (["… and more"] if len(found) > 5 else [])


def also(lines: list[int], count: int | None = None) -> str:
    """`` (also lines 7, 9 and 12 more)``: the other lines of a fault, of which ``count`` there are."""
    count = len(lines) if count is None else count
    if not count:
        return ""
    named, more = ", ".join(map(str, lines[:_SHOWN])), count - min(len(lines), _SHOWN)
    end = f" and {more:,} more" if more > 0 else ""
    return f" (also line{'s' * (count > 1)} {named}{end})"


def assembled(
    path: str,
    heading: Heading,
    X: np.ndarray,
    labels: list[str],
    lines: Sequence[int],
    *,
    words: dict[int, list[str]],
    missing: dict[int, Fault],
    wrong: dict[int, Fault],
) -> ReadTable:
    """The table of what was read: X (n, k) of the columns but for the class's, the class's texts (n,).

    ``words``, ``missing`` and ``wrong`` are by the columns' places in X, ``words`` of those without any
    number.
    """
    names = tuple(name for i, name in enumerate(heading.names) if i != heading.target)
    target = heading.names[heading.target]
    absent = {names[place]: fault for place, fault in missing.items()}
    texts_of: dict[str, list[str | None]] = {}
    for place, texts in words.items():
        if all(is_missing(text, number=True) for text in texts):
            for row, text in enumerate(texts):
                absent.setdefault(names[place], Fault(text)).add(row)
        else:
            texts_of[names[place]] = [None if is_missing(text) else text for text in texts]
    without = {text for text in set(labels) if is_missing(text)}
    for row, label in enumerate(labels) if without else ():
        if label in without:
            absent.setdefault(target, Fault(label)).add(row)
    there = iter(as_labels([label for label in labels if label not in without]))
    first_is_class = heading.target == 0
    return ReadTable(
        path,
        names,
        X,
        [None if label in without else next(there) for label in labels] if without else list(there),
        target,
        (heading.said,),
        lambda row, column: f"{path}:{lines[row]}: {brief(column)}",
        lines,
        named=heading.named,
        class_said=heading.class_said,
        row_numbers=heading.row_names and not first_is_class and counts_rows(list(X[:, 0])),
        words=texts_of,
        missing=absent,
        wrong={names[place]: fault for place, fault in wrong.items()},
    )
