"""What lr-sweep observes: what the rates that were given did, whether or not theory says that they had to."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from mlhw.experiments.lr_sweep.evidence import ROUNDING, Evidence
from mlhw.result.observations import Observation, Observations, seen

LEVELS = 10  # NLLs, evenly spread from the start to the lowest that all rates reach

OBSERVATIONS = Observations[Evidence]()


@OBSERVATIONS.observation(
    "larger-was-faster", "each larger rate reached a given NLL in fewer iterations"
)
def larger_was_faster(e: Evidence) -> Observation | None:
    """First arrivals at common levels; a rate that overshoots counts from where it first got there."""
    if len(e.falling) < 2:
        return None
    start = float(e.falling[0].nll[0])
    reached = max(float(one.nll.min()) for one in e.falling)
    if not reached < start - 100 * ROUNDING * max(1.0, abs(start)):
        return seen(False, measured=None, note="some rate never came below its start")
    levels = np.linspace(start, reached, LEVELS + 1)[1:]
    arrivals = [[int(np.argmax(one.nll <= level)) for level in levels] for one in e.falling]
    slower = sum(
        larger > smaller
        for larger_ones, smaller_ones in pairwise(arrivals)
        for larger, smaller in zip(larger_ones, smaller_ones, strict=True)
    )
    lowest = {f"eta {one.eta:g}": found[-1] for one, found in zip(e.falling, arrivals, strict=True)}
    return seen(
        slower == 0 and all(a < b for a, b in pairwise(lowest.values())),
        measured=lowest,
        note=f"iterations to NLL {levels[-1]:.6g}, the lowest that all of them reach; at {slower} of "
        f"{(len(e.falling) - 1) * LEVELS} comparisons at {LEVELS} levels the larger rate came later",
    )


@OBSERVATIONS.observation(
    "smaller-ended-higher",
    "after the same number of iterations the NLL was higher at each smaller rate",
)
def smaller_ended_higher(e: Evidence) -> Observation | None:
    """After the iterations of the rate that stopped first, each by its own NLL there."""
    if len(e.falling) < 2:
        return None
    last = min(len(one.nll) for one in e.falling) - 1
    nlls = {f"eta {one.eta:g}": float(one.nll[last]) for one in e.falling}
    # Falling rates: each next one has to be higher.
    ordered = all(b - a > ROUNDING for a, b in pairwise(nlls.values()))
    ends = ", ".join(f"eta {one.eta:g} {one.nll[-1]:.6g}" for one in e.falling)
    return seen(
        ordered and last > 0,
        measured=nlls,
        note=f"NLL at iteration {last}, the last that all of them have; at their own ends: {ends}",
    )


@OBSERVATIONS.observation("none-rose", "at each of these rates the NLL fell in every iteration")
def none_rose(e: Evidence) -> Observation:
    rises = {f"eta {one.eta:g}": len(one.rises) for one in e.falling}
    risen = [one for one in e.falling if one.oscillates]
    first = ", ".join(f"eta {one.eta:g} at iteration {one.rises[0]}" for one in risen)
    return seen(
        not risen,
        measured=rises,
        note=f"rises of the NLL beyond rounding; first: {first}" if risen else "rises of the NLL",
    )


@OBSERVATIONS.observation(
    "all-settled", "at each of these rates the NLL came within 1e-3 of that at the optimum"
)
def all_settled(e: Evidence) -> Observation | None:
    if e.problem.optimum is None:
        return None
    lowest = e.problem.optimum.nll
    gaps = {f"eta {one.eta:g}": float(one.nll[-1] - lowest) for one in e.falling}
    return seen(
        all(math.isfinite(gap) and gap <= 1e-3 for gap in gaps.values()),
        measured=gaps,
        note=f"NLL at the end above the optimum's, {lowest:.6g}",
    )
