"""What lr-sweep claims."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mlhw.experiments.lr_sweep import audit
from mlhw.experiments.lr_sweep.evidence import ROUNDING, ROUNDINGS, Evidence, Trajectory
from mlhw.experiments.sharded import claims as sharded
from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sweeps.columns import COLUMNS_STATEMENT, judge_columns
from mlhw.experiments.sweeps.lowest import (
    LIMITS_STATEMENT,
    OPTIMUM_STATEMENT,
    SEPARATION_STATEMENT,
    judge_limits,
    judge_optimum,
    judge_separation,
    limits_off,
)
from mlhw.experiments.sweeps.textbook import EPS
from mlhw.maths import logistic
from mlhw.maths.descent import DIVERGED_FACTOR
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.text.values import numbers_text

# An overshoot grows from rounding to the size of the step itself by 36 e-folds; at twice that a run
# that shows none contradicts the theory.
MUST_SHOW = -2.0 * float(np.log(np.finfo(float).eps))
# The local limit is looked at over the last so many iterations of a rate.
LAST_LIMITS = 2000
# An NLL this little above the optimum has settled there.
SETTLED = 1e-6

CLAIMS = Claims[Evidence]()


@CLAIMS.claim(
    "as-the-formula",
    "worked out again by the textbook's formula, NLLs and updates are the recorded ones",
)
def steps_as_the_formula(e: Evidence) -> Claim:
    """Measured in what rounding may part the two by; the first weights are those asked for."""
    if isinstance(e.problem, ShardedProblem):
        nlls, steps = audit.steps_in_shards(e.problem, e.trajectories)
    else:
        most = audit.steps_looked_at(e.problem.n, len(e.trajectories))
        nlls = audit.nlls_apart(e.problem, e.trajectories, most)
        steps = audit.steps_apart(e.problem, e.trajectories, most)
    starts = [np.abs(one.W[0] - e.asked.w0).max() for one in e.trajectories]
    worst = {
        "NLL": max(float(np.max(apart, initial=0.0)) for apart in nlls),
        "update": max(float(np.max(apart, initial=0.0)) for apart in steps),
        "start": float(max(starts)),
    }
    return check(
        worst["NLL"] <= 1.0 and worst["update"] <= 1.0 and worst["start"] == 0.0,
        measured=worst,
        expected={"NLL": "at most 1", "update": "at most 1", "start": 0},
        note="distances over what rounding allows; "
        f"{sum(map(len, nlls))} NLLs and {sum(map(len, steps))} updates",
    )


@CLAIMS.claim("columns-as-asked", COLUMNS_STATEMENT)
def columns_for_gd(e: Evidence) -> Claim:
    if isinstance(e.problem, ShardedProblem):
        return sharded.judge_columns_in_shards(e.problem)
    return judge_columns(e.problem)


@CLAIMS.claim(
    "stops-as-asked",
    "a rate stops at its first change below the tolerance, at divergence, or after the last iteration",
    figure="nll",
)
def iterations_end_as_asked(e: Evidence) -> Claim:
    wrong = []
    for one in e.trajectories:
        small = np.abs(np.diff(one.nll)) < e.asked.tolerance
        high = one.nll > DIVERGED_FACTOR * one.nll[0]
        count, most = len(one.nll), e.asked.max_iterations
        last_small, last_high = bool(small[-1:].any()), bool(high[-1:].any())
        right = {
            "tolerance": last_small and not last_high,
            # One that is recorded no more was not finite.
            "diverged": last_high or (count < most and not last_small),
            "max_iterations": count == most and not last_small and not last_high,
        }
        if small[:-1].any() or high[:-1].any() or count > most or not right[one.stopped]:
            wrong.append(f"eta {one.eta:g}: {one.stopped} after {count}")
    return check(
        not wrong,
        measured=len(wrong),
        expected=0,
        note=f"of {len(e.trajectories)} ends" + (f"; wrong: {', '.join(wrong)}" if wrong else ""),
    )


@CLAIMS.claim("limits-are-curvatures", LIMITS_STATEMENT, figure="limit")
def limits_are_curvatures(e: Evidence) -> Claim:
    if isinstance(e.problem, ShardedProblem):
        off = sharded.limits_off_in_shards(e.problem, e.asked.w0)
        off["along the paths"] = audit.limits_in_shards(e.problem, e.trajectories, e.limits)
    else:
        off = limits_off(e.problem, e.asked.w0)
        off["along the paths"] = max(
            float(
                np.max(audit.limits_apart(e.problem, e.trajectories[i], e.limits[i]), initial=0.0)
            )
            for i in audit.with_limits_apart(e.problem, len(e.trajectories))
        )
    if not all(map(audit.evenly_spread, e.trajectories, e.limits)):
        off["where along the paths"] = np.inf
    return judge_limits(off)


@CLAIMS.claim("monotone-below-2L", "no rate below 2/L ever rises", figure="nll")
def monotone_below(e: Evidence) -> Claim:
    below = [one for one in e.falling if one.eta < e.problem.monotone_eta]
    if not below:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    rises = {f"eta {one.eta:g}": len(one.rises) for one in below}
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
    figure="limit",
)
def rise_above_local_limit(e: Evidence) -> Claim:
    """A rise means that the curvature along the step exceeds 2/η somewhere on it (Taylor)."""
    smallest, where, rises, left_out = np.inf, "", 0, 0
    for one in e.falling:
        places = one.rises
        if len(places) > (most := e.problem.patience):
            left_out += len(places) - most
            places = places[audit.chosen(len(places), most)]
        rises += len(places)
        ratios = e.problem.largest_ratios(one.W[places].T, one.W[places + 1].T, one.eta)
        if len(ratios) and ratios.min() < smallest:
            smallest = float(ratios.min())
            where = f"eta {one.eta:g}, iteration {places[ratios.argmin()]}"
    if not rises:
        return not_applicable("no rate ever rises")
    return check(
        smallest > 1.0,
        measured=smallest,
        expected="above 1",
        note=f"the smallest ratio of eta to the limit over {rises} rises, at {where}"
        + (f"; {left_out} more were not looked at" if left_out else ""),
    )


@CLAIMS.claim(
    "largest-oscillates", "the largest rate oscillates, the smallest does not", figure="nll"
)
def largest_oscillates(e: Evidence) -> Claim:
    largest, smallest = e.falling[0], e.falling[-1]
    if smallest.eta >= e.problem.monotone_eta:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    if not largest.oscillates:
        if _held_by_rounding(e, largest):
            return not_applicable(f"the updates at eta {largest.eta:g} are lost in rounding")
        last = largest.W[-min(LAST_LIMITS, e.problem.patience + 1) :].T
        # The update after the last row is not in the record.
        limits = e.problem.local_limits(last[:, :-1])
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
        measured={f"eta {one.eta:g}": len(one.rises) for one in (largest, smallest)},
        expected={f"eta {largest.eta:g}": "some", f"eta {smallest.eta:g}": 0},
        tolerance=ROUNDING,
        note="rises of the NLL",
    )


def _held_by_rounding(e: Evidence, one: Trajectory) -> bool:
    """Whether a run stays where it is because its updates are lost in the rounding of its weights.

    So does one that starts at the optimum and never leaves it by more than rounding, and one whose last
    update changed no weight where features lie so far from 0 that the gradient is mostly rounding. A
    run that came to rest by itself, from afar, is not held.
    """
    lowest = e.problem.infimum
    at_optimum = lowest is not None and one.nll[0] - lowest <= SETTLED
    if at_optimum and np.allclose(one.W, one.W[0], rtol=1e-12, atol=0.0):
        return True
    lost = len(one.W) > 1 and np.array_equal(one.W[-1], one.W[-2])
    return bool(lost and one.cancelled[-1] > ROUNDING)


@CLAIMS.claim(
    "no-settling-above-critical",
    "a rate above the critical one does not settle at the optimum",
    figure="gap",
)
def no_settling_above_critical(e: Evidence) -> Claim:
    if e.problem.optimum is None or e.problem.critical_eta is None:
        return not_applicable(str(e.problem.no_optimum))
    above = [one for one in e.falling if one.eta > e.problem.critical_eta]
    if not above:
        return not_applicable(f"no rate is above the critical one, {e.problem.critical_eta:.4g}")
    gaps, passing = {}, []
    for one in above:
        distance = one.nll - e.problem.optimum.nll
        # The last two NLLs, since a cycle may touch the optimum's level with one of its points.
        gap = float(np.max(distance[-2:]))
        there = len(distance) - 1 - np.max(np.flatnonzero(distance > SETTLED), initial=-1)
        limits = np.full(there, e.problem.critical_eta)
        lost = _held_by_rounding(e, one) or np.max(one.rounding[-2:]) > SETTLED
        if gap <= SETTLED and (lost or logistic.overshoot(limits, one.eta) < MUST_SHOW):
            # It has come close and has not had the time to leave, or rounding holds or hides it.
            passing.append(one.eta)
        else:
            gaps[f"eta {one.eta:g}"] = gap
    if not gaps:
        return not_applicable(
            f"eta {numbers_text(passing)} stopped within {SETTLED:g} of the optimum before it could "
            "leave it; more iterations and tolerance 0 would tell, if rounding is not what holds it"
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
    figure="nll",
)
def larger_is_faster(e: Evidence) -> Claim:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    # Levels that all of them reach, from the first update of the smallest to its end.
    reached = max(float(one.nll.min()) for one in steady)
    start = float(steady[0].nll[0])
    # At the end of a long run the NLL changes by rounding alone; the lowest level lies above that.
    cancelled = max(float(one.cancelled.max()) for one in steady)
    margin = max(1e-6 * (start - reached), 100 * ROUNDING + 2 * ROUNDINGS * cancelled)
    if not reached + 2 * margin < start:
        return not_applicable("no NLL clearly below the start is reached by all of these rates")
    levels = np.linspace(start, reached + margin, 11)[1:]
    times = [_times(one, levels) for one in steady]
    compared = [_apart(faster, slower) for faster, slower in pairwise(steady)]
    if not any(compared):
        return not_applicable("the rates differ by less than rounding leaves of their updates")
    leads = [
        slower - faster
        for (faster, slower), differ in zip(pairwise(times), compared, strict=True)
        if differ
    ]
    return check(
        all((lead > 0).all() for lead in leads),
        measured={
            f"eta {c.eta:g}": round(float(n[-1]), 3) for c, n in zip(steady, times, strict=True)
        },
        expected="more for each smaller rate",
        note=f"iterations to NLL {levels[-1]:.6g}, between iterations by interpolation; "
        f"checked at {len(levels)} levels; {e.steady_note}",
    )


def _apart(faster: Trajectory, slower: Trajectory) -> bool:
    """Whether their rates differ by more of an update than float64 keeps when it is added to the weights."""
    if len(slower.W) < 2:
        return True
    update = np.abs(slower.W[1] - slower.W[0])
    return bool(((faster.eta / slower.eta - 1.0) * update > EPS * np.abs(slower.W[0])).any())


def _times(trajectory: Trajectory, levels: np.ndarray) -> np.ndarray:
    """The fractional iteration at which a falling NLL first reaches each level."""
    lowest = np.minimum.accumulate(trajectory.nll)
    after = np.array([np.argmax(lowest <= level) for level in levels])
    before = after - 1
    part = (lowest[before] - levels) / (lowest[before] - lowest[after])
    times: np.ndarray = before + part
    return times


@CLAIMS.claim(
    "smaller-is-higher",
    "after the same number of iterations a smaller rate has the higher NLL",
    figure="nll",
)
def smaller_is_higher(e: Evidence) -> Claim:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    smallest, where, clear = np.inf, "", True
    for faster, slower in pairwise(steady):
        common = min(len(faster.nll), len(slower.nll))
        if common < 2:
            continue
        lead = slower.nll[1:common] - faster.nll[1:common]
        cancelled = slower.cancelled[1:common] + faster.cancelled[1:common]
        clear = bool(clear and (lead > -ROUNDING - ROUNDINGS * cancelled).all())
        if lead.min() < smallest:
            smallest = float(lead.min())
            where = f"eta {slower.eta:g} above eta {faster.eta:g} at iteration {lead.argmin() + 1}"
    if not np.isfinite(smallest):
        return not_applicable("the rates share no iteration after the start")
    return check(
        clear,
        measured=smallest,
        expected="above 0",
        tolerance=ROUNDING,
        note=f"the smallest lead over all common iterations, {where}; {e.steady_note}",
    )


@CLAIMS.claim("optimum-is-lowest", OPTIMUM_STATEMENT)
def optimum_is_lowest(e: Evidence) -> Claim:
    if isinstance(e.problem, ShardedProblem):
        return sharded.judge_optimum_in_shards(e.problem)
    return judge_optimum(e.problem)


@CLAIMS.claim("separation-as-told", SEPARATION_STATEMENT, figure="separators")
def separation_as_told(e: Evidence) -> Claim:
    if isinstance(e.problem, ShardedProblem):
        return sharded.judge_separation_in_shards(e.problem)
    return judge_separation(e.problem)


@CLAIMS.claim(
    "above-optimum",
    "every run's NLL lies above the optimum, or above the infimum of separable classes",
    figure="gap",
)
def above_optimum(e: Evidence) -> Claim:
    """The NLL of a run is evaluated at its own weights, where large terms of xᵀw may cancel."""
    lowest = e.problem.infimum
    if lowest is None:
        return not_applicable(str(e.problem.no_optimum))
    gaps = {one.eta: float(np.min(one.nll - lowest + one.cancelled)) for one in e.falling}
    eta = min(gaps, key=lambda rate: gaps[rate])
    one = next(one for one in e.falling if one.eta == eta)
    what = "optimum's" if e.problem.optimum is not None else f"infimum {lowest:.6g}"
    return check(
        gaps[eta] >= -ROUNDING,
        measured=float(one.nll.min() - lowest),
        expected="at least 0",
        tolerance=ROUNDING + float(one.cancelled[one.nll.argmin()]),
        note=f"the smallest NLL of all runs less the {what}, at eta {eta:g}",
    )
