"""What sgd-sweep claims.

A claim fails only where theory says that it has to hold, or where nearly every order of the samples
shows it. Where the order that was drawn or the rates that were given cannot show it, the claim is not
applicable, and its note says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.result.claims import Claim, Claims, check, not_applicable

LAST_EPOCHS = 100  # over which the fluctuation is judged
SAME_NLL = 1e-12  # relative; NLLs that differ by no more are equal
NEAR = 1e-3  # an NLL above the optimum's by less than this has next to nothing to gain
SMALL = 0.25  # of 2/max L_i: up to here the noise of one sample is small beside its gradient
ENOUGH_PASSES = 100  # with fewer, a lucky order can keep stochastic descent ahead at any rate

CLAIMS = Claims[Evidence]()

ONE_BATCH = "one batch is all the data: it is gradient descent, without noise"
NO_NOISE = "the classes are separable: every sample's gradient vanishes, and with it the noise"
BOUNDARY_NOISE = (
    "the classes are separable but for the points on the boundary: only theirs stays of the noise, and "
    "it need not show beside the gain along the separating direction"
)


@CLAIMS.claim(
    "not-always-faster",
    "stochastic gradient descent is not always faster than gradient descent",
)
def not_always_faster(e: Evidence) -> Claim:
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
    slower = [row for row in e.against if _lead(row) < 0]
    if not slower and e.problem.optimum is None:
        return not_applicable(_little_noise(e))
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
    if not slower:
        eta = _arriving(e)
        if eta is None:
            return not_applicable(
                "at the rates above 2/L gradient descent itself is still far from the optimum after "
                "the last of the compared passes"
            )
        row = [row for row in e.against if row["eta"] == eta][-1]
        behind = sum(nll > row["gd_nll"] for nll in e.other_orders(eta, row["passes"]))
        if behind > 1:
            return not_applicable(
                f"a lucky order: {behind} others are slower at eta {eta:g} after {row['passes']} passes"
            )
    some = ", ".join(f"eta {row['eta']:g} after {row['passes']}" for row in slower[:4])
    return check(
        len(slower) > 0,
        measured=len(slower),
        expected="at least 1",
        note=f"of {len(e.against)} comparisons gradient descent wins {len(slower)}"
        + (f": {some} passes" if some else ""),
    )


def _boundary_stays(e: Evidence) -> bool:
    """Whether the classes are separated quasi-completely: points on the boundary overlap."""
    found = e.problem.separation
    return found is not None and found.kind == "quasi-complete"


def _little_noise(e: Evidence) -> str:
    """Why the noise of single samples need not stay, where there is no optimum."""
    if e.problem.separation is None:
        return str(e.problem.no_optimum)
    return BOUNDARY_NOISE if _boundary_stays(e) else NO_NOISE


def _arriving(e: Evidence) -> float | None:
    """The largest rate above 2/L at which gradient descent is half-way to the optimum or nearer."""
    assert e.problem.optimum is not None
    start, end = e.gd[[0, -1]] - e.problem.optimum.nll
    return next(
        (
            eta
            for eta, before, after in zip(e.etas, start, end, strict=True)
            if eta > e.problem.monotone_eta and after < 0.5 * before
        ),
        None,
    )


@CLAIMS.claim("keeps-fluctuating", "at the largest rate its NLL keeps fluctuating")
def keeps_fluctuating(e: Evidence) -> Claim:
    if len(e.etas) < 2 or e.etas[0] < 2 * e.etas[-1]:
        return not_applicable("two rates are needed, one at least twice the other")
    if e.problem.optimum is None and not _boundary_stays(e):
        return not_applicable(_little_noise(e))
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
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
    if largest == 0 and (np.diff(last[:, :, 0], axis=1) < 0).all():
        return not_applicable("the NLL at the largest rate still falls in every epoch")
    shown = largest > 2 * smallest
    if not shown and e.problem.optimum is None:
        return not_applicable(BOUNDARY_NOISE)
    if not shown and e.etas[0] < 10 * e.etas[-1]:
        return not_applicable(
            "the spread grows about like the rate, and the largest is less than ten times the smallest"
        )
    return check(
        shown,
        measured={f"eta {e.etas[0]:g}": largest, f"eta {e.etas[-1]:g}": smallest},
        expected="the first above twice the second",
        note="5-95 % range of the NLL above its lowest so far, over the last "
        f"{LAST_EPOCHS} epochs, median over repeats",
    )


def _spread(nll: np.ndarray) -> np.ndarray:
    """The 5-95 % range of the curves above their running minima, (repeats,) for (repeats, epochs).

    The range is taken above the lowest NLL so far, since a small rate may still be on its way down,
    and that is no fluctuation.
    """
    above = nll - np.minimum.accumulate(nll, axis=1)
    low, high = np.quantile(above, [0.05, 0.95], axis=1)
    spread: np.ndarray = high - low
    return spread


@CLAIMS.claim("faster-at-smallest", "at the smallest rate it is faster")
def faster_at_smallest(e: Evidence) -> Claim:
    eta = e.etas[-1]
    if eta >= e.sample_eta:
        return not_applicable(
            f"no rate is small for single samples, below 2/max L_i = {e.sample_eta:.4g}"
        )
    if e.batch_size == len(e.problem.X):
        return not_applicable(ONE_BATCH)
    rows = [row for row in e.against if row["eta"] == eta]
    leads = {f"after {row['passes']}": _lead(row) for row in rows}
    behind = [row for row in rows if _lead(row) <= 0]
    for row in behind:
        reason = _excuse(e, row)
        if reason:
            return not_applicable(f"after {row['passes']} passes {reason}", measured=leads)
    return check(
        not behind,
        measured=leads,
        expected="above 0",
        note=f"NLL of gradient descent less that of stochastic descent at eta {eta:g}, by passes",
    )


def _lead(row: dict[str, Any]) -> float:
    """By how much stochastic descent has the lower NLL; 0 where rounding alone tells them apart.

    Infinite where one of them diverged.
    """
    batch, sgd = (np.inf if row[key] is None else row[key] for key in ("gd_nll", "sgd_nll"))
    lead = float(batch - sgd)
    return 0.0 if abs(lead) <= SAME_NLL * max(1.0, min(batch, sgd)) else lead


def _excuse(e: Evidence, row: dict[str, Any]) -> str | None:
    """Why stochastic descent need not be ahead in this comparison; None where it has to be."""
    if _lead(row) == 0:
        return "the two NLLs are equal but for rounding"
    lowest = e.problem.infimum or 0.0
    near = max(0.25 * (e.gd[0, 0] - lowest), NEAR)
    if row["gd_nll"] is not None and row["gd_nll"] - lowest <= near:
        return "gradient descent is near the optimum, where the noise of single samples decides"
    if _on_a_plateau(e, row):
        return (
            "gradient descent has next to nothing to gain but along directions that are flat beside the "
            "steepest, and the noise of single samples decides"
        )
    if row["eta"] > SMALL * e.sample_eta:
        return (
            f"it is the slower, and only rates below {SMALL * e.sample_eta:.4g}, "
            f"{SMALL:g} of 2/max L_i, are small enough to have to be faster"
        )
    orders = e.other_orders(row["eta"], row["passes"])
    ahead = sum(nll < row["gd_nll"] for nll in orders)
    if ahead > 1:
        return f"an unlucky order is the slower: of {len(orders)} others {ahead} are faster"
    return None


def _on_a_plateau(e: Evidence, row: dict[str, Any]) -> bool:
    """Whether gradient descent hardly moves although it is far from the optimum, and SGD is level.

    So it is where features lie far from 0: the steepest direction, nearly that of the bias, is soon
    done, and the others take as many times longer as the offset is of the spread, squared. Gradient
    descent gained less than ``NEAR``, or a tenth or less of its gain in the second half of its
    passes while SGD has three quarters of that gain too.
    """
    if row["gd_nll"] is None or row["sgd_nll"] is None:
        return False
    path = e.gd[:, e.etas.index(row["eta"])]
    gained = path[0] - row["gd_nll"]
    lately = path[row["passes"] // 2] - row["gd_nll"]
    level = path[0] - row["sgd_nll"] >= 0.75 * gained
    return bool(-SAME_NLL <= gained <= NEAR or (lately <= 0.1 * gained and level))
