"""One entry of a gradient, worked through by hand with the course's formulas and the numbers of a draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlhw.grading.graded import Graded
from mlhw.grading.questions import QuestionPlan, Questions
from mlhw.maths.network import (
    Activity,
    Gradients,
    Network,
    backprop,
    forward,
    weight_name,
    with_bias,
)

if TYPE_CHECKING:
    import numpy as np

MOST_SHOWN = 8
"""Of longer vectors so many numbers are shown, and of a batch so many inputs."""

FORWARDS = r"a^{(l+1)} = W^{(l)} z^{(l)}, \quad z^{(l)} = h(a^{(l)}), \quad z^{(1)} = x"
BACKWARDS = r"\delta_j^{(l)} = h'(a_j^{(l)}) \sum_k w_{kj}^{(l)} \, \delta_k^{(l+1)}"
BY_WEIGHT = r"\frac{\partial E}{\partial w_{ji}^{(l)}} = \delta_j^{(l+1)} \, z_i^{(l)}"

_OUTPUT_DELTAS = {
    "half_squared_error": r"\delta_k^{(L)} = h'(a_k^{(L)}) \, (z_k^{(L)} - t_k)",
    "binary_cross_entropy": r"\delta_k^{(L)} = z_k^{(L)} - t_k",
    "cross_entropy": r"\delta_k^{(L)} = z_k^{(L)} - t_k",
}


@dataclass(frozen=True)
class Worked:
    """An entry worked through: the ``given`` numbers, the steps, and both values.

    Each step is what is worked out, in words, and a line of numbers. ``got`` is None where the entry is an
    example and not one that was wrong.
    """

    name: str
    given: list[tuple[str, str]]
    steps: list[tuple[str, str]]
    expected: float
    got: float | None = None
    formulas: list[str] = field(default_factory=list)


def worked(graded: Graded, plan: QuestionPlan) -> Worked:
    """The first wrong entry nearest to the output, or an example of a hidden layer where none is wrong."""
    questions = plan.batch if graded.once and plan.batch is not None else plan.asked
    layer = graded.first_wrong_layer
    network = questions.network
    here = [
        entry
        for entry in graded.entries
        if entry[2] is not None and str(entry[0]).endswith(f"^({layer})")
    ]
    if not here:
        return _worked(questions, 0, max(1, network.depth - 2), 0, 0, None)
    _, row, column, got, expected = here[0]
    at = int(layer or 1)
    return _worked(
        questions, _draw(questions, at, row - 1, column - 1, expected), at, row - 1, column - 1, got
    )


def _draw(questions: Questions, layer: int, row: int, column: int, expected: float) -> int:
    """The draw in which an entry has this value."""
    import numpy as np

    right = backprop(questions.network, questions.weights, questions.X, questions.T)
    return int(np.abs(right.weights[layer - 1][:, row, column] - expected).argmin())


def _worked(
    questions: Questions, draw: int, layer: int, row: int, column: int, got: float | None
) -> Worked:
    """∂E/∂w of ``layer`` with row and column from 0, for one draw."""
    network = questions.network
    weights = [W[draw] for W in questions.weights]
    X, T = questions.X[draw], questions.T[draw]
    activity, gradients = forward(network, weights, X), backprop(network, weights, X, T)
    given = [("x", _matrix(X)), ("t", _matrix(T))]
    given += [(f"W^({number})", _matrix(W)) for number, W in enumerate(weights, 1)]
    steps = [
        *_forward_steps(network, activity),
        *_delta_steps(network, weights, T, activity, gradients, layer, row),
    ]
    name = weight_name(network, layer, row, column)
    steps.append(_product(network, activity, gradients, layer, row, column))
    formulas = [FORWARDS, _OUTPUT_DELTAS[network.loss], BACKWARDS, BY_WEIGHT]
    if network.loss == "half_squared_error" and network.output == "identity":
        formulas[1] = r"\delta_k^{(L)} = z_k^{(L)} - t_k"
    elif network.loss == "half_squared_error" and network.output == "softmax":
        formulas[1] = (
            r"\delta_j^{(L)} = z_j^{(L)} \left( e_j - \sum_k e_k z_k^{(L)} \right), \quad e = z^{(L)} - t"
        )
    expected = float(gradients.weights[layer - 1][row, column])
    return Worked(name, given, steps, expected, got, formulas)


def _forward_steps(network: Network, activity: Activity) -> list[tuple[str, str]]:
    steps = []
    for number in range(2, network.depth + 1):
        a, z = activity.a[number - 2], activity.z[number - 1]
        above = number - 1
        one = " (with a last 1)" if network.bias else ""
        steps.append((f"a^({number}) = W^({above}) z^({above}){one}", _matrix(a)))
        if network.activation(number) != "identity":
            steps.append((f"z^({number}) = {network.activation(number)}(a^({number}))", _matrix(z)))
    return steps


def _delta_steps(
    network: Network,
    weights: Sequence[np.ndarray],
    T: np.ndarray,
    activity: Activity,
    gradients: Gradients,
    layer: int,
    row: int,
) -> list[tuple[str, str]]:
    """δ of the output, of the layers down to the one that is needed, and there the one δ term by term."""
    L = network.depth
    simple = network.loss != "half_squared_error" or network.output == "identity"
    if simple:
        words = f"δ^({L}) = z^({L}) − t"
    elif network.output == "softmax":
        words = f"δ^({L}) = z^({L}) (e − Σ e z^({L})), e = z^({L}) − t"
    else:
        words = f"δ^({L}) = h'(a^({L})) (z^({L}) − t)"
    steps = [(words, _matrix(gradients.deltas[-1]))]
    for number in range(L - 1, layer, -1):
        steps.append(
            (
                f"δ_j^({number}) = h'(a_j^({number})) Σ_k w_kj^({number}) δ_k^({number + 1})",
                _matrix(gradients.deltas[number - 2]),
            )
        )
    if layer + 1 < L:
        steps.append(_one_delta(network, weights, activity, gradients, layer + 1, row))
    return steps


def _one_delta(
    network: Network,
    weights: Sequence[np.ndarray],
    activity: Activity,
    gradients: Gradients,
    number: int,
    row: int,
) -> tuple[str, str]:
    """δ of one unit with the terms of its sum, for the first input."""
    from mlhw.maths.network import derivative

    slope = float(derivative(network, number, activity.a[number - 2])[0, row])
    W, above = weights[number - 1], gradients.deltas[number - 1][0]
    terms = [f"{_n(W[k, row])} · {_n(above[k])}" for k in range(min(len(above), MOST_SHOWN))]
    more = " + …" if len(above) > MOST_SHOWN else ""
    value = _result(gradients.deltas[number - 2][0, row])
    first = ", first input" if len(activity.a[0]) > 1 else ""
    words = f"of these δ_{row + 1}^({number}), term by term{first}"
    return words, f"{_n(slope)} · ({' + '.join(terms)}{more}) = {value}"


def _product(
    network: Network,
    activity: Activity,
    gradients: Gradients,
    layer: int,
    row: int,
    column: int,
) -> tuple[str, str]:
    delta = gradients.deltas[layer - 1][:, row]
    z = with_bias(network, activity.z[layer - 1])[:, column]
    is_bias = network.bias and column == network.layers[layer - 1]
    factor = "1 (a bias)" if is_bias else f"z_{column + 1}^({layer})"
    name = weight_name(network, layer, row, column)
    terms = [f"{_n(d)} · {_n(value)}" for d, value in zip(delta[:MOST_SHOWN], z, strict=False)]
    value = _result(gradients.weights[layer - 1][row, column])
    if len(delta) == 1:
        return f"{name} = δ_{row + 1}^({layer + 1}) · {factor}", f"{terms[0]} = {value}"
    more = " + …" if len(delta) > MOST_SHOWN else ""
    words = (
        f"{name} = the mean over the {len(delta)} inputs of δ_{row + 1}^({layer + 1}) · {factor}"
    )
    return words, f"({' + '.join(terms)}{more}) / {len(delta)} = {value}"


def _n(value: Any) -> str:
    """Six digits for use in a product: in brackets where it is negative."""
    text = _result(value)
    return f"({text})" if float(value) < 0 else text


def _result(value: Any) -> str:
    """Six digits, with a true minus sign."""
    return f"{float(value):.6g}".replace("-", "−")


def _matrix(values: np.ndarray) -> str:
    """``(0.5, −1)``, a line for each row of several."""
    rows = values if values.ndim > 1 else values[None]
    lines = []
    for row in rows[:MOST_SHOWN]:
        cells = [_result(v) for v in row[:MOST_SHOWN]]
        lines.append(f"({', '.join(cells)}{', …' if len(row) > MOST_SHOWN else ''})")
    return "\n".join([*lines, "…"] if len(rows) > MOST_SHOWN else lines)
