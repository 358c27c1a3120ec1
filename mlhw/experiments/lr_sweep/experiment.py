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

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from mlhw.experiments.lr_sweep.claims import CLAIMS
from mlhw.experiments.lr_sweep.evidence import Demand, Evidence, LocalLimits, Trajectory
from mlhw.experiments.lr_sweep.figures import FIGURES
from mlhw.experiments.lr_sweep.live import LIVE
from mlhw.experiments.lr_sweep.observations import OBSERVATIONS
from mlhw.experiments.lr_sweep.report import COLUMNS, FORMULAS, answers, summary
from mlhw.experiments.sharded import begin, processes
from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sweeps.problem import (
    SweepConfig,
    TwoClassProblem,
    begin_sweep,
    load_problem,
)
from mlhw.experiments.sweeps.textbook import start_of
from mlhw.experiments.sweeps.two_classes import TwoClasses
from mlhw.maths import descent
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.system.ranks import of_environment

if TYPE_CHECKING:
    pass

POSITION = 4
DRAWS = False
SHARED = True
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
LIMITS_AT_ONCE = 250

USUAL_SHARDS = 16
MOST_SHARDS = 65_536


def power_of_two(value: int | None) -> int | None:
    if value is not None and value & (value - 1):
        near = 1 << value.bit_length()
        raise ValueError(f"must be a power of two, such as {near // 2} or {near} (got {value})")
    return value


class Config(SweepConfig):
    GROUPS = {"log_axis": "Output", "shards": "Data", "shard_memory": "Data"}

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

    shards: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_SHARDS,
            description="rows in so many parts, a power of two; null: all in memory, "
            f"{USUAL_SHARDS} where several processes work",
        ),
        AfterValidator(power_of_two),
    ] = None
    shard_memory: Annotated[
        int,
        Field(
            ge=0,
            description="MB of rows in shards that a process keeps; others are read in each pass",
        ),
    ] = 512

    def idle(self) -> Iterator[tuple[str, str]]:
        if self.shards is None and of_environment() is None:
            yield "shard_memory", "it is for rows in shards (--shards 16)"


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate, record each step, and judge what it shows."""
    if config.shards is None and recorder.group is None:
        problem = load_problem(config)
        begin_sweep(config, problem, recorder)
        return _sweep(config, problem, recorder)
    if recorder.group is not None and not recorder.group.leads:
        processes.follow_crew(_muster(config), recorder.group)
        return Result("lr-sweep", {})
    with in_shards(config, recorder) as sharded:
        return _sweep(config, sharded, recorder)


def _muster(config: Config) -> processes.Muster:
    return processes.Muster(
        config,
        config.shards or USUAL_SHARDS,
        config.shard_memory * 1_000_000,
        len(config.etas) * config.max_iterations,
    )


@contextmanager
def in_shards(config: Config, recorder: Recorder) -> Iterator[ShardedProblem]:
    """The problem of rows in shards, and the run begun."""
    muster = _muster(config)
    with processes.crew_led(muster, recorder.group) as (crew, notes, names):
        problem = begin.problem_of(config, crew, names, config.max_iterations)
        begin.begin(config.model_copy(update={"shards": muster.count}), problem, notes, recorder)
        yield problem


def _sweep(config: Config, problem: TwoClassProblem | ShardedProblem, recorder: Recorder) -> Result:
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


def _descend(
    config: Config, problem: TwoClassProblem | ShardedProblem, recorder: Recorder
) -> list[Trajectory]:
    """Gradient descent at all rates side by side, each step recorded in the table ``metrics``."""
    metrics = recorder.table("metrics", COLUMNS["metrics"] | problem.columns)
    etas = config.etas
    losses: list[list[float]] = [[] for _ in etas]
    weights: list[list[np.ndarray]] = [[] for _ in etas]
    stopped: dict[int, str] = {}
    steps = descent.descend(
        problem.slopes, problem.w0, etas, config.max_iterations, config.tolerance
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
        Trajectory(eta, np.array(losses[i]), W, stopped[i], problem.rounding_of_nll(W.T))
        for i, (eta, W) in enumerate(zip(etas, map(np.array, weights), strict=True))
    ]
    for one in found:
        recorder.log(
            f"eta {one.eta:g}: {len(one.nll)} iterations, {one.stopped}, "
            f"NLL {one.nll[-1]:.8g}, {one.summary()['increases']} rises"
        )
    return found


def _limits_along(
    problem: TwoClasses, trajectories: list[Trajectory], recorder: Recorder
) -> list[LocalLimits]:
    """2/λmax(H(w_k)) along each trajectory, also as the table ``limits``."""
    table = recorder.table("limits", COLUMNS["limits"])
    # An eigenvalue takes the cube of the smaller dimension.
    size = min(problem.n, problem.d + 1)
    most = LIMIT_POINTS if size <= 50 else max(20, int(LIMIT_POINTS * (50 / size) ** 2))
    most = min(most, problem.patience)
    strides = [-(-len(one.nll) // most) for one in trajectories]
    places = [np.arange(0, len(o.nll), k) for o, k in zip(trajectories, strides, strict=True)]
    # All rates at once: the products of columns are the same for all weights.
    W = np.concatenate([one.W[k] for one, k in zip(trajectories, places, strict=True)]).T
    parts = []
    for first in range(0, W.shape[1], LIMITS_AT_ONCE):
        parts.append(problem.local_limits(W[:, first : first + LIMITS_AT_ONCE]))
        recorder.progress(min(first + LIMITS_AT_ONCE, W.shape[1]), W.shape[1], "local limits")
    ends = np.cumsum([len(k) for k in places])
    found = []
    for one, k, local in zip(
        trajectories, places, np.split(np.concatenate(parts), ends[:-1]), strict=True
    ):
        table.extend(
            (one.eta, i, limit if np.isfinite(limit) else None)
            for i, limit in zip(k.tolist(), local.tolist(), strict=True)
        )
        found.append(LocalLimits(k, local))
    return found
