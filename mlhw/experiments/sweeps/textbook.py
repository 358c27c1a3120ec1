"""The sweeps' mathematics once more, as the textbook writes it, for claims to hold the run against.

``maths.logistic`` computes in margins so that nothing is lost; here stands the plain σ(a) − t and a
logarithm of a sum by NumPy, and curvatures come from singular values instead of eigenvalues. Nothing is
shared, so a mistake in one of the two shows. Each has beside it what rounding may move it by.

X is (n, d+1) with a last column of ones, t (n,) is 0 or 1, W is (d+1, r): r weight vectors side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EPS = float(np.finfo(float).eps)


def over(apart: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """A difference as a multiple of what is allowed; none is 0 even where nothing is (a column of 0)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = np.where(apart == 0.0, 0.0, apart / allowed)
    return ratio


def start_of(w0: Sequence[float] | None, d: int) -> np.ndarray:
    """The start (d+1,) that was asked for; the course's (0.1, 0, …, 0) without one."""
    return np.array([0.1] + [0.0] * d if w0 is None else w0, float)


def logistic_of(a: np.ndarray) -> np.ndarray:
    """1/(1 + exp(−a)) as it stands in Bishop, PRML, eq. 4.59; an overflow gives 0, which is right."""
    with np.errstate(over="ignore"):
        y: np.ndarray = 1.0 / (1.0 + np.exp(-a))
    return y


def losses_at(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> np.ndarray:
    """−ln p of each sample's class, (n, r): ln(1 + exp(∓a)), PRML eq. 4.90 for one sample."""
    with np.errstate(over="ignore", invalid="ignore"):
        a = X @ W
    values: np.ndarray = np.logaddexp(0.0, np.where(t[:, None] > 0.5, -a, a))
    return values


def nll_at(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean NLL (r,), and how far rounding may move it."""
    value = losses_at(X, t, W).mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.mean(np.abs(X), axis=0) @ np.abs(W)  # of a, in the mean
    return value, EPS * (16 + np.log2(len(X)) + 4 * value + 2 * len(W) * reach)


def gradient_at(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Xᵀ(σ(XW) − t)/n (d+1, r), PRML eq. 4.91 over n, and how far rounding may move each entry."""
    with np.errstate(over="ignore", invalid="ignore"):
        a, size = X @ W, np.abs(X)
        y = logistic_of(a)
        bend = 2 * len(W) * y * logistic_of(-a) * (size @ np.abs(W)) + 16
        moved = EPS * (size.T @ bend) / len(X) * np.sqrt(len(X))
    return X.T @ (y - t[:, None]) / len(X), moved


def limits_at(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """2/λmax of the Hessian Xᵀ diag(σ(1 − σ)) X/n at each column of W, (r,), from singular values."""
    with np.errstate(over="ignore", invalid="ignore"):
        a = X @ W
    # The root of each before their product: e^−|a| itself may be below what float64 holds.
    roots = np.sqrt(logistic_of(a)) * np.sqrt(logistic_of(-a)) / np.sqrt(len(X))
    sizes = np.array([np.linalg.norm(root[:, None] * X, 2) for root in roots.T])
    with np.errstate(divide="ignore", over="ignore"):
        limits: np.ndarray = 2.0 / sizes**2
    return limits


def steepest_limit(X: np.ndarray) -> float:
    """2/L, L = |X|²/(4n) in the spectral norm, since σ(1 − σ) is 1/4 at most."""
    return float(8.0 * len(X) / np.linalg.norm(X, 2) ** 2)


def standardized_off(X: np.ndarray, raw: np.ndarray, scaling: dict[str, list[float]]) -> float:
    """How far columns are from mean 0, deviation 1, and scaled back from the raw ones, over rounding."""
    mean, deviation = np.array(scaling["mean"]), np.array(scaling["standard_deviation"])
    Z = X[:, :-1]
    allowed = 1e-9 + 64 * EPS * len(X) * (1.0 + np.abs(mean) / deviation)
    apart = np.maximum(np.abs(Z.mean(axis=0)), np.abs(np.sqrt(np.mean(Z**2, axis=0)) - 1.0))
    back = np.abs(Z * deviation + mean - raw).max(axis=0) / deviation
    return float(np.max(np.maximum(apart, back) / allowed))
