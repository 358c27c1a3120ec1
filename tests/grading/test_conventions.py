"""Options for a class: how functions are called, and what they return; other forms are read where clear."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhw.grading.adapters.forms import Dismantled
from mlhw.grading.asking import Asking
from mlhw.grading.conventions import COURSE, Conventions
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.job import Replies, Reply
from mlhw.grading.judgement import Grade, judge
from mlhw.grading.questions import QuestionPlan, plan
from mlhw.grading.reading import read_replies
from mlhw.maths.network import Network
from tests.grading.handed_in import BATCHED, changed, graded
from tests.grading.handed_in import COURSE as NETWORK

BIASED = Network((3, 2, 4, 2), ("tanh", "tanh"), "identity", "half_squared_error", True)
SQUARE = Network((3, 3, 3, 3), ("tanh", "tanh"), "identity", "half_squared_error", False)


def derived(weights: list[Any], x: Any, t: Any, sum_: bool = False) -> list[Any]:
    """Right gradients in the course's form, tanh inside; with biases where W has a column more."""
    X, T = np.atleast_2d(x), np.atleast_2d(t)
    biased = weights[0].shape[1] > X.shape[1]
    ones = np.ones((len(X), 1)) if biased else np.ones((len(X), 0))
    z = [np.hstack([X, ones])]
    for W in weights[:-1]:
        z.append(np.hstack([np.tanh(z[-1] @ W.T), ones]))
    delta = z[-1] @ weights[-1].T - T
    found: list[Any] = []
    for W, before in zip(weights[::-1], z[::-1], strict=True):
        found.insert(0, delta.T @ before / (1 if sum_ else len(X)))
        inner = before[:, :-1] if biased else before
        delta = (delta @ (W[:, :-1] if biased else W)) * (1 - inner**2)
    return found


def theirs(how: Conventions, network: Network) -> Any:
    """A right function written by these conventions, converted by hand and not by ``Conventions``."""

    def backprop(*given: Any) -> Any:
        *first, x, t = given
        W = [w.T if how.orientation == "in-out" else w for w in first[0]]
        if network.bias and how.bias == "separate":
            W = [np.hstack([w, np.reshape(b, (-1, 1))]) for w, b in zip(W, first[1], strict=True)]
        elif network.bias and how.bias == "first":
            W = [np.hstack([w[:, 1:], w[:, :1]]) for w in W]
        if how.samples == "columns":
            x, t = x.T, t.T
        if how.samples is not None:
            assert np.ndim(x) == np.ndim(t) == 2
            assert x.shape[1] + network.bias == W[0].shape[1]
        G = derived(W, x, t, how.reduction == "sum")
        if network.bias and how.bias == "first":
            G = [np.hstack([g[:, -1:], g[:, :-1]]) for g in G]
        b = [g[:, -1] for g in G]
        if network.bias and how.bias == "separate":
            G = [g[:, :-1] for g in G]
        G = [g.T for g in G] if how.orientation == "in-out" else G
        if how.returns == "flat":
            parts = [*G, *b] if network.bias and how.bias == "separate" else G
            return np.concatenate([g.ravel() for g in parts])
        apart = network.bias and how.bias == "separate"
        if how.returns == "dict":
            found = {f"dW{n}": g for n, g in enumerate(G, 1)}
            return found | {f"db{n}": g for n, g in enumerate(b, 1)} if apart else found
        result: Any = (G, b) if apart else G
        return (0.5, result) if how.returns == "loss-and-grads" else result

    return backprop


def judged(
    function: Any, how: Conventions, network: Network, inputs: int = 1
) -> tuple[Grade, QuestionPlan]:
    """The grade of a function that is run here, in this process."""
    asked = plan(network, inputs, 0)
    layout = how.layout(network)
    found = []
    for arrays in Asking(how).calls(asked):
        given = [
            [arrays[i] for i in item] if isinstance(item, list) else arrays[item] for item in layout
        ]
        taken = Dismantled(function(*given))
        shapes = [list(array.shape) for array in taken.arrays]
        found.append(Reply({"form": taken.form, "shapes": shapes}, taken.arrays))
    one = Implementation(Path("a.py"), "backprop", files={"a.py": b""})
    return judge(one, asked, read_replies(asked, Replies(found), how), 5.0), asked


@pytest.mark.parametrize("bias", ["none", "first", "last", "separate"])
@pytest.mark.parametrize("orientation", ["out-in", "in-out"])
def test_a_function_of_any_conventions_is_right_by_their_options(
    orientation: Any, bias: Any
) -> None:
    network = SQUARE if bias == "none" else BIASED
    forms = [None, "list", "flat", "dict", "loss-and-grads"]
    for samples, returns, reduction in product([None, "rows", "columns"], forms, ["mean", "sum"]):
        if returns == "list" and bias == "separate":
            continue  # that is two lists
        kept = "last" if bias == "none" else bias
        how = Conventions(orientation, kept, samples, reduction, returns)
        found, _ = judged(theirs(how, network), how, network)
        assert (found.verdict, found.batch, found.general) == ("correct", "right", "right"), how


@pytest.mark.parametrize("bias", ["first", "last", "separate"])
def test_a_mistake_is_named_in_any_conventions(bias: Any) -> None:
    how = Conventions("in-out", bias, "columns", "sum", "dict")
    right = theirs(how, BIASED)

    def negative(*given: Any) -> Any:
        return {key: -value for key, value in right(*given).items()}

    def averaged(*given: Any) -> Any:
        return {key: value / given[-1].shape[1] for key, value in right(*given).items()}

    assert judged(negative, how, BIASED, 4)[0].diagnosis == ["sign"]
    found, _ = judged(averaged, how, BIASED, 4)
    assert (found.verdict, found.diagnosis) == ("wrong", ["batch_mean"])
    assert "averaged over the batch, asked is the sum" in found.message


# ------------------------------------------------------------------------------------- forms

G = "derived(weights, x, t)"
CLEAR = {
    "a tuple": lambda g: tuple(g),
    "a generator": lambda g: (matrix for matrix in g),
    "matrices": lambda g: [np.matrix(matrix) for matrix in g],
    "nested lists": lambda g: [matrix.tolist() for matrix in g],
    "an array of arrays": lambda g: np.array([*g, None], dtype=object)[:-1],
    "a vector": lambda g: np.concatenate([matrix.ravel() for matrix in g]),
    "a vector by columns": lambda g: np.concatenate([matrix.ravel(order="F") for matrix in g]),
    "a column": lambda g: np.concatenate([matrix.ravel() for matrix in g])[:, None],
    "weights, then biases": lambda g: [*(m[:, :-1] for m in g), *(m[:, -1] for m in g)],
    "in turn": lambda g: [part for m in g for part in (m[:, :-1], m[:, -1:])],
    "pairs": lambda g: [(m[:, :-1], m[:, -1]) for m in g],
    "two lists": lambda g: ([m[:, :-1] for m in g], [m[:, -1:] for m in g]),
    "nabla_b, nabla_w": lambda g: ([m[:, -1:] for m in g], [m[:, :-1] for m in g]),
    "a vector, biases last": lambda g: np.concatenate(
        [*(m[:, :-1].ravel() for m in g), *(m[:, -1] for m in g)]
    ),
    "a dict from 0": lambda g: {f"W{n}": m for n, m in enumerate(g)},
    "a dict of lists": lambda g: {"dW": [m[:, :-1] for m in g], "db": [m[:, -1] for m in g]},
    "a dict by layers": lambda g: {f"layer{n}": (m[:, :-1], m[:, -1]) for n, m in enumerate(g)},
    "loss and a dict": lambda g: (1.5, {f"grad_W{n}": m for n, m in enumerate(g, 1)}),
    "gradients and loss": lambda g: (g, 1.5),
    "in a list": lambda g: [g],
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("form", CLEAR)
def test_another_form_is_taken_where_it_is_clear(form: str) -> None:
    found, _ = judged(lambda w, x, t: CLEAR[form](derived(w, x, t)), COURSE, BIASED)
    assert (found.verdict, found.diagnosis, found.general) == ("correct", [], "right"), (
        found.message
    )
    wrong, _ = judged(lambda w, x, t: CLEAR[form]([-g for g in derived(w, x, t)]), COURSE, BIASED)
    assert (wrong.verdict, wrong.diagnosis) == ("wrong", ["sign"])


UNCLEAR = {
    "nothing": (lambda g: None, "nothing (None) is returned; needed is a list of 3 gradients"),
    "a word": (lambda g: "done", "a str is returned"),
    "a number": (lambda g: 0.5, "a number is returned"),
    "too short": (lambda g: np.zeros(5), "an array of the shape (5,) is returned"),
    "other keys": (
        lambda g: {"x": g[0]},
        "a dict with the keys x is returned; taken are 'gradients', or dW1",
    ),
    "an empty list": (lambda g: [], "an empty list is returned"),
}


@pytest.mark.parametrize("form", UNCLEAR)
def test_a_form_that_is_not_clear_is_explained(form: str) -> None:
    make, words = UNCLEAR[form]
    found, _ = judged(lambda w, x, t: make(derived(w, x, t)), COURSE, BIASED)
    assert found.verdict == "error"
    assert words in found.message


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ("list", "an array of the shape (24,) is returned, asked is a list of arrays"),
        ("dict", "an array of the shape (24,) is returned, asked is a dict dW1, dW2, ..."),
        ("loss-and-grads", "asked is (loss, gradients)"),
    ],
)
def test_another_form_than_asked_for_is_an_error(returns: Any, words: str) -> None:
    how = Conventions(returns=returns)
    flat = theirs(Conventions(returns="flat"), BIASED)
    plain = [g.size for g in derived([np.ones(s) for s in BIASED.shapes], np.ones(3), np.ones(2))]
    found, _ = judged(flat, how, BIASED)
    assert found.verdict == "error"
    assert words.replace("24", str(sum(plain))) in found.message


def test_what_has_no_end_is_an_error() -> None:
    with pytest.raises(TypeError, match="too many parts"):
        Dismantled(iter(int, 1))


def test_numbers_that_are_too_many_are_judged_by_their_shapes() -> None:
    asked = plan(NETWORK, 1, 0)
    for last, problem in ([9, 9], "shape (1, 2); got (9, 9)"), ([1, 2], "too many numbers"):
        reply = Reply({"form": [0, 1, 2], "shapes": [[2, 3], [2, 2], last]}, None)
        found = read_replies(asked, Replies([reply] * 20), COURSE)
        one = Implementation(Path("a.py"), "backprop", files={})
        assert problem in judge(one, asked, found, 5.0).message


# ------------------------------------------------------------------------------------- what would be right


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("backprop(weights, x, t)", "backprop(x, t, weights)"),
            "as (x, t, weights) it would be right",
        ),
        (
            ("backprop(weights, x, t)", "backprop(x, weights, t)"),
            "as (x, weights, t) it would be right",
        ),
        (
            ("    W1, W2, W3 = weights", "    W1, W2, W3 = [W.T for W in weights]"),
            "--orientation in-out",
        ),
        (
            ("backprop(weights, x, t)", "backprop(x, y)"),
            "are (weights, x, t); this function has (x, y)",
        ),
        (
            ("backprop(weights, x, t)", "backprop(weights, x, t, rate)"),
            "has (weights, x, t, rate)",
        ),
    ],
)
def test_why_a_function_does_not_fit_is_said(
    change: tuple[str, str], words: str, tmp_path: Path
) -> None:
    text = changed(change)
    if "W.T" in change[1]:
        text = text.replace("return [", "return [g.T for g in [").rstrip() + "]\n"
    found = graded(tmp_path, text)
    assert found.verdict == "error"
    assert words in found.message


def test_a_right_function_in_other_conventions_that_does_not_fail_is_pointed_to_them(
    tmp_path: Path,
) -> None:
    text = (
        BATCHED.replace("logistic", "")
        .replace("    z = [X]", "    weights = [W.T for W in weights]\n    z = [X]")
        .replace(
            'return {"gradients": gradients, "deltas": deltas}', "return [g.T for g in gradients]"
        )
    )
    square = Network(
        (3, 3, 3, 3), ("logistic", "logistic"), "identity", "half_squared_error", False
    )
    found = graded(tmp_path, text, square)
    assert found.verdict == "wrong"
    assert "with --orientation in-out it would be right" in found.message
    right = graded(tmp_path, text, square, conventions=Conventions("in-out"))
    assert right.verdict == "correct"
