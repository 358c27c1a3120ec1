"""Large plain tables, read block by block by Apache Arrow, bit for bit as the reader of cells reads them.

What is plain is decided by each block: lines of equally many cells, numbers in plain digits, quotes around
whole cells, UTF-8. Anything else, a fault too, is left to the reader of cells, which takes every form and
names the line that is to blame. Small files are left to it as well: Arrow takes longer to be loaded.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TYPE_CHECKING

import numpy as np

from mlhw.points.cells import MISSING, NO_NUMBER, cell_number
from mlhw.points.content import Content
from mlhw.points.dialect import Dialect
from mlhw.points.heading import Heading
from mlhw.points.table import Fault, ReadTable, assembled, check_size

if TYPE_CHECKING:
    import pyarrow as pa

LARGE = 2 << 20
"""Bytes from which on a file is read here."""

_BLOCK = 2 << 20
_ENCODINGS = ("utf-8", "utf-8-sig")
_WORDS_LOOKED_AT = 200  # rows by which a column of words is told from one of numbers

_NULLS = sorted({*MISSING, *(form(w) for w in NO_NUMBER for form in (str, str.upper, str.title))})


class _NotPlain(Exception):
    """The table is for the reader of cells."""


@dataclass(frozen=True)
class Above:
    """Where the points begin: ``line`` is the number of their first line, ``rows`` are some of them."""

    line: int
    rows: Sequence[Sequence[str]]


@dataclass
class _Gathered:
    """What the blocks so far hold: numbers (n, k), labels, texts by column, missing cells."""

    numbers: np.ndarray
    labels: list[str] = field(default_factory=list)
    words: dict[int, list[str]] = field(default_factory=dict)
    missing: dict[int, Fault] = field(default_factory=dict)


def quick_table(
    content: Content, encoding: str, heading: Heading, dialect: Dialect, above: Above
) -> ReadTable | None:
    """The table below a heading, or None where it is small or not plain.

    ``encoding`` is the text's. Raises DataError for more numbers than a table may have.
    """
    if encoding not in _ENCODINGS or len(content.start(LARGE)) < LARGE:
        return None
    try:
        with content.open() as stream:
            reader = _Reader(heading, dialect, above)
            for block in _blocks(stream, above.line - 1):
                reader.take(block)
                check_size(content.path, reader.rows, len(reader.columns), above.line)
    except _NotPlain:
        return None
    return reader.table(content.path)


def _blocks(stream: IO[bytes], skipped: int) -> Iterator[bytes]:
    """The bytes in blocks of whole lines, without the first ``skipped`` lines and a byte order mark."""
    rest = stream.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
    for _ in range(skipped):
        _, end, rest = rest.partition(b"\n")
        if not end:
            raise _NotPlain
    while piece := stream.read(_BLOCK):
        whole = piece.rfind(b"\n")
        if whole < 0:
            raise _NotPlain
        yield b"".join((rest, memoryview(piece)[:whole]))
        rest = piece[whole + 1 :]
    last = rest.rstrip(b"\r\n")
    if last:
        yield last


class _Reader:
    """Takes blocks of lines."""

    def __init__(self, heading: Heading, dialect: Dialect, above: Above) -> None:
        from pyarrow import csv

        self.heading = heading
        self.above = above
        self.rows = 0
        self.columns = [i for i in range(len(heading.names)) if i != heading.target]
        self.comma = dialect.decimal_comma
        self.delimiter = dialect.delimiter.encode()
        # Between blanks there may be comments behind a row.
        self.unusual = (b"#", b"%", b"\0", b"\t" if dialect.delimiter == " " else b"\0")
        self.worded = [place for place in range(len(self.columns)) if self._is_worded(place, above)]
        self.gathered = _Gathered(
            np.empty((0, len(self.columns))), words={place: [] for place in self.worded}
        )
        self._read = csv.ReadOptions(
            column_names=[str(i) for i in range(len(heading.names))], block_size=4 * _BLOCK
        )
        self._parse = csv.ParseOptions(delimiter=dialect.delimiter, ignore_empty_lines=True)
        self._convert = self._conversion(dialect)

    def _is_worded(self, place: int, above: Above) -> bool:
        cells = [row[self.columns[place]] for row in above.rows[:_WORDS_LOOKED_AT]]
        return not self._has_number(cells)

    def _has_number(self, cells: Iterable[str]) -> bool:
        return any(cell_number(cell, decimal_comma=self.comma) is not None for cell in cells)

    def _conversion(self, dialect: Dialect) -> pa.csv.ConvertOptions:
        import pyarrow as pa
        from pyarrow import csv

        words = pa.dictionary(pa.int32(), pa.string())
        types = {str(column): pa.float64() for column in self.columns}
        types |= {str(self.columns[place]): words for place in self.worded}
        types[str(self.heading.target)] = words
        return csv.ConvertOptions(
            column_types=types,
            null_values=_NULLS,
            strings_can_be_null=False,
            decimal_point="," if dialect.decimal_comma else ".",
        )

    def take(self, block: bytes) -> None:
        """The rows of a block; raises _NotPlain."""
        import pyarrow as pa
        from pyarrow import csv

        lines = self._require_plain(block)
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                read_options=self._read,
                parse_options=self._parse,
                convert_options=self._convert,
            )
        except pa.ArrowInvalid:
            raise _NotPlain from None
        if table.num_rows != lines:
            raise _NotPlain
        self.gathered.labels += _texts(table[self.heading.target])
        self._add_numbers(table, block)
        self.rows += lines

    def _require_plain(self, block: bytes) -> int:
        """How many lines a plain block has; raises _NotPlain for any other."""
        if any(sign in block for sign in self.unusual):
            raise _NotPlain
        if b"\r" in block and (block.count(b"\r") != block.count(b"\r\n") + block.endswith(b"\r")):
            raise _NotPlain
        if self.delimiter == b" " and not _single_blanks(block):
            raise _NotPlain
        if not block[block.rfind(b"\n") + 1 :].strip(b'" \r' + self.delimiter):
            raise _NotPlain  # at the end of a table such a line is none of its rows
        if b'"' in block and not _whole_cells_quoted(block, self.delimiter):
            raise _NotPlain
        return block.count(b"\n") + 1

    def _add_numbers(self, table: pa.Table, block: bytes) -> None:
        # The memory grows where it is: parts put together at the end would take twice as much.
        self.gathered.numbers.resize(
            (self.rows + table.num_rows, len(self.columns)), refcheck=False
        )
        X = self.gathered.numbers[self.rows :]
        for place, column in enumerate(self.columns):
            cells = table[column]
            if place in self.gathered.words:
                found = _texts(cells)
                if self._has_number(set(found)):
                    raise _NotPlain
                self.gathered.words[place] += found
                X[:, place] = np.nan
                continue
            values, missing = _floats(cells)
            # A number out of range, infinity in words, or NaN in a form that is no missing value's.
            if not np.isfinite(values).all():
                raise _NotPlain
            X[:, place] = values
            if len(missing):
                X[missing, place] = np.nan
                self._note_missing(place, missing, block)

    def _note_missing(self, place: int, rows: np.ndarray, block: bytes) -> None:
        found = self.gathered.missing
        if place not in found:
            line = block.split(b"\n", int(rows[0]) + 1)[int(rows[0])].decode()
            cell = line.split(self.delimiter.decode())[self.columns[place]]
            found[place] = Fault(cell.strip().strip('"').strip())
        found[place].extend((rows + self.rows).tolist())

    def table(self, path: str) -> ReadTable:
        """All that was taken."""
        return assembled(
            path,
            self.heading,
            self.gathered.numbers,
            self.gathered.labels,
            range(self.above.line, self.above.line + self.rows),
            words=self.gathered.words,
            missing=self.gathered.missing,
            wrong={},
        )


def _floats(cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a column, zero where there is none, and the places of these.

    From its memory: Arrow's own way to NumPy loads pandas.
    """
    values, valid = [], []
    for chunk in cells.chunks:
        bits, numbers = chunk.buffers()
        part = slice(chunk.offset, chunk.offset + len(chunk))
        there = np.ones(len(chunk), bool)
        if chunk.null_count:
            there = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[part].astype(
                bool
            )
        values.append(np.where(there, np.frombuffer(numbers)[part], 0.0))
        valid.append(there)
    return np.concatenate(values), np.flatnonzero(~np.concatenate(valid))


def _texts(cells: pa.ChunkedArray) -> list[str]:
    """The texts of a column, equal ones one object."""
    return list(
        chain.from_iterable(
            map([text.strip() for text in chunk.dictionary.to_pylist()].__getitem__, indices)
            for chunk in cells.chunks
            for indices in [chunk.indices.to_pylist()]
        )
    )


def _single_blanks(block: bytes) -> bool:
    """Whether blanks stand singly between cells, and nowhere else."""
    wrong = (b"  ", b"\n ", b" \n", b" \r")
    return not (block.startswith(b" ") or block.endswith(b" ") or any(w in block for w in wrong))


def _whole_cells_quoted(block: bytes, delimiter: bytes) -> bool:
    """Whether every line has its quotes in pairs around whole cells, without a quote inside one."""
    signs = np.frombuffer(block, np.uint8)
    at = np.flatnonzero(signs == ord('"'))
    if len(at) % 2:
        return False
    opening, closing = at[::2], at[1::2]
    around = (ord("\n"), ord("\r"), delimiter[0])
    padded = np.concatenate(([ord("\n")], signs, [ord("\n")]))
    if not np.isin(padded[opening], around).all() or not np.isin(padded[closing + 2], around).all():
        return False
    ends = np.flatnonzero(signs == ord("\n"))
    return bool((np.searchsorted(at, ends) % 2 == 0).all())
