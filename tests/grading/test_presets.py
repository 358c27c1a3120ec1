"""Presets: each takes submissions as they are written for a known course, right ones and wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from mlhw.errors import ConfigError
from mlhw.grading.asking import Adapter
from mlhw.grading.options import PRESETS, adapter_of, preset_text
from mlhw.maths.network import Network
from tests.grading import styles
from tests.grading.handed_in import graded


class Style(NamedTuple):
    """A preset, the network that such a program has, a right program, and a change with its code."""

    preset: str
    network: Network
    text: str
    mistake: tuple[str, str]
    codes: list[str]


def network(
    layers: tuple[int, ...], hidden: str, output: str, loss: str, bias: bool = True
) -> Network:
    return Network(layers, (hidden,) * (len(layers) - 2), output, loss, bias)


HALF, BCE, CE = "half_squared_error", "binary_cross_entropy", "cross_entropy"
STYLES = {
    "nielsen": Style(
        "nielsen",
        network((3, 4, 3, 2), "logistic", "logistic", HALF),
        styles.NIELSEN,
        (" * sigmoid_prime(zs[-1])", ""),
        ["missing_derivative"],
    ),
    "nielsen, no biases": Style(
        "nielsen",
        network((3, 4, 2), "logistic", "logistic", HALF, bias=False),
        styles.NIELSEN,
        ("output_activations - y", "y - output_activations"),
        ["sign"],
    ),
    "cs231n": Style(
        "cs231n",
        network((4, 5, 3), "relu", "softmax", CE),
        styles.CS231N,
        ("dhidden[hidden <= 0] = 0", "pass"),
        ["missing_derivative"],
    ),
    "coursera": Style(
        "coursera",
        network((4, 5, 3), "logistic", "logistic", BCE),
        styles.COURSERA,
        ("d3 = a3 - Y", "d3 = (a3 - Y) * a3 * (1 - a3)"),
        ["extra_derivative"],
    ),
    "coursera, rows": Style(
        "coursera",
        network((4, 5, 3), "logistic", "logistic", BCE),
        styles.COURSERA.replace("order='F'", "order='C'"),
        ("Theta2_grad = d3.T @ a2 / m", "Theta2_grad = -d3.T @ a2 / m"),
        ["sign"],
    ),
    "deeplearning-ai": Style(
        "deeplearning-ai",
        network((4, 3, 2, 1), "relu", "logistic", BCE),
        styles.DEEPLEARNING,
        ("axis=1, keepdims=True) / m", "axis=1, keepdims=True)"),
        ["bias_sum"],
    ),
    "deeplearning-ai, one hidden layer": Style(
        "deeplearning-ai",
        network((2, 4, 1), "tanh", "logistic", BCE),
        styles.PLANAR,
        (" * (1 - cache['A1'] ** 2)", " * (1 - cache['Z1'] ** 2)"),
        ["slope_formula"],
    ),
    "forward-backward": Style(
        "forward-backward",
        network((3, 4, 2), "logistic", "identity", HALF),
        styles.FORWARD_BACKWARD,
        ("(output - y) / len(X)", "2 * (output - y) / len(X)"),
        ["factor"],
    ),
    "forward-backward, lists": Style(
        "forward-backward",
        network((3, 2, 4, 2), "logistic", "identity", HALF),
        styles.LISTS,
        (" * z * (1 - z)", ""),
        ["missing_derivative"],
    ),
}


def targets(style: Style) -> str:
    return "one-hot" if style.preset == "coursera" else "auto"


@pytest.mark.parametrize("name", STYLES)
def test_a_right_program_is_right_and_a_wrong_ones_mistake_is_named(
    name: str, tmp_path: Path
) -> None:
    style = STYLES[name]
    asked = {"targets": targets(style), "adapter": adapter_of(style.preset)}
    right = graded(tmp_path, style.text, style.network, **asked)
    assert (right.verdict, right.general, right.batch) == ("correct", "right", "right"), (
        right.message
    )
    old, new = style.mistake
    assert old in style.text
    wrong = graded(tmp_path, style.text.replace(old, new), style.network, 4, **asked)
    assert (wrong.verdict, wrong.diagnosis) == ("wrong", style.codes), wrong.message
    assert graded(tmp_path, style.text, style.network, 4, **asked).verdict == "correct"


def test_every_preset_has_a_style_and_says_what_it_takes() -> None:
    assert {style.preset for style in STYLES.values()} == set(PRESETS)
    for name in PRESETS:
        text = preset_text(name)
        assert text.startswith('"""')
        assert "\ndef adapt(module, weights, x, t):\n" in text


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("nielsen", "no class with a method backprop(x, y), and no function backprop"),
        ("cs231n", "no class with a method loss(X, y)"),
        ("coursera", "no function nnCostFunction"),
        ("deeplearning-ai", "no function L_model_forward and no function forward_propagation"),
        ("forward-backward", "no class with forward and backward"),
    ],
)
def test_what_a_preset_does_not_find_is_said(preset: str, words: str, tmp_path: Path) -> None:
    two = network((3, 4, 2), "logistic", "identity", HALF)
    found = graded(tmp_path, "x = 1\n", two, adapter=adapter_of(preset))
    assert found.verdict == "error"
    assert words in found.message
    assert f"(adapter {preset}, line " in found.message


OWN = """
def adapt(module, weights, x, t):
    net = module.Mine([w.tolist() for w in weights])
    return [net.derive(x, t, layer) for layer in (0, 1)]
"""
MINE = """
import numpy as np
class Mine:
    def __init__(self, weights):
        self.V, self.W = map(np.array, weights)
    def derive(self, x, t, layer):
        z = np.tanh(self.V @ x)
        d = self.W @ z - t
        return np.outer(d, z) if layer else np.outer((self.W.T @ d) * (1 - z * z), x)
"""


def test_a_teachers_own_adapter_takes_a_class_of_any_shape(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    adapter = adapter_of(str(tmp_path / "own.py"))
    one = network((3, 4, 2), "tanh", "identity", HALF, bias=False)
    found = graded(tmp_path, MINE, one, adapter=adapter)
    assert (found.verdict, found.diagnosis) == ("correct", ["single_input_only"])
    wrong = graded(tmp_path, MINE.replace(" * (1 - z * z)", ""), one, adapter=adapter)
    assert wrong.diagnosis == ["missing_derivative"]


def test_an_error_names_the_line_of_the_submission_or_else_of_the_adapter(tmp_path: Path) -> None:
    one = network((3, 4, 2), "tanh", "identity", HALF, bias=False)
    adapter = Adapter("own.py", OWN)
    found = graded(tmp_path, MINE.replace("z = np.tanh", "z = np.tangent"), one, adapter=adapter)
    assert found.message.endswith("(line 7)")
    found = graded(tmp_path, "x = 1\n", one, adapter=adapter)
    assert found.message.endswith("has no attribute 'Mine' (adapter own.py, line 3)")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nilsen", "there is no preset 'nilsen', did you mean 'nielsen'"),
        ("none.py", "no such file"),
        ("empty.py", "defines no function adapt(module, weights, x, t)"),
        ("broken.py", "broken.py:1: "),
    ],
)
def test_what_is_no_adapter_is_one_line(given: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("def adapt(:\n")
    with pytest.raises(ConfigError) as caught:
        adapter_of(str(tmp_path / given) if "." in given else given)
    (line,) = caught.value.lines
    assert words in line


def test_an_adapter_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "adapter.py"
    path.write_text("def adapt(module, weights, x, t):\n    return weights\n", encoding="utf-8-sig")
    assert adapter_of(str(path)).text.startswith("def adapt")
