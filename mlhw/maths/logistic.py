"""Two-class logistic regression: loss, gradient, Hessian, and the rates that matter.

p(C1|x) = σ(a), a = wᵀx; X is (n, d+1) with a last column of ones, t (n,) is 0 or 1, and W is
(d+1, r): r weight vectors side by side, so that one matrix product serves them all. Equations are
those of Bishop, *Pattern Recognition and Machine Learning* (PRML), section 4.3.

Everything is written in terms of the margin m = (2t − 1) a: a sample's loss is softplus(−m) and its
residual −σ(−m) up to sign. So nothing overflows, and nothing is lost where σ rounds to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlhw.maths.activations import logistic, softplus


def _margins(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s = 2.0 * t - 1.0
    s = s if W.ndim == 1 else s[:, None]
    return s, s * (X @ W)


def nll(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood, PRML eq. 4.90 over n; (r,) for W (d+1, r), () for (d+1,)."""
    _, m = _margins(X, t, W)
    result: np.ndarray = np.mean(softplus(-m), axis=0)
    return result


def nll_and_gradient(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NLL and its gradient Xᵀ(σ(a) − t) / n (PRML eq. 4.91 over n), the latter shaped like W.

    Of many points some at a time, which a processor's cache holds with all that is made of them.
    """
    n, size = len(X), max(_FEWEST, _HELD // max(1, W[0].size))
    loss, slope = _summed(X[:size], t[:size], W)
    for first in range(size, n, size):
        more, steeper = _summed(X[first : first + size], t[first : first + size], W)
        loss, slope = loss + more, slope + steeper
    return loss / n, slope / n


_HELD, _FEWEST = 1 << 16, 1024  # numbers in an array of nll_and_gradient, and rows


def _summed(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The losses of these rows in all (r,), and their gradient; in place, since of few points an iteration
    is as long as its operations are many."""
    s, m = _margins(X, t, W)
    e = np.abs(m)
    np.negative(e, out=e)
    np.exp(e, out=e)  # the one exponential that both need
    losses = np.log1p(e)
    losses -= np.minimum(m, 0.0)
    residual = np.where(m >= 0, e, 1.0)
    e += 1.0
    residual /= e
    residual *= -s  # σ(a) − t = −s σ(−m)
    return losses.sum(axis=0), X.T @ residual


def gradient(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Xᵀ(σ(a) − t) / n, PRML eq. 4.91 over n; shaped like W."""
    return nll_and_gradient(X, t, W)[1]


def hessian(X: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Xᵀ diag(σ(1 − σ)) X / n, PRML eq. 4.97 over n; (d+1, d+1) for w (d+1,)."""
    e = np.exp(-np.abs(X @ w))
    curvature = e / (1.0 + e) ** 2
    result: np.ndarray = (X * curvature[:, None]).T @ X / len(X)
    return result


_BLOCK = 1 << 20  # numbers held at once by local_limits
FEW = 4
"""Of fewer weight vectors each has its Hessian by a product of its own, where there are many points."""


def local_limits(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """2/λmax(H(w)) at each of the r columns of W (d+1, r): the rates above which a step along the
    steepest curvature overshoots; infinite where the curvature has vanished.

    Returns (r,).
    """
    n, d = X.shape
    size = min(n, d)
    columns = max(1, 16 * _BLOCK // size**2)
    largest = np.empty(W.shape[1])
    kernel = X @ X.T if n < d else None
    for start in range(0, W.shape[1], columns):
        part = slice(start, start + columns)
        if kernel is None:
            matrices = _hessians(X, W[:, part])
        else:
            # With D the curvatures, XᵀDX and D^½XXᵀD^½ have the same eigenvalues but for zeros.
            e = np.exp(-0.5 * np.abs(X @ W[:, part])).T
            root = e / (1.0 + e**2)
            matrices = root[:, :, None] * kernel * root[:, None, :]
        largest[part] = np.linalg.eigvalsh(matrices)[:, -1] / n
    with np.errstate(divide="ignore", over="ignore"):
        limits: np.ndarray = np.where(largest > 0, 2.0 / largest, np.inf)
    return limits


def _hessians(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """n H(w) for each of the r columns of W: (r, d+1, d+1)."""
    n, d = X.shape
    if W.shape[1] < FEW and n * d * d > _BLOCK:
        # Products of all columns are worth their while for more vectors only.
        found: np.ndarray = np.array([hessian(X, w) for w in W.T]).reshape(-1, d, d)
        scaled: np.ndarray = n * found
        return scaled
    hessians = np.zeros((W.shape[1], d * d))
    rows = max(1, _BLOCK // max(d * d, W.shape[1]))
    for start in range(0, n, rows):
        part = X[start : start + rows]
        e = np.exp(-np.abs(part @ W))
        products = (part[:, :, None] * part[:, None, :]).reshape(len(part), -1)
        hessians += (e / (1.0 + e) ** 2).T @ products
    return hessians.reshape(-1, d, d)


def local_limit(X: np.ndarray, w: np.ndarray) -> float:
    """2/λmax(H(w)) at one weight vector (d+1,)."""
    return float(local_limits(X, w[:, None])[0])


def limit_at_activations(X: np.ndarray, a: np.ndarray) -> float:
    """2/λmax(H) where the activations are a (n,), for weights whose X w is rounded too much."""
    e = np.exp(-0.5 * np.abs(a))
    rows = X * (e / (1.0 + e**2))[:, None]  # their Gram matrix is n H, as σ(1 − σ) is the square
    gram = rows @ rows.T if len(X) < X.shape[1] else rows.T @ rows
    largest = float(np.linalg.eigvalsh(gram)[-1])
    return 2.0 * len(X) / largest if largest > 0 else np.inf


def overshoot(limits: np.ndarray, eta: float) -> float:
    """The most by which an error along the steepest curvature has grown on a path, in e-folds.

    ``limits`` (K,) are the local limits 2/λ of consecutive iterations. One update multiplies the
    error by 1 − ηλ, which grows it where η exceeds the limit and shrinks it elsewhere; the largest
    sum of log|1 − ηλ| over consecutive iterations is returned, 0 where it never grows. One iteration
    counts for 3 at most: a longer jump leaves the place whose curvature was λ.
    """
    with np.errstate(divide="ignore"):
        growth = np.cumsum(np.clip(np.log(np.abs(1.0 - 2.0 * (eta / limits))), -1e3, 3.0))
    lowest = np.minimum.accumulate(np.concatenate([[0.0], growth]))
    return float(np.max(growth - lowest[:-1], initial=0.0))


def largest_mean_curvature(
    X: np.ndarray, W0: np.ndarray, W1: np.ndarray, enough: float, halvings: int = 60
) -> np.ndarray:
    """A lower bound on the largest λmax(H) on each segment from a column of W0 to one of W1.

    The curvature along the segment, between two of its points, has the mean
    (σ(a'') − σ(a')) · Δa / (n |Δw|² Δs), exactly, however narrow its peaks are; so halving the
    interval towards the larger mean finds peaks that no grid of points would meet. W0 and W1 are
    (d+1, r); the search for a segment ends once ``enough`` is exceeded. Returns (r,).
    """
    a, change = X @ W0, X @ (W1 - W0)
    # |Δw|² and Δa in units of the largest component, since the square of a diverged run's overflows.
    largest = np.max(np.abs(W1 - W0), axis=0)
    unit = (W1 - W0) / np.where(largest > 0, largest, 1.0)
    squared = np.sum(unit**2, axis=0) * len(X) * largest
    along = X @ unit
    low, high = np.zeros(W0.shape[1]), np.ones(W0.shape[1])
    left, right = logistic(a), logistic(a + change)
    best = np.sum((right - left) * along, axis=0) / squared
    for _ in range(halvings):
        if (best > enough).all():
            break
        middle = 0.5 * (low + high)
        centre = logistic(a + middle * change)
        means = [
            np.sum(difference * along, axis=0) / (squared * 0.5 * (high - low))
            for difference in (centre - left, right - centre)
        ]
        upper = means[1] > means[0]
        best = np.maximum(best, np.maximum(*means))
        low, high = np.where(upper, middle, low), np.where(upper, high, middle)
        left, right = np.where(upper, centre, left), np.where(upper, right, centre)
    bound: np.ndarray = best
    return bound


def largest_ratios(
    X: np.ndarray,
    W0: np.ndarray,
    W1: np.ndarray,
    eta: float,
    limits: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """The largest η/limit found on each segment from a column of W0 (d+1, r) to one of W1.

    A lower bound; the search ends once it exceeds 1. ``limits`` gives the local limits at many columns at
    once; without it a few at a time are worked out here. Returns (r,).
    """
    ratios = np.zeros(W0.shape[1])
    if limits is not None and len(ratios):
        places = [W0 + place * (W1 - W0) for place in (0.0, 0.5, 1.0)]
        found = limits(np.concatenate(places, axis=1)).reshape(3, -1)
        ratios = np.asarray(np.max(eta / found, axis=0))
    block = max(1, 200_000 // len(X))
    for first in range(0, len(ratios), block):
        before, after = W0[:, first : first + block], W1[:, first : first + block]
        part = ratios[first : first + block]
        for place in () if limits else (0.0, 0.5, 1.0):
            np.maximum(part, eta / local_limits(X, before + place * (after - before)), out=part)
        # A long step can jump over narrow peaks of the curvature.
        hidden = np.flatnonzero(part <= 1.0)
        if len(hidden):
            peaks = largest_mean_curvature(X, before[:, hidden], after[:, hidden], 2.0 / eta)
            part[hidden] = np.maximum(part[hidden], eta * peaks / 2.0)
    return ratios


def monotone_eta(X: np.ndarray) -> float:
    """2/L with L = λmax(XᵀX)/(4n), a bound on every Hessian since σ(1 − σ) ≤ 1/4.

    Below it a step of gradient descent lowers the NLL from wherever it starts (Nesterov,
    *Introductory Lectures on Convex Optimization*, section 1.2.3).
    """
    gram = X.T @ X if len(X) > X.shape[1] else X @ X.T  # the same eigenvalues but for zeros
    return float(2.0 / (np.linalg.eigvalsh(gram)[-1] / (4 * len(X))))


def root_mean_squares(X: np.ndarray) -> np.ndarray:
    """The size of each column, (d+1,)."""
    sizes: np.ndarray = np.sqrt(np.mean(X**2, axis=0))
    return sizes


def rounding_of_nll(sizes: np.ndarray, W: np.ndarray) -> np.ndarray:
    """By how much rounding can move the NLL at the columns of W (d+1, r); (r,).

    ``sizes`` (d+1,) are the ``root_mean_squares`` of X.

    A sum of k products is right to γ_k Σ|x_j w_j|, γ_k = k u / (1 − k u), u = 2⁻⁵³, in any order
    (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1), and the loss of a sample
    moves by no more than its activation. The mean over the samples is at most Σ_j |w_j| times the
    root mean square of column j. Where a feature is far from 0 beside its spread this is much, as
    large terms of xᵀw cancel.
    """
    terms = len(sizes) * 0.5 * np.finfo(float).eps
    with np.errstate(over="ignore"):
        result: np.ndarray = terms / (1.0 - terms) * (sizes @ np.abs(W))
    return result
