"""Cells of tables that come from and go into spreadsheets, where some texts would be taken for formulas.

A spreadsheet runs what begins with ``=``, ``+``, ``-``, ``@``, a tab or a line's end, and a student may be
called so.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mlhw.errors import DataError
from mlhw.text.words import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: str) -> str:
    """``'=1+1`` for ``=1+1``: the quote is how spreadsheets mark a text."""
    return f"'{value}" if value.startswith((*_FORMULA, "'")) else value


def plain_cell(value: str) -> str:
    """What ``safe_cell`` marked, without the mark."""
    return value[1:] if value[:1] == "'" and value[1:].startswith((*_FORMULA, "'")) else value


_END = "\x1aend"


def csv_rows(path: Path, text: str, between: str = ",") -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that have any cell, each with the line where it begins.

    Raises DataError with the line of a quote that is opened and not closed, which would take in all rows
    below it.
    """
    # The reader says nothing of a quote that is open at the end, but takes the last line into the cell.
    lines = io.StringIO(f"{text}\n{_END}", newline="")
    reader, begun = csv.reader(lines, delimiter=between), 1
    found: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if row == [_END]:
                return [(line, row) for line, row in found if row]
            found.append((begun, row))
            begun = reader.line_num + 1
        begun = found[-1][0]
    except csv.Error:  # a cell of more than 2^17 characters: what comes between two quotes
        pass
    raise DataError(printable(f'{path}:{begun}: a quote (") is opened and not closed; take it out'))
