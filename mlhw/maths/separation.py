"""Whether two classes of points can be separated, and which of the points: complete and quasi-complete.

A hyperplane separates the classes if no point lies on its wrong side and not all of them lie on it.
The likelihood of logistic regression then has no maximum: along the hyperplane's normal the losses of
the points beside it fall towards 0 for ever (Albert and Anderson 1984, "On the existence of maximum
likelihood estimates in logistic regression models"). The separation is complete if one hyperplane has
no point on it at all, quasi-complete otherwise: some points lie on every hyperplane that separates.
They overlap, and the infimum of the loss is the minimum of theirs.

The verdict is exact wherever one of these finds it, in this order: the ends of the classes on a line;
independent points; a proof by numbers beyond their rounding error, from weights at which the loss has
almost no slope; integers, for problems of up to ``EXACT_NUMBERS`` numbers. What is left, large
and with margins or overlaps below some 1e-7 of the spread, is decided by a linear programme within its
tolerance. Z (n, d+1) are the centred columns and ones, t (n,) is 0 or 1, v (d+1,) are weights of Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlhw.maths.activations import logistic
from mlhw.maths.centring import Centred
from mlhw.maths.cone import rank, strict_rows

EXACT_NUMBERS = 3000
"""Features of up to so many numbers can be looked at in integers, within a second."""
EXACT_FEATURES = 12
"""And so many features: the integers have some 53 binary digits more with each."""
MARGIN = 1e-6
"""The linear programme's margins are right to about 1e-7; a margin beyond this is a real one."""
MOST_WEIGHT = 1 << 500
"""No weight of a normal found in integers is larger, so that products of it are finite."""
VANISHED = 1e-7
"""Where the loss has almost no slope, a point with a smaller residual may have been separated."""

_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Separation:
    """``strict`` (n,): the points that a hyperplane can have beside it, all of them at once.

    ``weights`` (d,) is such a hyperplane's normal without its bias, in units of the centred columns.
    """

    strict: np.ndarray
    weights: np.ndarray

    @property
    def kind(self) -> Literal["complete", "quasi-complete"]:
        return "complete" if self.strict.all() else "quasi-complete"


def decided_at_once(points: Centred, t: np.ndarray) -> tuple[bool, Separation | None]:
    """Whether the question needs no search, and its answer: None where the classes overlap."""
    n, d = points.X.shape
    varying = np.flatnonzero(points.varying)
    everything = np.ones(n, bool)
    if np.ptp(t) == 0:
        return True, Separation(everything, np.zeros(d))
    if len(varying) == 0:
        return True, None
    if len(varying) == 1:
        return True, _on_a_line(points, t, int(varying[0]))
    if n <= d + 1 and np.linalg.matrix_rank(points.Z) == n:
        # Independent points: some weights give any margins at all.
        weights = np.linalg.lstsq(points.Z, 2.0 * t - 1.0, rcond=None)[0]
        return True, Separation(everything, weights[:-1])
    return False, None


def _on_a_line(points: Centred, t: np.ndarray, column: int) -> Separation | None:
    """One feature: the classes lie apart, or touch in one value, or overlap."""
    x = points.X[:, column]
    zeros, ones = x[t == 0], x[t == 1]
    for sign, low, high in ((1.0, zeros, ones), (-1.0, ones, zeros)):
        edge, start = low.max(), high.min()
        if edge <= start:
            weights = np.zeros(points.X.shape[1])
            weights[column] = sign
            return Separation((x != edge) | (edge < start), weights)
    return None


def overlap_is_certain(points: Centred, t: np.ndarray, v: np.ndarray) -> bool:
    """Whether weights ``v`` of almost no gradient already prove that the classes overlap.

    By Stiemke's lemma the classes are not separable, not even quasi-completely, if Σ λᵢ sᵢ zᵢ = 0 for
    some λ > 0. At the minimum λᵢ = σ(−mᵢ) is such a λ. Near it the sum is a small r; the least-norm
    correction of λ that removes r is at most |r| / smallest singular value other than 0, since r is
    made of the rows of Z; so if every λᵢ is larger than that, an exact λ > 0 exists.
    """
    Z, s = points.Z, 2.0 * t - 1.0
    multipliers = logistic(-s * (Z @ v))
    residual = float(np.linalg.norm(Z.T @ (s * multipliers)))
    values = np.linalg.svd(Z, compute_uv=False)
    smallest = float(values[_rank(values, Z.shape) - 1])
    certain = multipliers_are_certain(
        float(multipliers.min()), residual, len(Z), float(np.linalg.norm(Z)), smallest
    )
    return certain and _rank_is_right(points.X, values, Z.shape)


def multipliers_are_certain(
    least: float, residual: float, n: int, size: float, smallest: float
) -> bool:
    """Whether multipliers λ > 0 of exactly Σ λᵢ sᵢ zᵢ = 0 are near, see ``overlap_is_certain``.

    ``least`` is the smallest λ known, ``residual`` the norm of its sum over n rows, ``size`` the norm of Z
    and ``smallest`` its smallest singular value other than 0.
    """
    # The residual's own rounding error, with a margin.
    rounding = 8 * n * _EPS * size
    return least > 2 * (residual + rounding) / smallest


def proven_separation(points: Centred, t: np.ndarray, v: np.ndarray) -> Separation | None:
    """The separation that weights ``v`` of almost no gradient prove; None where they prove none.

    Points with a residual of next to nothing may lie beside a hyperplane on which all others lie.
    That they do is tried with the part of v orthogonal to the others' rows.
    """
    s = 2.0 * t - 1.0
    strict = logistic(-s * (points.Z @ v)) < VANISHED
    weights = _beside(points, s, v, strict)
    return None if weights is None else Separation(strict, weights[:-1])


def _beside(points: Centred, s: np.ndarray, v: np.ndarray, strict: np.ndarray) -> np.ndarray | None:
    """The part of v (d+1,) with margin 0 at all rows but the ``strict`` ones, if theirs are positive.

    None where they are not, beyond the rounding of that part and of the margins.
    """
    if not strict.any():
        return None
    Z, u, condition = points.Z, v, 1.0
    others = Z[~strict]
    if len(others):
        _, values, basis = np.linalg.svd(others, full_matrices=False)
        r = _rank(values, others.shape)
        if r == Z.shape[1] or not _rank_is_right(points.X[~strict], values, others.shape):
            return None
        condition = float(values[0] / values[r - 1])
        u = v - basis[:r].T @ (basis[:r] @ v)
    margins = s[strict] * (Z[strict] @ u)
    sizes = np.linalg.norm(Z[strict], axis=1)
    rounding = 8 * Z.shape[1] * _EPS * condition * sizes * float(np.linalg.norm(v))
    if not (margins > rounding).all():
        return None
    return np.where(np.abs(u) > 1e-9 * np.max(np.abs(u)), u, 0.0)


def _rank(values: np.ndarray, shape: tuple[int, ...]) -> int:
    """How many singular values, falling, are not 0 but for rounding."""
    return int(np.sum(values > max(shape) * _EPS * values[0]))


def _rank_is_right(X: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the singular values beyond rounding are as many as the rank of [X 1], known exactly.

    In large problems that is taken for granted: values that agree to all their digits are the same.
    """
    if values[-1] > 1e-9 * values[0] or X.size > EXACT_NUMBERS or X.shape[1] > EXACT_FEATURES:
        return True
    differences = _integer_columns(np.unique(X, axis=0))
    return 1 + rank(differences) == _rank(values, shape)


def searched_separation(points: Centred, t: np.ndarray, v: np.ndarray) -> Separation | None:
    """The separation by a linear programme, proven by v or decided in integers where they can."""
    s = 2.0 * t - 1.0
    found = by_linear_programmes(points, s)
    if found is not None:
        weights = _beside(points, s, v, found.strict)
        if weights is not None:
            return Separation(found.strict, weights[:-1])
    varying = np.flatnonzero(points.varying)
    if len(varying) <= EXACT_FEATURES and len(t) * len(varying) <= EXACT_NUMBERS:
        return in_integers(points, s, varying)
    return found


def in_integers(points: Centred, s: np.ndarray, varying: np.ndarray) -> Separation | None:
    """Exactly, on the values as they were read."""
    rows, which = np.unique(np.column_stack([points.X[:, varying], s]), axis=0, return_inverse=True)
    features, signs = rows[:, :-1], rows[:, -1:].astype(int).astype(object)
    whole = np.column_stack([_integer_columns(features), np.ones(len(rows), object)])
    strict, u = strict_rows(signs * whole)
    if not strict.any():
        return None
    weights = np.zeros(points.X.shape[1])
    # One unit of the integers' column, in units of the centred one, is known from their ranges.
    ranges = [u[j] * (max(whole[:, j]) - min(whole[:, j])) for j in range(len(varying))]
    # Values from 1 to 1e308 make integers of which a ratio is no float; a normal has any length.
    unit = max(1, *map(abs, ranges)) // MOST_WEIGHT + 1
    for size, column in zip(ranges, varying.tolist(), strict=True):
        weights[column] = float(size / unit) / float(np.ptp(points.Z[:, column]))
    return Separation(strict[which.reshape(-1)], weights)


def _integer_columns(values: np.ndarray) -> np.ndarray:
    """Each column of floats (m, k), less its first value, as the smallest integers in proportion.

    Every float64 is an integer times a power of two.
    """
    columns = []
    for column in values.T.tolist():
        ratios = [value.as_integer_ratio() for value in column]
        unit = max(denominator for _, denominator in ratios)
        whole = [numerator * (unit // denominator) for numerator, denominator in ratios]
        divisor = math.gcd(*(value - whole[0] for value in whole)) or 1
        columns.append([(value - whole[0]) // divisor for value in whole])
    return np.array(columns, object).T


def by_linear_programmes(points: Centred, s: np.ndarray) -> Separation | None:
    """Maximise Σ mᵢ over weights in a box with every margin mᵢ ≥ 0, then again on the rows without one.

    A row that one direction separates asks nothing of the next: so much of the first added to it
    that the row's margin is positive again changes nothing on the others.
    """
    left = np.arange(len(s))
    weights = np.zeros(points.Z.shape[1])
    while len(left):
        margins, direction = _largest_margins(s[left, None] * points.Z[left])
        beside = margins > MARGIN
        if not beside.any():
            break
        direction = np.where(np.abs(direction) > MARGIN, direction, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = _weighted_sum(s[:, None] * points.Z, weights, direction)
        if not np.isfinite(weights).all():  # rows some 1e300 apart, which integers can still tell
            return None
        left = left[~beside]
    if len(left) == len(s):
        return None
    strict = np.ones(len(s), bool)
    strict[left] = False
    return Separation(strict, weights[:-1])


def _weighted_sum(signed: np.ndarray, first: np.ndarray, more: np.ndarray) -> np.ndarray:
    """So much of the first weights with the others that no row that the first separate is lost again."""
    had, added = signed @ first, signed @ more
    lost = (had > MARGIN) & (had + added <= MARGIN)
    enough = max(1.0, float(np.max(2.0 - added[lost] / had[lost], initial=1.0)))
    return np.asarray(enough * first + more)


def _largest_margins(signed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The margins (n,) and weights (d+1,) of the largest sum; zeros where the solver gives up."""
    from scipy.optimize import linprog

    scale = np.max(np.abs(signed), axis=0)
    signed = signed / np.where(scale > 0, scale, 1.0)
    found = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        bounds=[(-1.0, 1.0)] * signed.shape[1],
        method="highs",
    )
    if found.status != 0:
        return np.zeros(len(signed)), np.zeros(signed.shape[1])
    return signed @ found.x, np.where(scale > 0, found.x / np.where(scale > 0, scale, 1.0), 0.0)
