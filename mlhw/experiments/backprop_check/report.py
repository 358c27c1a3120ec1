"""How ``backprop-check`` tells what it found: formulas, columns, summary, answers and headlines."""

from __future__ import annotations

from typing import Any

from mlhw.experiments.backprop_check.evidence import Evidence
from mlhw.maths.four_ways import WAYS
from mlhw.result.result import Formula
from mlhw.text.words import TableLine

FORMULAS = [
    Formula(
        "Forwards: a are the activations of a layer, z its outputs, W the weights to the next one.",
        r"a^{(l+1)} = W^{(l)} z^{(l)}, \quad z^{(l)} = h(a^{(l)}), \quad z^{(1)} = x",
    ),
    Formula(
        "Backwards: δ is the derivative of the loss E by an activation (Bishop, PRML, eq. 5.56).",
        r"\delta_j^{(l)} = h'(a_j^{(l)}) \sum_k w_{kj}^{(l)} \, \delta_k^{(l+1)}",
    ),
    Formula(
        "The derivative by a weight (eq. 5.53).",
        r"\frac{\partial E}{\partial w_{ji}^{(l)}} = \delta_j^{(l+1)} \, z_i^{(l)}",
    ),
]
SIX = ("derivative", "formula", "value", "back-propagation differs by")
_WAYS = {
    "autograd": "torch's automatic differentiation",
    "complex_step": "the imaginary part of the loss after an imaginary step; for analytic networks",
    "finite_difference": "central differences, extrapolated",
}
COLUMNS = {
    "gradients": {
        "quantity": "a δ, or the derivative of the loss by a weight (layer in brackets)",
        "analytic": "by back-propagation",
        **_WAYS,
        "max_relative_error": "the largest difference of the three, divided by the largest entry of its "
        "vector or matrix",
    },
    "networks": {
        "network": "0 is the configured one, the others are drawn at random",
        "layers": "units a layer, from input to output",
        "hidden": "activations of the hidden layers",
        "output": "activation of the output",
        "loss": "what is differentiated",
        "bias": "1 with bias weights",
        "batch": "samples over which the loss is the mean",
        "weights": "how many",
        **{way: f"largest relative error against {words}" for way, words in _WAYS.items()},
        "kinks": "derivatives at a kink of a ReLU, where differences say nothing",
        "unresolved": "derivatives below what rounding lets differences resolve",
    },
    "implementations": {
        "file": "the implementation",
        "function": "its name in the file",
        "verdict": "right, wrong, or why it could not be judged",
        "diagnosis": "codes of the mistakes that explain the wrong entries",
        "wrong_entries": "how many derivatives are wrong",
        "message": "the same in words",
        "seconds": "how long the file took",
    },
}


def formulas(e: Evidence) -> list[Formula]:
    """The recursion, and the course's six where the network is the course's."""
    six = [Formula("", f"{q.latex} = {in_latex(q.value)}") for q, *_ in e.six]
    if six:
        words = "The course's six for the configured network, entry by entry, and their values."
        six[0] = six[0]._replace(words=words)
    return [*FORMULAS, *six]


def in_latex(value: float) -> str:
    """``-1.0048670 \\cdot 10^{-2}``."""
    digits, exponent = f"{value:.7e}".split("e")
    power = int(exponent)
    return digits if power == 0 else rf"{digits} \cdot 10^{{{power}}}"


def summary(e: Evidence) -> dict[str, Any]:
    errors = {way: e.worst[way].error if way in e.worst else None for way in WAYS}
    found: dict[str, Any] = {
        "max_relative_error": errors,
        "worst": {way: vars(worst) for way, worst in e.worst.items()},
        "quantities": [
            {
                "name": q.name,
                "formula": q.formula,
                "value": q.value,
                "backpropagation": general,
                "relative_error": abs(q.value - general) / scale if scale else 0.0,
            }
            for q, general, scale, _ in e.six
        ],
        "networks": e.networks,
        "derivatives": e.compared,
        "kinks": e.kinks,
        "unresolved": e.unresolved,
    }
    if e.grades:
        # The first that is not correct speaks for several.
        found["implementation"] = (e.first_failing or e.grades[0]).summary()
        found["implementations"] = [grade.summary() for grade in e.grades]
    return found


def answers(e: Evidence) -> list[str]:
    network = e.configured.trial.network
    lines = [
        f"network {'-'.join(map(str, network.layers))}: hidden {', '.join(network.hidden) or 'none'}; "
        f"output {network.output}; {network.loss.replace('_', ' ')}; {network.size} weights"
    ]
    for q, general, *_ in e.six:
        apart = f"{abs(q.value - general):.1e}"
        line = (
            f"  {q.name:12} = {q.formula:38} = {q.value: .10e}  "
            f"(back-propagation differs by {apart})"
        )
        cells = (q.name, q.formula, f"{q.value:.10e}", apart)
        lines.append(TableLine.of(line, cells, SIX))
    for way, worst in e.worst.items():
        count = e.networks_by[way]
        where = f" ({worst.network}, {worst.quantity})" if worst.quantity else ""
        lines.append(
            f"{way.replace('_', ' ')}: {e.compared[way]} derivatives of {count} "
            f"network{'s' if count > 1 else ''}, largest relative error {worst.error:.1e}{where}"
        )
    lines.append(
        f"finite differences: {e.kinks} derivatives at a kink, {e.unresolved} below what rounding "
        "resolves; neither counts as agreement"
    )
    if e.grades:
        lines.append("")
    for g in e.grades:
        codes = f" [{', '.join(g.diagnosis)}]" if g.diagnosis else ""
        lines.append(f"{g.implementation.name}: {g.verdict}{codes}: {g.message}")
    return lines


BETTER = {"error against": "min"}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers: dict[str, Any] = {}
    if "implementation" in summary:
        numbers["implementation"] = summary["implementation"]["verdict"]
    errors = summary["max_relative_error"]
    return numbers | {f"error against {way.replace('_', ' ')}": e for way, e in errors.items()}
