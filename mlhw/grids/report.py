"""What a grid found, in sentences, tables and numbers for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mlhw.errors import FAILED, ConfigError
from mlhw.experiments.registry import experiment
from mlhw.grids.by import By, by_of
from mlhw.grids.figures import plots_of
from mlhw.grids.plan import GridPlan
from mlhw.grids.ranking import Ranking, ranking_of
from mlhw.grids.rows import Row, cells_of, grid_table
from mlhw.result.result import Result
from mlhw.text.values import number_text
from mlhw.text.words import quantity, text_table

MOST_RANKED = 10
"""Settings in the answers; all are in result.json."""


def grid_result(plan: GridPlan, rows: Mapping[int, Row]) -> Result:
    """All that is known of a grid, whole or not; what ranks it and is not there is left out."""
    try:
        by = ranked_by(plan, rows)
    except ConfigError:  # said at the end, by ``grid.py``
        by = None
    ranking = ranking_of(plan.points, rows, by) if by is not None else None
    table = grid_table(plan, rows)
    table.reported = 100
    return Result(
        "grid",
        summary(plan, rows, ranking),
        answers=answers(plan, rows, ranking),
        tables={"grid": table},
        plots=plots_of(plan, ranking) if ranking is not None and ranking.ranked else [],
        codes=tuple(_code(row) for row in rows.values()),
    )


def _code(row: Row) -> int:
    """What a point adds to the exit code of the grid."""
    interrupted = row.exit_code is None or row.exit_code > 128
    return FAILED if interrupted else row.exit_code or 0


def statuses(plan: GridPlan, rows: Mapping[int, Row]) -> str:
    """``22 of 24 points finished; 1 killed, 1 timeout``"""
    counts = Counter(row.status for row in rows.values())
    text = f"{counts.pop('finished', 0):,} of {quantity(plan.total, 'point')} finished"
    others = [f"{count} {status}" for status, count in sorted(counts.items())]
    left = plan.total - len(rows)
    others += [f"{left} not run"] if left else []
    return text + ("; " + ", ".join(others) if others else "")


def summary(plan: GridPlan, rows: Mapping[int, Row], ranking: Ranking | None) -> dict[str, Any]:
    """JSON values: the same for the same points, whatever worked on them."""
    counts = Counter(row.status for row in rows.values())
    found: dict[str, Any] = {
        "experiment": plan.grid.experiment,
        "points": plan.total,
        "finished": counts["finished"],
        "statuses": dict(sorted(counts.items())),
        "by": None,
        "ranked": [],
        "compared": [],
        "best": None,
    }
    if ranking is None or not ranking.ranked:
        return found
    cells = _setting_cells(plan)
    return found | {
        "by": {"name": ranking.by.name, "better": ranking.by.direction},
        "ranked": [
            {
                "setting": one.setting.number,
                **cells[one.setting.number],
                "mean": one.mean,
                "standard_deviation": one.deviation,
                "runs": len(one.values),
            }
            for one in ranking.ranked
        ],
        "compared": [
            {
                "setting": one.other.number,
                "difference": one.difference and one.difference.mean,
                "interval": one.difference and [one.difference.low, one.difference.high],
                "confidence": one.difference and 1 - one.difference.alpha,
                "p": one.difference and one.difference.p,
                "excludes_zero": one.difference is not None and one.difference.excludes_zero,
            }
            for one in ranking.compared
        ],
        "best": cells[ranking.ranked[0].setting.number] if ranking.best else None,
        "not_best": ranking.why_not or None,
    }


def _setting_cells(plan: GridPlan) -> dict[int, dict[str, Any]]:
    """By the number of a setting its values by key, as in ``grid.csv``."""
    cells = cells_of(plan)
    return {
        point.setting.number: dict(zip(plan.grid.over, cells[point.number], strict=True))
        for point in plan.points
    }


def answers(plan: GridPlan, rows: Mapping[int, Row], ranking: Ranking | None) -> list[str]:
    """What people read: how many finished, what failed, the first settings, and whether one is the best."""
    lines = [statuses(plan, rows)]
    failed = [(number, row) for number, row in sorted(rows.items()) if not row.finished]
    for number, row in failed[:MOST_RANKED]:
        lines.append(f"point {number}: {row.status}" + (f": {row.reason}" if row.reason else ""))
    if len(failed) > MOST_RANKED:
        lines.append(f"and {len(failed) - MOST_RANKED} more that did not finish (grid.csv)")
    if ranking is None or not ranking.ranked:
        return lines
    cells = _setting_cells(plan)
    header = ["", *plan.grid.over, ranking.by.name]
    repeated = plan.grid.repeats > 1
    header += ["deviation", "runs"] if repeated else []
    table = []
    for place, one in enumerate(ranking.ranked[:MOST_RANKED], 1):
        values = [number_text(v, digits=6) for v in cells[one.setting.number].values()]
        row_cells = [str(place), *values, number_text(one.mean)]
        row_cells += (
            [number_text(one.deviation, digits=3), str(len(one.values))] if repeated else []
        )
        table.append(row_cells)
    lines += ["", *text_table(header, table)]
    more = len(ranking.ranked) - MOST_RANKED
    lines += [f"and {quantity(more, 'setting')} more (grid.csv)"] if more > 0 else []
    return [*lines, "", _verdict(plan, ranking, cells)]


def _verdict(plan: GridPlan, ranking: Ranking, cells: Mapping[int, Mapping[str, Any]]) -> str:
    first = ranking.ranked[0]
    named = cells[first.setting.number].items()
    words = ", ".join(f"{key} {number_text(value)}" for key, value in named)
    number = f"{words}, with {ranking.by.name} {number_text(first.mean)} ({ranking.by.words})"
    if ranking.best:
        fewest = min(one.difference.pairs for one in ranking.compared if one.difference is not None)
        return (
            f"best: {number}; the differences to all {len(ranking.compared)} others exclude 0 at 95 % over "
            f"{fewest} common seeds or more (paired t, Holm)"
        )
    if not experiment(plan.grid.experiment).draws:
        return f"first: {number}; nothing is drawn at random, so a repeat would find the same"
    return f"first: {number}; not called the best: {ranking.why_not}"


def ranked_by(plan: GridPlan, rows: Mapping[int, Row]) -> By | None:
    """As ``by_of``; raises ConfigError."""
    names = dict.fromkeys(name for number in sorted(rows) for name in rows[number].numbers)
    return by_of(plan.grid.by, plan.grid.experiment, list(names))
