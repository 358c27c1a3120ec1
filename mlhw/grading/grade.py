"""What is asked of somebody's back-propagation, and the judgement of what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlhw.grading.comparison import (
    ENTRY_TOLERANCE,
    Wrong,
    in_words,
    shape_problem,
    stacked,
    wrong_entries,
)
from mlhw.grading.implementations import Implementation
from mlhw.grading.process import Replies, Reply, call_in_process
from mlhw.maths import mistakes
from mlhw.maths.network import Network, forward

if TYPE_CHECKING:
    import numpy as np

DRAWS = 20
BATCH = 3

FEW = 200_000
"""About so many weights, over all draws, are enough to find a mistake with."""


@dataclass
class Grade:
    """What somebody's implementation is worth, and why.

    ``wrong`` lists the entries that are wrong in some draw, with the values of the first such draw.
    ``batch`` says what became of the batch that is tried at the end: "right", "wrong", or why it was
    not taken.
    """

    implementation: Implementation
    verdict: Literal["correct", "wrong", "error", "timeout"]
    message: str
    diagnosis: list[str] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    max_relative_error: float | None = None
    batch: str = ""
    seconds: float = 0.0

    def summary(self, most: int = 1000) -> dict[str, Any]:
        """As JSON; of very many wrong entries the first ``most``."""
        return {
            "file": str(self.implementation.path),
            "function": self.implementation.function,
            "verdict": self.verdict,
            "diagnosis": self.diagnosis,
            "wrong": [vars(entry) for entry in self.wrong[:most]],
            "wrong_entries": len(self.wrong),
            "max_relative_error": self.max_relative_error,
            "batch": self.batch,
            "message": self.message,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Questions:
    """D draws of a network, whose gradients are asked for.

    Weights (D, n_{l+1}, n_l), X (D, N, n_1) and T (D, N, n_L).
    """

    weights: list[np.ndarray]
    X: np.ndarray
    T: np.ndarray

    def first(self, count: int) -> Questions:
        return Questions([W[:count] for W in self.weights], self.X[:count], self.T[:count])


def draw_questions(
    network: Network, inputs: int, count: int, rng: np.random.Generator
) -> Questions:
    """``count`` draws of weights, ``inputs`` inputs and targets: nothing zero, nothing symmetric."""
    import numpy as np

    def away_from_zero(shape: tuple[int, ...]) -> np.ndarray:
        drawn: np.ndarray = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.3, 1.3, shape)
        return drawn

    # Scaled so that a is of order 1 in every layer: h' differs from 0, from 1 and from h'(z).
    weights = [1.5 * away_from_zero((count, *s)) / np.sqrt(s[1]) for s in network.shapes]
    X = away_from_zero((count, inputs, network.layers[0]))
    shape = (count, inputs, network.layers[-1])
    if network.loss == "binary_cross_entropy":
        T = rng.integers(0, 2, shape).astype(float)
    elif network.loss == "cross_entropy":
        T = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    else:
        T = forward(network, weights, X).z[-1] + away_from_zero(shape)
    return Questions(weights, X, T)


def grade(
    implementation: Implementation, network: Network, inputs: int, seed: int, time_limit: float
) -> Grade:
    """Run a file's function on draws of ``network`` and judge what it returns.

    With ``inputs`` 1 it gets one input as a vector, and at the end, if it takes one, a batch of 3;
    else batches of ``inputs``. Never raises for what the file does.
    """
    import numpy as np

    if implementation.missing:
        return Grade(implementation, "error", implementation.missing)
    rng = np.random.default_rng([seed, 2])
    questions = draw_questions(network, inputs, DRAWS, rng)
    calls = _calls(questions, single=inputs == 1)
    batch = draw_questions(network, BATCH, 1, rng) if inputs == 1 else None
    if batch is not None:
        calls += _calls(batch, single=False)
    returned = call_in_process(
        implementation.path,
        implementation.function,
        calls,
        required=DRAWS,
        time_limit=time_limit,
    )
    found = _judge(implementation, network, questions, batch, returned, time_limit)
    found.seconds = returned.seconds
    return found


def _calls(questions: Questions, single: bool) -> list[list[np.ndarray]]:
    calls = []
    for d in range(len(questions.X)):
        x, t = (
            (questions.X[d, 0], questions.T[d, 0]) if single else (questions.X[d], questions.T[d])
        )
        calls.append([*(W[d] for W in questions.weights), x, t])
    return calls


def _judge(
    implementation: Implementation,
    network: Network,
    questions: Questions,
    batch: Questions | None,
    returned: Replies,
    time_limit: float,
) -> Grade:
    replies = returned.replies
    if len(replies) < DRAWS:
        if returned.timeout:
            message = f"no answer within {time_limit:g} s (after {len(replies)} of {DRAWS} draws)"
            return Grade(implementation, "timeout", message)
        return Grade(implementation, "error", returned.error or "fewer answers than questions")
    inputs = questions.X.shape[1]
    problem = shape_problem(network, inputs, replies[:DRAWS])
    if problem:
        return Grade(implementation, "error", problem)

    mistaken = mistakes.Mistaken(network, questions.weights, questions.X, questions.T)
    got, deltas = stacked(network, replies[:DRAWS], inputs)
    right = mistakes.right_gradients(mistaken)
    wrong, worst = wrong_entries(network, got, deltas, right)
    explanation = mistakes.Explanation([()], [])
    if wrong:
        few = max(2, min(DRAWS, FEW // network.size))
        part = questions.first(few)
        explanation = mistakes.explain(
            mistakes.Mistaken(network, part.weights, part.X, part.T),
            [g[:few] for g in got],
            [d[:few] for d in deltas] if deltas is not None and inputs == 1 else None,
            ENTRY_TOLERANCE,
        )
    found = Grade(
        implementation,
        "wrong" if wrong else "correct",
        in_words(wrong, explanation) if wrong else f"right in all {DRAWS} draws",
        explanation.codes,
        wrong,
        worst,
    )
    if batch is not None:
        _judge_batch(found, network, batch, replies[DRAWS:], explanation)
    return found


def _judge_batch(
    found: Grade,
    network: Network,
    batch: Questions,
    replies: Sequence[Reply],
    explanation: mistakes.Explanation,
) -> None:
    """Add to ``found`` what the answer to a batch says; a function need not take one."""
    reply = replies[0] if replies else Reply(refused="no answer")
    if reply.refused or shape_problem(network, BATCH, [reply]):
        found.batch = f"not taken: {reply.refused or 'other shapes returned'}"
        return
    mistaken = mistakes.Mistaken(network, batch.weights, batch.X, batch.T)
    got, deltas = stacked(network, [reply], BATCH)
    wrong, worst = wrong_entries(network, got, deltas, mistakes.right_gradients(mistaken))
    found.batch = "wrong" if wrong else "right"
    if not wrong:
        return
    summed = [
        (*known, mistakes.SUMMED)
        for known in explanation.ways
        if all(
            mistakes.equal(
                g, mistaken.gradient(layer, (*known, mistakes.SUMMED))[0], ENTRY_TOLERANCE
            )
            for layer, g in enumerate(got, start=1)
        )
    ]
    with_sum = mistakes.Explanation(summed or [()], [])
    if summed:
        found.diagnosis = mistakes.Explanation([*explanation.ways, *summed], []).codes
        found.message += f"; and {mistakes.SUMMED.words}" if found.verdict == "wrong" else ""
    if found.verdict == "correct":
        found.verdict, found.wrong, found.max_relative_error = "wrong", wrong, worst
        found.message = f"right for one input, wrong for a batch of {BATCH}: " + in_words(
            wrong, with_sum
        )
