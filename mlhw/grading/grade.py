"""Somebody's back-propagation is asked, and judged by what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlhw.errors import reason_of
from mlhw.grading.asking import Asking
from mlhw.grading.hints import hint_for
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.job import Job, Limits, Replies
from mlhw.grading.isolation.runner import Runner
from mlhw.grading.judgement import Grade, judge
from mlhw.grading.questions import DRAWS, QuestionPlan
from mlhw.grading.reading import read_replies

if TYPE_CHECKING:
    import numpy as np


def grade(
    implementation: Implementation, plan: QuestionPlan, asking: Asking, runner: Runner
) -> Grade:
    """Run a file's function on the draws of ``plan`` and judge what it returns.

    ``asking`` says in which form, ``runner`` where; its program is ``standalone.source()``. It may be called
    from several threads. Never raises for what the file does.
    """
    if implementation.missing:
        return Grade(implementation, "error", implementation.missing)
    try:
        asked = _Asked(implementation, plan, asking, runner)
    except OSError as error:
        return Grade(implementation, "error", f"cannot be read: {reason_of(error)}")
    outcome = asked.ask(asking.calls(plan), [asking.conventions.layout(plan.asked.network)], DRAWS)
    replies = read_replies(plan, outcome, asking.conventions)
    found = judge(implementation, plan, replies, asking.time_limit)
    found.seconds, found.loading = outcome.seconds, outcome.loading
    found.stdout, found.stderr, found.rung = outcome.stdout, outcome.stderr, outcome.rung
    hint = hint_for(found, implementation, plan, asking, asked.ask)
    if hint:
        found.message += f"; {hint}"
    return found


class _Asked:
    """One submission's files, and how they are run."""

    def __init__(
        self, implementation: Implementation, plan: QuestionPlan, asking: Asking, runner: Runner
    ) -> None:
        self._files = implementation.contents()
        self._main = implementation.main
        self._options = asking.options(implementation.function, plan)
        self._limits = Limits(asking.time_limit, asking.import_limit + 1)
        self._runner = runner

    def ask(
        self, calls: Sequence[Sequence[np.ndarray]], layouts: list[Any], required: int
    ) -> Replies:
        options = {**self._options, "layouts": layouts}
        most = options["most"]
        job = Job(self._files, self._main, calls, required, options, self._limits, most)
        return self._runner.run(job)
