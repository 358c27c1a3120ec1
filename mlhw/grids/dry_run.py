"""``mlhw grid … --dry-run``: the points, and how long they take."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path

from mlhw.errors import FINISHED
from mlhw.experiments.registry import experiment
from mlhw.grids.config import engine_parts, require_engine
from mlhw.grids.plan import GridPlan
from mlhw.grids.rows import Row, cells_of, finished_rows
from mlhw.runs.history import Run, all_runs
from mlhw.runs.options import RunOptions
from mlhw.system.provenance import usable_cpus
from mlhw.system.screen import print_fitting, table_width
from mlhw.text.values import clock, is_digits, number_text
from mlhw.text.words import quantity, text_table


def print_plan(plan: GridPlan, folder: Path | None, options: RunOptions) -> int:
    """List the points that would be run, of a grid in ``folder`` those that are left, and the time.

    Raises ConfigError for what a run would refuse too.
    """
    require_engine(plan.grid.engine)
    done = finished_rows(plan, folder)
    left = [point for point in plan.points if point.number not in done]
    chosen_later = plan.total - len(plan.points)
    count = len(left) + chosen_later
    cells = cells_of(plan)
    seconds, source = seconds_of_one(plan, done.values(), Path(options.runs_dir))
    slots = _slots(plan, count)
    together = None if seconds is None or slots is None else seconds * -(-count // slots)
    if options.json:
        points = [
            {
                "point": point.number,
                **dict(zip(plan.grid.over, cells[point.number], strict=True)),
                "repeat": point.repeat,
                "seed": point.config["seed"],
                "identity": point.identity,
            }
            for point in left
        ]
        found = {
            "points": points,
            "chosen_later": chosen_later,
            "seconds_of_one": seconds,
            "seconds": together,
        }
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return FINISHED
    header = ["point", *plan.grid.over, "repeat", "seed"]
    table = [
        [
            str(point.number),
            *map(number_text, cells[point.number]),
            str(point.repeat),
            str(point.config["seed"]),
        ]
        for point in left
    ]
    if left:
        print_fitting([*text_table(header, table, width=table_width()), ""])
    before = f", {len(done)} finished before" if done else ""
    before += ", chosen as the earlier ones end" if chosen_later else ""
    lines = [f"{quantity(count, 'point')} to run{before}"]
    if seconds is None:
        lines.append(
            f"no finished run of {plan.grid.experiment} in {options.runs_dir} tells how long one takes"
        )
    else:
        line = f"about {clock(seconds)} a point ({source})"
        if together is not None:
            line += f"; {slots} at once: about {clock(together)}"
        lines.append(line)
    print_fitting(lines)
    return FINISHED


def _slots(plan: GridPlan, points: int) -> int | None:
    """How many points work at once on this machine; None on an engine that tells only when it is opened."""
    name, argument = engine_parts(plan.grid.engine)
    if name != "local":
        return None
    slots = usable_cpus() // plan.grid.threads if plan.device == "cpu" else 1
    if argument is not None and is_digits(argument):
        slots = int(argument)
    return max(1, min(slots, points))


def seconds_of_one(
    plan: GridPlan, finished: Iterable[Row], runs_dir: Path
) -> tuple[float | None, str]:
    """How long a point takes and where that is known from: this grid's finished points, or another run.

    Of the runs of the experiment it is the newest finished one with the fewest keys that differ.
    """
    known = [row.seconds for row in finished if row.seconds is not None]
    if known:
        return statistics.median(known), f"the median of {quantity(len(known), 'finished point')}"
    runs = [
        run
        for run in all_runs(runs_dir)
        if run.experiment == plan.grid.experiment
        and run.status == "finished"
        and run.seconds is not None
    ]
    if not runs:
        return None, ""
    nearest = min(runs, key=lambda run: _apart(run, plan))
    differ = _apart(nearest, plan)
    apart = f", {quantity(differ, 'key')} otherwise" if differ else ""
    return nearest.seconds, f"as {nearest.name} took{apart}"


def _apart(run: Run, plan: GridPlan) -> int:
    """In how many keys, other than those that the grid runs over, a run was asked for something else."""
    over = {key.split(".")[0] for key in plan.grid.over} | {"seed"}
    model = experiment(plan.grid.experiment).Config
    return sum(
        run.config.get(key) != value
        for key, value in plan.grid.config.items()
        if key not in over and key not in model.of_machine
    )
