"""How does the learning rate change gradient descent?

Two-class logistic regression, p(C1|x) = σ(wᵀx) with w = [w1 … wd, bias], by batch gradient descent
w ← w − η ∇E(w) on E(w), the mean negative log-likelihood (Bishop, PRML, eq. 4.90 and 4.91 over n),
at several rates η side by side. What explains the paths is worked out too: the optimum (by Newton's
method), 2/L below which no step can raise E, 2/λmax of the Hessian at the optimum above which descent
cannot settle there, and the same limit along each path.

    mlhw lr-sweep --etas 0.5,0.3,0.1,0.05,0.01

On the built-in data η = 0.5 and 0.3 overshoot at first and oscillate; 0.1, 0.05 and 0.01 never rise,
and the smaller, the slower.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mlhw.experiments.lr_sweep.claims import CLAIMS
from mlhw.experiments.lr_sweep.evidence import Demand, Evidence, LocalLimits, Trajectory
from mlhw.experiments.lr_sweep.figures import FIGURES
from mlhw.experiments.lr_sweep.live import LIVE
from mlhw.experiments.lr_sweep.observations import OBSERVATIONS
from mlhw.experiments.lr_sweep.report import COLUMNS, FORMULAS, answers, summary
from mlhw.experiments.sweeps.problem import (
    SweepConfig,
    TwoClassProblem,
    begin_sweep,
    load_problem,
)
from mlhw.experiments.sweeps.textbook import start_of
from mlhw.maths import descent, logistic
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

POSITION = 4
DRAWS = False
QUESTION = (
    "How does the learning rate change gradient descent? Two-class logistic regression at several "
    "rates from the same start: which oscillate, which are slow, and why."
)
EXAMPLES = (
    ("mlhw lr-sweep --etas 0.5,0.3,0.1", "three rates side by side"),
    ("mlhw lr-sweep --data points.csv --standardize", "one's own points"),
    (
        "mlhw lr-sweep --data iris --classes 1,2 --log-axis both",
        "a built-in set, two of its classes",
    ),
)

LIMIT_POINTS = 2000
"""The local limit is worked out for at most this many iterations of a rate, evenly spread."""


class Config(SweepConfig):
    GROUPS = {"log_axis": "Output"}

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
    ] = "nll"


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate, record each step, and judge what it shows."""
    problem = load_problem(config)
    begin_sweep(config, problem, recorder)
    trajectories = _descend(config, problem, recorder)
    limits = _limits_along(problem, trajectories, recorder)
    asked = Demand(start_of(config.w0, problem.d), config.max_iterations, config.tolerance)
    evidence = Evidence(problem, trajectories, limits, config.log_axis, asked)
    if problem.d != 2:
        recorder.log(
            f"{problem.d} features: the figures of two dimensions (path, separators) are left out"
        )
    return Result(
        "lr-sweep",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        FIGURES.plots(evidence),
        FORMULAS,
        observations=OBSERVATIONS.look(evidence),
        live=LIVE.of(evidence),
    )


def _descend(config: Config, problem: TwoClassProblem, recorder: Recorder) -> list[Trajectory]:
    """Gradient descent at all rates side by side, each step recorded in the table ``metrics``."""
    metrics = recorder.table("metrics", COLUMNS["metrics"] | problem.columns)
    etas = config.etas
    losses: list[list[float]] = [[] for _ in etas]
    weights: list[list[np.ndarray]] = [[] for _ in etas]
    stopped: dict[int, str] = {}
    steps = descent.gradient_descent(
        problem.X, problem.t, problem.w0, etas, config.max_iterations, config.tolerance
    )
    for step in steps:
        rows = []
        for i, loss, w in zip(step.rates.tolist(), step.nll.tolist(), step.W.T, strict=True):
            losses[i].append(loss)
            weights[i].append(w)
            rows.append((etas[i], step.iteration, loss, *w.tolist()))
        metrics.extend(rows)
        stopped.update(step.stopped)
        recorder.progress(step.iteration + 1, config.max_iterations, "iterations")
    found = [
        Trajectory(
            eta, np.array(losses[i]), W, stopped[i], logistic.rounding_of_nll(problem.X, W.T)
        )
        for i, (eta, W) in enumerate(zip(etas, map(np.array, weights), strict=True))
    ]
    for one in found:
        recorder.log(
            f"eta {one.eta:g}: {len(one.nll)} iterations, {one.stopped}, "
            f"NLL {one.nll[-1]:.8g}, {one.summary()['increases']} rises"
        )
    return found


def _limits_along(
    problem: TwoClassProblem, trajectories: list[Trajectory], recorder: Recorder
) -> list[LocalLimits]:
    """2/λmax(H(w_k)) along each trajectory, also as the table ``limits``."""
    table = recorder.table("limits", COLUMNS["limits"])
    # An eigenvalue takes the cube of the smaller dimension.
    size = min(problem.X.shape)
    most = LIMIT_POINTS if size <= 50 else max(20, int(LIMIT_POINTS * (50 / size) ** 2))
    found = []
    for one in trajectories:
        stride = -(-len(one.nll) // most)
        iterations = np.arange(0, len(one.nll), stride)
        parts = []
        for part in np.array_split(iterations, -(-len(iterations) // 50)):
            parts.append(logistic.local_limits(problem.X, one.W[part].T))
            recorder.progress(int(part[-1]) + 1, len(one.nll), f"local limits, eta {one.eta:g}")
        local = np.concatenate(parts)
        table.extend(
            (one.eta, k, limit if np.isfinite(limit) else None)
            for k, limit in zip(iterations.tolist(), local.tolist(), strict=True)
        )
        found.append(LocalLimits(iterations, local))
    return found
