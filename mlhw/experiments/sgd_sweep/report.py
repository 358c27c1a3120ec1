"""What sgd-sweep reports: formulas, columns, curves, and its findings in numbers and in sentences."""

from __future__ import annotations

from typing import Any

from mlhw.experiments.curves import Curves
from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.experiments.sgd_sweep.passes import SHOWN
from mlhw.experiments.sweeps import problem
from mlhw.result.result import Formula
from mlhw.text.values import NOTHING, digits_text
from mlhw.text.words import text_table

FORMULAS = [
    *problem.FORMULAS,
    Formula(
        "One update at the learning rate η, by one point alone; an epoch is one for each point, in an "
        "order drawn anew.",
        r"w \leftarrow w - \eta \, (y_n - t_n) \, x_n",
    ),
]

COLUMNS = {
    "metrics": {
        "eta": "learning rate",
        "repeat": "number of the run, each with orders of its own",
        "epoch": "number of the pass over the data, from 0; the row stands at its end",
        "nll_online": "mean of the points' losses, each just before its own update",
        "nll": "mean negative log-likelihood over all points, at the epoch's end",
    },
}
"""``metrics`` also has the weights, which depend on the data."""

CURVES = Curves("metrics", "epoch", ("nll",), "NLL", {"eta": "η = "}, repeats="repeat")


FASTER = {"gd": "GD", "sgd": "SGD", "equal": "equally fast"}


def summary(e: Evidence) -> dict[str, Any]:
    return e.problem.summary() | {
        "sample_eta": e.sample_eta,
        "runs": e.runs,
        "against_gd": e.against,
    }


def answers(e: Evidence) -> list[str]:
    header = ["eta", "epochs", "stopped by", "last NLL", "last online NLL"]
    rows = []
    for run in e.runs:
        if run["repeat"] == 0:
            numbers = [_column(run[key], 8) for key in ("nll", "nll_online")]
            rows.append([f"{run['eta']:g}", str(run["epochs"]), run["stopped"], *numbers])
    lines = text_table(header, rows)
    repeats = len(e.nll)
    if repeats > 1:
        lines.append(f"(the first of {repeats} repeats; below, medians over all of them)")
    lines += [
        "online: the mean of the points' losses, each just before its own update",
        "",
        "gradient descent (GD) and stochastic descent (SGD) after the same passes over the data:",
    ]
    header = ["eta", "passes", "NLL by GD", "NLL by SGD", "faster"]
    rows = [
        [
            f"{row['eta']:g}",
            str(row["passes"]),
            _column(row["gd_nll"], SHOWN),
            _column(row["sgd_nll"], SHOWN),
            FASTER[row["faster"]],
        ]
        for row in e.against
    ]
    return [*lines, *text_table(header, rows), "", *e.problem.answers()]


def _column(nll: float | None, digits: int) -> str:
    return NOTHING if nll is None else digits_text(nll, digits)


BETTER = {"lowest NLL": "min", "NLL at": "min"}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    first = [run for run in summary["runs"] if run["repeat"] == 0]
    numbers = {"lowest NLL": min(run["nll"] for run in first if run["nll"] is not None)}
    numbers |= {f"NLL at eta {run['eta']:g}": run["nll"] for run in first}
    won = [row["faster"] for row in summary["against_gd"]]
    return numbers | {"comparisons that SGD wins": f"{won.count('sgd')} of {len(won)}"}
