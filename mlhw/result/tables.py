"""Tables of rows under fixed columns, and their form as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlhw.text.markup import grid

if TYPE_CHECKING:
    import numpy as np
    import pandas


class Table:
    """Rows under fixed columns, kept in memory and handed to ``sink`` as they come.

    ``columns`` are names, or a mapping of names to what they mean, for the report. Values are
    numbers, texts or None (an empty cell). The report shows the first ``reported`` rows, all columns but
    those in ``unreported``.
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[str] | Mapping[str, str],
        sink: Callable[[Sequence[Sequence[Any]]], None] | None = None,
    ) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.meanings = dict(columns) if isinstance(columns, Mapping) else {}
        self.rows: list[tuple[Any, ...]] = []
        self.reported = 10
        self.unreported: frozenset[str] = frozenset()
        self.sink = sink

    def append(self, *row: Any) -> None:
        """Add one row, a value for each column."""
        self.extend([row])

    def extend(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows that belong together; they are written and flushed as one piece."""
        new = [tuple(row) for row in rows]
        for row in new:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.name}: {len(row)} values for {len(self.columns)} columns"
                )
        self.rows += new
        if self.sink is not None and new:
            self.sink(new)

    def __len__(self) -> int:
        return len(self.rows)

    def html(self, most: int) -> str:
        """The first ``most`` rows as HTML, and how many there are."""
        more = f"<p>{most} of {len(self)} rows</p>" if len(self) > most else ""
        return grid(self.columns, self.rows[:most]) + more

    def _repr_html_(self) -> str:
        """What a notebook shows of a table that a cell ends with."""
        return self.html(self.reported)

    def column(self, name: str) -> np.ndarray:
        """The values of one column; numeric ones as float64 or int64, None as NaN."""
        import numpy as np

        index = self.columns.index(name)
        values = [row[index] for row in self.rows]
        if any(value is None for value in values) and not any(isinstance(v, str) for v in values):
            return np.array([np.nan if value is None else value for value in values])
        return np.array(values)

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame (pandas has to be installed)."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))


def cell(value: Any) -> Any:
    """A value as a CSV file holds it: floats by ``repr``, so that reading gives the same bits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return float.__repr__(value)
    # A bare carriage return, in a file's name say, would end the row for many readers.
    return value.replace("\r", " ") if isinstance(value, str) else value


def csv_text(table: Table) -> str:
    """A whole table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([cell(value) for value in row] for row in table.rows)
    return text.getvalue()
