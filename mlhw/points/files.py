"""Labelled points read from files of many forms, with errors that name file, line and column.

Text: rows of cells separated by commas, semicolons, tabs or blanks (the course's own form is columns
``x1 x2 1 t`` separated by blanks: no header, the last column is the class, a column of ones is the
bias); ARFF; svmlight. NumPy: NPY, and NPZ with ``X`` (n, d) and ``y`` (n,). All may be compressed.
What a file is shows in its content; its suffix decides where that could be more than one thing.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from mlhw.errors import DataError, reason_of
from mlhw.points import arff, svmlight
from mlhw.points.content import Content, content_of
from mlhw.points.dialect import Dialect, Rows, excel_delimiter, find_dialect, sample_of
from mlhw.points.heading import find_heading
from mlhw.points.quick import Above, quick_table
from mlhw.points.table import ReadTable, table_of_rows
from mlhw.text.words import in_short, not_there

_TRIED_ROWS = 200  # by which a header is told from a point
_TRIED_CELLS = 400_000


@dataclass(frozen=True)
class Layout:
    """What somebody says of a file that it does not say itself; None: find out."""

    label: int | str | None = None
    header: bool | None = None
    encoding: str | None = None


def read_table(path: str, layout: Layout | None = None) -> ReadTable:
    """The table in a file; ``-`` is the standard input.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame; at most five of them.
    """
    layout = layout or Layout()
    try:
        content = content_of(path)
        if content.is_arrays:
            from mlhw.points import arrays

            return arrays.read_arrays(content, layout.label)
        return _from_text(content, layout)
    except FileNotFoundError:
        raise DataError(f"{path}: {not_there(path)}") from None
    except (EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        what = "not a readable NPZ file" if path.lower().endswith(".npz") else "is damaged"
        raise DataError(f"{path}: {what} ({in_short(error)})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None


def _from_text(content: Content, layout: Layout) -> ReadTable:
    lines = content.lines(layout.encoding)
    sample = sample_of(lines)
    if arff.is_arff(content.suffix, sample):
        return arff.read_arff(content.path, chain(sample, lines), layout.label)
    if content.suffix not in (".csv", ".tsv") and svmlight.is_svmlight(sample):
        return svmlight.read_svmlight(content.path, chain(sample, lines), layout.label)
    given = excel_delimiter(sample)
    first = 1 if given is None else 2
    sample = sample[first - 1 :]
    dialect = find_dialect(sample, content.suffix, given)
    rows = Rows(content.path, chain(sample, lines), dialect, first)
    return _from_rows(content, rows, layout)


def _from_rows(content: Content, rows: Rows, layout: Layout) -> ReadTable:
    path, found = content.path, iter(rows)
    tried = list(islice(found, 1))
    if not tried:
        raise DataError(f"{path}: no rows")
    tried += islice(found, max(2, min(_TRIED_ROWS, _TRIED_CELLS // len(tried[0][1]))))
    comment = rows.comment and (rows.comment[0], _comment_cells(rows.comment[1], rows.dialect))
    heading = find_heading(path, tried, label=layout.label, header=layout.header, comment=comment)
    first = tried[heading.rows :]
    if first:
        above = Above(first[0][0], [cells for _, cells in first])
        encoding = content.encoding(layout.encoding)
        if quick := quick_table(content, encoding, heading, rows.dialect, above):
            return quick
    points: Iterator[tuple[int, list[str]]] = chain(first, found)
    return table_of_rows(path, heading, points, decimal_comma=rows.dialect.decimal_comma)


def _comment_cells(comment: str, dialect: Dialect) -> list[str]:
    """The words of a comment as cells of a header."""
    bare = comment.lstrip("#% ")
    cells = bare.split() if dialect.delimiter == " " else bare.split(dialect.delimiter)
    return [cell.strip().strip('"') for cell in cells]
