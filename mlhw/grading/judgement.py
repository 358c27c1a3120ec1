"""The judgement of what somebody's back-propagation answered, with the likely mistake named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlhw.grading import traits
from mlhw.grading.comparison import (
    ENTRY_TOLERANCE,
    Compared,
    Wrong,
    bias_left_out,
    compared,
    in_words,
    missing_layer,
    shape_problem,
    stacked,
)
from mlhw.grading.implementations import Implementation
from mlhw.grading.questions import AGAIN, DRAWS, FURTHER, QuestionPlan, Questions
from mlhw.grading.returned import AllReturned, Returned
from mlhw.maths.mistakes.kinds import CODES, Mistake
from mlhw.maths.mistakes.mistaken import Mistaken
from mlhw.maths.mistakes.search import Explanation, explain, right_gradients

if TYPE_CHECKING:
    pass

FEW = 200_000
"""About so many weights, over all draws, are enough to find a mistake with."""


@dataclass
class Grade:
    """What somebody's implementation is worth, and why.

    ``diagnosis`` has the codes of the mistakes, and of what else is to be said (``traits.TRAITS``).
    ``wrong`` lists the entries that are wrong in some draw, with the values of the first such draw.
    ``batch`` says what became of the batch that is tried at the end, ``general`` of another network:
    "right", "wrong", or why it was not taken. ``notes`` are sentences on how it was loaded and read; they
    stand in ``message`` too. ``loading`` and ``seconds`` are times,
    ``stdout`` and ``stderr`` what it printed, bounded, ``rung`` how it was kept apart.
    """

    implementation: Implementation
    verdict: Literal["correct", "wrong", "error", "timeout"]
    message: str
    diagnosis: list[str] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    max_relative_error: float | None = None
    batch: str = ""
    general: str = ""
    wrong_draws: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    loading: float = 0.0
    stdout: str = ""
    stderr: str = ""
    rung: str = ""

    def say(self, code: str, words: str) -> None:
        """One thing more about it."""
        self.diagnosis = in_order({*self.diagnosis, code})
        self.message += f"; {words}"

    def summary(self, most: int = 1000) -> dict[str, Any]:
        """As JSON; of very many wrong entries the first ``most``."""
        return {
            "file": str(self.implementation.path),
            "function": self.implementation.function,
            "verdict": self.verdict,
            "diagnosis": self.diagnosis,
            "wrong": [vars(entry) for entry in self.wrong[:most]],
            "wrong_entries": len(self.wrong),
            "wrong_draws": self.wrong_draws,
            "draws": DRAWS,
            "max_relative_error": self.max_relative_error,
            "batch": self.batch,
            "general": self.general,
            "message": self.message,
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
        }


def in_order(codes: set[str]) -> list[str]:
    return [code for code in (*CODES, *traits.TRAITS) if code in codes]


def judge(
    implementation: Implementation, plan: QuestionPlan, returned: AllReturned, time_limit: float
) -> Grade:
    """The grade for what the process returned."""
    found = _judged(implementation, plan, returned, time_limit)
    if returned.summed and "batch_average_twice" in found.diagnosis:
        # Gradients were divided by N before they were judged.
        codes = {*found.diagnosis, "batch_mean"} - {"batch_average_twice"}
        found.diagnosis = in_order(codes)
        words = "averaged over the batch, asked is the sum"
        found.message = found.message.replace("averaged twice", words)
    found.notes = returned.notes
    found.message = "; ".join([found.message, *returned.notes])
    return found


def _judged(
    implementation: Implementation, plan: QuestionPlan, returned: AllReturned, time_limit: float
) -> Grade:
    replies = returned.replies
    asked, network = plan.asked, plan.asked.network
    if len(replies) < DRAWS:
        if returned.timeout:
            return Grade(implementation, "timeout", _too_long(returned, time_limit))
        return Grade(implementation, "error", returned.error or "fewer answers than questions")
    first = replies[:DRAWS]
    problem = shape_problem(network, asked.samples, first)
    if problem:
        code, words = _misshapen(asked, first)
        if code:
            return Grade(implementation, "wrong", words, [code], wrong_draws=DRAWS)
        return Grade(implementation, "error", problem)
    found, result = _judge_draws(implementation, asked, first)
    rest = replies[DRAWS:]
    again, rest = rest[:AGAIN], rest[AGAIN:]
    _judge_traits(found, result, traits.differs(first, again))
    _judge_further(found, plan, returned, rest[:FURTHER], rest[FURTHER:])
    return found


def _too_long(returned: AllReturned, time_limit: float) -> str:
    if returned.phase.startswith("still"):
        return returned.phase
    where = f", at {returned.phase}" if returned.phase else ""
    done = f"after {len(returned.replies)} of {DRAWS} draws"
    return f"no answer within {time_limit:g} s ({done}{where})"


def _misshapen(asked: Questions, replies: Sequence[Returned]) -> tuple[str, str]:
    """A mistake that shows in the shapes alone, with its words."""
    network = asked.network
    backwards = [reply.reversed() for reply in replies]
    if not shape_problem(network, asked.samples, backwards):
        found = explanation_of(asked, backwards)[1]
        rest = f"; and {found.words}" if found.codes else ""
        return "order_reversed", f"the gradients come in reversed order, the last first{rest}"
    missing = missing_layer(network, replies)
    if missing is not None:
        return "layer_missing", f"dE/dW^({missing}) is missing: only the others are returned"
    if bias_left_out(network, replies):
        shape = network.shapes[0]
        said = f"dE/dW^(1) must have the shape {shape}, got {(shape[0], shape[1] - 1)}"
        return "bias_column", f"the column of the biases is missing in every gradient: {said}"
    return "", ""


_NOTHING = Mistake("layer_missing", "every gradient is 0: nothing is derived yet", "zero", 0)


def explanation_of(asked: Questions, replies: Sequence[Returned]) -> tuple[Compared, Explanation]:
    """The answers beside the right ones, and which mistakes explain the difference."""
    network = asked.network
    mistaken = Mistaken(network, asked.weights, asked.X, asked.T)
    got, deltas = stacked(network, replies, asked.samples)
    result = compared(network, got, deltas, right_gradients(mistaken))
    if not result.wrong:
        return result, Explanation([()], [])
    if not any(g.any() for g in got):
        return result, Explanation([(_NOTHING,)], [])
    few = max(2, min(len(replies), FEW // network.size))
    return result, _explained(asked.first(few), result, few)


def _explained(asked: Questions, result: Compared, few: int) -> Explanation:
    deltas = result.deltas if asked.samples == 1 else None
    return explain(
        Mistaken(asked.network, asked.weights, asked.X, asked.T),
        [g[:few] for g in result.got],
        None if deltas is None else [d[:few] for d in deltas],
        ENTRY_TOLERANCE,
    )


def _judge_draws(
    implementation: Implementation, asked: Questions, replies: Sequence[Returned]
) -> tuple[Grade, Compared]:
    result, found = explanation_of(asked, replies)
    if not result.wrong:
        message = f"right in all {DRAWS} draws"
        return Grade(implementation, "correct", message, max_relative_error=result.worst), result
    codes, turned = set(found.codes), ""
    if len(found.ways[0]) != 1 or found.unexplained:
        backwards = [reply.reversed() for reply in replies]
        if not shape_problem(asked.network, asked.samples, backwards):
            other_result, other = explanation_of(asked, backwards)
            if not other_result.wrong or (other.codes and not other.unexplained):
                found, codes = other, {"order_reversed", *other.codes}
                turned = "the gradients come in reversed order, the last first"
    draws = int(result.draws.sum())
    graded = Grade(
        implementation,
        "wrong",
        in_words(result, found, turned),
        in_order(codes),
        result.wrong,
        result.worst,
        wrong_draws=draws,
    )
    if draws < DRAWS and not codes:
        graded.say("some_draws", f"wrong in {draws} of {DRAWS} draws, right in the others")
    return graded, result


def _judge_traits(found: Grade, result: Compared, differs: bool) -> None:
    """``differs``: the same questions had other answers the second time."""
    if differs and "accumulated" not in found.diagnosis:
        words = "the same inputs give other numbers the second time: chance, or something kept"
        found.say("not_deterministic", words)
    unnamed = not set(found.diagnosis) - {"some_draws"}
    name = traits.precision(result.got, result.worst) if unnamed else ""
    if name:
        words = f"worked out in low precision ({name}): errors up to {result.worst:.1g}"
        found.say("low_precision", words)
    elif unnamed and traits.looks_like_differences(result.errors):
        words = (
            f"errors up to {result.worst:.1g}, as finite differences have: derived, or tried out?"
        )
        found.say("finite_differences", words)
    if any(map(traits.derives_automatically, found.implementation.programs())):
        words = "a library's automatic differentiation stands in place of a derivation"
        found.say("automatic_differentiation", words)


def _judge_further(
    found: Grade,
    plan: QuestionPlan,
    returned: AllReturned,
    wider: Sequence[Returned],
    batch: Sequence[Returned],
) -> None:
    """Another network and, after single inputs, a batch: a function need not take these."""
    found.general, _ = _tried(plan.wider, wider)
    if found.verdict == "correct" and found.general != "right":
        sizes = "-".join(map(str, plan.wider.network.layers))
        found.say("this_network_only", f"for this network alone: {sizes} is {found.general}")
    if plan.batch is None:
        return
    found.batch, explanation = _tried(plan.batch, batch)
    if found.batch.startswith("not taken") and found.verdict == "correct":
        found.say("single_input_only", "for one input at a time: batches are not taken")
    if explanation is None:
        return
    result, why = explanation
    if returned.columns and found.verdict == "correct" and why.codes == ["batch_mean"]:
        # What is written for one column vector sums over several without knowing.
        found.say("single_input_only", "for one input at a time: a batch is summed, not averaged")
        return
    new = set(why.codes) - set(found.diagnosis)
    if found.verdict == "correct":
        found.verdict, found.wrong, found.max_relative_error = "wrong", result.wrong, result.worst
        start = f"right for one input, wrong for a batch of {plan.batch.samples}: "
        found.message = start + in_words(result, why)
        found.diagnosis = in_order({*found.diagnosis, *why.codes})
    elif new and not why.unexplained and set(found.diagnosis) <= set(why.codes):
        found.diagnosis = in_order(set(why.codes))
        found.message += f"; for a batch of {plan.batch.samples}: {why.words}"


def _tried(
    asked: Questions, replies: Sequence[Returned]
) -> tuple[str, tuple[Compared, Explanation] | None]:
    """What became of optional questions, in a word; the comparison where the answer is wrong."""
    refused = next((reply.refused for reply in replies if reply.refused), None)
    if refused or len(replies) < FURTHER:
        return f"not taken: {refused or 'no answer'}", None
    if shape_problem(asked.network, asked.samples, replies):
        return "not taken: other shapes returned", None
    found = explanation_of(asked, replies)
    return ("wrong", found) if found[0].wrong else ("right", None)
