"""What is asked of somebody's back-propagation, and the judgement of what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlhw.grading.comparison import TOLERANCE, Wrong, compare, in_words, shape_problem, stacked
from mlhw.grading.files import Implementation
from mlhw.grading.process import Answer, Outcome, call_in_process
from mlhw.maths import mistakes
from mlhw.maths.network import Network, forward
from mlhw.result.recorder import Recorder

if TYPE_CHECKING:
    import numpy as np

DRAWS = 20
BATCH = 3

FEW = 200_000
"""About so many weights, over all draws, are enough to find a mistake with."""


@dataclass
class Verdict:
    """``wrong`` lists the entries that are wrong in some draw, with the first such draw's values."""

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
class Draws:
    """Networks with one structure: weights (D, n_{l+1}, n_l), X (D, N, n_1) and T (D, N, n_L)."""

    weights: list[np.ndarray]
    X: np.ndarray
    T: np.ndarray

    def first(self, count: int) -> Draws:
        return Draws([W[:count] for W in self.weights], self.X[:count], self.T[:count])


def draw(network: Network, inputs: int, count: int, rng: np.random.Generator) -> Draws:
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
    return Draws(weights, X, T)


def grade(
    implementation: Implementation, network: Network, inputs: int, seed: int, time_limit: float
) -> Verdict:
    """Run a file's function on draws of ``network`` and judge what it returns.

    With ``inputs`` 1 it gets one input as a vector, and at the end, if it takes one, a batch of 3;
    else batches of ``inputs``. Never raises for what the file does.
    """
    import numpy as np

    if implementation.missing:
        return Verdict(implementation, "error", implementation.missing)
    rng = np.random.default_rng([seed, 2])
    draws = draw(network, inputs, DRAWS, rng)
    calls = _calls(draws, single=inputs == 1)
    batch = draw(network, BATCH, 1, rng) if inputs == 1 else None
    if batch is not None:
        calls += _calls(batch, single=False)
    outcome = call_in_process(
        implementation.path,
        implementation.function,
        calls,
        required=DRAWS,
        time_limit=time_limit,
    )
    verdict = _judge(implementation, network, draws, batch, outcome, time_limit)
    verdict.seconds = outcome.seconds
    return verdict


def _calls(draws: Draws, single: bool) -> list[list[np.ndarray]]:
    calls = []
    for d in range(len(draws.X)):
        x, t = (draws.X[d, 0], draws.T[d, 0]) if single else (draws.X[d], draws.T[d])
        calls.append([*(W[d] for W in draws.weights), x, t])
    return calls


def _judge(
    implementation: Implementation,
    network: Network,
    draws: Draws,
    batch: Draws | None,
    outcome: Outcome,
    time_limit: float,
) -> Verdict:
    answers = outcome.answers
    if len(answers) < DRAWS:
        if outcome.timeout:
            message = f"no answer within {time_limit:g} s (after {len(answers)} of {DRAWS} draws)"
            return Verdict(implementation, "timeout", message)
        return Verdict(implementation, "error", outcome.error or "fewer answers than questions")
    inputs = draws.X.shape[1]
    problem = shape_problem(network, inputs, answers[:DRAWS])
    if problem:
        return Verdict(implementation, "error", problem)

    mistaken = mistakes.Mistaken(network, draws.weights, draws.X, draws.T)
    got, deltas = stacked(network, answers[:DRAWS], inputs)
    right = mistakes.right_gradients(mistaken)
    wrong, worst = compare(network, got, deltas, right)
    explanation = mistakes.Explanation([()], [])
    if wrong:
        few = max(2, min(DRAWS, FEW // network.size))
        part = draws.first(few)
        explanation = mistakes.explain(
            mistakes.Mistaken(network, part.weights, part.X, part.T),
            [g[:few] for g in got],
            [d[:few] for d in deltas] if deltas is not None and inputs == 1 else None,
            TOLERANCE,
        )
    verdict = Verdict(
        implementation,
        "wrong" if wrong else "correct",
        in_words(wrong, explanation) if wrong else f"right in all {DRAWS} draws",
        explanation.codes,
        wrong,
        worst,
    )
    if batch is not None:
        _judge_batch(verdict, network, batch, answers[DRAWS:], explanation)
    return verdict


def _judge_batch(
    verdict: Verdict,
    network: Network,
    batch: Draws,
    answers: Sequence[Answer],
    explanation: mistakes.Explanation,
) -> None:
    """Add to ``verdict`` what the answer to a batch says; a function need not take one."""
    answer = answers[0] if answers else Answer(refused="no answer")
    if answer.refused or shape_problem(network, BATCH, [answer]):
        verdict.batch = f"not taken: {answer.refused or 'other shapes returned'}"
        return
    mistaken = mistakes.Mistaken(network, batch.weights, batch.X, batch.T)
    got, deltas = stacked(network, [answer], BATCH)
    wrong, worst = compare(network, got, deltas, mistakes.right_gradients(mistaken))
    verdict.batch = "wrong" if wrong else "right"
    if not wrong:
        return
    summed = [
        (*known, mistakes.SUMMED)
        for known in explanation.ways
        if all(
            mistakes.equal(g, mistaken.gradient(layer, (*known, mistakes.SUMMED))[0], TOLERANCE)
            for layer, g in enumerate(got, start=1)
        )
    ]
    with_sum = mistakes.Explanation(summed or [()], [])
    if summed:
        verdict.diagnosis = mistakes.Explanation([*explanation.ways, *summed], []).codes
        verdict.message += f"; and {mistakes.SUMMED.words}" if verdict.verdict == "wrong" else ""
    if verdict.verdict == "correct":
        verdict.verdict, verdict.wrong, verdict.max_relative_error = "wrong", wrong, worst
        verdict.message = f"right for one input, wrong for a batch of {BATCH}: " + in_words(
            wrong, with_sum
        )


COLUMNS = {
    "file": "the implementation",
    "function": "its name in the file",
    "verdict": "right, wrong, or why it could not be judged",
    "diagnosis": "codes of the mistakes that explain the wrong entries",
    "wrong_entries": "how many derivatives are wrong",
    "message": "the same in words",
    "seconds": "how long the file took",
}


def grade_all(
    found: Sequence[Implementation],
    network: Network,
    inputs: int,
    *,
    seed: int,
    time_limit: float,
    recorder: Recorder,
) -> list[Verdict]:
    """One verdict a file, as a row of ``implementations.csv`` as it comes; no table without files."""
    if not found:
        return []
    table = recorder.table("implementations", COLUMNS)
    verdicts = []
    for done, implementation in enumerate(found):
        recorder.progress(done, len(found), "implementations")
        v = grade(implementation, network, inputs, seed, time_limit)
        verdicts.append(v)
        recorder.log(
            f"{implementation.name}: {v.verdict} in {v.seconds:.2f} s; batch: {v.batch or 'not tried'}",
            screen=False,
        )
        codes, seconds = " ".join(v.diagnosis), round(v.seconds, 3)
        row = (implementation.function, v.verdict, codes, len(v.wrong), v.message, seconds)
        table.append(str(implementation.path), *row)
    return verdicts
