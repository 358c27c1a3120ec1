"""A grid as one run: its points handed to an engine, each end a row, what died tried again.

It is executed by ``runs.execute`` like an experiment. What counts is what lies in the points' folders: a
finished run of the right identity is never run again, whatever a driver that was killed had heard of it.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from mlhw.errors import ConfigError, Interrupted, RunError
from mlhw.experiments.actions import Action
from mlhw.grids import rows as tables
from mlhw.grids.by import by_of
from mlhw.grids.config import GridConfig, engine_parts
from mlhw.grids.plan import GridPlan, Point, plan_of
from mlhw.grids.report import grid_result, ranked_by
from mlhw.grids.rows import Row, finished_row, finished_rows, point_folder
from mlhw.grids.search import require_optuna, rounds_of
from mlhw.grids.tasks import Engine, PointEnd, PointTask, Site, to_be_tried_again
from mlhw.grids.where import same_cell
from mlhw.grids.work import installed_version, remove_point
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.history import run_at
from mlhw.system import temporaries
from mlhw.system.early import HANGUP
from mlhw.text.values import number_text
from mlhw.text.words import listing, quantity

Where = tuple[tuple[str, tuple[Any, ...]], ...]

WAIT_S = 0.2
"""Seconds that signals are held while the engine is asked."""


def engine_for(text: str, site: Site) -> Engine:
    """The engine of this name, opened; raises ConfigError where it cannot be used."""
    name, argument = engine_parts(text)
    module = importlib.import_module(f"mlhw.grids.engines.{name}")
    engine: Engine = module.open_engine(argument, site)
    return engine


@dataclass(frozen=True)
class GridRun:
    """Runnable. ``yes``: more points than one would run unasked. ``where``: columns of ``grid.csv`` and the
    values that choose the rows to run again, of a grid that goes on."""

    yes: bool = False
    where: Where = ()

    name = "grid"
    question = "Run an experiment at every point of a grid, and rank the points."
    examples: Sequence[tuple[str, str]] = (
        (
            "mlhw grid sgd-sweep --over etas=[0.5],[0.1] --over epochs=5,20 --repeats 3",
            "four settings",
        ),
        ("mlhw grid finetune --over optim.lr=1e-4:1e-2:log5 --dry-run", "what would be run"),
        ("mlhw grid --resume grid", "what is missing, failed or was interrupted"),
    )
    Config = GridConfig
    actions: Sequence[Action] = ()
    resumable = True
    going_on = None
    curves = None
    tracked = False  # each point is a run by itself

    def run(self, config: GridConfig, recorder: Recorder) -> Result:
        """Work on all points that have to be run, and return what is known of all.

        Raises
        ------
        UsageError
            Before the first point: what a point is asked for, or the engine, cannot be used.
        RunError
            With ``fail_fast``, after the first point that did not finish.
        Interrupted
            After a signal, when what worked has stopped.
        """
        assert isinstance(recorder, FolderRecorder)
        if config.optuna is not None:
            require_optuna()
        plan = plan_of(config, yes=self.yes)
        site = Site(
            plan.grid.threads,
            plan.device,
            plan.total,
            installed_version(),
            plan.grid.experiment,
            [point.config for point in plan.points],
        )
        finished = finished_rows(plan, recorder.resumes)
        names = dict.fromkeys(name for row in finished.values() for name in row.numbers)
        by_of(plan.grid.by, plan.grid.experiment, list(names))  # before anything is written
        with closing(engine_for(plan.grid.engine, site)) as engine:
            recorder.begin(plan.grid, device=plan.device, threads=plan.grid.threads)
            drive = _Drive(plan, engine, recorder, finished)
            recorder.so_far = lambda: grid_result(plan, drive.rows)
            drive.go(self.where)
        try:
            ranked_by(plan, drive.rows)
        except ConfigError as error:
            again = f"mlhw grid --resume {recorder.folder} --by KEY ranks them without running any again"
            raise RunError(*error.lines, again) from None
        return grid_result(plan, drive.rows)


class _Drive:
    """The points of one grid and what has become of them so far.

    ``finished``: the rows of those that were before.
    """

    def __init__(
        self, plan: GridPlan, engine: Engine, recorder: FolderRecorder, finished: dict[int, Row]
    ) -> None:
        assert recorder.folder is not None
        folder = recorder.folder
        self.plan, self.engine, self.recorder, self.folder = plan, engine, recorder, folder
        self._finished = finished
        self.points: dict[int, Point] = {}
        self.rows: dict[int, Row] = {}
        self._attempts = tables.attempts_in(folder, recorder.warn)
        self._before = tables.rows_in(folder)
        self._tries: dict[int, int] = {}  # in this session
        self._open: set[int] = set()
        self._warned = False

    # ------------------------------------------------------------------ what is there

    def _to_do(self, points: Sequence[Point], where: Where) -> list[Point]:
        """Those of some points that have to be run: the chosen ones, or all that are not finished.

        A point that the engine has at work is one of them, also where its run has just come home: its end
        is still to be heard, and its folder stays as it is.
        """
        self.points |= {point.number: point for point in points}
        working = self.engine.working
        for point in points:
            row = self._finished.get(point.number) or finished_row(
                point_folder(self.folder, point), point.identity
            )
            if row is not None:
                self.rows[point.number] = row
        self._tell_changed(points)
        if where:
            known = {p.number for p in points}
            before = {n: row for n, row in self._before.items() if n in known}
            self.rows = before | self.rows
            to_do = self._chosen(points, where)
        else:
            to_do = [p for p in points if p.number not in self.rows or p.number in working]
        for point in to_do:
            self.rows.pop(point.number, None)
            if point.number in working:
                continue
            folder = point_folder(self.folder, point)
            # A finished run that is to be run again would count as finished where that is done.
            if run_at(folder).record.get("status") == "finished":
                remove_point(folder)
        if self.recorder.resumes is not None:
            finished = len(points) - len(to_do)
            self.recorder.log(f"{finished} finished before, {len(to_do)} to run")
        return to_do

    def _tell_changed(self, points: Sequence[Point]) -> None:
        """Warn of finished runs that are no longer those of this grid, and of another version's."""
        other: dict[str, list[int]] = {}
        gone = []
        for point in points:
            record = run_at(point_folder(self.folder, point)).record
            versions = record.get("versions")
            theirs = versions.get("mlhw") if isinstance(versions, dict) else None
            if point.number in self.rows and theirs not in (None, installed_version()):
                other.setdefault(str(theirs), []).append(point.number)
            left = point.number not in self.rows and point.number not in self.engine.working
            if record.get("status") == "finished" and left:
                gone.append(point.number)
        for theirs, numbers in other.items():
            self.recorder.warn(
                f"{_points(numbers)} run by mlhw {theirs}, and this is {installed_version()}; "
                "they stay as they are"
            )
        if gone:
            self.recorder.warn(
                f"{_points(gone)} finished with other data or keys, or changed since; run again"
            )

    def _chosen(self, points: Sequence[Point], where: Where) -> list[Point]:
        table = tables.grid_table(self.plan, self.rows)
        chosen = set()
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=True))
            if all(any(same_cell(cells[key], value) for value in values) for key, values in where):
                chosen.add(cells["point"])
        return [point for point in points if point.number in chosen]

    # ------------------------------------------------------------------ the work

    def go(self, where: Where) -> None:
        """Run what there is to do. Raises Interrupted and, with ``fail_fast``, RunError."""
        (self.folder / tables.POINTS).mkdir(exist_ok=True)
        with self.recorder.holding_interrupts():
            try:
                self._recover()
                for points in rounds_of(self.plan, self.rows, self.folder):
                    to_do = self._to_do(points, where)
                    self._write()
                    self._submit(to_do)
                    self._follow()
                # What workers that were killed had not made whole.
                temporaries.sweep(self.folder / tables.POINTS)
            except Interrupted as error:
                # From here on it is the engine that has to end in time.
                self.recorder.interrupts.acknowledge()
                leave = getattr(self.engine, "leave", None)
                if leave is not None and error.signum == HANGUP:
                    leave()
                else:
                    self._stop()
                raise

    def _recover(self) -> None:
        """Note what came of tries of a driver that is gone."""
        self._note(self.engine.recovered(self.folder))

    def _note(self, ends: Sequence[PointEnd]) -> None:
        """Note tries that nothing else depends on, unless that is done."""
        noted = {(row[0], row[1]) for row in self._attempts}
        for end in ends:
            if (end.point, end.attempt) not in noted:
                self._attempts.append(tables.attempt_cells(end))

    def _submit(self, points: Sequence[Point]) -> None:
        working = self.engine.working
        self._open |= {point.number for point in points}
        self.engine.submit([self._task(p) for p in points if p.number not in working])

    def _task(self, point: Point) -> PointTask:
        grid = self.plan.grid
        before = max((row[1] for row in self._attempts if row[0] == point.number), default=0)
        return PointTask(
            point=point.number,
            attempt=before + 1,
            experiment=grid.experiment,
            config=point.config,
            folder=str(point_folder(self.folder, point).absolute()),
            identity=point.identity,
            version=installed_version(),
            # The figures of a grid are its own; its points' are drawn by whoever runs one again.
            options={"plots": False, "check": self.recorder.options.check},
            keep=grid.keep,
            timeout=grid.timeout,
            threads=grid.threads,
        )

    def _follow(self) -> None:
        """Take in ends until there are no more to come."""
        while self._open:
            with self.recorder.interrupts.released():
                pass  # a signal acts here
            ends = self.engine.ended(WAIT_S)
            again = [point for end in ends if (point := self._take(end)) is not None]
            if ends:
                self._write()
                self.recorder.progress(len(self.rows), self.plan.total, "points")
            failed = [end.point for end in ends if self._is_failure(end.point)]
            if failed and self.plan.grid.fail_fast:
                self._stop()
                left = quantity(self.plan.total - len(self.rows), "point")
                raise RunError(
                    f"point {failed[0]} is {self.rows[failed[0]].status} and --fail-fast stops there, {left} "
                    f"not run: mlhw grid --resume {self.folder}"
                )
            self._submit(again)

    def _is_failure(self, number: int) -> bool:
        row = self.rows.get(number)
        return row is not None and not row.finished

    def _take(self, end: PointEnd) -> Point | None:
        """Take in the end of a try; the point where it has to be tried again."""
        if end.point not in self._open:
            self._note([end])
            return None
        point = self.points[end.point]
        self._attempts.append(tables.attempt_cells(end))
        row = finished_row(point_folder(self.folder, point), point.identity)
        tries = self._tries[end.point] = self._tries.get(end.point, 0) + 1
        retries = self.plan.grid.retries
        if row is None and to_be_tried_again(end, tries, retries):
            self.recorder.log(
                f"point {end.point}: {end.reason}; tried again, {tries + 1} of {1 + retries}"
            )
            return point
        self._open.discard(end.point)
        self.rows[end.point] = row or tables.ended_row(end)
        self.recorder.log(self._line(end))
        self._warn_of_by(self.rows[end.point])
        return None

    def _warn_of_by(self, row: Row) -> None:
        """Say at the first point, and not after all, that it has no number of the name that ranks."""
        if self._warned or not row.numbers:
            return
        self._warned = True
        try:
            by_of(self.plan.grid.by, self.plan.grid.experiment, list(row.numbers))
        except ConfigError as error:
            again = f"mlhw grid --resume {self.folder} --by KEY ranks them by another"
            self.recorder.warn(f"{'; '.join(error.lines)} so far; {again}")

    def _line(self, end: PointEnd) -> str:
        """``point 3 of 24, optim.lr 0.03: finished, 1.2 s, lowest NLL 0.2``"""
        point, row = self.points[end.point], self.rows[end.point]
        repeat = f", repeat {point.repeat}" if self.plan.grid.repeats > 1 else ""
        text = (
            f"point {end.point} of {self.plan.total}, {point.setting.words()}{repeat}: {row.status}"
        )
        text += f", {end.seconds:.1f} s"
        if row.numbers:
            with contextlib.suppress(ConfigError):
                by = by_of(self.plan.grid.by, self.plan.grid.experiment, list(row.numbers))
                text += f", {by.name} {number_text(row.numbers[by.name])}" if by else ""
        return text + (f": {row.reason}" if row.reason else "")

    def _stop(self) -> None:
        """Let the engine stop what works, and keep what has finished."""
        self.engine.drop()
        for end in self.engine.ended(0):
            if end.point in self._open:
                self._attempts.append(tables.attempt_cells(end))
                point = self.points[end.point]
                row = finished_row(point_folder(self.folder, point), point.identity)
                if row is None and end.status in ("died", "interrupted"):
                    row = Row("interrupted", None, {}, "the grid was stopped")
                self.rows[end.point] = row or tables.ended_row(end)
        self._write()

    def _write(self) -> None:
        tables.write_csvs(
            self.folder,
            (tables.grid_table(self.plan, self.rows), tables.attempts_table(self._attempts)),
        )


def _points(numbers: Sequence[int]) -> str:
    """``points 1, 2 and 7 were``"""
    some = [str(number) for number in numbers[:10]]
    some += [f"{len(numbers) - 10} more"] if len(numbers) > 10 else []
    return f"point{'s' if len(numbers) > 1 else ''} {listing(some)} {'were' if len(numbers) > 1 else 'was'}"
