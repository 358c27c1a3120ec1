"""How does the learning rate change gradient descent?

Two-class logistic regression, p(C1|x) = σ(wᵀx) with w = [w1 … wd, bias], by batch gradient descent
w ← w − η ∇E(w) on E(w), the mean negative log-likelihood (Bishop, PRML, eq. 4.90 and 4.91 over n),
at several rates η side by side. Beside the paths stand the answers that explain them: the optimum
(Newton's method), 2/L below which no step can raise E, 2/λmax of the Hessian at the optimum above
which descent cannot settle there, and the same limit along each path.

    mlhw lr-sweep --etas 0.5,0.3,0.1,0.05,0.01

On the built-in data η = 0.5 and 0.3 overshoot at first and oscillate; 0.1, 0.05 and 0.01 never rise,
and the smaller, the slower.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mlhw.experiments.lr_sweep.claims import CLAIMS, LIMIT_POINTS, Curve, Evidence
from mlhw.experiments.lr_sweep.figures import figures
from mlhw.experiments.lr_sweep.report import FORMULAS, LIMITS, METRICS
from mlhw.experiments.sweeps.problem import Problem, SweepConfig, begin, load
from mlhw.maths import descent, logistic
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.text.words import text_table

POSITION = 4
QUESTION = (
    "How does the learning rate change gradient descent? Two-class logistic regression at several "
    "rates from the same start: which oscillate, which are slow, and why."
)


class Config(SweepConfig):
    max_iterations: Annotated[
        int, Field(ge=1, le=10_000_000, description="NLLs recorded at most for a rate")
    ] = 500
    tolerance: Annotated[
        float,
        Field(ge=0, description="a rate stops when its NLL changes by less; 0 never does"),
    ] = 1e-5
    log_axis: Annotated[
        Literal["none", "iteration", "nll", "both"],
        Field(description="logarithmic axes of the figure of the NLL"),
    ] = "none"


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate, record each step, and judge what it shows."""
    problem, loaded = load(config)
    begin(config, problem, loaded, recorder)
    metrics = recorder.table("metrics", METRICS | problem.columns)
    etas = config.etas
    losses: list[list[float]] = [[] for _ in etas]
    paths: list[list[np.ndarray]] = [[] for _ in etas]
    stopped: dict[int, str] = {}
    steps = descent.gradient_descent(
        problem.X, problem.t, problem.w0, etas, config.max_iterations, config.tolerance
    )
    for step in steps:
        rows = []
        for i, loss, w in zip(step.rates.tolist(), step.nll.tolist(), step.W.T, strict=True):
            losses[i].append(loss)
            paths[i].append(w)
            rows.append((etas[i], step.iteration, loss, *w.tolist()))
        metrics.extend(rows)
        stopped.update(step.stopped)
        recorder.progress(step.iteration + 1, config.max_iterations, "iterations")
    curves = [
        Curve(eta, np.array(losses[i]), np.array(paths[i]), stopped[i])
        for i, eta in enumerate(etas)
    ]
    for curve in curves:
        recorder.log(
            f"eta {curve.eta:g}: {len(curve.nll)} iterations, {curve.stopped}, "
            f"NLL {curve.nll[-1]:.8g}, {curve.summary()['increases']} rises"
        )
    limits = record_limits(problem, curves, recorder)
    claims = CLAIMS.judge(Evidence(problem, sorted(curves, key=lambda c: -c.eta)))
    summary = problem.summary() | {"runs": [curve.summary() for curve in curves]}
    if problem.d != 2:
        recorder.log(
            f"{problem.d} features: the figures of two dimensions (path, separators) are left out"
        )
    return Result(
        "lr-sweep",
        summary,
        claims,
        answers(problem, curves),
        recorder.tables,
        figures(problem, curves, limits, config.log_axis),
        FORMULAS,
    )


def record_limits(
    problem: Problem, curves: list[Curve], recorder: Recorder
) -> list[tuple[np.ndarray, np.ndarray]]:
    """2/λmax(H(w_k)) along each path, also as the table ``limits``; (iterations, limits) a rate."""
    table = recorder.table("limits", LIMITS)
    # An eigenvalue takes the cube of the smaller dimension.
    size = min(problem.X.shape)
    most = LIMIT_POINTS if size <= 50 else max(20, int(LIMIT_POINTS * (50 / size) ** 2))
    limits = []
    for curve in curves:
        stride = -(-len(curve.nll) // most)
        iterations = np.arange(0, len(curve.nll), stride)
        found = []
        for part in np.array_split(iterations, -(-len(iterations) // 50)):
            found.append(logistic.local_limits(problem.X, curve.W[part].T))
            recorder.progress(int(part[-1]) + 1, len(curve.nll), f"local limits, eta {curve.eta:g}")
        local = np.concatenate(found)
        table.extend(
            (curve.eta, k, limit if np.isfinite(limit) else None)
            for k, limit in zip(iterations.tolist(), local.tolist(), strict=True)
        )
        limits.append((iterations, local))
    return limits


def answers(problem: Problem, curves: list[Curve]) -> list[str]:
    header = ["eta", "iterations", "stopped by", "last NLL", "rises"]
    rows = []
    for curve in curves:
        s = curve.summary()
        rows.append(
            [
                f"{s['eta']:g}",
                str(s["iterations"]),
                s["stopped"],
                f"{s['nll']:.8g}",
                str(s["increases"]),
            ]
        )
    return [
        *text_table(header, rows),
        "",
        "stopped by tolerance: the NLL changed by less than it; rises: iterations that raised the NLL",
        *problem.answers(),
    ]


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    runs = summary["runs"]
    numbers = {"lowest NLL": min(run["nll"] for run in runs)}
    if summary["optimum"] is not None:
        numbers["optimum"] = summary["optimum"]["nll"]
    numbers |= {f"NLL at eta {run['eta']:g}": run["nll"] for run in runs}
    return numbers | {f"rises at eta {run['eta']:g}": run["increases"] for run in runs}
