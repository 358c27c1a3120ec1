"""Steps, NLLs and limits of a run, worked out again by the textbook's formulas.

Left out is only what float64 cannot hold: activations of weights that have gone beyond 1e308.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlhw.experiments.lr_sweep.evidence import LocalLimits, Trajectory
from mlhw.experiments.sharded.claims import limits_apart_in_shards
from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.experiments.sweeps.textbook import (
    EPS,
    gradient_at,
    has_all_digits,
    limits_at,
    nll_at,
    over,
)

AtWeights = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of points, classes and weights: values at each of the weights, and how far rounding may move them."""

AT_ONCE = 64  # weights of several rates in one pass over the points
STEPS = 400  # of one rate, evenly spread: more would take as long as the run itself
NUMBERS = 4_000_000  # in the matrices of one rate
ALL_NUMBERS = 16_000_000  # in those of all rates
LIMITS = 20  # of one rate: a singular value takes the cube of the smaller dimension
ALL_LIMITS = 40_000_000  # numbers in the matrices whose singular values are found, of all rates


def chosen(count: int, most: int) -> np.ndarray:
    """Up to ``most`` of 0 … count − 1, evenly, the first and the last among them."""
    # Not np.unique, which has numpy.ma imported.
    places = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return places[np.diff(places, prepend=-1) > 0]


def steps_looked_at(n: int, rates: int) -> int:
    """At so many weights of each of the rates are NLL and update of n points worked out again."""
    return max(2, min(STEPS, NUMBERS // n, ALL_NUMBERS // (n * rates)))


def nlls_apart(
    problem: TwoClassProblem, trajectories: Sequence[Trajectory], most: int
) -> list[np.ndarray]:
    """Of each rate, recorded NLLs off those at up to so many of the recorded weights, over what rounding
    allows."""
    places = [chosen(len(one.nll), most) for one in trajectories]
    found = []
    for one, k, nll, off in _at_places(nll_at, problem, trajectories, places):
        with np.errstate(invalid="ignore"):
            apart = np.abs(one.nll[k] - nll) / off
        found.append(apart[np.isfinite(off)])
    return found


def steps_apart(
    problem: TwoClassProblem, trajectories: Sequence[Trajectory], most: int
) -> list[np.ndarray]:
    """The same of recorded updates and −η∇E."""
    places = [chosen(max(0, len(one.nll) - 1), most) for one in trajectories]
    found = []
    for one, k, slope, off in _at_places(gradient_at, problem, trajectories, places):
        before, after = one.W[k].T, one.W[k + 1].T
        size = np.abs(before) + np.abs(after) + one.eta * np.abs(slope)
        allowed = one.eta * off + 4 * EPS * size
        with np.errstate(invalid="ignore", over="ignore"):
            apart = over(np.abs(after - (before - one.eta * slope)), allowed)
        found.append(apart.max(axis=0)[np.isfinite(allowed).all(axis=0)])
    return found


def _at_places(
    formula: AtWeights,
    problem: TwoClassProblem,
    trajectories: Sequence[Trajectory],
    places: Sequence[np.ndarray],
) -> Iterator[tuple[Trajectory, np.ndarray, np.ndarray, np.ndarray]]:
    """Each rate, its places, and what the formula and rounding give at the weights there.

    Of many points there are a few places of each rate, and a pass over the points serves several rates.
    """
    size = max(1, AT_ONCE // max(1, *map(len, places)))
    for first in range(0, len(trajectories), size):
        group, of_group = trajectories[first : first + size], places[first : first + size]
        W = np.concatenate([one.W[k] for one, k in zip(group, of_group, strict=True)]).T
        values, offs = formula(problem.X, problem.t, W)
        ends = np.cumsum([len(k) for k in of_group])[:-1]
        parts = (np.split(found, ends, axis=-1) for found in (values, offs))
        yield from zip(group, of_group, *parts, strict=True)


def limits_apart(problem: TwoClassProblem, one: Trajectory, limits: LocalLimits) -> np.ndarray:
    """Local limits off 2 over the square of a singular value, relative; at some of their iterations.

    A limit so high that curvatures have lost digits is not looked at.
    """
    part = chosen(len(limits.iterations), _limits_looked_at(problem.X.size))
    found = limits_at(problem.X, one.W[limits.iterations[part]].T)
    known = limits.eta[part]
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(known == found, 0.0, np.abs(known / found - 1.0))
        held = np.isfinite(problem.X @ one.W[limits.iterations[part]].T).all(axis=0)
        held &= has_all_digits(problem.X, np.minimum(known, found))
    kept: np.ndarray = apart[held]
    return kept


def _limits_looked_at(size: int) -> int:
    return max(2, min(LIMITS, NUMBERS // size))


def with_limits_apart(problem: TwoClassProblem, rates: int) -> np.ndarray:
    """Which of the rates have their limits looked at: all, or of large data some, evenly spread."""
    size = problem.X.size
    return chosen(rates, max(4, ALL_LIMITS // (size * _limits_looked_at(size))))


# ------------------------------------------------------------------------------------- in shards

LOOKED = 64
"""Weights of all rates together at which rows in shards are gone through once more."""


def steps_in_shards(
    problem: ShardedProblem, all_of_them: Sequence[Trajectory]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """``nlls_apart`` and ``steps_apart`` of each rate, at a few iterations, from one pass over the rows."""
    most = max(2, LOOKED // len(all_of_them))
    # Each with the one after it, where there is one.
    places = [chosen(max(1, len(one.nll) - 1), most) for one in all_of_them]
    W = np.concatenate([one.W[k] for one, k in zip(all_of_them, places, strict=True)]).T
    nll, nll_off, slope, slope_off = problem.again(W)
    nlls, steps, first = [], [], 0
    for one, k in zip(all_of_them, places, strict=True):
        here = slice(first, first + len(k))
        first += len(k)
        with np.errstate(invalid="ignore"):
            apart = np.abs(one.nll[k] - nll[here]) / nll_off[here]
        nlls.append(apart[np.isfinite(nll_off[here])])
        if len(one.W) < 2:
            continue
        before, after, rise = one.W[k].T, one.W[k + 1].T, one.eta * slope[:, here]
        sizes = np.abs(before) + np.abs(after) + np.abs(rise)
        allowed = one.eta * slope_off[:, here] + 4 * EPS * sizes
        with np.errstate(invalid="ignore", over="ignore"):
            off = over(np.abs(after - (before - rise)), allowed)
        steps.append(off.max(axis=0)[np.isfinite(allowed).all(axis=0)])
    return nlls, steps


def limits_in_shards(
    problem: ShardedProblem, all_of_them: Sequence[Trajectory], limits: Sequence[LocalLimits]
) -> float:
    """The most that local limits of up to four rates are off, at their first and last, relative."""
    told, there = [], []
    for i in chosen(len(all_of_them), 4):
        for k in {0, len(limits[i].iterations) - 1}:
            told.append(limits[i].eta[k])
            there.append(all_of_them[i].W[limits[i].iterations[k]])
    return float(max(0.0, limits_apart_in_shards(problem, np.array(told), np.array(there).T).max()))


# ------------------------------------------------------------------------------------- where they are

MOST_LIMITS = 2000  # limits of one rate, as the documentation says


def evenly_spread(one: Trajectory, limits: LocalLimits) -> bool:
    """Whether the limits begin at the start and go on in equal strides to the end of the descent."""
    at, count = limits.iterations, len(one.nll)
    if not 0 < len(at) <= MOST_LIMITS or len(limits.eta) != len(at) or at[0] != 0:
        return False
    stride = int(at[1] - at[0]) if len(at) > 1 else count
    even = bool((np.diff(at) == stride).all()) and stride > 0
    return even and at[-1] < count <= at[-1] + stride
