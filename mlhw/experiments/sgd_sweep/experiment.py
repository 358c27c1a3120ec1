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
from mlhw.experiments.sgd_sweep.claims import CLAIMS
from mlhw.experiments.sgd_sweep.evidence import Asked, Evidence
from mlhw.experiments.sgd_sweep.figures import FIGURES
from mlhw.experiments.sgd_sweep.live import LIVE
from mlhw.experiments.sgd_sweep.observations import OBSERVATIONS
from mlhw.experiments.sgd_sweep.passes import (
    against_gd,
    compared_passes,
    gd_nlls,
    nll_by_order,
)
from mlhw.experiments.sgd_sweep.report import COLUMNS, FORMULAS, answers, summary
from mlhw.experiments.sweeps.problem import (
    SweepConfig,
    TwoClassProblem,
    begin_sweep,
    load_problem,
)
from mlhw.experiments.sweeps.textbook import start_of
from mlhw.maths.sgd import (
    Epochs,
    loop,
    permutation_stream,
    stochastic_gradient_descent,
)
from mlhw.result.recorder import Recorder, is_logged
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.system.machine_code import keep

POSITION = 5
QUESTION = (
    "Is stochastic gradient descent faster than gradient descent? The same logistic regression with "
    "one update a sample, against gradient descent after the same number of passes over the data."
)
EXAMPLES = (
    ("mlhw sgd-sweep --etas 0.5,0.01", "two rates against gradient descent"),
    ("mlhw sgd-sweep --batch-size 10 --epochs 100", "mini-batches"),
    ("mlhw sgd-sweep --data points.csv --repeats 5", "one's own points"),
)

SCREEN_EPOCHS = 50  # every how many epochs the screen shows one

REPEATS = 20
PRODUCTS = 100_000_000
"""Without a number of repeats there are ``REPEATS``, or so many that all updates of all rates take at most
this many products of a weight and a feature: a second or two."""

Runs = dict[tuple[int, int], dict[str, Any]]
"""By number of the rate and repeat, the state at the end of the run."""


class Config(SweepConfig):
    epochs: Annotated[int, Field(ge=1, le=10_000_000, description="passes over the data")] = 500
    repeats: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="runs with permutations of their own; null: 20, fewer where they take long",
        ),
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="samples whose mean gradient is a step")] = 1
    tolerance: Annotated[
        float | None,
        Field(ge=0, description="a rate stops when its NLL changes by less; null or 0 never does"),
    ] = None


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate and repeat, record each epoch, and compare with gradient descent."""
    problem = load_problem(config)
    if config.batch_size > len(problem.X):
        raise ConfigError(
            f"batch_size: must be at most the {len(problem.X)} points (got {config.batch_size})"
        )
    repeats = config.repeats or affordable_repeats(config, problem)
    config = config.model_copy(update={"repeats": repeats})
    begin_sweep(config, problem, recorder)
    etas = config.etas
    nll, online, W, runs = _descend(config, repeats, problem, recorder)
    gd = gd_nlls(problem, etas, max([0, *compared_passes(config.epochs)]))
    settled = {key for key, row in runs.items() if row["stopped"] == "tolerance"}
    falling = sorted(range(len(etas)), key=lambda i: -etas[i])
    evidence = Evidence(
        problem=problem,
        etas=[etas[i] for i in falling],
        nll=nll[:, :, falling],
        online=online[:, :, falling],
        W=W[:, :, :, falling],
        asked=Asked(
            start_of(config.w0, problem.d), config.seed, config.epochs, config.tolerance or 0.0
        ),
        gd=gd[:, falling],
        runs=[runs[rate, repeat] for rate in range(len(etas)) for repeat in range(repeats)],
        against=against_gd(etas, nll, gd, settled),
        batch_size=config.batch_size,
        other_orders=partial(
            nll_by_order,
            problem,
            seed=config.seed,
            first=repeats,
            batch_size=config.batch_size,
            tolerance=config.tolerance or 0.0,
        ),
    )
    if problem.d != 2:
        recorder.log(f"{problem.d} features: the figure of the separators is left out")
    return Result(
        "sgd-sweep",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        FIGURES.plots(evidence),
        FORMULAS,
        observations=OBSERVATIONS.look(evidence),
        live=LIVE.of(evidence),
    )


def affordable_repeats(config: Config, problem: TwoClassProblem) -> int:
    """``REPEATS``, or where data and epochs are many as many as ``PRODUCTS`` allow, at least one."""
    one = problem.X.size * config.epochs * len(config.etas)
    return max(1, min(REPEATS, PRODUCTS // one))


def _descend(
    config: Config, repeats: int, problem: TwoClassProblem, recorder: Recorder
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Runs]:
    """Stochastic descent at all rates in every repeat, each epoch recorded in the table ``metrics``.

    Returns the NLL at the epochs' ends and the online NLL, both (repeats, epochs, rates), the weights
    there (repeats, epochs, d+1, rates), all NaN after a rate has stopped, and the state of each rate
    and repeat at its end.
    """
    etas = config.etas
    shape = (repeats, config.epochs, len(etas))
    nll, online = np.full(shape, np.nan), np.full(shape, np.nan)
    W = np.full((*shape[:2], problem.d + 1, len(etas)), np.nan)
    metrics = recorder.table("metrics", COLUMNS["metrics"] | problem.columns)
    runs: Runs = {}
    keep(loop())
    for repeat in range(repeats):
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
                W[repeat, part, :, rate] = block.W[: block.count[lane], :, lane]
                online[repeat, part, rate] = block.nll_online[: block.count[lane], lane]
            if repeat == 0:
                _log_epochs(block, etas, recorder)
            done = repeat * config.epochs + block.first + len(block.nll)
            recorder.progress(done, repeats * config.epochs, "epochs")
    return nll, online, W, runs


def _record(block: Epochs, repeat: int, etas: list[float], metrics: Table, runs: Runs) -> None:
    """Add the rows of a block to ``metrics``, and the state of each rate at its end to ``runs``."""
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
        else:  # diverged in its first epoch of the block; its end is that of the block before
            nothing = {"eta": etas[rate], "repeat": repeat, "epochs": 0, "nll_online": None}
            start = {**nothing, "nll": None, "w": [None] * block.W.shape[1]}
            runs[rate, repeat] = runs.get((rate, repeat), start) | {"stopped": block.stopped[rate]}


def _log_epochs(block: Epochs, etas: list[float], recorder: Recorder) -> None:
    """Log as the course does: a line that names the rate, then one line an epoch."""
    for lane, rate in enumerate(block.rates):
        epochs = [block.first + k for k in range(block.count[lane]) if is_logged(block.first + k)]
        if epochs or block.first == 0:
            recorder.log(f"eta {etas[rate]:g}")
        for epoch in epochs:
            k = epoch - block.first
            w = np.array2string(block.W[k, :, lane], max_line_width=np.inf)  # type: ignore[arg-type]
            recorder.log(
                f"epoch {epoch}, negative log-likelihood {block.nll_online[k, lane]:.4f}, w={w}",
                screen=epoch % SCREEN_EPOCHS == 0,
            )
