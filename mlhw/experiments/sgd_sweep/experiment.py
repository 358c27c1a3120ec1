"""Is stochastic gradient descent faster than gradient descent?

The two-class logistic regression of lr-sweep, p(C1|x) = σ(wᵀx) with w = [w1 … wd, bias], by
w ← w − η ∇Eᵢ(w), one update a sample (Bishop, PRML, eq. 3.22 with the gradient of one term of 4.91),
over a fresh permutation of the data every epoch. ``nll_online`` is the mean over an epoch of each
sample's loss at the weights before its update; ``nll`` is over all data at the epoch's end.

    mlhw sgd-sweep --etas 0.5,0.3,0.1,0.05,0.01 --epochs 500

On the built-in data: at η = 0.5 stochastic descent keeps fluctuating and gradient descent is better
after 500 passes over the data; at η = 0.01 stochastic descent is better after any number of passes.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mlhw.errors import ConfigError
from mlhw.experiments.sgd_sweep.claims import CLAIMS, Evidence
from mlhw.experiments.sgd_sweep.figures import figures
from mlhw.experiments.sweeps import problem as sweeps
from mlhw.experiments.sweeps.problem import Problem, SweepConfig, begin, load
from mlhw.maths import descent
from mlhw.maths.sgd import Epochs, permutation_stream, stochastic_gradient_descent
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula, Result
from mlhw.result.tables import Table
from mlhw.text.words import text_table

POSITION = 5
QUESTION = (
    "Is stochastic gradient descent faster than gradient descent? The same logistic regression with "
    "one update a sample, against gradient descent after the same number of passes over the data."
)

FORMULAS = [
    *sweeps.FORMULAS,
    Formula(
        "One update at the learning rate η, by one point alone; an epoch is one for each point, in an "
        "order drawn anew.",
        r"w \leftarrow w - \eta \, (y_n - t_n) \, x_n",
    ),
]
METRICS = {
    "eta": "learning rate",
    "repeat": "number of the run, each with orders of its own",
    "epoch": "number of the pass over the data, from 0; the row stands at its end",
    "nll_online": "mean of the points' losses, each just before its own update",
    "nll": "mean negative log-likelihood over all points, at the epoch's end",
}

PASSES = (1, 10, 100, 500)
SCREEN_EPOCHS = 50  # every how many epochs the screen shows one
ORDERS = 21  # tried before a claim is said to fail by more than an unlucky order


class Config(SweepConfig):
    epochs: Annotated[int, Field(ge=1, le=10_000_000, description="passes over the data")] = 500
    repeats: Annotated[
        int, Field(ge=1, le=100_000, description="runs with permutations of their own")
    ] = 1
    batch_size: Annotated[int, Field(ge=1, description="samples whose mean gradient is a step")] = 1
    tolerance: Annotated[
        float | None,
        Field(ge=0, description="a rate stops when its NLL changes by less; null or 0 never does"),
    ] = None


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate and repeat, record each epoch, and compare with gradient descent."""
    problem, loaded = load(config)
    if config.batch_size > len(problem.X):
        raise ConfigError(
            f"batch_size: must be at most the {len(problem.X)} points (got {config.batch_size})"
        )
    begin(config, problem, loaded, recorder)
    etas = config.etas
    shape = (config.repeats, config.epochs, len(etas))
    nll, online = np.full(shape, np.nan), np.full(shape, np.nan)
    metrics = recorder.table("metrics", METRICS | problem.columns)
    runs: dict[tuple[int, int], dict[str, Any]] = {}
    for repeat in range(config.repeats):
        blocks = stochastic_gradient_descent(
            problem.X,
            problem.t,
            problem.w0,
            etas,
            config.epochs,
            permutation_stream(config.seed, repeat),
            batch_size=config.batch_size,
            tolerance=config.tolerance or 0.0,
        )
        for block in blocks:
            _record(block, repeat, etas, metrics, runs)
            for lane, rate in enumerate(block.rates):
                part = slice(block.first, block.first + block.count[lane])
                nll[repeat, part, rate] = block.nll[: block.count[lane], lane]
                online[repeat, part, rate] = block.nll_online[: block.count[lane], lane]
            if repeat == 0:
                _log_epochs(block, etas, recorder)
            done = repeat * config.epochs + block.first + len(block.nll)
            recorder.progress(done, config.repeats * config.epochs, "epochs")
    gd = _gradient_descent(problem, etas, max(p for p in (0, *PASSES) if p <= config.epochs))
    settled = {key for key, row in runs.items() if row["stopped"] == "tolerance"}
    against = _against(etas, nll, gd, settled)
    # Smoothness of one sample's loss is |x|²/4; below 2 over the largest, no update overshoots its
    # own sample (Needell, Srebro and Ward 2014, "Stochastic gradient descent, weighted sampling").
    sample_eta = float(2.0 / (np.max(np.sum(problem.X**2, axis=1)) / 4.0))
    order = sorted(range(len(etas)), key=lambda i: -etas[i])
    evidence = Evidence(
        problem,
        [etas[i] for i in order],
        nll[:, :, order],
        online[:, :, order],
        gd[:, order],
        against,
        sample_eta,
        config.batch_size,
        partial(_other_orders, problem, config),
    )
    ordered = [runs[rate, repeat] for rate in range(len(etas)) for repeat in range(config.repeats)]
    summary = problem.summary() | {
        "sample_eta": sample_eta,
        "runs": ordered,
        "against_gd": against,
    }
    if problem.d != 2:
        recorder.log(f"{problem.d} features: the figure of the separators is left out")
    return Result(
        "sgd-sweep",
        summary,
        CLAIMS.judge(evidence),
        answers(evidence, ordered),
        recorder.tables,
        figures(evidence, [runs[i, 0]["w"] for i in order]),
        FORMULAS,
    )


def _record(
    block: Epochs,
    repeat: int,
    etas: list[float],
    metrics: Table,
    runs: dict[tuple[int, int], dict[str, Any]],
) -> None:
    """The rows of a block, epoch by epoch, and the state of each rate at its end."""
    online, full = block.nll_online.tolist(), block.nll.tolist()
    weights = block.W.transpose(0, 2, 1).tolist()
    rates, count = block.rates.tolist(), block.count.tolist()
    metrics.extend(
        (etas[rate], repeat, block.first + k, online[k][lane], full[k][lane], *weights[k][lane])
        for k in range(len(full))
        for lane, rate in enumerate(rates)
        if k < count[lane]
    )
    for lane, rate in enumerate(rates):
        if count[lane]:
            k = count[lane] - 1
            runs[rate, repeat] = {
                "eta": etas[rate],
                "repeat": repeat,
                "epochs": block.first + count[lane],
                "stopped": block.stopped.get(rate),
                "nll_online": online[k][lane],
                "nll": full[k][lane],
                "w": weights[k][lane],
            }
        else:  # diverged in its first epoch of the block; what came before is its end
            nothing = {"eta": etas[rate], "repeat": repeat, "epochs": 0, "nll_online": None}
            start = {**nothing, "nll": None, "w": [None] * block.W.shape[1]}
            runs[rate, repeat] = runs.get((rate, repeat), start) | {"stopped": block.stopped[rate]}


def _log_epochs(block: Epochs, etas: list[float], recorder: Recorder) -> None:
    """The course's log, one line an epoch under a line that names the rate."""
    for lane, rate in enumerate(block.rates):
        recorder.log(f"eta {etas[rate]:g}")
        for k in range(block.count[lane]):
            epoch = block.first + k
            w = np.array2string(block.W[k, :, lane], max_line_width=np.inf)  # type: ignore[arg-type]
            recorder.log(
                f"epoch {epoch}, negative log-likelihood {block.nll_online[k, lane]:.4f}, w={w}",
                screen=epoch % SCREEN_EPOCHS == 0,
            )


def _gradient_descent(problem: Problem, etas: list[float], updates: int) -> np.ndarray:
    """lr-sweep's algorithm without tolerance: (updates + 1, rates), infinite after divergence."""
    nll = np.full((updates + 1, len(etas)), np.inf)
    for step in descent.gradient_descent(problem.X, problem.t, problem.w0, etas, updates + 1):
        nll[step.iteration, step.rates] = step.nll
    return nll


def _against(
    etas: list[float], nll: np.ndarray, gd: np.ndarray, settled: set[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Which descent has the lower NLL after k passes: k updates of one, k epochs of the other.

    A rate and repeat in ``settled`` stopped by tolerance and stays where it is; one that diverged
    has an infinite NLL.
    """
    rows = []
    for i, eta in enumerate(etas):
        for passes in PASSES:
            if passes > nll.shape[1]:
                continue
            reached = [
                _after(nll[repeat, :, i], passes, settled=(i, repeat) in settled)
                for repeat in range(len(nll))
            ]
            sgd, batch = float(np.median(reached)), float(gd[passes, i])
            if np.isfinite(sgd) or np.isfinite(batch):
                rows.append(
                    {
                        "eta": eta,
                        "passes": passes,
                        "gd_nll": batch if np.isfinite(batch) else None,
                        "sgd_nll": sgd if np.isfinite(sgd) else None,
                        "faster": "sgd" if sgd < batch else "gd",
                    }
                )
    return rows


def _other_orders(problem: Problem, config: Config, eta: float, passes: int) -> list[float]:
    reached = []
    for order in range(config.repeats, config.repeats + ORDERS):
        stream = permutation_stream(config.seed, order)
        for block in stochastic_gradient_descent(
            problem.X,
            problem.t,
            problem.w0,
            [eta],
            passes,
            stream,
            batch_size=config.batch_size,
            tolerance=config.tolerance or 0.0,
        ):
            diverged = block.stopped.get(0) == "diverged"
            last = np.inf if diverged else float(block.nll[block.count[0] - 1, 0])
        reached.append(last)
    return reached


def _after(curve: np.ndarray, passes: int, *, settled: bool) -> float:
    recorded = curve[:passes][np.isfinite(curve[:passes])]
    return float(recorded[-1]) if len(recorded) == passes or settled else np.inf


def answers(e: Evidence, runs: list[dict[str, Any]]) -> list[str]:
    header = ["eta", "epochs", "stopped by", "last NLL", "last online NLL"]
    rows = []
    for run in runs:
        if run["repeat"] == 0:
            numbers = ["-" if run[k] is None else f"{run[k]:.8g}" for k in ("nll", "nll_online")]
            rows.append([f"{run['eta']:g}", str(run["epochs"]), run["stopped"], *numbers])
    lines = text_table(header, rows)
    repeats = len(e.nll)
    if repeats > 1:
        lines.append(f"(repeat 0 of {repeats}; below, medians over the repeats)")
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
            "-" if row["gd_nll"] is None else f"{row['gd_nll']:.6g}",
            "-" if row["sgd_nll"] is None else f"{row['sgd_nll']:.6g}",
            row["faster"],
        ]
        for row in e.against
    ]
    return [*lines, *text_table(header, rows), "", *e.problem.answers()]


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    first = [run for run in summary["runs"] if run["repeat"] == 0]
    numbers = {"lowest NLL": min(run["nll"] for run in first if run["nll"] is not None)}
    numbers |= {f"NLL at eta {run['eta']:g}": run["nll"] for run in first}
    won = [row["faster"] for row in summary["against_gd"]]
    return numbers | {"comparisons that SGD wins": f"{won.count('sgd')} of {len(won)}"}
