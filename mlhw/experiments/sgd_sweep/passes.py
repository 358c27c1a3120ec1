"""Stochastic against batch gradient descent after the same number of passes over the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.maths import descent
from mlhw.maths.sgd import permutation_stream, stochastic_gradient_descent

PASSES = (1, 10, 100, 500)
ORDERS = 21  # tried before a claim is said to fail by more than an unlucky order
SHOWN = 6  # significant digits of the NLLs that are compared


def compared_passes(epochs: int) -> list[int]:
    """The numbers of passes after which the two are compared, in a run of so many epochs."""
    return [passes for passes in PASSES if passes <= epochs]


def gd_nlls(problem: TwoClassProblem, etas: list[float], updates: int) -> np.ndarray:
    """lr-sweep's algorithm without tolerance: (updates + 1, rates), infinite after divergence."""
    nll = np.full((updates + 1, len(etas)), np.inf)
    for step in descent.gradient_descent(problem.X, problem.t, problem.w0, etas, updates + 1):
        nll[step.iteration, step.rates] = step.nll
    return nll


def against_gd(
    etas: list[float], nll: np.ndarray, gd: np.ndarray, settled: set[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Which descent has the lower NLL after k passes: k updates of one, k epochs of the other.

    ``nll`` is (repeats, epochs, rates), ``gd`` (updates + 1, rates). A rate and repeat in ``settled``
    stopped by tolerance and stays where it is; one that diverged has an infinite NLL. A row where
    both diverged is left out; where six significant digits are equal neither is faster.
    """
    rows = []
    for i, eta in enumerate(etas):
        for passes in compared_passes(nll.shape[1]):
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
                        "faster": _faster(sgd, batch),
                    }
                )
    return rows


def _faster(sgd: float, batch: float) -> str:
    """Which has the lower NLL; ``equal`` where no digit that is shown tells them apart."""
    if f"{sgd:.{SHOWN}g}" == f"{batch:.{SHOWN}g}":
        return "equal"
    return "sgd" if sgd < batch else "gd"


def _after(nll: np.ndarray, passes: int, *, settled: bool) -> float:
    """The NLL (epochs,) of one repeat after so many passes; infinite where it diverged before."""
    recorded = nll[:passes][np.isfinite(nll[:passes])]
    return float(recorded[-1]) if len(recorded) == passes or settled else np.inf


def nll_by_order(
    problem: TwoClassProblem,
    eta: float,
    passes: int,
    *,
    seed: int,
    first: int,
    batch_size: int,
    tolerance: float,
) -> list[float]:
    """The NLL after so many passes in each of ``ORDERS`` orders; infinite where one diverged.

    ``first`` is the number of the first order, above those of the recorded repeats.
    """
    reached = []
    for order in range(first, first + ORDERS):
        for block in stochastic_gradient_descent(
            problem.X,
            problem.t,
            problem.w0,
            [eta],
            passes,
            permutation_stream(seed, order),
            batch_size=batch_size,
            tolerance=tolerance,
        ):
            diverged = block.stopped.get(0) == "diverged"
            last = np.inf if diverged else float(block.nll[block.count[0] - 1, 0])
        reached.append(last)
    return reached
