"""A class in parts, each graded by a worker of an engine: of this machine, a Ray cluster or SLURM.

Parts lie in a hidden folder of the run while they are graded. What a worker has graded before it died counts,
and so does what a driver that was killed has left there.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlhw.commands.marking import journal
from mlhw.commands.marking.config import GradeConfig
from mlhw.commands.marking.grader import ConfinedGrader, Grades, folders_of, not_run
from mlhw.commands.marking.part import PartConfig, write_part
from mlhw.errors import Interrupted, RunError, reason_of
from mlhw.grading.graded import Graded
from mlhw.grading.questions import QuestionPlan
from mlhw.grading.submissions.submission import Submission
from mlhw.grids.grid import WAIT_S, engine_for
from mlhw.grids.tasks import Engine, PointEnd, PointTask, Site, to_be_tried_again
from mlhw.grids.work import installed_version
from mlhw.result.recorder import Recorder
from mlhw.runs.folder import FolderRecorder
from mlhw.text.words import one_line, quantity

PARTS = ".parts"
WORKER = "mlhw.commands.marking.worker"
RETRIES = 2
LEAST, MOST = 4, 32
"""Submissions of a part: fewer are not worth a worker of their own, with more the last one takes too long."""


class EngineGrader:
    """See ``grader.Grader``. The isolation is each worker's to choose: other machines have another."""

    def __init__(self, config: GradeConfig, plan: QuestionPlan) -> None:
        self._config = config
        self._plan = plan
        self._here = ConfinedGrader(config.model_copy(update={"isolation": "auto"}), plan)
        self._engine: Engine | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return self._here.settings

    def limits(self) -> list[float]:
        return self._here.limits()

    def grade_here(self, submission: Submission) -> Graded:
        return self._here.grade_here(submission)

    @contextlib.contextmanager
    def opened(self, count: int) -> Iterator[None]:
        if not count:
            yield
            return
        assert self._config.engine is not None
        site = Site(
            threads=self._jobs,
            device="cpu",
            points=math.ceil(count / LEAST),
            version=installed_version(),
            worker=WORKER,
            model=PartConfig,
            command="grade",
        )
        with closing(engine_for(self._config.engine, site)) as self._engine:
            yield

    def grade_all(self, found: Sequence[Submission], recorder: Recorder) -> Grades:
        # The same files have the same grade, whoever handed them in.
        waiting: dict[str, list[Submission]] = {}
        for one in found:
            if one.problem:
                yield one, not_run(one, self._plan.asked.network)
            else:
                waiting.setdefault(journal.key_of(one.digest, self.settings), []).append(one)
        if not waiting:
            return
        assert self._engine is not None
        with _folder(recorder) as folder, recorder.holding_interrupts():
            parts = _Parts(self._engine, folder, recorder)
            known = {key: graded for key, graded in parts.left_over() if key in waiting}
            if known:
                recorder.log(f"{quantity(len(known), 'submission')} graded by workers before")
            for key, graded in known.items():
                for one in waiting.pop(key):
                    yield one, graded
            tasks = self._tasks(waiting, folder, parts.first)
            at_once = min(len(tasks), self._engine.slots)
            recorder.log(
                f"{quantity(len(tasks), 'part')}, {at_once} at once by {self._config.engine}"
            )
            parts.add(tasks)
            for key, graded in parts.follow():
                for one in waiting.pop(key, ()):
                    yield one, graded
        if waiting:
            lost = sum(map(len, waiting.values()))
            why = parts.failures[0] if parts.failures else "their part came back without them"
            again = f"; mlhw grade --resume {recorder.folder} goes on" if recorder.folder else ""
            raise RunError(
                one_line(f"{quantity(lost, 'submission')} without a grade: {why}{again}")
            )

    @property
    def _jobs(self) -> int:
        return self._config.jobs or 1

    def _tasks(
        self, waiting: dict[str, list[Submission]], folder: Path, first: int
    ) -> list[PointTask]:
        """Write the parts, and return what is to be done."""
        assert self._engine is not None
        size = min(MOST, max(1, math.ceil(len(waiting) / self._engine.slots)))
        order, tasks = list(waiting), []
        for number, start in enumerate(range(0, len(order), size), first):
            keys = order[start : start + size]
            handed = folder / PARTS / f"{number:04d}.handed-in"
            write_part(handed, {key: waiting[key][0] for key in keys})
            tasks.append(
                PointTask(
                    point=number,
                    attempt=1,
                    experiment="grade",
                    config=self._part(handed, folder),
                    folder=str((folder / PARTS / f"{number:04d}").absolute()),
                    identity=hashlib.sha256("".join(keys).encode()).hexdigest(),
                    version=installed_version(),
                    options={"plots": False},
                    threads=self._jobs,
                )
            )
        return tasks

    def _part(self, handed: Path, folder: Path) -> dict[str, Any]:
        of_class = ("rubric", "reference", "overrides", "worksheet", "engine")
        return {
            **self._config.model_dump(mode="json"),
            **dict.fromkeys(of_class),
            "submissions": [str(handed.absolute())],
            "only": [],
            "jobs": self._jobs,
            "covered": [str(path.absolute()) for path in (*folders_of(self._config), folder)],
        }


class _Parts:
    """The parts of one grading at an engine, until each has ended."""

    def __init__(self, engine: Engine, folder: Path, recorder: Recorder) -> None:
        self._engine, self._recorder = engine, recorder
        self._space = folder / PARTS
        self._open: dict[int, PointTask] = {}
        self.failures: list[str] = []
        engine.recovered(folder)
        if engine.working:  # of a driver that is gone; its parts are not these
            engine.drop()
        numbers = [path.name[:4] for path in self._space.iterdir()]
        self.first = 1 + max((int(name) for name in numbers if name.isdecimal()), default=0)

    def left_over(self) -> Iterator[tuple[str, Graded]]:
        """What parts of a driver that is gone have graded; what timed out may have more time now."""
        for path in sorted(self._space.glob("[0-9]*[0-9]")):
            for key, graded in journal.kept_grades(path).items():
                if graded.verdict != "timeout":
                    yield key, graded

    def add(self, tasks: Sequence[PointTask]) -> None:
        self._open |= {task.point: task for task in tasks}
        self._engine.submit(tasks)

    def follow(self) -> Iterator[tuple[str, Graded]]:
        """Grades by their keys as parts end. After a signal those that there are, then Interrupted."""
        try:
            while self._open:
                if isinstance(self._recorder, FolderRecorder):
                    with self._recorder.interrupts.released():
                        pass  # a signal acts here
                for end in self._engine.ended(WAIT_S):
                    yield from self._taken(end)
        except Interrupted:
            if isinstance(self._recorder, FolderRecorder):
                # From here on it is the engine that has to end in time.
                self._recorder.interrupts.acknowledge()
            self._engine.drop()
            for task in self._open.values():
                yield from journal.kept_grades(Path(task.folder)).items()
            raise

    def _taken(self, end: PointEnd) -> Iterator[tuple[str, Graded]]:
        task = self._open.get(end.point)
        if task is None or end.attempt != task.attempt:
            return
        if end.status != "finished":
            if to_be_tried_again(end, task.attempt, RETRIES):
                said = f"{end.reason}; tried again, {task.attempt + 1} of {1 + RETRIES}"
                self._recorder.log(one_line(f"part {end.point}: {said}"))
                self.add([replace(task, attempt=task.attempt + 1)])
                return
            self.failures.append(end.reason or end.status)
            self._recorder.log(one_line(f"part {end.point}: {end.status}: {end.reason}"))
        del self._open[end.point]
        yield from journal.kept_grades(Path(task.folder)).items()


@contextlib.contextmanager
def _folder(recorder: Recorder) -> Iterator[Path]:
    """The folder whose parts these are: the run's, or a new one; the parts are gone after the block."""
    with contextlib.ExitStack() as stack:
        folder = recorder.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlhw-")))
        try:
            (folder / PARTS).mkdir(exist_ok=True)
            yield folder
        except OSError as error:
            raise RunError(f"{error.filename or folder}: {reason_of(error)}") from None
        finally:
            shutil.rmtree(folder / PARTS, ignore_errors=True)
