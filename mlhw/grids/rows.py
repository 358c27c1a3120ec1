"""What became of each point: read from its folder, and written as ``grid.csv`` and ``attempts.csv``."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlhw.config.model import InputFile, leaves
from mlhw.errors import CLAIM_FAILS, FINISHED
from mlhw.experiments.registry import experiment
from mlhw.grids.config import GridConfig
from mlhw.grids.plan import GridPlan, Point
from mlhw.grids.tasks import PointEnd
from mlhw.grids.values import value_text
from mlhw.result.tables import Table, csv_text
from mlhw.runs.history import Run, run_at
from mlhw.runs.verification import has_its_numbers
from mlhw.system.files import write_whole
from mlhw.text.plain_files import read_plain
from mlhw.text.words import quantity

_MOST_TABLE = 1 << 30

PointStatus = Literal["finished", "failed", "killed", "timeout", "interrupted"]

POINTS = "points"
"""The folder in a grid's that has a run folder for each point."""

ATTEMPTS = {
    "point": "its number",
    "attempt": "which try it was",
    "status": "how it ended; died: its worker did",
    "exit_code": "of the run, where it has one",
    "reason": "in words, where it did not finish",
    "started": "seconds since 1970",
    "seconds": "how long it took",
    "host": "where",
    "worker": "which of that host's",
}


@dataclass(frozen=True)
class Row:
    """What became of a point; ``numbers`` are its headline numbers, none if it has not finished."""

    status: PointStatus
    exit_code: int | None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    seconds: float | None = None

    @property
    def finished(self) -> bool:
        return self.status == "finished"


def finished_row(folder: Path, identity: str) -> Row | None:
    """The row of a point whose run in ``folder`` is finished and the one of this identity; else None."""
    run = run_at(folder)
    if run.record.get("status") != "finished" or run.record.get("identity") != identity:
        return None
    code = run.record.get("exit_code")
    # Somebody may have taken its numbers away, or put others there.
    if not run.result or code not in (FINISHED, CLAIM_FAILS) or not has_its_numbers(run):
        return None
    return Row("finished", int(code), _numbers(run), None, run.seconds)


def finished_rows(plan: GridPlan, folder: Path | None) -> dict[int, Row]:
    """By number the rows of all points of a grid in ``folder`` that are finished; none without a folder."""
    if folder is None:
        return {}
    found = {p.number: finished_row(point_folder(folder, p), p.identity) for p in plan.points}
    return {number: row for number, row in found.items() if row is not None}


def _numbers(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.headlines().items() if value is not None}


def ended_row(end: PointEnd) -> Row:
    """The row of a point by what its worker says, where it has not finished and is not tried again."""
    died = end.status in ("died", "interrupted")
    status: PointStatus = "killed" if died else end.status  # type: ignore[assignment]
    code = end.exit_code if status == "failed" else None
    return Row(status, code, {}, end.reason)


# ------------------------------------------------------------------------------------- tables


def grid_table(plan: GridPlan, rows: Mapping[int, Row]) -> Table:
    """One row a point that has ended, by its number; the same whatever worked on it, and when."""
    over = list(plan.grid.over)
    names = dict.fromkeys(name for number in sorted(rows) for name in rows[number].numbers)
    columns = {
        "point": "its number, and its folder below points/",
        **dict.fromkeys(over, "the key's value"),
        "repeat": "from 0; its seed is the first one plus this",
        "status": "finished, failed, killed, timeout or interrupted",
        "exit_code": "of the run, where it has one",
    }
    taken = {name: name if name not in columns else f"{name} (number)" for name in names}
    table = Table("grid", columns | dict.fromkeys(taken.values(), "the run's headline number"))
    cells = cells_of(plan)
    table.extend(
        (
            point.number,
            *cells[point.number],
            point.repeat,
            row.status,
            row.exit_code,
            *(row.numbers.get(name) for name in names),
        )
        for point in plan.points
        if (row := rows.get(point.number)) is not None
    )
    return table


def cells_of(plan: GridPlan) -> dict[int, list[Any]]:
    """By point the cells of its keys: numbers and words as they are, lists as YAML, paths without the
    folders that they have in common."""
    columns = {}
    paths = _path_keys(plan.grid)
    for key in plan.grid.over:
        values = [point.setting.values[key] for point in plan.points]
        if key in paths:
            known = [value for value in values if isinstance(value, str) and os.path.isabs(value)]
            common = os.path.commonpath([os.path.dirname(path) for path in known]) if known else ""
            values = [os.path.relpath(v, common) if v in known else v for v in values]
        plain = (int, float, str)
        columns[key] = [
            v if isinstance(v, plain) and not isinstance(v, bool) else value_text(v) for v in values
        ]
    return {
        point.number: [columns[key][i] for key in columns] for i, point in enumerate(plan.points)
    }


def _path_keys(grid: GridConfig) -> set[str]:
    model = experiment(grid.experiment).Config
    paths = [leaf.path for leaf in leaves(model) if leaf.marked(InputFile) is not None]
    return {".".join(path) for whole in paths for path in (whole, whole[:-1])}


def attempts_table(ends: Iterable[Sequence[Any]]) -> Table:
    """Every try at every point, in the order of points and tries."""
    table = Table("attempts", ATTEMPTS)
    table.extend(sorted(ends, key=lambda row: (row[0], row[1])))
    return table


def attempt_cells(end: PointEnd) -> tuple[Any, ...]:
    """A row of ``attempts.csv``."""
    return (
        end.point,
        end.attempt,
        end.status,
        end.exit_code,
        end.reason,
        round(end.started, 3),
        round(end.seconds, 3),
        end.host,
        end.worker,
    )


def attempts_in(folder: Path, warn: Callable[[str], None]) -> list[tuple[Any, ...]]:
    """The rows of the ``attempts.csv`` of a grid that goes on; what is no such row is left out, and said."""
    found = []
    for row in Run(folder, {}).table("attempts"):
        cells: list[Any] = [row.get(name) or None for name in ATTEMPTS]
        try:
            cells[:2] = map(int, cells[:2])
        except (TypeError, ValueError):
            continue
        found.append(tuple(cells))
    path = folder / "attempts.csv"
    try:
        text = read_plain(path, _MOST_TABLE).decode()
        left_out = len(list(csv.reader(io.StringIO(text, newline="")))) - 1 - len(found)
        if left_out:
            warn(f"{path}: {quantity(left_out, 'row')} cannot be read; left out")
    except FileNotFoundError:
        pass
    except (OSError, ValueError, csv.Error):
        warn(f"{path}: cannot be read; begun anew")
    return found


def rows_in(folder: Path) -> dict[int, Row]:
    """By point what ``grid.csv`` says of those that have not finished, for a grid that goes on."""
    found: dict[int, Row] = {}
    known: tuple[PointStatus, ...] = ("failed", "killed", "timeout", "interrupted")
    for row in Run(folder, {}).table("grid"):
        status = next((one for one in known if one == row.get("status")), None)
        try:
            number, code = int(row["point"]), row.get("exit_code")
            if status is not None:
                found[number] = Row(status, int(code) if code else None)
        except (KeyError, ValueError):
            continue
    return found


def write_csvs(folder: Path, tables: Iterable[Table]) -> None:
    """Write tables whole, so that each is at any moment that of before or that of now."""
    for table in tables:
        write_whole(folder / f"{table.name}.csv", csv_text(table))


def point_folder(folder: Path, point: Point) -> Path:
    """The run folder of a point of the grid in ``folder``."""
    return folder / POINTS / point.folder
