"""``--where COLUMN=VALUES``: which rows of ``grid.csv`` are run again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlhw.errors import ConfigError
from mlhw.grids.config import GridConfig
from mlhw.grids.values import value_text
from mlhw.text import yaml12
from mlhw.text.words import hint, nearest


def where_of(texts: Sequence[str], grid: GridConfig) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Columns, each with the cells that choose a row; raises ConfigError with a line for each mistake.

    A headline number chooses no row: it is what a run finds.
    """
    known = ["point", *grid.over, "repeat", "status", "exit_code"]
    found = []
    errors = []
    for text in texts:
        column, equals, values = text.partition("=")
        column = column.strip()
        if not equals:
            errors.append(f"--where {text}: must be COLUMN=VALUES, such as status=killed")
        elif column not in known:
            near = hint(nearest(column, known)) or f" (known: {', '.join(known)})"
            errors.append(f"--where {text}: no column '{column}'{near}")
        else:
            try:
                read = yaml12.parse_value(f"[{values}]", f"--where {column}")
                found.append((column, tuple(map(_cell, read))))
            except ConfigError as error:
                errors += error.lines
    if errors:
        raise ConfigError(*errors)
    return tuple(found)


def _cell(value: Any) -> Any:
    """A value as a cell of the table holds it."""
    plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return value if plain or value is None else value_text(value)


def same_cell(cell: Any, value: Any) -> bool:
    """Whether a cell is the value asked for; 1 and 1.0 are the same, and an empty cell is null."""
    if isinstance(cell, int | float) and isinstance(value, int | float):
        return cell == value
    return str("" if cell is None else cell) == str("" if value is None else value)
