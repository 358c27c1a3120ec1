"""Claims of both sweeps: the optimum, the separation and the limits of the rate are what they are said to be.

Worked out again on the centred columns in the textbook's form (``textbook.py``), with least squares and
singular values where the run has Newton's method on the normal equations and eigenvalues.
"""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.experiments.sweeps.textbook import (
    EPS,
    by_rows,
    gradient_at,
    has_all_digits,
    limits_at,
    lowest_nll,
    newton_step,
    nll_at,
    over,
    steepest_limit,
)
from mlhw.experiments.sweeps.two_classes import Minimum
from mlhw.maths.separation import Separation
from mlhw.result.claims import Claim, check, not_applicable

OPTIMUM_STATEMENT = (
    "at the optimum the gradient vanishes, one more step of Newton's method moves nothing, and on either "
    "side of it the NLL is no lower"
)
SEPARATION_STATEMENT = (
    "the separating direction has the separated points beside it and the others on it, and the infimum "
    "is the optimum of those"
)
LIMITS_STATEMENT = (
    "2/L and the local limits are 2 over the largest curvature, by singular values too"
)

# A gradient, over its features' size: below it Newton's steps change nothing.
FLAT = 1e-10
# Of a centred gradient: what the documentation promises, and calls "not found" above it.
PROMISED = 1e-12
# The same where least squares alone come so near that nothing stood in the way.
EASY = 1e-14
# Of an activation. Newton's method stops where its step moves none by 1e-6, and the next is the square
# of that; more is the rounding of its gradient, which ``newton_step`` has beside it.
ARRIVED = 1e-10
# Of the weights' size times the columns': a linear programme sees no margin below 1e-6.
BESIDE = 1e-5
# Relative, of a mean of losses at an optimum: there an error of the weights counts by its square.
SAME_NLL = 1e-9
# An eigenvalue, and the square of a singular value, right to some ulps of the largest; where the
# curvature itself is that of a few samples among many that vanish, relative to its own size.
SAME_LIMIT = 1e-9


# ------------------------------------------------------------------------------------- the optimum


def judge_optimum(problem: TwoClassProblem) -> Claim:
    """The NLL is convex: a point with no slope and no lower neighbour is its minimum.

    Where the classes are separable there is none, and it goes on falling along growing weights.
    """
    if problem.optimum is None:
        if problem.separation is None:
            _, steepest = lowest_nll(problem.centred.Z, problem.t)
            if problem.solution.steepest < PROMISED or steepest < EASY:
                return check(False, measured=steepest, expected="an optimum, easily found")
        return not_applicable(str(problem.no_optimum))
    optimum = problem.optimum
    w = optimum.w
    slope, slope_off = gradient_at(problem.X, problem.t, w[:, None])
    flat = FLAT * np.max(np.abs(problem.X), axis=0)[:, None] + 16 * slope_off
    steep = over(np.abs(slope), flat)
    spread = np.maximum(np.ptp(problem.X, axis=0), np.abs(problem.X).max(axis=0))
    steps = np.diag(0.1 / np.where(spread > 0, spread, 1.0))
    there = np.concatenate([[w, 0.5 * w, 1.5 * w], w + steps, w - steps]).T
    nlls, off = nll_at(problem.X, problem.t, there)
    lower = float(np.max((nlls[0] - nlls[1:]) / (1e-9 * nlls[0] + off[1:] + off[0])))
    told = float(abs(nlls[0] - optimum.nll) / (1e-9 * nlls[0] + 4 * off[0]))
    measured = {
        "gradient": float(max(steep.max(), optimum.gradient / PROMISED)),
        "lower": max(lower, 0.0),
        "NLL": told,
        **_weights_off(problem, optimum),
    }
    return check(
        max(measured.values()) <= 1.0,
        measured=measured,
        expected="at most 1",
        note="over what rounding allows: the gradient, how much lower a neighbour is, the NLL told, "
        "Newton's next step, and activations by the weights told",
    )


def _weights_off(problem: TwoClassProblem, optimum: Minimum) -> dict[str, float]:
    """Newton's next step on the centred columns, and activations by w and by the centre, over rounding."""
    found = problem.solution.optimum
    assert found is not None
    v, w = found.v, optimum.w
    step, rounding = newton_step(problem.centred.Z, problem.t, v)
    terms = 4 * len(w) * EPS

    def work(rows: slice) -> tuple[float, float]:
        Z, X = problem.centred.Z[rows], problem.X[rows]
        a = Z @ v
        by_weights = np.abs(X @ w - a) / (terms * (1.0 + np.abs(X) @ np.abs(w) + np.abs(a)))
        inner = X[:, :-1] - optimum.centre
        by_centre = inner @ w[:-1] + optimum.bias_at_centre - a
        # The columns themselves are differences of values as large as the centre, where they are scaled.
        reach = np.abs(inner) @ np.abs(w[:-1]) + np.abs(Z) @ np.abs(v)
        if problem.scaling is not None:
            reach = reach + 64 * problem.n  # the means and deviations taken out, each a sum over n
            by_weights = np.abs(X @ w - a) / (terms * (reach + np.abs(X) @ np.abs(w)))
        return float(by_weights.max()), float(np.max(np.abs(by_centre) / (terms * (1.0 + reach))))

    by_weights, by_centre = zip(*by_rows(problem.X, 3 * len(w), work), strict=True)
    return {
        "next step": step / (ARRIVED + rounding),
        "activations": max(by_weights),
        "from the centre": max(by_centre),
    }


# ------------------------------------------------------------------------------------- the separation


def judge_separation(problem: TwoClassProblem) -> Claim:
    """Any direction will do that has no point on its wrong side; which of them is told is free."""
    found = problem.separation
    if found is None:
        if problem.optimum is not None:
            return not_applicable("the classes overlap")
        # Where they overlap one point at least is on the wrong side, or on the line, and costs ln 2.
        costs = lowest_nll(problem.centred.Z, problem.t)[0] * len(problem.t)
        if costs < np.log(2.0) * (1.0 - SAME_NLL):
            return check(False, measured=costs, expected=f"at least {np.log(2.0):.6g} in all")
        return not_applicable(str(problem.no_optimum))
    wrong = _wrong_direction(problem, found)
    infimum, boundary = problem.infimum, ~found.strict
    if (found.kind == "quasi-complete") != bool(boundary.any()):
        wrong.append("its kind")
    again = 0.0
    if boundary.any():
        value, steepest = lowest_nll(problem.centred.Z[boundary], problem.t[boundary])
        again = value * float(boundary.mean())
        if infimum is None and min(steepest, problem.solution.steepest) < EASY:
            wrong.append("the infimum, which is easily found")
    if infimum is not None and not abs(infimum - again) <= SAME_NLL * again:
        wrong.append("the infimum")
    return check(
        not wrong,
        measured=infimum,
        expected=again,
        tolerance=SAME_NLL * again,
        note=f"{int(found.strict.sum())} points beside the direction, {int(boundary.sum())} on it"
        + (f"; wrong: {', '.join(wrong)}" if wrong else ""),
    )


def _wrong_direction(problem: TwoClassProblem, found: Separation) -> list[str]:
    """What is wrong with the direction and the points beside it."""
    Z, t, strict = problem.centred.Z, problem.t, found.strict
    if found.weights.shape != (problem.d,) or strict.shape != t.shape:
        return ["the shape of the direction"]
    wrong = []
    height = Z[:, :-1] @ found.weights
    s = np.where(t > 0.5, 1.0, -1.0)
    if strict.all():
        level = (height[t > 0.5].min() + height[t < 0.5].max()) / 2
    else:
        level = float(np.median(height[~strict]))
    margins = s * (height - level)
    blur = BESIDE * float(np.abs(found.weights) @ np.abs(Z[:, :-1]).max(axis=0))
    if not (margins[strict] >= -blur).all() or not margins.max() > 0:
        wrong.append("a point lies on the wrong side")
    if not (np.abs(margins[~strict]) <= blur).all():
        wrong.append("a point of the boundary lies beside it")
    # The same point in both classes lies on every hyperplane that separates.
    _, place = np.unique(Z, axis=0, return_inverse=True)
    place = place.reshape(-1)
    both = np.isin(place, np.intersect1d(place[t > 0.5], place[t < 0.5]))
    if (both & strict).any():
        wrong.append("a point of both classes counts as separated")
    return wrong


# ------------------------------------------------------------------------------------- the limits


def limits_off(problem: TwoClassProblem, w0: np.ndarray) -> dict[str, float]:
    """2/L, the limit at the start and ``critical_eta`` off those by singular values, relative."""
    X = problem.X
    pairs = {"2/L": (problem.monotone_eta, steepest_limit(X))}
    start = problem.start_limit, float(limits_at(X, w0[:, None])[0])
    if has_all_digits(X, np.array(min(start))):
        pairs["at the start"] = start
    if problem.optimum is not None and problem.critical_eta is not None:
        w = problem.optimum.w
        # σ(1 − σ) moves by at most the rounding of xᵀw, relative; far from 0 that is too much to compare.
        if 4 * len(w) * EPS * float(np.max(np.abs(X) @ np.abs(w))) <= SAME_LIMIT:
            at = float(limits_at(X, w[:, None])[0])
            pairs["at the optimum"] = (problem.critical_eta, at)
    return {
        name: 0.0 if known == found else abs(known / found - 1.0)
        for name, (known, found) in pairs.items()
    }


def judge_limits(off: dict[str, float]) -> Claim:
    """Whether none of these relative differences is beyond rounding."""
    return check(
        max(off.values()) <= SAME_LIMIT,
        measured=off,
        expected=0,
        tolerance=SAME_LIMIT,
        note="relative differences",
    )
