"""Cells of tables that go into spreadsheets: a text that would be taken for a formula is marked as text.

A spreadsheet runs what begins with ``=``, ``+``, ``-``, ``@``, a tab or a line's end, and a student may be
called so.
"""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: str) -> str:
    """``'=1+1`` for ``=1+1``: the quote is how spreadsheets mark a text."""
    return f"'{value}" if value.startswith((*_FORMULA, "'")) else value


def cell_text(value: str) -> str:
    """What ``safe_cell`` marked, without the mark."""
    return value[1:] if value[:1] == "'" and value[1:].startswith((*_FORMULA, "'")) else value
