"""When the noise of single samples excuses a run from what the claims of sgd-sweep say, and when it cannot.

No excuse covers more than one comparison, and none a lag beyond what noise can bring about.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.maths.descent import DIVERGED_FACTOR

SAME_NLL = 1e-12  # relative; NLLs that differ by no more are equal
NEAR = 1e-3  # an NLL above the optimum's by less than this has next to nothing to gain
SMALL = 0.25  # of 2/max L_i: up to here the noise of one sample is small beside its gradient
ENOUGH_PASSES = 100  # with fewer, a lucky order can keep stochastic descent ahead at any rate

NO_NOISE = "the classes are separable: every sample's gradient vanishes, and with it the noise"
BOUNDARY_NOISE = (
    "the classes are separable but for the points on the boundary: only theirs stays of the noise, and "
    "it need not show beside the gain along the separating direction"
)


def boundary_stays(e: Evidence) -> bool:
    """Whether the classes are separated quasi-completely: points on the boundary overlap."""
    found = e.problem.separation
    return found is not None and found.kind == "quasi-complete"


def little_noise(e: Evidence) -> str:
    """Why the noise of single samples need not stay, where there is no optimum."""
    if e.problem.separation is None:
        return str(e.problem.no_optimum)
    return BOUNDARY_NOISE if boundary_stays(e) else NO_NOISE


def need_not_be_slower(e: Evidence) -> str | None:
    """Why stochastic descent may be ahead in every comparison; None where it cannot be."""
    if e.problem.optimum is None:
        return little_noise(e)
    if e.etas[0] <= e.problem.monotone_eta:
        return f"only a large rate can show it, and none exceeds 2/L = {e.problem.monotone_eta:.4g}"
    if e.batch_size > 1:
        return f"the mean of {e.batch_size} samples is less noisy than one"
    if e.nll.shape[1] < ENOUGH_PASSES:
        return f"the noise may not show in so few passes: {ENOUGH_PASSES} are enough to tell"
    eta = _arriving(e)
    if eta is None:
        return (
            "at the rates above 2/L gradient descent itself is still far from the optimum after "
            "the last of the compared passes"
        )
    row = [row for row in e.against if row["eta"] == eta][-1]
    behind = sum(nll > row["gd_nll"] for nll in e.other_orders(eta, row["passes"]))
    if behind > 1:
        return (
            f"a lucky order: {behind} others are slower at eta {eta:g} after {row['passes']} passes"
        )
    return None


def _arriving(e: Evidence) -> float | None:
    """The largest rate above 2/L at which gradient descent is half-way to the optimum or nearer.

    From a start far off, half-way counts from ln 2, the NLL of knowing nothing.
    """
    assert e.problem.optimum is not None
    start, end = e.gd[[0, -1]] - e.problem.optimum.nll
    return next(
        (
            eta
            for eta, before, after in zip(e.etas, start, end, strict=True)
            if eta > e.problem.monotone_eta and after < 0.5 * min(before, np.log(2.0))
        ),
        None,
    )


def noise_explains(e: Evidence, row: dict[str, Any]) -> bool:
    """Whether the NLL of stochastic descent is one that noise can bring a working descent to."""
    if row["sgd_nll"] is None:
        # It diverged: an NLL so high has to be within reach of the noise at all.
        return bool(e.ceiling(row["eta"]) > DIVERGED_FACTOR * e.gd[0, 0])
    return bool(row["sgd_nll"] <= e.ceiling(row["eta"]))


def noise_range(nll: np.ndarray) -> np.ndarray:
    """The 5-95 % range of curves (repeats, epochs) above their running minima; (repeats,).

    The range is taken above the lowest NLL so far, since a small rate may still be on its way down,
    and that is no fluctuation; and below the highest so far, since a steady climb is none either. The
    smaller of both counts.
    """
    ways = (nll - np.minimum.accumulate(nll, axis=1), np.maximum.accumulate(nll, axis=1) - nll)
    ranges = [np.subtract(*np.quantile(way, [0.95, 0.05], axis=1)) for way in ways]
    spread: np.ndarray = np.minimum(*ranges)
    return spread


def lead_of(row: dict[str, Any]) -> float:
    """By how much stochastic descent has the lower NLL; 0 where rounding alone tells them apart.

    Infinite where one of them diverged.
    """
    batch, sgd = (np.inf if row[key] is None else row[key] for key in ("gd_nll", "sgd_nll"))
    lead = float(batch - sgd)
    return 0.0 if abs(lead) <= SAME_NLL * max(1.0, min(batch, sgd)) else lead


def excuse_of(e: Evidence, row: dict[str, Any]) -> str | None:
    """Why stochastic descent need not be ahead in this comparison; None where it has to be.

    No excuse covers a lag beyond the noise: near the optimum the lag is at most what noise holds the
    NLL above it, and elsewhere the NLL is below the ceiling of a working descent.
    """
    if lead_of(row) == 0:
        return "the two NLLs are equal but for rounding"
    if not noise_explains(e, row):
        return None
    if e.problem.infimum is None:
        return "the optimum was not found, so that nobody knows how far gradient descent is from it"
    lowest = e.problem.infimum
    # Noise alone may hold the mean NLL so far above the lowest: beyond that something is to be gained.
    near = max(0.25 * (e.gd[0, 0] - lowest), NEAR, e.noise(row["eta"]))
    above = row["sgd_nll"] - lowest if row["sgd_nll"] is not None else np.inf
    if (
        row["gd_nll"] is not None
        and row["gd_nll"] - lowest <= near
        and above <= near + 4.0 * e.noise(row["eta"])
    ):
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
    passes while SGD has three quarters of that gain too, or is behind by what noise brings about there.
    """
    if row["gd_nll"] is None or row["sgd_nll"] is None:
        return False
    path = e.gd[:, e.etas.index(row["eta"])]
    gained = path[0] - row["gd_nll"]
    lately = path[row["passes"] // 2] - row["gd_nll"]
    behind = row["sgd_nll"] - row["gd_nll"]
    level = behind <= max(0.25 * gained, 2.0 * e.noise(row["eta"]))
    return bool(-SAME_NLL <= gained <= NEAR or (lately <= 0.1 * gained and level))
