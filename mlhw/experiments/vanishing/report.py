"""How ``vanishing`` tells what it found: formulas, columns, summary, answers and headlines."""

from __future__ import annotations

import math
from typing import Any

from mlhw.experiments.curves import Curves
from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.kinds import Setting
from mlhw.experiments.vanishing.sample import SURVIVAL_WIDTHS
from mlhw.maths import survival
from mlhw.result.result import Formula
from mlhw.text.values import NOTHING, digits_text, number_text
from mlhw.text.words import text_table

FORMULAS = [
    Formula(
        "The network of L layers: activations a, outputs z, weights W drawn at random; E is the loss "
        "against the target t.",
        r"a^{(l+1)} = W^{(l)} z^{(l)}, \quad z = h(a), \quad E = \frac{1}{2} (a^{(L)} - t)^2",
    ),
    Formula(
        "The gradient in a chain: a product of one h' and one weight for each layer above l. For the "
        "sigmoid h' is at most 1/4, for a ReLU 0 or 1.",
        r"\frac{\partial E}{\partial w_{11}^{(l)}} = "
        r"(a^{(L)} - t) \prod_{n=l+1}^{L-1} h'(a^{(n)}) \, w^{(n)} \cdot z^{(l)}",
    ),
    Formula(
        "The law of dead ReLUs for H hidden layers of m units: it takes one layer that is all dead, or "
        "a dead unit 1 in one of the s hidden layers among l and l + 1.",
        r"P(\text{gradient is zero}) = 1 - (1 - 2^{-m})^{H - s} \, 2^{-s}",
    ),
]
BIASES = Formula(
    "With biases b, drawn at random too, a dead layer stops the gradients of the layers before it; behind "
    "it units live again. The law of dead ReLUs then counts the L - 2 - l layers behind l + 1 alone.",
    r"a^{(l+1)} = W^{(l)} z^{(l)} + b^{(l+1)}, \quad "
    r"P(\text{gradient is zero}) = 1 - (1 - 2^{-m})^{L - 2 - l} \, 2^{-s}",
)
SIGMOID_OUTPUT = Formula(
    "The output unit is a sigmoid: y stands for a of layer L in E, and its slope is one factor more.",
    r"y = h(a^{(L)}), \quad \frac{\partial E}{\partial a^{(L)}} = (y - t) \, y (1 - y)",
)
COLUMNS = {
    "gradients": {
        "network": "how wide, and which draws: '|alive' only those where a ReLU lets something through",
        "activation": "of the hidden layers",
        "layer": "l of the weight w_11; 1 is the input's",
        "log10_median": "log10 of the median of |∂E/∂w_11| over the draws where it is not zero",
        "log10_q05": "the same of the 5 % quantile",
        "log10_q95": "the same of the 95 % quantile",
        "log10_median_jacobian": "log10 of the median of |∂a^(L)/∂w_11|, the gradient without its factor "
        "∂E/∂a^(L), over the same draws",
        "share_zero": "share of the draws where it is zero",
        "share_zero_theory": "the same by the law of dead ReLUs",
    },
    "survival": {
        "width": "units a hidden layer",
        "depth": "layers, input and output included",
        "draws": "networks drawn",
        "share_zero": "share of them whose gradient at layer 1 is zero",
        "share_zero_theory": "the same by the law of dead ReLUs",
    },
}
CURVES = Curves(
    "gradients",
    "layer",
    ("log10_median",),
    "log10 of the median |∂E/∂w_11|",
    {"activation": "", "network": ""},
    steps=False,
)

PROBABILITIES = (0.5, 0.9, 0.99)


def more_formulas(setting: Setting) -> list[Formula]:
    """What biases and a sigmoid output change; empty without them."""
    sigmoid = [SIGMOID_OUTPUT] if setting.output == "sigmoid" else []
    return [*([BIASES] if setting.biased else []), *sigmoid]


def summary(e: Evidence) -> dict[str, Any]:
    rows = []
    for p in e.profiles:
        n, s = p.network, p.drawn
        rows.append(
            {
                "network": n.name,
                "activation": n.activation,
                "depth": n.depth,
                "width": n.width,
                "residual": n.residual,
                "rows": n.rows,
                "draws": s.draws,
                "quantile_draws": s.log10.shape[1],
                "decades_per_layer": p.slope[0] if p.slope else None,
                "decades_per_layer_error": p.slope[1] if p.slope else None,
                "log10_first_layer": p.quantiles[0, 0],
                "log10_last_layer": p.quantiles[0, -1],
                "log10_first_layer_jacobian": p.jacobian[0, 0],
                "share_zero_first_layer": p.shares[0],
                "share_zero_first_layer_theory": p.zero_theory,
                "share_alive": s.alive / s.draws if n.plain_relu else None,
                "log10_accuracy": s.rounding.accuracy,
            }
        )
    alive = {str(m): math.exp(survival.log_alive(m, e.depth)) for m in SURVIVAL_WIDTHS}
    needed = {f"{p:g}": survival.width_alive(p, e.depth) for p in PROBABILITIES}
    return {"networks": rows, "relu_alive": {"probability": alive, "width_needed": needed}}


def answers(e: Evidence) -> list[str]:
    header = [
        "network",
        "depth",
        "decades/layer",
        "layer 1",
        "last layer",
        "zero",
        "theory",
    ]
    rows = []
    for p in e.profiles:
        fall = _with_error(*p.slope) if p.slope else NOTHING
        ends = [_power(q) for q in p.quantiles[0, [0, -1]].tolist()]
        law = _share(p.zero_theory)
        name = f"{p.network.activation} {p.network.name}"
        rows.append(
            [name, str(p.network.depth), fall, *ends, number_text(p.shares[0], digits=4), law]
        )
    lines = [
        *text_table(header, rows),
        "",
        "layer 1, last layer: the median |gradient| there of the draws where it is not zero; zero: the share "
        "of those where it is, at layer 1, and what theory says; decades/layer: its fall towards the input.",
    ]
    lines += twice(e)
    if e.relu_drawn:
        m = next((p.network.width for p in e.profiles if p.network.width > 1), 2)
        needed = ", ".join(f"{p:g} with {survival.width_alive(p, e.depth)}" for p in PROBABILITIES)
        lines += [
            f"A ReLU network {m} wide is alive at depth {e.depth} with probability "
            f"(1 - {_dead_layer(m)})^{e.depth - 2} = {_probability(survival.log_alive(m, e.depth))}; "
            f"probability and the units a layer it takes: {needed}.",
        ]
    return lines


def _power(log10: float) -> str:
    """``10^-34.75``; of no number, where every gradient is zero, that."""
    return "all zero" if math.isnan(log10) else f"10^{digits_text(log10, 4)}"


def _share(theory: float | None) -> str:
    """Four digits; close to 1 what is missing of it, which they would hide."""
    text = number_text(theory, digits=4)
    return f"1 - {1 - theory:.1g}" if text == "1" and theory is not None and theory < 1 else text


def _with_error(value: float, error: float) -> str:
    """``0.899 ± 0.01``: one digit more than the error says is known."""
    known = max(1 - math.floor(math.log10(error)), 0) if error > 0 else 4
    return f"{value:z.{known}f} ± {error:.1g}"


def twice(e: Evidence) -> list[str]:
    """That half of the decades come from the target 0, where they do."""
    found = [
        f"{_power(p.jacobian[0, 0])} of {_power(p.quantiles[0, 0])} in {p.network.activation} "
        f"{p.network.name}"
        for p in e.doubled
    ]
    if not found:
        return []
    return [
        "With t = 0 half of a ReLU network's decades come from a^(L) - t, which is then the product of "
        "weights once more. Without it, |∂a^(L)/∂w| at layer 1 is",
        *(f"  {text}" for text in found),
    ]


def _dead_layer(width: int) -> str:
    """2^-m as people write it: 1/4, but 2^-64."""
    return f"1/{2**width}" if width <= 10 else f"2^-{width}"


def _probability(log: float) -> str:
    """exp(``log``) with two digits, also of its distance from 1 where it rounds to 1."""
    text = f"{math.exp(log):.2g}"
    return f"1 - {survival.share_zero(log):.2g}" if text == "1" and log < 0 else text


# Decades are lost: the nearer to 0, the better the gradient survives.
BETTER = {"decades a layer": "max", "zero at layer 1": "min"}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers: dict[str, Any] = {}
    for row in summary["networks"]:
        name = f"{row['activation']} {row['rows']} (depth {row['depth']})"
        if row["decades_per_layer"] is not None:
            numbers[f"decades a layer, {name}"] = row["decades_per_layer"]
        numbers[f"zero at layer 1, {name}"] = row["share_zero_first_layer"]
    return numbers
