"""Who runs and judges submissions: the seam between a class and what grades one of it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from mlhw.commands.marking.config import GradeConfig, jobs_of
from mlhw.grading.adapters.standalone import source
from mlhw.grading.grade import grade
from mlhw.grading.graded import Graded, LayerErrors, graded_of
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.rungs import chosen_rung
from mlhw.grading.isolation.runner import Runner
from mlhw.grading.options import asking_of
from mlhw.grading.questions import QuestionPlan
from mlhw.grading.submissions.submission import Submission
from mlhw.maths.network import Network
from mlhw.result.recorder import Recorder

_SETTINGS = (
    *("layers", "hidden", "output", "loss", "bias", "batch", "seed"),
    *("targets", "function", "orientation", "samples", "reduction", "returns"),
    "loading",
)


Grades = Generator[tuple[Submission, Graded], None, None]


class Grader(Protocol):
    """Grades submissions, several at once."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a grade depends on beside the submission, as JSON values: another makes another grade."""
        ...

    def limits(self) -> list[float]:
        """Seconds for answers and for loading: what timed out is graded again when there is more."""
        ...

    def opened(self, count: int) -> AbstractContextManager[None]:
        """Ready for so many submissions within the block. Raises UsageError where that cannot be."""
        ...

    def grade_all(self, found: Sequence[Submission], recorder: Recorder) -> Grades:
        """Each submission and its grade, as they come. Never raises for what a submission does."""
        ...

    def grade_here(self, submission: Submission) -> Graded:
        """The grade of one, by this process; also outside of ``opened``."""
        ...


class ConfinedGrader:
    """A confined process for each submission, in a folder that holds its files alone.

    ``hidden``: what no submission may see beside the folders of all. Raises UsageError where the isolation
    that was asked for is not to be had, or an adapter is none.
    """

    def __init__(
        self, config: GradeConfig, plan: QuestionPlan, hidden: Sequence[Path] = ()
    ) -> None:
        self._config = config
        self._plan = plan
        self._hidden = [*hidden, *folders_of(config)]
        self._asking = asking_of(config, config.bias)
        self._rung = "" if config.isolation == "auto" else chosen_rung(config.isolation)

    def limits(self) -> list[float]:
        return [self._config.time_limit, self._config.import_limit]

    @property
    def settings(self) -> dict[str, Any]:
        adapter = self._asking.adapter
        found = {key: getattr(self._config, key) for key in _SETTINGS}
        return found | {"adapter": adapter.text if adapter else None, "mlhw": version("mlhw")}

    def opened(self, count: int) -> AbstractContextManager[None]:
        return nullcontext()

    def grade_here(self, submission: Submission) -> Graded:
        ((_, graded),) = self.grade_all([submission], Recorder())
        return graded

    def grade_all(self, found: Sequence[Submission], recorder: Recorder) -> Grades:
        if not found:
            return
        # A trial takes seconds, and whoever goes on may have nothing to grade.
        self._rung = self._rung or chosen_rung("auto")
        jobs = jobs_of(self._config)
        # A second BLAS thread spends more time waiting for such small products than it saves.
        with (
            threadpool_limits(1),
            Runner(self._rung, jobs, program=source(), hidden=self._hidden) as runner,
        ):
            yield from at_once(partial(self._grade, runner), found, jobs)

    def _grade(self, runner: Runner, submission: Submission) -> Graded:
        network = self._plan.asked.network
        if submission.problem:
            return not_run(submission, network)
        name = PurePosixPath(submission.main).name
        file = Implementation(
            Path(name), self._config.function, files=submission.files, main=submission.main
        )
        found = grade(file, self._plan, self._asking, runner)
        graded = graded_of(found, network, self._config.batch)
        graded.limits = self.limits()
        return graded


def folders_of(config: GradeConfig) -> list[Path]:
    """The folders in which the class lies."""
    paths = [Path(item) for item in config.submissions]
    return [path if path.is_dir() else path.parent for path in paths]


def not_run(submission: Submission, network: Network) -> Graded:
    """The grade of a submission in which nothing could be judged."""
    return Graded("error", submission.problem, [], [LayerErrors()] * (network.depth - 1))


def at_once(
    function: Callable[[Submission], Graded], found: Sequence[Submission], jobs: int
) -> Iterator[tuple[Submission, Graded]]:
    """``function`` of each submission, in so many threads, as they come.

    Nobody waits for the threads: where a signal ends the loop, one may still hang for its whole time.
    """
    waiting: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Submission, Graded | BaseException]] = queue.SimpleQueue()

    def work() -> None:
        while (one := waiting.get()) is not None:
            try:
                done.put((one, function(one)))
            except BaseException as error:
                done.put((one, error))

    for one in found:
        waiting.put(one)
    for _ in range(jobs):
        waiting.put(None)
    for _ in range(min(jobs, len(found))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in found:
            one, graded = done.get()
            if isinstance(graded, BaseException):
                raise graded
            yield one, graded
    finally:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for _ in range(jobs):
            waiting.put(None)
