"""What sgd-sweep claims, and the evidence by which it is judged.

A claim fails only where theory, or nearly every order of the samples, says that it has to hold; where
an order or the rates could not show it, it is not applicable and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.result import Check, Claims, check, not_applicable
from mlhw.sweeps import Problem

LAST_EPOCHS = 100  # over which the fluctuation is judged
ENOUGH_PASSES = 100  # with fewer, a lucky order can keep stochastic descent ahead at any rate


@dataclass
class Evidence:
    """What the claims are judged by; the rates are in falling order.

    ``nll`` and ``online`` are (repeats, epochs, rates), NaN after a rate has stopped; ``gd`` is
    (passes + 1, rates), the NLL of gradient descent after k updates; ``sample_eta`` is 2/max Lᵢ.
    ``other_orders(eta, passes)`` is the NLL after so many passes for each of ``ORDERS`` orders that
    were not recorded, infinite where one diverged.
    """

    problem: Problem
    etas: list[float]
    nll: np.ndarray
    online: np.ndarray
    gd: np.ndarray
    against: list[dict[str, Any]]
    sample_eta: float
    batch_size: int
    other_orders: Callable[[float, int], list[float]]


CLAIMS = Claims[Evidence]()

NO_NOISE = "the classes are separable: every sample's gradient vanishes, and with it the noise"


@CLAIMS.claim(
    "not-always-faster",
    "stochastic gradient descent is not always faster than gradient descent",
)
def not_always_faster(e: Evidence) -> Check:
    slower = [row for row in e.against if row["faster"] == "gd"]
    if not slower and e.problem.optimum is None:
        return not_applicable(NO_NOISE)
    if not slower and e.etas[0] <= e.problem.monotone_eta:
        return not_applicable(
            f"only a large rate can show it, and none exceeds 2/L = {e.problem.monotone_eta:.4g}"
        )
    if not slower and e.batch_size > 1:
        return not_applicable(f"the mean of {e.batch_size} samples is less noisy than one")
    if not slower and e.nll.shape[1] < ENOUGH_PASSES:
        return not_applicable(
            f"the noise may not show in so few passes: {ENOUGH_PASSES} are enough to tell"
        )
    if not slower and not _descent_arrives(e):
        return not_applicable(
            "at the rates above 2/L gradient descent itself is still far from the optimum after the "
            "last of the compared passes"
        )
    some = ", ".join(f"eta {row['eta']:g} after {row['passes']}" for row in slower[:4])
    return check(
        len(slower) > 0,
        measured=len(slower),
        expected="at least 1",
        note=f"of {len(e.against)} comparisons gradient descent wins {len(slower)}"
        + (f": {some} passes" if some else ""),
    )


def _descent_arrives(e: Evidence) -> bool:
    """Whether gradient descent at a rate above 2/L is half-way to the optimum or nearer at the end."""
    assert e.problem.optimum is not None
    large = np.array(e.etas) > e.problem.monotone_eta
    distance = e.gd[[0, -1]][:, large] - e.problem.optimum.nll
    return bool((distance[1] < 0.5 * distance[0]).any())


@CLAIMS.claim("keeps-fluctuating", "at the largest rate its NLL keeps fluctuating")
def keeps_fluctuating(e: Evidence) -> Check:
    if len(e.etas) < 2 or e.etas[0] < 2 * e.etas[-1]:
        return not_applicable("two rates are needed, one at least twice the other")
    if e.problem.optimum is None:
        return not_applicable(NO_NOISE)
    if e.batch_size == len(e.problem.X):
        return not_applicable("one batch is all the data: there is no noise")
    if e.etas[0] <= e.sample_eta:
        return not_applicable(
            "even the largest rate is small for single samples: none exceeds 2/max L_i = "
            f"{e.sample_eta:.4g}"
        )
    if e.nll.shape[1] < 2 * LAST_EPOCHS:
        return not_applicable(f"fewer than {2 * LAST_EPOCHS} epochs")
    last = e.nll[:, -LAST_EPOCHS:, :]
    if not np.isfinite(last[:, :, [0, -1]]).all():
        return not_applicable("the largest or the smallest rate stopped before the last epochs")
    largest, smallest = (float(np.median(_spread(last[:, :, i]))) for i in (0, -1))
    if e.batch_size > 1 and largest == 0:
        return not_applicable(
            f"the mean of {e.batch_size} samples is too little noisy at this rate"
        )
    return check(
        largest > 2 * smallest,
        measured={f"eta {e.etas[0]:g}": largest, f"eta {e.etas[-1]:g}": smallest},
        expected="the first above twice the second",
        note="5-95 % range of the NLL above its lowest so far, over the last "
        f"{LAST_EPOCHS} epochs, median over repeats",
    )


def _spread(nll: np.ndarray) -> np.ndarray:
    """The 5-95 % range of the curves above their running minima, (repeats,) for (repeats, epochs).

    A small rate may still be on its way down, and no longer straight; that is no fluctuation.
    """
    above = nll - np.minimum.accumulate(nll, axis=1)
    low, high = np.quantile(above, [0.05, 0.95], axis=1)
    spread: np.ndarray = high - low
    return spread


@CLAIMS.claim("faster-at-smallest", "at the smallest rate it is faster")
def faster_at_smallest(e: Evidence) -> Check:
    eta = e.etas[-1]
    if eta >= e.sample_eta:
        return not_applicable(
            f"no rate is small for single samples, below 2/max L_i = {e.sample_eta:.4g}"
        )
    leads = {
        f"after {row['passes']}": row["gd_nll"] - row["sgd_nll"]
        if row["sgd_nll"] is not None and row["gd_nll"] is not None
        else -np.inf
        for row in e.against
        if row["eta"] == eta
    }
    note = f"NLL of gradient descent less that of stochastic descent at eta {eta:g}, by passes"
    behind = [row for row in e.against if row["eta"] == eta and row["faster"] == "gd"]
    for row in behind:
        orders = e.other_orders(eta, row["passes"])
        ahead = sum(nll < row["gd_nll"] for nll in orders)
        if ahead > 1:
            return not_applicable(
                f"an unlucky order: after {row['passes']} passes at eta {eta:g} it is the slower, "
                f"but of {len(orders)} other orders {ahead} are faster",
                measured=leads,
            )
    return check(not behind, measured=leads, expected="above 0", note=note)
