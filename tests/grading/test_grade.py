"""Which mistake somebody's file makes, and that a right one is called right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.grading.questions import batch_size, draw_questions, wider
from mlhw.maths.mistakes.candidates import candidates
from mlhw.maths.mistakes.mistaken import Mistaken
from mlhw.maths.mistakes.search import equal, explain, right_gradients
from mlhw.maths.network import Network, backprop
from mlhw.maths.random_networks import random_network
from tests.grading.handed_in import BATCHED, COURSE, RIGHT, changed, graded

D3, D2 = "dh(a3) * ", "dh(a2) * "
ALL_TRANSPOSED = [
    ("np.outer(d2, x)", "np.outer(x, d2)"),
    ("np.outer(d3, z2)", "np.outer(z2, d3)"),
    ("np.outer(d4, z3)", "np.outer(z3, d4)"),
]
MISTAKES: dict[str, tuple[list[str], str, list[tuple[str, str]]]] = {
    "all transposed": (["transposed"], "dE/dW^(1) is transposed", ALL_TRANSPOSED),
    "one transposed": (["transposed"], "dE/dW^(2) is transposed", ALL_TRANSPOSED[1:2]),
    "a vector turned": (["transposed"], "dE/dW^(3) is transposed", ALL_TRANSPOSED[2:]),
    "no transpose of W": (["transposed"], "W^(2) where its transpose", [("W2.T", "W2")]),
    "sign": (["sign"], "delta^(4) has the wrong sign", [("a4 - t", "t - a4")]),
    "sign of one": (
        ["sign"],
        "dE/dW^(2) has the wrong sign",
        [("np.outer(d3, z2)", "-np.outer(d3, z2)")],
    ),
    "factor 2": (["factor"], "delta^(4) is 2 times too large", [("a4 - t", "2 * (a4 - t)")]),
    "factor half": (["factor"], "delta^(4) is half as large", [("a4 - t", "(a4 - t) / 2")]),
    "sign and factor": (["factor"], "is -2 times what it should be", [("a4 - t", "2 * (t - a4)")]),
    "no h'": (["missing_derivative"], "h' of layer 3 is missing", [(D3, "")]),
    "no h' at all": (["missing_derivative"], "layer 3 is missing and h' of", [(D3, ""), (D2, "")]),
    "h' at z": (["derivative_at_z"], "taken at z^(2)", [(D2, "dh(z2) * ")]),
    "h' at z twice": (["derivative_at_z"], "z^(3)", [(D2, "dh(z2) * "), (D3, "dh(z3) * ")]),
    "h' elsewhere": (["derivative_at_z"], "taken at a^(3)", [(D2, "dh(a3) * ")]),
    "z elsewhere": (
        ["wrong_layer"],
        "z^(3) instead of z^(2)",
        [("np.outer(d3, z2)", "np.outer(d3, z3)")],
    ),
    "delta elsewhere": (
        ["wrong_layer"],
        "delta^(2) instead",
        [("np.outer(d3, z2)", "np.outer(d2, z2)")],
    ),
    "one term": (["missing_sum"], "only the term k = 1", [("W2.T @ d3", "W2[0] * d3[0]")]),
    "other term": (["missing_sum"], "only the term k = 2", [("W2.T @ d3", "W2[1] * d3[1]")]),
    "own term": (["missing_sum"], "only the term k = j", [("W2.T @ d3", "np.diag(W2) * d3")]),
    "two mistakes": (
        ["sign", "missing_sum"],
        "delta^(4) has the wrong sign and delta^(2) has only",
        [("a4 - t", "t - a4"), ("W2.T @ d3", "W2[0] * d3[0]")],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_classic_mistake_is_named(name: str, tmp_path: Path) -> None:
    codes, words, replacements = MISTAKES[name]
    found = graded(tmp_path, changed(*replacements))
    assert (found.verdict, found.diagnosis) == ("wrong", codes)
    assert words in found.message
    assert found.message.isascii()
    assert found.wrong


def test_a_known_mistake_is_named_beside_one_that_is_not(tmp_path: Path) -> None:
    text = changed(
        ("np.outer(d4, z3)", "-np.outer(d4, z3)"), ("np.outer(d2, x)", "np.outer(d2, x) ** 3")
    )
    found = graded(tmp_path, text)
    assert found.diagnosis == ["sign"]
    assert found.message.endswith(
        "likely: dE/dW^(3) has the wrong sign; dE/dW^(1): no classic mistake explains it"
    )


def test_a_right_file_is_correct_and_may_refuse_a_batch(tmp_path: Path) -> None:
    found = graded(tmp_path, RIGHT)
    assert (found.verdict, found.wrong) == ("correct", [])
    assert found.diagnosis == ["single_input_only"]
    assert found.general == "right"
    assert found.max_relative_error is not None
    assert found.max_relative_error < 1e-12
    assert found.batch.startswith("not taken: ValueError")


def test_a_file_that_takes_batches_and_gives_deltas_is_correct(tmp_path: Path) -> None:
    found = graded(tmp_path, BATCHED)
    assert (found.verdict, found.batch) == ("correct", "right")
    assert graded(tmp_path, BATCHED, inputs=4).verdict == "correct"


@pytest.mark.parametrize("inputs", [1, 4])
def test_a_sum_over_the_batch_for_a_mean_is_named(inputs: int, tmp_path: Path) -> None:
    found = graded(tmp_path, BATCHED.replace(" / len(X)", ""), inputs=inputs)
    assert (found.verdict, found.diagnosis) == ("wrong", ["batch_mean"])
    assert "summed over the batch" in found.message


def test_a_sum_over_the_batch_is_named_beside_another_mistake(tmp_path: Path) -> None:
    text = BATCHED.replace(" / len(X)", "").replace("weights[-1].T - T", "weights[-1].T * 0 - T")
    assert "batch_mean" not in graded(tmp_path, text).diagnosis
    text = BATCHED.replace(" / len(X)", "").replace(
        "z[-1] @ weights[-1].T - T", "T - z[-1] @ weights[-1].T"
    )
    found = graded(tmp_path, text)
    assert found.diagnosis == ["sign", "batch_mean"]


def test_wrong_deltas_beside_right_gradients_are_wrong(tmp_path: Path) -> None:
    text = BATCHED.replace("deltas.insert(0, delta)", "deltas.insert(0, -delta)")
    found = graded(tmp_path, text)
    assert found.verdict == "wrong"
    assert {entry.quantity for entry in found.wrong} >= {"delta_1^(4)", "delta_2^(3)"}
    assert all(entry.column is None for entry in found.wrong)
    assert "delta^(4) (delta_1)" in found.message


def test_the_wrong_entries_are_named_with_both_values(tmp_path: Path) -> None:
    text = changed(("np.outer(d3, z2)", "np.outer(d3, z2) + np.array([[0, 1], [0, 0]])"))
    found = graded(tmp_path, text)
    (entry,) = found.wrong
    assert (entry.quantity, entry.row, entry.column) == ("dE/dw_12^(2)", 1, 2)
    assert entry.got == pytest.approx(entry.expected + 1)
    assert found.diagnosis == []
    assert "no classic mistake explains it" in found.message


def test_a_derivation_in_single_precision_is_correct(tmp_path: Path) -> None:
    cast = "weights, x, t = [W.astype('f4') for W in weights], x.astype('f4'), t.astype('f4')"
    text = changed(("W1, W2, W3 = weights", f"{cast}\n    W1, W2, W3 = weights"))
    assert graded(tmp_path, text).verdict == "correct"


def test_lists_and_torch_tensors_are_taken_as_arrays(tmp_path: Path) -> None:
    text = changed(("return [", "g = [")) + "    return tuple(a.tolist() for a in g)\n"
    assert graded(tmp_path, text).verdict == "correct"
    text = (
        changed(("return [", "import torch\n    g = ["))
        + "    return [torch.tensor(a) for a in g]\n"
    )
    assert graded(tmp_path, text, limit=60).verdict == "correct"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_any_single_mistake_in_any_network_is_explained_by_its_own_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 5)
    questions = draw_questions(network, int(rng.choice([1, 3])), 6, rng)
    mistaken = Mistaken(network, questions.weights, questions.X, questions.T)
    layer = int(rng.integers(1, network.depth))
    known = [c for c in candidates(network, layer, questions.samples) if not c.fitted]
    made = known[rng.integers(len(known))]
    got = [mistaken.gradient(n, (made,))[0] for n in range(1, network.depth)]
    right = [mistaken.gradient(n, ())[0] for n in range(1, network.depth)]
    same = all(equal(g, r, 1e-6) for g, r in zip(got, right, strict=True))
    explanation = explain(mistaken, got, None, 1e-6)
    assert explanation.unexplained == []
    if not same:
        assert made.code in explanation.possible


def test_the_search_without_mistakes_is_plain_back_propagation() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        network = random_network(rng, 6)
        questions = draw_questions(network, 2, 3, rng)
        mistaken = Mistaken(network, questions.weights, questions.X, questions.T)
        right = backprop(network, questions.weights, questions.X, questions.T)
        for a, b in zip(right_gradients(mistaken), right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-300)


def test_draws_have_nothing_zero_and_nothing_symmetric() -> None:
    questions = draw_questions(COURSE, 1, 20, np.random.default_rng(0))
    for array in (*questions.weights, questions.X):
        assert np.abs(array).min() > 0.1
        assert len(np.unique(np.abs(array))) == array.size


# ------------------------------------------------------------------------------------- what else is said


def test_a_function_for_one_input_is_not_misread_where_sizes_agree(tmp_path: Path) -> None:
    """A batch of 3 for 3 inputs would be a square matrix, which np.outer and @ take without a word."""
    network = Network(
        (3, 3, 3, 1), ("logistic", "logistic"), "identity", "half_squared_error", False
    )
    assert batch_size(network) == 5
    found = graded(tmp_path, RIGHT, network)
    assert (found.verdict, found.diagnosis) == ("correct", ["single_input_only"])
    assert graded(tmp_path, RIGHT, network, inputs=4).verdict == "error"


SAID: dict[str, tuple[str, list[str], str, list[tuple[str, str]]]] = {
    "another precision": (
        "wrong",
        ["low_precision"],
        "float16",
        [
            (
                "W1, W2, W3 = weights",
                "W1, W2, W3 = [W.astype('f2') for W in weights]; x, t = x.astype('f2'), t.astype('f2')",
            )
        ],
    ),
    "chance": (
        "wrong",
        ["not_deterministic"],
        "other numbers the second time",
        [("a4 - t", "a4 - t + 1e-3 * np.random.default_rng().normal()")],
    ),
    "in some draws": (
        "wrong",
        ["some_draws"],
        "right in the others",
        [("a4 - t", "a4 - t + (0.1 if x[0] > 0.9 else 0)")],
    ),
    "one network": (
        "correct",
        ["single_input_only", "this_network_only"],
        "for this network alone: 7-6-5-4",
        [("np.outer(d4, z3)", "np.outer(d4, z3)[:1]"), ("W3.T @ d4", "W3[0] * d4[0]")],
    ),
    "earlier calls": (
        "wrong",
        ["accumulated"],
        "earlier calls are not cleared",
        [
            ("def backprop(", "KEPT = []\n\ndef backprop("),
            ("    return [", "    KEPT.append(["),
            ("np.outer(d4, z3)]", "np.outer(d4, z3)])\n    return [sum(g) for g in zip(*KEPT)]"),
        ],
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_what_an_answer_shows_beside_its_numbers_is_said(name: str, tmp_path: Path) -> None:
    verdict, codes, words, replacements = SAID[name]
    found = graded(tmp_path, changed(*replacements))
    assert (found.verdict, found.diagnosis) == (verdict, codes), found.message
    assert words in found.message


DIFFERENCES = """
import numpy as np

def loss(weights, x, t):
    z = x
    for W in weights[:-1]:
        z = 1 / (1 + np.exp(-(W @ z)))
    return 0.5 * ((weights[-1] @ z - t) ** 2).sum()

def backprop(weights, x, t):
    found = []
    for W in weights:
        G = np.zeros_like(W)
        for at in np.ndindex(*W.shape):
            kept = W[at]
            W[at] = kept + 1e-5
            above = loss(weights, x, t)
            W[at] = kept - 1e-5
            G[at] = (above - loss(weights, x, t)) / 2e-5
            W[at] = kept
        found.append(G)
    return found
"""


def test_differences_in_place_of_a_derivation_are_said(tmp_path: Path) -> None:
    found = graded(tmp_path, DIFFERENCES)
    assert found.verdict == "correct"
    assert "finite_differences" in found.diagnosis
    assert found.max_relative_error is not None
    assert 1e-12 < found.max_relative_error < 1e-6


def test_automatic_differentiation_is_said(tmp_path: Path) -> None:
    found = graded(
        tmp_path, "try:\n    from jax import grad\nexcept ImportError:\n    pass\n" + RIGHT
    )
    assert "automatic_differentiation" in found.diagnosis


LABELLED = """
import numpy as np

def backprop(weights, X, t):
    X, t = np.atleast_2d(X), np.atleast_1d(t)
    assert t.dtype.kind == "i" and t.ndim == 1
    W1, W2 = weights
    z = 1 / (1 + np.exp(-X @ W1.T))
    a = z @ W2.T
    p = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    p[np.arange(len(t)), t] -= 1
    d = (p @ W2) * z * (1 - z)
    return [d.T @ X / len(X), p.T @ z / len(X)]
"""


@pytest.mark.parametrize("inputs", [1, 6])
def test_class_labels_as_targets(inputs: int, tmp_path: Path) -> None:
    network = Network((3, 4, 3), ("logistic",), "softmax", "cross_entropy", False)
    found = graded(tmp_path, LABELLED, network, inputs=inputs, targets="labels")
    assert (found.verdict, found.diagnosis) == ("correct", []), found.message
    assert graded(tmp_path, LABELLED, network, inputs=inputs).verdict == "error"


def test_one_hot_targets_of_a_binary_cross_entropy() -> None:
    network = Network((3, 4, 3), ("tanh",), "logistic", "binary_cross_entropy", False)
    rng = np.random.default_rng(0)
    bits = draw_questions(network, 4, 20, rng).T
    one_hot = draw_questions(network, 4, 20, rng, one_hot=True).T
    assert set(bits.sum(axis=-1).ravel()) == {0.0, 1.0, 2.0, 3.0}
    assert set(one_hot.sum(axis=-1).ravel()) == {1.0}


def test_the_other_network_has_no_two_sizes_alike() -> None:
    sizes = wider(COURSE).layers
    assert len(set(sizes)) == len(sizes) == COURSE.depth
    assert sizes[-1] > 1


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ("[np.outer(d4, z3), np.outer(d3, z2), np.outer(d2, x)]", "order_reversed"),
        ("[np.outer(d2, x), np.outer(d3, z2)]", "layer_missing"),
    ],
)
def test_what_shows_in_the_shapes_alone_is_named(returned: str, code: str, tmp_path: Path) -> None:
    text = changed(("[np.outer(d2, x), np.outer(d3, z2), np.outer(d4, z3)]", returned))
    found = graded(tmp_path, text)
    assert (found.verdict, found.diagnosis) == ("wrong", [code])
