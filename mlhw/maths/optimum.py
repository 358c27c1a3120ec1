"""The smallest loss of two-class logistic regression: the minimum, or the infimum without one.

All of it is computed on the centred columns Z (n, d+1) of ``Centred``, whose bits are the same
whatever constant was added to a feature; so are the minimum, the gradient there, the slopes and the
separation. t (n,) is 0 or 1, v (d+1,) are weights of Z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlhw.maths import in_blocks
from mlhw.maths.activations import logistic
from mlhw.maths.centring import Centred
from mlhw.maths.logistic import gradient, hessian, nll
from mlhw.maths.row_blocks import newton_sums
from mlhw.maths.separation import (
    Separation,
    decided_at_once,
    multipliers_are_certain,
    overlap_is_certain,
    proven_separation,
    searched_separation,
)
from mlhw.maths.tree import Parts

GRADIENT_TOLERANCE = 1e-12
"""No component of the gradient at a minimum is larger, in units of the centred columns."""
ARRIVED = 1e-6
"""Newton's method is done when its step changes no activation by more: the next is its square."""
STEPS = 100
EVERY = 16
"""Of many points, Newton's method begins at the minimum of every so many-th of them."""
REGULAR = 1e-10
"""A smallest eigenvalue of ZᵀZ beyond this, relative to the largest, is one with six digits."""

_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Optimum:
    """The minimum of the NLL: its value, the weights v (d+1,), and the activations Z v (n,) there.

    ``gradient`` is the largest component of the gradient that rounding left.
    """

    nll: float
    v: np.ndarray
    activations: np.ndarray
    gradient: float


@dataclass(frozen=True)
class Solution:
    """The minimum, or why there is none.

    ``infimum`` is the NLL that is approached and never reached where the classes are separated, and
    the minimum otherwise; it is None where Newton's method found none, with ``steepest`` the largest
    component of the gradient where it ended.
    """

    optimum: Optimum | None
    separation: Separation | None
    infimum: float | None
    steepest: float


def solve(points: Centred, t: np.ndarray) -> Solution:
    """The minimum by Newton's method (IRLS, PRML eq. 4.99), or the separation and the infimum.

    Linearly dependent columns have many minima; this is the one that Newton's least-norm steps reach.
    """
    decided, found = decided_at_once(points, t)
    if found is not None:
        return _separated(points, t, found)
    Z = points.Z
    if Z.size >= in_blocks.WORTH and len(Z) > EVERY * Z.shape[1]:
        many = _minimum_of_many(Z, t, decided)
        if many is not None:
            return Solution(many, None, many.nll, many.gradient)
    v, _ = _minimise(Z, t, np.zeros(Z.shape[1]), np.inf)
    if not decided and not overlap_is_certain(points, t, v):
        found = proven_separation(points, t, v)
        if found is None:
            # Nearly separated: the minimum lies far out, if there is one.
            v, _ = _minimise(Z, t, v, ARRIVED)
            if not overlap_is_certain(points, t, v):
                found = searched_separation(points, t, v)
        if found is not None:
            return _separated(points, t, found)
    v, steepest = _minimise(Z, t, v, ARRIVED)
    v[:-1][~points.varying] = 0.0  # of a column of zeros rounding could leave something else
    if not steepest < GRADIENT_TOLERANCE:
        return Solution(None, None, None, steepest)
    optimum = Optimum(float(nll(Z, t, v)), v, Z @ v, steepest)
    return Solution(optimum, None, optimum.nll, steepest)


def _separated(points: Centred, t: np.ndarray, found: Separation) -> Solution:
    """The infimum: the minimum of the points on the boundary by themselves, times their share.

    Along the separating direction all other losses go to 0, and those on the boundary stay.
    """
    left = np.flatnonzero(~found.strict)
    if not len(left):
        return Solution(None, found, 0.0, 0.0)
    inner = solve(Centred.of(points.X[left]), t[left])
    if inner.separation is not None:
        strict = found.strict.copy()
        strict[left[inner.separation.strict]] = True
        found = replace(found, strict=strict)
    infimum = None if inner.infimum is None else inner.infimum * (len(left) / len(t))
    return Solution(None, found, infimum, inner.steepest)


# ------------------------------------------------------------------------------------- many points


@dataclass(frozen=True)
class NewtonState:
    """What one pass finds at v (d+1,): means of loss, gradient and Hessian; by how much the step there has
    moved an activation; the smallest σ(−m).
    """

    v: np.ndarray
    loss: float
    slope: np.ndarray
    hessian: np.ndarray
    moved: float
    multiplier: float

    @property
    def steepest(self) -> float:
        return float(np.max(np.abs(self.slope)))


def _minimum_of_many(Z: np.ndarray, t: np.ndarray, overlap: bool) -> Optimum | None:
    """The minimum by whole steps of Newton's method, in one pass over blocks of rows each.

    None where it takes more than that: columns that depend on each other, a step that overshoots, classes
    whose overlap is neither known (``overlap``) nor certain at the minimum.
    """
    n, columns = Z.shape
    gram = n * in_blocks.gram_in_blocks(Z)
    values = np.linalg.eigvalsh(gram)
    if not values[0] > REGULAR * values[-1]:
        return None
    nothing = np.zeros(columns)
    v, _ = _newton(np.ascontiguousarray(Z[::EVERY]), t[::EVERY], nothing, np.inf)
    # Shortened, so that the last digits of this do not depend on the number of threads.
    now = _state_at(Z, t, v.astype(np.float32).astype(float), nothing)
    if not now.loss < np.log(2.0):  # the few may be separated where all are not
        now = _state_at(Z, t, nothing, nothing)
    change = np.inf
    for _ in range(STEPS):
        if now.steepest < GRADIENT_TOLERANCE and change <= ARRIVED:
            break
        step, regular = least_norm_step(now.hessian, now.slope)
        if not (regular and np.isfinite(step).all()):
            return None
        after = _state_at(Z, t, now.v - step, step)
        flatter = after.steepest < max(now.steepest, GRADIENT_TOLERANCE)
        if not (after.loss < now.loss or flatter):
            return None
        now, change = after, after.moved
    else:
        return None
    residual = n * float(np.linalg.norm(now.slope))
    smallest, size = float(np.sqrt(values[0])), float(np.sqrt(np.trace(gram)))
    if not (overlap or multipliers_are_certain(now.multiplier, residual, n, size, smallest)):
        return None
    return Optimum(now.loss, now.v, Z @ now.v, now.steepest)


def _state_at(Z: np.ndarray, t: np.ndarray, v: np.ndarray, step: np.ndarray) -> NewtonState:
    n, columns = Z.shape

    def work(rows: slice) -> Parts:
        return newton_sums(Z[rows], 2.0 * t[rows] - 1.0, v, step)

    ways = ("sum", "sum", "sum", "max", "min")
    loss, slope, hessian, moved, multiplier = in_blocks.summed_over_rows(n, columns, ways, work)
    return NewtonState(
        v, float(loss[0]) / n, slope / n, hessian / n, float(moved[0]), float(multiplier[0])
    )


# ------------------------------------------------------------------------------------- any points


def _minimise(
    Z: np.ndarray, t: np.ndarray, v: np.ndarray, arrived: float
) -> tuple[np.ndarray, float]:
    """Newton's method from v until the gradient is below its bound and a step below ``arrived``.

    Returns the weights and the largest component of the gradient there. With fewer points than
    columns, or columns so nearly dependent that the Hessian hides a direction, it works on orthonormal
    columns that span the same (the left singular vectors), and the gradient is judged on these too.
    """
    n, columns = Z.shape
    if n >= columns:
        v, regular = _newton(Z, t, v, arrived)
        steepest = float(np.max(np.abs(gradient(Z, t, v))))
        if steepest < GRADIENT_TOLERANCE and (regular or not np.isfinite(arrived)):
            return v, steepest
    U, values, basis = np.linalg.svd(Z, full_matrices=False)
    r = int(np.sum(values > max(n, columns) * _EPS * values[0]))
    scale = values[:r] / np.sqrt(n)
    Y = np.sqrt(n) * U[:, :r]
    y, _ = _newton(Y, t, scale * (basis[:r] @ v), arrived)
    v = np.asarray(basis[:r].T @ (y / scale))
    residual = logistic(Z @ v) - t
    return v, float(max(np.max(np.abs(columns.T @ residual)) for columns in (Z, Y)) / n)


def _newton(Z: np.ndarray, t: np.ndarray, v: np.ndarray, arrived: float) -> tuple[np.ndarray, bool]:
    """Steps are halved while they do not lower the NLL, since the full step can overshoot.

    Returns the weights, and whether the last Hessian was regular.
    """
    value = float(nll(Z, t, v))
    change, regular = np.inf, True
    for _ in range(STEPS):
        slope = gradient(Z, t, v)
        if np.max(np.abs(slope)) < GRADIENT_TOLERANCE and change <= arrived:
            break
        step, regular = least_norm_step(hessian(Z, v), slope)
        # Where the step promises less than the rounding of the NLL, no part of it is tried.
        for halving in range(40 if slope @ step > _EPS * value else 0):
            trial = v - step * 0.5**halving
            trial_value = float(nll(Z, t, trial))
            if trial_value < value:
                break
        else:
            # No step lowers it: the rounding of the NLL is reached. One plain step more can still
            # take the gradient, which is accurate to more digits than the NLL, below its bound.
            trial = v - step
            if np.max(np.abs(gradient(Z, t, trial))) >= np.max(np.abs(slope)):
                break
            trial_value = float(nll(Z, t, trial))
        change = float(np.max(np.abs(Z @ (trial - v))))
        v, value = trial, trial_value
    return v, regular


def least_norm_step(H: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, bool]:
    """H⁻¹ slope, of least norm where H is singular but for rounding, and whether it is not."""
    try:
        pivots = np.diag(np.linalg.cholesky(H))
    except np.linalg.LinAlgError:
        pivots = np.zeros(1)
    # A dependent column leaves a pivot of rounding; the squares are what H itself is made of.
    if pivots.min() ** 2 > 1e-10 * pivots.max() ** 2:
        return np.asarray(np.linalg.solve(H, slope)), True
    return np.asarray(np.linalg.lstsq(H, slope, rcond=None)[0]), False
