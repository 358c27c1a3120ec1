"""How the files of a class are asked: in which form, through which adapter, for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlhw.grading.conventions import COURSE, Conventions, Loading
from mlhw.grading.questions import QuestionPlan, Questions, Targets

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Adapter:
    """The teacher's ``adapt(module, weights, x, t)``: its name, a preset's or a file's, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Asking:
    """What is the same for every file of a class.

    ``time_limit`` are seconds for all answers, ``import_limit`` for loading a file. ``targets`` is the form
    of t. Where there is an ``adapter``, it is called in the course's form.
    """

    conventions: Conventions = COURSE
    adapter: Adapter | None = None
    loading: Loading = "auto"
    targets: Targets = "auto"
    time_limit: float = 5.0
    import_limit: float = 5.0

    def calls(self, plan: QuestionPlan) -> list[list[np.ndarray]]:
        """The arrays of every call of a plan, in the class's form."""
        calls = []
        for questions, single in plan.asked_in_order():
            calls += self.of(questions, single, plan.labels)
        return calls

    def of(self, questions: Questions, single: bool, labels: bool) -> list[list[np.ndarray]]:
        """The arrays of the calls of some questions."""
        asked = questions.calls(single, labels)
        return [self.conventions.arguments(call, questions.network) for call in asked]

    def options(self, function: str, plan: QuestionPlan) -> dict[str, Any]:
        """What the program beside the file is told; plain JSON."""
        layout = self.conventions.layout(plan.asked.network)
        return {
            "function": function,
            "loading": self.loading,
            "import_seconds": self.import_limit,
            "call_seconds": self.time_limit,
            "layouts": [layout],
            "labels": _last(layout) if plan.labels else None,
            "adapter": vars(self.adapter) if self.adapter else None,
            "most": 4 * max(q.network.size * (1 + q.samples) for q, _ in plan.asked_in_order())
            + 1000,
        }

    def otherwise(self, **changes: Any) -> Asking:
        """The same with other conventions."""
        return replace(self, conventions=replace(self.conventions, **changes))


def _last(layout: list[Any]) -> int:
    """The index of t, which is the last of a call's arrays wherever its argument stands."""
    indices = [index for item in layout for index in (item if isinstance(item, list) else [item])]
    return max(map(int, indices))
