"""Lines of text to rows of cells: what separates the cells, found from the content."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mlhw.errors import DataError
from mlhw.points.cells import cell_number, is_missing

Row = tuple[int, list[str]]
"""A line's number and its cells."""

MAX_COLUMNS = 50_000
_SAMPLE_LINES = 200
_SAMPLE_SIZE = 1 << 22  # characters
_LOOKED_AT = 20_000  # characters of a line in which cells are tried as numbers
_BLANKS = " "
_SEP = re.compile(r'"?sep=(.)"?\1*', re.I)
_COMMENT = ("#", "%")
_DOT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[-+\u2212]?\d*,\d+([eE][-+]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[-+\u2212]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)


@dataclass(frozen=True)
class Dialect:
    """How a text separates its cells: by ``delimiter``, where a blank stands for any number of blanks.

    ``decimal_comma``: 0,5 is a half. ``tail_comments``: ``#`` after a blank ends a line.
    """

    delimiter: str
    decimal_comma: bool = False
    tail_comments: bool = False


@dataclass
class Rows:
    """The rows of a text, one after the other, without empty lines and comments.

    Lines of nothing but delimiters at the end, as spreadsheets leave them, are no rows. ``comment`` is
    the last comment before the first row.
    """

    path: str
    lines: Iterable[str]
    dialect: Dialect
    first: int = 1
    comment: tuple[int, str] | None = None
    _number: int = field(default=0, init=False)
    _begun: int = field(default=0, init=False)
    _open: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[Row]:
        """Each row; DataError for a line that cannot be taken apart."""
        pending: list[Row] = []
        for number, cells in self._blanks() if self.dialect.delimiter == _BLANKS else self._csv():
            row = number, [cell.strip() for cell in cells]
            if not cells:  # between blanks "" is no cell
                continue
            if not any(row[1]):
                pending.append(row)
                continue
            yield from pending
            pending.clear()
            yield row

    def _content(self) -> Iterator[str]:
        """The lines that are no comments, each with its number kept."""
        started = False
        for number, line in enumerate(self.lines, self.first):
            self._number = number
            if not self._open:
                bare = line.lstrip()
                if not bare:
                    continue
                if bare.startswith(_COMMENT):
                    if not started:
                        self.comment = number, bare
                    continue
                self._begun = number
            started = True
            quotes = line.count('"')
            if self.dialect.tail_comments and not quotes and not self._open and "#" in line:
                line = re.split(r"\s#", line, maxsplit=1)[0]
            if line.count(self.dialect.delimiter) > MAX_COLUMNS:
                raise DataError(f"{self.path}:{number}: more than {MAX_COLUMNS:,} columns")
            self._open ^= bool(quotes & 1)
            yield line + "\n"

    def _csv(self) -> Iterator[Row]:
        reader = csv.reader(
            self._content(), delimiter=self.dialect.delimiter, strict=True, skipinitialspace=True
        )
        try:
            for cells in reader:
                yield self._begun, cells
        except csv.Error as error:
            raise DataError(self._wrong(str(error))) from None

    def _blanks(self) -> Iterator[Row]:
        for line in self._content():
            if '"' not in line:
                yield self._begun, line.split()
                continue
            bare = " ".join(line.replace("\t", " ").strip().splitlines())
            try:
                cells = next(csv.reader([bare], delimiter=" ", strict=True, skipinitialspace=True))
            except csv.Error as error:
                raise DataError(self._wrong(str(error))) from None
            yield self._begun, [cell for cell in cells if cell]

    def _wrong(self, error: str) -> str:
        if "unexpected end of data" in error or "field limit" in error or self._open:
            return f'{self.path}:{self._begun}: a quote (") is opened and not closed; take it out'
        return f"{self.path}:{self._begun}: {error}; a quote inside a quoted cell is written twice"


# ------------------------------------------------------------------------------------- found


def sample_of(lines: Iterator[str]) -> list[str]:
    """The first lines, as many as tell what they are; the iterator goes on after them."""
    sample: list[str] = []
    size = 0
    for line in lines:
        sample.append(line)
        size += len(line)
        if len(sample) == _SAMPLE_LINES or size > _SAMPLE_SIZE:
            break
    return sample


def excel_delimiter(sample: list[str]) -> str | None:
    """The delimiter that a first line ``sep=;`` names, as Excel writes it; None without one."""
    found = _SEP.fullmatch(sample[0]) if sample else None
    return found[1] if found else None


def find_dialect(sample: list[str], suffix: str, delimiter: str | None = None) -> Dialect:
    """The dialect in which the lines are rows of equal length with the most numbers in them.

    ``suffix`` decides where several are as good; ``delimiter`` where it is known.
    """
    separated = suffix in (".csv", ".tsv")
    content = [line for line in sample if line.strip() and not line.lstrip().startswith(_COMMENT)]
    order = {".csv": ",;\t |", ".tsv": "\t,; |"}.get(suffix, "\t ,;|")
    if delimiter is not None:
        best = delimiter
    else:
        fits = {candidate: _fit(content, candidate) for candidate in order}
        best = max(order, key=lambda candidate: fits[candidate])  # the first of equals
        if fits[best] == 0.0:
            best = {".csv": ",", ".tsv": "\t"}.get(suffix, _BLANKS)
    comma = best != "," and _has_decimal_comma(content, best)
    return Dialect(best, comma, tail_comments=not separated)


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of a single line, good enough to count and to try."""
    if delimiter == _BLANKS and '"' not in line:
        return line.split()
    if '"' in line:
        if delimiter == _BLANKS:
            line = " ".join(line.split())
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        return [cell.strip() for cell in cells]
    return [cell.strip() for cell in line.split(delimiter)]


def _fit(content: list[str], delimiter: str) -> float:
    """How well lines are rows with this delimiter, 0 to 1; 0 where they have a single cell."""
    widths: Counter[int] = Counter()
    numbers = total = 0
    for i, line in enumerate(content):
        if '"' in line and len(line) < _LOOKED_AT:
            width = len(_cells(line, delimiter))
        else:
            width = len(line.split()) if delimiter == _BLANKS else line.count(delimiter) + 1
        widths[width] += 1
        if i or len(content) == 1:
            try:
                cells = _cells(line[:_LOOKED_AT], delimiter)
            except csv.Error:
                continue
            total += len(cells)
            for cell in cells:
                if (
                    cell_number(cell) is not None
                    or (delimiter != "," and cell_number(cell, decimal_comma=True) is not None)
                    or (is_missing(cell) and cell)
                ):
                    numbers += 1
    if not widths:
        return 0.0
    width, count = widths.most_common(1)[0]
    if width < 2:
        return 0.0
    return count / len(content) * (0.2 + 0.8 * (numbers / total if total else 0.0))


def _has_decimal_comma(content: list[str], delimiter: str) -> bool:
    """Whether there are cells like 0,5, none like 0.5, and not all may be thousands like 1,234."""
    commas = thousands = 0
    for line in content:
        if "," not in line and "." not in line:
            continue
        for cell in _cells(line[:_LOOKED_AT], delimiter):
            if _DOT.fullmatch(cell):
                return False
            if _COMMA.fullmatch(cell):
                commas += 1
                thousands += bool(_THOUSANDS.fullmatch(cell))
    return commas > thousands
