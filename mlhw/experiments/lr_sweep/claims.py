"""What lr-sweep claims, and the evidence by which it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from mlhw.experiments.sweeps.problem import Problem
from mlhw.maths import logistic
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.text.values import numbers_text

# A rise of the NLL by less than this is rounding: the mean of n terms, each right to some ulps.
ROUNDING = 1e-12
# An overshoot grows from rounding to the size of the step itself by 36 e-folds; at twice that a run
# that shows none contradicts the theory.
MUST_SHOW = -2.0 * float(np.log(np.finfo(float).eps))
# The local limit is worked out for at most this many iterations of a rate, evenly spread.
LIMIT_POINTS = 2000


@dataclass
class Curve:
    """The path of one rate: ``nll`` (K,) and ``W`` (K, d+1), row k before the k-th update."""

    eta: float
    nll: np.ndarray
    W: np.ndarray
    stopped: str

    @cached_property
    def rises(self) -> np.ndarray:
        """The k with E(k+1) > E(k), beyond rounding."""
        return np.flatnonzero(np.diff(self.nll) > ROUNDING * np.maximum(1.0, self.nll[:-1]))

    @property
    def oscillates(self) -> bool:
        return len(self.rises) > 0

    def summary(self) -> dict[str, Any]:
        return {
            "eta": self.eta,
            "iterations": len(self.nll),
            "stopped": self.stopped,
            "nll": self.nll[-1],
            "w": self.W[-1],
            "increases": int(np.sum(np.diff(self.nll) > 0)),
        }


@dataclass
class Evidence:
    """What the claims are judged by: the curves by falling rate, and the problem."""

    problem: Problem
    curves: list[Curve]

    @property
    def steady(self) -> list[Curve]:
        """The rates that neither oscillate nor overshoot, largest first.

        Between 1/L and 2/L a step can pass the minimum along the steepest direction although the NLL
        still falls; such a rate need not be faster than a smaller one.
        """
        limit = self.problem.monotone_eta / 2
        return [curve for curve in self.curves if not curve.oscillates and curve.eta <= limit]

    @property
    def steady_note(self) -> str:
        """What is compared, and which rates are left out of it."""
        left_out = [c.eta for c in self.curves if not c.oscillates and c not in self.steady]
        note = "rates that do not oscillate, up to 1/L"
        if left_out:
            note += f"; {numbers_text(left_out)} above it can overshoot without a rise"
        return note


CLAIMS = Claims[Evidence]()


@CLAIMS.claim("monotone-below-2L", "no rate below 2/L ever rises")
def monotone_below(e: Evidence) -> Claim:
    below = [curve for curve in e.curves if curve.eta < e.problem.monotone_eta]
    if not below:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    rises = {f"eta {curve.eta:g}": len(curve.rises) for curve in below}
    return check(
        not any(rises.values()),
        measured=rises,
        expected=0,
        tolerance=ROUNDING,
        note=f"rises of the NLL; 2/L = {e.problem.monotone_eta:.6g}",
    )


@CLAIMS.claim(
    "rise-above-local-limit",
    "every rise happens where eta exceeds the local limit somewhere between w_k and w_k+1",
)
def rise_above_local_limit(e: Evidence) -> Claim:
    """A rise means that the curvature along the step exceeds 2/η somewhere on it (Taylor)."""
    smallest, where, rises = np.inf, "", 0
    for curve in e.curves:
        rises += len(curve.rises)
        before, after = curve.W[curve.rises].T, curve.W[curve.rises + 1].T
        ratios = logistic.largest_ratios(e.problem.X, before, after, curve.eta)
        if len(ratios) and ratios.min() < smallest:
            smallest = float(ratios.min())
            where = f"eta {curve.eta:g}, iteration {curve.rises[ratios.argmin()]}"
    if not rises:
        return not_applicable("no rate ever rises")
    return check(
        smallest > 1.0,
        measured=smallest,
        expected="above 1",
        note=f"the smallest ratio of eta to the limit over {rises} rises, at {where}",
    )


@CLAIMS.claim("largest-oscillates", "the largest rate oscillates, the smallest does not")
def largest_oscillates(e: Evidence) -> Claim:
    largest, smallest = e.curves[0], e.curves[-1]
    if smallest.eta >= e.problem.monotone_eta:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    if not largest.oscillates:
        path = largest.W[-LIMIT_POINTS:].T
        # The update after the last row is not in the record.
        limits = logistic.local_limits(e.problem.X, path[:, :-1])
        overshoot = logistic.overshoot(limits, largest.eta)
        if overshoot < MUST_SHOW:
            return not_applicable(
                f"eta {largest.eta:g} exceeds the limit along its path too little or too briefly to "
                f"have to oscillate: an overshoot by {overshoot:.3g} e-folds, where {MUST_SHOW:.0f} "
                "would show",
                measured=overshoot,
            )
    return check(
        largest.oscillates and not smallest.oscillates,
        measured={f"eta {curve.eta:g}": len(curve.rises) for curve in (largest, smallest)},
        expected={f"eta {largest.eta:g}": "some", f"eta {smallest.eta:g}": 0},
        tolerance=ROUNDING,
        note="rises of the NLL",
    )


SETTLED = 1e-6


@CLAIMS.claim(
    "no-settling-above-critical", "a rate above critical_eta does not settle at the optimum"
)
def no_settling_above_critical(e: Evidence) -> Claim:
    if e.problem.optimum is None or e.problem.critical_eta is None:
        return not_applicable("the classes are separable: there is no optimum")
    above = [curve for curve in e.curves if curve.eta > e.problem.critical_eta]
    if not above:
        return not_applicable(f"no rate is above critical_eta = {e.problem.critical_eta:.4g}")
    gaps, passing = {}, []
    for curve in above:
        distance = curve.nll - e.problem.optimum.nll
        # The last two NLLs, since a cycle may touch the optimum's level with one of its points.
        gap = float(np.max(distance[-2:]))
        there = len(distance) - 1 - np.max(np.flatnonzero(distance > SETTLED), initial=-1)
        limits = np.full(there, e.problem.critical_eta)
        if gap <= SETTLED and logistic.overshoot(limits, curve.eta) < MUST_SHOW:
            passing.append(curve.eta)  # it has come close and has not had the time to leave
        else:
            gaps[f"eta {curve.eta:g}"] = gap
    if not gaps:
        return not_applicable(
            f"eta {numbers_text(passing)} stopped within {SETTLED:g} of the optimum before it could "
            "leave it; more iterations and tolerance 0 would tell"
        )
    note = "NLL above the optimum at the end"
    if passing:
        note += f"; eta {numbers_text(passing)} stopped close by, before it could leave"
    return check(
        min(gaps.values()) > SETTLED, measured=gaps, expected=f"above {SETTLED:g}", note=note
    )


@CLAIMS.claim(
    "larger-is-faster",
    "among rates that do not oscillate, a larger one reaches a given NLL in fewer iterations",
)
def larger_is_faster(e: Evidence) -> Claim:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    # Levels that all of them reach, from the first update of the smallest to its end.
    reached = max(float(curve.nll.min()) for curve in steady)
    start = float(steady[0].nll[0])
    # At the end of a long run the NLL changes by rounding alone; the lowest level lies above that.
    margin = max(1e-6 * (start - reached), 100 * ROUNDING)
    if not reached + 2 * margin < start:
        return not_applicable("no NLL clearly below the start is reached by all of these rates")
    levels = np.linspace(start, reached + margin, 11)[1:]
    times = [_times(curve, levels) for curve in steady]
    leads = [slower - faster for faster, slower in pairwise(times)]
    return check(
        all((lead > 0).all() for lead in leads),
        measured={
            f"eta {c.eta:g}": round(float(n[-1]), 3) for c, n in zip(steady, times, strict=True)
        },
        expected="more for each smaller rate",
        note=f"iterations to NLL {levels[-1]:.6g}, between iterations by interpolation; "
        f"checked at {len(levels)} levels; {e.steady_note}",
    )


def _times(curve: Curve, levels: np.ndarray) -> np.ndarray:
    """The fractional iteration at which a falling curve first reaches each level."""
    lowest = np.minimum.accumulate(curve.nll)
    after = np.array([np.argmax(lowest <= level) for level in levels])
    before = after - 1
    part = (lowest[before] - levels) / (lowest[before] - lowest[after])
    times: np.ndarray = before + part
    return times


@CLAIMS.claim(
    "smaller-is-higher",
    "after the same number of iterations a smaller rate has the higher NLL",
)
def smaller_is_higher(e: Evidence) -> Claim:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    smallest, where = np.inf, ""
    for faster, slower in pairwise(steady):
        common = min(len(faster.nll), len(slower.nll))
        if common < 2:
            continue
        lead = slower.nll[1:common] - faster.nll[1:common]
        if lead.min() < smallest:
            smallest = float(lead.min())
            where = f"eta {slower.eta:g} above eta {faster.eta:g} at iteration {lead.argmin() + 1}"
    if not np.isfinite(smallest):
        return not_applicable("the rates share no iteration after the start")
    return check(
        smallest > -ROUNDING,
        measured=smallest,
        expected="above 0",
        tolerance=ROUNDING,
        note=f"the smallest lead over all common iterations, {where}; {e.steady_note}",
    )


@CLAIMS.claim("above-optimum", "every run's NLL lies above the optimum")
def above_optimum(e: Evidence) -> Claim:
    if e.problem.optimum is None:
        return not_applicable("the classes are separable: there is no optimum")
    gaps = {curve.eta: float(curve.nll.min() - e.problem.optimum.nll) for curve in e.curves}
    eta = min(gaps, key=lambda rate: gaps[rate])
    return check(
        gaps[eta] >= -ROUNDING,
        measured=gaps[eta],
        expected="at least 0",
        tolerance=ROUNDING,
        note=f"the smallest NLL of all runs less the optimum's, at eta {eta:g}",
    )
