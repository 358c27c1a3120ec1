"""Claims about rows in shards: as those of ``sweeps.lowest`` and ``lr_sweep.audit``, from sums over rows."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sharded import checks
from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sweeps.lowest import ARRIVED, FLAT, PROMISED, SAME_LIMIT
from mlhw.experiments.sweeps.textbook import EPS, FULL_DIGITS, over
from mlhw.result.claims import Claim, check, not_applicable

NEIGHBOURS = 16
"""Along so many weights, evenly spread, neighbours of the optimum are looked at: each costs like a rate."""


def judge_columns_in_shards(problem: ShardedProblem) -> Claim:
    """Standardized columns are looked at; others are not made at all."""
    if problem.scaling is None:
        return not_applicable(
            "rows in shards are used as they are read; no columns are made of them"
        )
    sums, squares, back = problem.team.over(checks.standardized)
    n = problem.n
    mean, deviation = (np.array(problem.scaling[key]) for key in ("mean", "standard_deviation"))
    allowed = 1e-9 + 64 * EPS * n * (1.0 + np.abs(mean) / deviation)
    apart = np.maximum(np.abs(sums / n), np.abs(np.sqrt(squares / n) - 1.0))
    off = float(np.max(np.maximum(apart, back / deviation) / allowed))
    return check(
        off <= 1.0,
        measured=off,
        expected="at most 1",
        note="mean 0, deviation 1 and the values as read, scaled back, over what rounding allows",
    )


def judge_optimum_in_shards(problem: ShardedProblem) -> Claim:
    """No slope, no lower neighbour, and nothing that Newton's method would still move."""
    if problem.optimum is None:
        return not_applicable(str(problem.no_optimum))
    best = problem.optimum
    w, d = best.w, problem.d
    looked = np.unique(np.linspace(0, d, min(d + 1, NEIGHBOURS)).round().astype(int))
    spread = np.maximum(problem.largest, np.append(problem.read.high - problem.read.low, 1.0))
    steps = np.zeros((len(looked), d + 1))
    sizes = spread[looked]
    steps[np.arange(len(looked)), looked] = 0.1 / np.where(sizes > 0, sizes, 1.0)
    there = np.concatenate([[w, 0.5 * w, 1.5 * w], w + steps, w - steps]).T
    nlls, off, slopes, slopes_off = problem.again(there)
    flat = FLAT * problem.largest + 16 * slopes_off[:, 0]
    steep = over(np.abs(slopes[:, 0]), flat)
    lower = float(np.max((nlls[0] - nlls[1:]) / (1e-9 * nlls[0] + off[1:] + off[0])))
    measured = {
        "gradient": float(max(steep.max(), best.gradient / PROMISED)),
        "lower": max(lower, 0.0),
        "NLL": float(abs(nlls[0] - best.nll) / (1e-9 * nlls[0] + 4 * off[0])),
        **_weights_off(problem),
    }
    some = "" if len(looked) == d + 1 else f" (along {len(looked)} of {d + 1} weights)"
    return check(
        max(measured.values()) <= 1.0,
        measured=measured,
        expected="at most 1",
        note=f"over what rounding allows: the gradient, how much lower a neighbour is{some}, the NLL told, "
        "Newton's next step, and activations by the weights told",
    )


def _weights_off(problem: ShardedProblem) -> dict[str, float]:
    found, best = problem.solution.optimum, problem.optimum
    assert found is not None
    assert best is not None
    triangle, root, reach = problem.team.over(checks.least_squares, v=found.v)
    R, target = triangle[:-1, :-1], triangle[:-1, -1]
    step = np.linalg.lstsq(R, target, rcond=None)[0]
    moved, by_weights, by_centre = problem.team.over(
        checks.activations,
        v=found.v,
        w=best.w,
        step=step,
        told=best.centre,
        bias=np.array(best.bias_at_centre),
    )
    rounding = float("inf")
    if root[0] > 0:
        error = 16 * EPS * len(best.w) * (1.0 + float(reach[0]))
        rounding = error * float(np.sqrt(problem.n)) / float(root[0]) ** 2
    return {
        "next step": float(moved[0]) / (ARRIVED + rounding),
        "activations": float(by_weights[0]),
        "from the centre": float(by_centre[0]),
    }


def judge_separation_in_shards(problem: ShardedProblem) -> Claim:
    """In the direction told every point of one class lies beyond every point of the other."""
    found = problem.separation
    if found is None:
        if problem.optimum is not None:
            return not_applicable("the classes overlap")
        return not_applicable(str(problem.no_optimum))
    ones, zeros = problem.team.over(checks.gap_between, v=found.weights)
    gap = float(ones[0] + zeros[0])
    return check(
        gap > 0 and problem.infimum == 0.0,
        measured=gap,
        expected="above 0",
        note=f"the gap between the classes in the separating direction, over all {problem.n} points",
    )


def limits_off_in_shards(problem: ShardedProblem, w0: np.ndarray) -> dict[str, float]:
    """2/L, the limit at the start and ``critical_eta`` off those by singular values, relative.

    At weights 0 every σ(1 − σ) is 1/4, and the limit is 2/L.
    """
    told = {"2/L": problem.monotone_eta, "at the start": problem.start_limit}
    there = [np.zeros(problem.d + 1), w0]
    if problem.optimum is not None and problem.critical_eta is not None:
        w = problem.optimum.w
        if 4 * len(w) * EPS * float(problem.largest @ np.abs(w)) <= SAME_LIMIT:
            told["at the optimum"] = problem.critical_eta
            there.append(w)
    off = limits_apart_in_shards(problem, np.array(list(told.values())), np.array(there).T)
    return {name: value for name, value in zip(told, off.tolist(), strict=True) if value >= 0}


def limits_apart_in_shards(problem: ShardedProblem, told: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Limits told (r,) off 2 over the square of a singular value at W (d+1, r), relative.

    −1 where curvatures have lost digits.
    """
    (triangles,) = problem.team.over(checks.triangles, W=W)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        sizes = np.array(
            [np.linalg.norm(R, 2) if np.isfinite(R).all() else np.nan for R in triangles]
        )
        found = 2.0 * problem.n / sizes**2
        enough = FULL_DIGITS * max(1.0, float(np.sum(problem.largest**2)))
        held = 2.0 / np.minimum(told, found) >= enough
        off = np.where(told == found, 0.0, np.abs(told / found - 1.0))
    return np.where(held, off, -1.0)
