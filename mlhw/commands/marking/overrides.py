"""Points that a teacher changed by hand: ``student,points,reason``, a row for each.

The run keeps its own ``overrides.csv``. It is written once, empty, and never again: what is entered there
holds when the run goes on.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlhw.commands.marking.cells import csv_rows, plain_cell
from mlhw.errors import DataError, reason_of
from mlhw.text.plain_files import read_plain
from mlhw.text.values import as_number, number_text
from mlhw.text.words import hint, nearest, printable

NAME = "overrides.csv"
EMPTY = "student,points,reason\n"
_MOST = 16 << 20


@dataclass(frozen=True)
class Override:
    """Points instead of those of the rubric, and why."""

    points: float
    reason: str = ""


def read_overrides(path: Path, everyone: Collection[str], out_of: float) -> dict[str, Override]:
    """By student. A semicolon or a tab between columns and a decimal comma are taken too.

    ``out_of``: the rubric's total, beyond which nobody gets points. Raises DataError with a line for each
    row that cannot be used, a student whom nobody knows among them.
    """
    text = _text(path)
    lines = text.splitlines()
    between = max(",;\t", key=lines[0].count) if lines else ","
    rows = csv_rows(path, text, between)
    header = [cell.strip().casefold() for cell in rows[0][1]] if rows else []
    missing = {"student", "points"} - {*header}
    if missing:
        words = " and ".join(sorted(missing))
        raise DataError(
            printable(f"{path}:1: no column {words}; the first line is student,points,reason")
        )
    found: dict[str, Override] = {}
    errors = []
    for number, row in rows[1:]:
        cells = dict(zip(header, (plain_cell(cell.strip()) for cell in row), strict=False))
        student, points = cells.get("student", ""), cells.get("points", "")
        if not student and not points:
            continue
        try:
            value = _points(points)
        except ValueError:
            errors.append(
                f"{path}:{number}: points: must be a number of at least 0 (got {points!r})"
            )
            continue
        if value > out_of + 1e-9:
            errors.append(
                f"{path}:{number}: points: must be at most {number_text(out_of)}, the rubric's total "
                f"(got {points!r})"
            )
        if student not in everyone:
            near = hint(nearest(student, list(everyone)))
            errors.append(f"{path}:{number}: student: nobody is called {student!r}{near}")
        elif student in found:
            errors.append(f"{path}:{number}: student: {student!r} has a row already")
        found[student] = Override(value, cells.get("reason", ""))
    if errors:
        raise DataError(*map(printable, errors))
    return found


def _points(text: str) -> float:
    value = as_number(text.replace(",", "."))
    if not math.isfinite(value) or value < 0:
        raise ValueError(text)
    return value


def _text(path: Path) -> str:
    try:
        return read_plain(path, _MOST).decode("utf-8-sig")
    except OSError as error:
        raise DataError(printable(f"{path}: cannot be read: {reason_of(error)}")) from None
    except UnicodeDecodeError:
        raise DataError(printable(f"{path}: is no text in UTF-8; save it as CSV UTF-8")) from None
