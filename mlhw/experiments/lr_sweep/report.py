"""What lr-sweep reports: formulas, columns, curves, and its findings in numbers and in sentences."""

from __future__ import annotations

from typing import Any

from mlhw.experiments.curves import Curves
from mlhw.experiments.lr_sweep.evidence import Evidence
from mlhw.experiments.sweeps import problem
from mlhw.result.result import Formula
from mlhw.text.values import digits_text
from mlhw.text.words import text_table

FORMULAS = [
    *problem.FORMULAS,
    Formula(
        "One iteration at the learning rate η (eq. 4.91).",
        r"w \leftarrow w - \eta \nabla E(w), \quad \nabla E(w) = \frac{1}{N} \sum_n (y_n - t_n) x_n",
    ),
    Formula(
        "L bounds the curvature of E everywhere, since σ' is at most 1/4: below 2/L no step "
        "can raise E.",
        r"\eta < \frac{2}{L}, \quad L = \frac{1}{4N} \lambda_{\max}(X^\top X)",
    ),
    Formula(
        "H is the matrix of second derivatives: above this rate, the critical one, descent "
        "cannot settle at the optimum w*. The same with H(w) is the local limit along the path.",
        r"\eta > \frac{2}{\lambda_{\max}(H(w^*))}",
    ),
]

COLUMNS = {
    "metrics": {
        "eta": "learning rate",
        "iteration": "updates made so far; 0 is the start",
        "nll": "mean negative log-likelihood over all points",
    },
    "limits": {
        "eta": "learning rate",
        "iteration": "updates made so far; 0 is the start",
        "local_eta": "2/λmax of the second derivatives there: a rate above it can raise the NLL",
    },
}
"""``metrics`` also has the weights, which depend on the data."""

CURVES = Curves("metrics", "iteration", ("nll",), "NLL", {"eta": "η = "})


def summary(e: Evidence) -> dict[str, Any]:
    return e.problem.summary() | {"runs": [one.summary() for one in e.trajectories]}


SHORT = 0.1
"""A rate that stops by tolerance with more than this share of the way left has not arrived."""


def answers(e: Evidence) -> list[str]:
    header = ["eta", "iterations", "stopped by", "last NLL", "rises"]
    rows = []
    for one in e.trajectories:
        s = one.summary()
        rows.append(
            [
                f"{s['eta']:g}",
                str(s["iterations"]),
                s["stopped"],
                digits_text(s["nll"], 8),
                str(s["increases"]),
            ]
        )
    return [
        *text_table(header, rows),
        "",
        "stopped by tolerance: the NLL changed by less than it; rises: iterations that raised the NLL",
        *stopped_short(e),
        *e.problem.answers(),
    ]


def stopped_short(e: Evidence) -> list[str]:
    """A line for each rate that stopped by tolerance although there was much left to gain."""
    lowest = e.problem.infimum
    if lowest is None:
        return []
    return [
        f"eta {one.eta:g} stopped by tolerance at NLL {one.nll[-1]:.6g}, far above the lowest possible "
        f"{lowest:.6g}: it changed little in an iteration, and was not done; a smaller --tolerance, a larger "
        "rate or --standardize goes on"
        for one in e.trajectories
        if one.stopped == "tolerance" and one.nll[-1] - lowest > SHORT * (one.nll[0] - lowest)
    ]


BETTER = {"lowest NLL": "min", "NLL at": "min", "rises at": "min"}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    runs = summary["runs"]
    numbers = {"lowest NLL": min(run["nll"] for run in runs)}
    if summary["optimum"] is not None:
        numbers["optimum"] = summary["optimum"]["nll"]
    elif summary.get("separation"):
        numbers["infimum"] = summary["separation"]["infimum"]
    numbers |= {f"NLL at eta {run['eta']:g}": run["nll"] for run in runs}
    return numbers | {f"rises at eta {run['eta']:g}": run["increases"] for run in runs}
