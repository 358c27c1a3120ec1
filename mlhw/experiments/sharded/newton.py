"""The smallest loss by Newton's method from sums over rows, and what these sums prove about separability.

As ``maths.optimum``, of which every step takes one pass over the rows. Complete separation and overlap are
proven; what lies between, points on the boundary of every hyperplane that separates, takes all rows at once
and is left undecided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhw.experiments.sharded import passes
from mlhw.experiments.sharded.team import Crew
from mlhw.maths.optimum import (
    ARRIVED,
    GRADIENT_TOLERANCE,
    STEPS,
    NewtonState,
    Optimum,
    Solution,
    least_norm_step,
)
from mlhw.maths.separation import Separation, multipliers_are_certain

_EPS = float(np.finfo(float).eps)
_HALVINGS = 40
_SAME = 1e-12  # of the largest eigenvalue: one below belongs to a dependent column


@dataclass(frozen=True)
class State(NewtonState):
    """With that, whether all margins are positive beyond rounding."""

    separates: bool


def state_at(team: Crew, v: np.ndarray, step: np.ndarray) -> State:
    loss, slope, hessian, moved, multiplier, slack = team.over(passes.newton, v=v, step=step)
    n = team.rows
    return State(
        v,
        float(loss[0]) / n,
        slope / n,
        hessian / n,
        float(moved[0]),
        float(multiplier[0]),
        bool(slack[0] > 0),
    )


def minimum_of_rows(team: Crew, columns: int) -> Solution:
    """The minimum, or the separation, where sums over rows tell; neither where they do not.

    ``columns`` is d+1. Of the minimum the activations are left out.
    """
    start = state_at(team, np.zeros(columns), np.zeros(columns))
    now, change, regular = start, np.inf, True
    for _ in range(STEPS):
        if now.separates:
            strict = np.broadcast_to(np.True_, team.rows)
            return Solution(None, Separation(strict, now.v[:-1]), 0.0, 0.0)
        if now.steepest < GRADIENT_TOLERANCE and change <= ARRIVED:
            break
        step, regular = least_norm_step(now.hessian, now.slope)
        after = _next(team, now, step)
        if after is None:
            break
        now, change = after, after.moved
    # Where the classes are separated but for some points, each step moves activations by about 1.
    found = now.steepest < GRADIENT_TOLERANCE and change <= ARRIVED
    if not found or not (regular or _overlap(start, now, team.rows)):
        return Solution(None, None, None, now.steepest)
    return Solution(
        Optimum(now.loss, now.v, np.zeros(0), now.steepest), None, now.loss, now.steepest
    )


def _next(team: Crew, now: State, step: np.ndarray) -> State | None:
    """The whole step, or the first of its halves that lowers the loss; None where nothing is gained."""
    after = state_at(team, now.v - step, step)
    if after.loss < now.loss:
        return after
    if now.slope @ step > _EPS * now.loss:
        parts = 0.5 ** np.arange(1, _HALVINGS)
        trials = now.v[:, None] - step[:, None] * parts
        losses = team.over(passes.losses_at_trials, V=trials)[0] / team.rows
        lower = np.flatnonzero(losses < now.loss)
        if len(lower):
            part = parts[lower[0]]
            return state_at(team, now.v - part * step, part * step)
    # The rounding of the loss is reached; the gradient is right to more digits.
    return after if after.steepest < now.steepest else None


def _overlap(start: State, now: State, n: int) -> bool:
    """Whether the classes overlap for certain, by Stiemke's lemma: see ``separation.overlap_is_certain``.

    At weights 0 the Hessian is ZᵀZ/4n.
    """
    gram = 4 * n * start.hessian
    values = np.linalg.eigvalsh(gram)
    smallest = float(np.sqrt(values[values > _SAME * values[-1]][0]))
    residual, size = n * float(np.linalg.norm(now.slope)), float(np.sqrt(np.trace(gram)))
    return multipliers_are_certain(now.multiplier, residual, n, size, smallest)
