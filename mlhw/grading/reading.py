"""What functions returned is read as gradients: in the form that is clear, or the one that is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlhw.grading.comparison import compared, shape_problem, stacked
from mlhw.grading.conventions import Conventions
from mlhw.grading.isolation.job import Replies, Reply
from mlhw.grading.judgement import explanation_of
from mlhw.grading.questions import AGAIN, DRAWS, FURTHER, QuestionPlan, Questions
from mlhw.grading.returned import AllReturned, Returned
from mlhw.grading.ways import Interpretation, Unclear, ways_of
from mlhw.maths.mistakes.mistaken import Mistaken
from mlhw.maths.mistakes.search import right_gradients
from mlhw.maths.network import Network

if TYPE_CHECKING:
    import numpy as np


def read_replies(plan: QuestionPlan, outcome: Replies, conventions: Conventions) -> AllReturned:
    """The replies to a plan's questions; ``error`` where one that counts cannot be read.

    Of several ways to read them (a vector row by row or column by column) that is taken by which all are
    right, if there is one, else by which a mistake explains them: by chance no other gives such numbers.
    """
    found = AllReturned([], outcome.error, outcome.timeout, outcome.seconds, outcome.phase)
    found.notes += outcome.notes
    found.columns = conventions.samples == "columns"
    found.summed = conventions.reduction == "sum"
    first = outcome.replies[:DRAWS]
    ways: list[dict[str, Interpretation]] = []
    for returned in first:
        try:
            ways.append(ways_of(returned, plan.asked.network, conventions))
        except Unclear as problem:
            found.error, found.timeout = found.error or str(problem), False
            return found
    if not ways:
        return found
    names = [name for name in ways[0] if all(name in other for other in ways)]
    if not names:
        found.error, found.timeout = "what is returned has another form in each call", False
        return found
    name = _best(names, ways, plan.asked, conventions)
    found.notes += [note for note in ways[0][name].notes if note not in found.notes]
    found.replies = [_reply(way[name], plan.asked, conventions) for way in ways]
    rest = outcome.replies[DRAWS:]
    for questions, some in (
        (plan.asked, rest[:AGAIN]),
        (plan.wider, rest[AGAIN : AGAIN + FURTHER]),
        (plan.batch, rest[AGAIN + FURTHER :]),
    ):
        if questions is not None:
            found.replies += [_optional(r, name, questions, conventions) for r in some]
    return found


def _best(
    names: list[str],
    ways: Sequence[dict[str, Interpretation]],
    asked: Questions,
    conventions: Conventions,
) -> str:
    if len(names) == 1:
        return names[0]
    fitting: dict[str, list[Returned]] = {}
    for name in names:
        replies = [_reply(way[name], asked, conventions) for way in ways]
        if shape_problem(asked.network, asked.samples, replies):
            continue
        if is_right(asked.first(len(replies)), replies):
            return name
        fitting[name] = replies
    for name, replies in fitting.items():
        explanation = explanation_of(asked, replies)[1]
        if explanation.codes and not explanation.unexplained:
            return name
    return [*fitting, *names][0]


def is_right(asked: Questions, replies: Sequence[Returned]) -> bool:
    """Whether replies of the right shapes are right."""
    got, deltas = stacked(asked.network, replies, asked.samples)
    right = right_gradients(Mistaken(asked.network, asked.weights, asked.X, asked.T))
    return not compared(asked.network, got, deltas, right).wrong


def _optional(
    returned: Reply, name: str, questions: Questions, conventions: Conventions
) -> Returned:
    if returned.refused is not None:
        return Returned(refused=returned.refused)
    try:
        ways = ways_of(returned, questions.network, conventions)
    except Unclear as problem:
        return Returned(refused=str(problem))
    if name not in ways:
        return Returned(refused="what is returned has another form")
    return _reply(ways[name], questions, conventions)


def _reply(way: Interpretation, questions: Questions, conventions: Conventions) -> Returned:
    gradients = in_course_form(way, questions.network, conventions)
    if conventions.reduction == "sum" and questions.samples > 1:
        gradients = [g / questions.samples for g in gradients]
    deltas = way.deltas
    return Returned(
        [g.shape for g in [*gradients, *(deltas or [])]],
        None if deltas is None else len(deltas),
        [*gradients, *(deltas or [])] if way.sent else None,
    )


def in_course_form(
    way: Interpretation, network: Network, conventions: Conventions
) -> list[np.ndarray]:
    """The gradients as the course has them, where their shapes allow it."""
    shapes = network.shapes
    if len(way.weights) != len(shapes):
        return way.weights
    none: list[np.ndarray | None] = [None] * len(shapes)
    biases = none if way.biases is None else way.biases
    return [
        conventions.matrix(got, bias if network.bias else None, shape)
        for got, bias, shape in zip(way.weights, biases, shapes, strict=True)
    ]
