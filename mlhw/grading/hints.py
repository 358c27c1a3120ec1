"""Why somebody's function does not fit: its arguments' names, or the form in which it would be right."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlhw.grading.asking import Asking
from mlhw.grading.comparison import shape_problem
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.job import Replies, Reply
from mlhw.grading.judgement import Grade
from mlhw.grading.questions import QuestionPlan, Questions
from mlhw.grading.reading import in_course_form, is_right
from mlhw.grading.returned import Returned
from mlhw.grading.ways import Unclear, ways_of

if TYPE_CHECKING:
    import numpy as np

TRIED = 2
"""Draws for each form that is tried: no wrong one is right in two."""


Ask = Callable[[Sequence[Sequence["np.ndarray"]], list[Any], int], Replies]
"""Runs the submission again: calls, their layouts, and how many of them must be answered."""


def hint_for(
    found: Grade, implementation: Implementation, plan: QuestionPlan, asking: Asking, ask: Ask
) -> str:
    """A sentence for a function that could not be asked, or whose numbers nothing explains; else ''."""
    failed = found.verdict == "error" or (
        found.verdict == "wrong" and not set(found.diagnosis) - {"this_network_only"}
    )
    if not failed or asking.adapter is not None:
        return ""
    right = form_that_is_right(plan, asking, ask)
    if right:
        return right
    if found.verdict == "error":
        return _arguments(implementation, asking)
    return ""


# ------------------------------------------------------------------------------------- by trying


@dataclass(frozen=True)
class _Form:
    asking: Asking
    words: str


def _forms(asking: Asking, biased: bool) -> Iterator[_Form]:
    """Other forms in which a function may have been written, the commonest first."""
    here = asking.conventions
    changes: dict[str, dict[str, str]] = {
        f"samples {way}": {"samples": way} for way in ("columns", "rows") if way != here.samples
    }
    turned = "in-out" if here.orientation == "out-in" else "out-in"
    changes[f"orientation {turned}"] = {"orientation": turned}
    kinds: list[dict[str, str]] = [*changes.values()]
    kinds += [{"orientation": turned, **k} for k in kinds[:-1]]
    if biased:
        kinds += [
            {"bias": bias, **kind}
            for bias in ("separate", "first", "last")
            if bias != here.bias
            for kind in [{}, *kinds]
        ]
    for kind in kinds:
        options = " ".join(f"--{name} {value}" for name, value in kind.items())
        yield _Form(
            asking.otherwise(**kind), f"with {options} it would be right{_ABOUT.get(options, '')}"
        )
    for order in ("xtw", "xwt", "wtx", "txw"):
        form = asking.otherwise(order=order)
        words = f"the arguments are {here.in_words()}: as {form.conventions.in_words()} it would be right"
        yield _Form(form, words)


_ABOUT = {
    "--samples columns": ": x is (n,), not (n, 1)",
    "--samples rows": ": x is (n,), not (1, n)",
}


def form_that_is_right(plan: QuestionPlan, asking: Asking, ask: Ask) -> str:
    """The first of the other forms in which the function is right, in words; '' if there is none."""
    if plan.labels:
        return ""
    questions = plan.asked.first(TRIED)
    forms = list(_forms(asking, plan.asked.network.bias))
    calls, layouts = [], []
    for form in forms:
        calls += form.asking.of(questions, plan.single, plan.labels)
        layouts += [form.asking.conventions.layout(questions.network)] * TRIED
    outcome = ask(calls, layouts, 0)
    for number, form in enumerate(forms):
        some = outcome.replies[TRIED * number : TRIED * (number + 1)]
        if len(some) == TRIED and _fits(some, questions, form.asking):
            return form.words
    return ""


def _fits(some: list[Reply], questions: Questions, asking: Asking) -> bool:
    ways = []
    for returned in some:
        if returned.refused is not None:
            return False
        try:
            ways.append(ways_of(returned, questions.network, asking.conventions))
        except Unclear:
            return False
    for name in ways[0]:
        if not all(name in way for way in ways):
            continue
        replies = []
        for way in ways:
            gradients = in_course_form(way[name], questions.network, asking.conventions)
            replies.append(Returned([g.shape for g in gradients], None, gradients))
        if shape_problem(questions.network, questions.samples, replies):
            continue
        if is_right(questions, replies):
            return True
    return False


# ------------------------------------------------------------------------------------- by names

_WEIGHTS = {"w", "weights", "ws", "theta", "thetas", "params", "parameters", "weight"}
_INPUTS = {"x", "xs", "inp", "input", "inputs", "sample", "data"}


def _arguments(implementation: Implementation, asking: Asking) -> str:
    """``the arguments are (weights, x, t)`` for a function whose own are others."""
    names = _names(implementation.contents()[implementation.main], implementation.function)
    if names is None:
        return ""
    wanted = asking.conventions.in_words()
    count = wanted.count(",") + 1
    lower = [name.lower() for name in names]
    others = bool(lower) and (
        lower[0] in _INPUTS or (len(lower) > 1 and any(n in _WEIGHTS for n in lower[1:]))
    )
    if len(names) != count or others:
        return f"the arguments are {wanted}; this function has ({', '.join(names)})"
    return ""


def _names(text: bytes, function: str) -> list[str] | None:
    """The names of a function's arguments that have no default; None where it is not to be seen."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            given = node.args
            if given.vararg or given.kwonlyargs:
                return None
            names = [argument.arg for argument in [*given.posonlyargs, *given.args]]
            return names[: len(names) - len(given.defaults)] if len(names) > 3 else names
    return None
