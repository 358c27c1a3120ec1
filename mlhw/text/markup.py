"""A table as HTML for notebooks: escaped, plain enough for any theme, light or dark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from mlhw.text.values import is_number, number_text
from mlhw.text.words import printable


def escaped(value: Any) -> str:
    """A value as text for people that no browser takes for markup."""
    return html.escape(printable(number_text(value)))


def grid(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A ``<table>`` of values under the names of their columns; numbers stand to the right."""
    head = "".join(f'<th style="text-align:left">{escaped(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    side = "right" if is_number(value) else "left"
    return f'<td style="text-align:{side};vertical-align:top">{escaped(value)}</td>'
