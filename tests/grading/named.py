"""What the grader makes of mutated programs: named, in a class with others, misnamed, accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from mlhw.grading.implementations import Implementation
from mlhw.grading.judgement import Grade, explanation_of, judge
from mlhw.grading.questions import DRAWS, QuestionPlan, plan
from mlhw.grading.returned import AllReturned, Returned
from mlhw.maths.network import Network
from tests.grading.mutations import Mutation, function_of, mutations

# same: the mutation changes no number in any draw. class: its name is among those that fit, and the
# numbers of all these agree in every draw.
Naming = Literal["named", "class", "misnamed", "unnamed", "accepted", "same"]


class Case(NamedTuple):
    """One mutated program, the network and batch that it was asked for, and what became of it."""

    mutation: Mutation
    network: Network
    samples: int
    naming: Naming
    grade: Grade


def named(seed: int, count: int, tmp: Implementation) -> Iterator[Case]:
    """Judge ``count`` mutations as if they had been handed in; they run in this process."""
    for number, (network, samples, mutation) in enumerate(mutations(seed, count)):
        asked = plan(network, samples, seed + number)
        replies = answers(function_of(mutation.text), asked)
        graded = judge(tmp, asked, AllReturned(replies), 5.0)
        yield Case(mutation, network, samples, naming(asked, replies, mutation, graded), graded)


def naming(
    asked: QuestionPlan, replies: list[Returned], mutation: Mutation, graded: Grade
) -> Naming:
    if graded.verdict == "correct":
        # Nothing is known of the answers here but what they are: no tolerance, no grader.
        right = answers(function_of(mutation.right), asked)
        same = all(
            np.allclose(a, b, rtol=1e-6, atol=1e-9)
            for one, other in zip(replies, right, strict=True)
            for a, b in zip(one.numbers or [], other.numbers or [], strict=True)
        )
        return "same" if same else "accepted"
    codes = set(graded.diagnosis)
    if codes == mutation.codes:
        return "named"
    if not codes & set(mutation.codes) and not codes:
        return "unnamed"
    possible = explanation_of(asked.asked, replies[:DRAWS])[1].possible
    return "class" if mutation.codes <= possible | codes else "misnamed"


def answers(function: Any, asked: QuestionPlan) -> list[Returned]:
    """What the child process would send."""
    found = []
    for number, (*weights, x, t) in enumerate(asked.calls()):
        try:
            gradients = [np.array(g, dtype=float) for g in function(weights, x, t)]
        except Exception as error:
            if number < DRAWS:
                raise
            found.append(Returned(refused=str(error)))
            continue
        found.append(Returned([g.shape for g in gradients], None, gradients))
    return found
