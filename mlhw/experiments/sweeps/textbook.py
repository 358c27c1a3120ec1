"""The sweeps' mathematics once more, as the textbook writes it, for claims to hold the run against.

``maths.logistic`` computes in margins so that nothing is lost; here stands the plain σ(a) − t and a
logarithm of a sum by NumPy, and curvatures come from singular values instead of eigenvalues. Nothing is
shared, so a mistake in one of the two shows. Each has beside it what rounding may move it by.

X is (n, d+1) with a last column of ones, t (n,) is 0 or 1, W is (d+1, r): r weight vectors side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mlhw.maths import in_blocks

Found = TypeVar("Found")

EPS = float(np.finfo(float).eps)
# float64 has all its digits down to 2e-308; a σ(1 − σ) below this may have lost some.
FULL_DIGITS = 1e-290


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


def by_rows(X: np.ndarray, r: int, work: Callable[[slice], Found]) -> list[Found]:
    """What ``work`` finds in one block of rows after the other, in threads where they are many.

    ``r`` numbers of each row are held at once beside its own.
    """
    n, width = len(X), X.shape[1] + r
    size = max(512, _HELD // width)
    blocks = [slice(first, first + size) for first in range(0, n, size)]
    return (
        in_blocks.in_threads(work, blocks)
        if n * width >= in_blocks.WORTH
        else list(map(work, blocks))
    )


_HELD = 1 << 18  # numbers of a block


def _added(blocks: Sequence[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    return [np.asarray(sum(parts[1:], parts[0])) for parts in zip(*blocks, strict=True)]


def nll_at(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean NLL (r,), and how far rounding may move it.

    A sum of n losses one after the other may be off by n/2 ulps of the sum, and where many points are
    the same every one of them errs the same way.
    """

    def work(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        return losses_at(X[rows], t[rows], W).sum(axis=0), np.abs(X[rows]).sum(axis=0)

    losses, sizes = _added(by_rows(X, W.shape[1], work))
    value = losses / len(X)
    with np.errstate(over="ignore", invalid="ignore"):
        reach = sizes / len(X) @ np.abs(W)  # of a, in the mean
        return value, EPS * (16 + (4 + len(X) / 2) * value + 2 * len(W) * reach)


def gradient_at(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Xᵀ(σ(XW) − t)/n (d+1, r), PRML eq. 4.91 over n, and how far rounding may move each entry."""

    def work(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            a, size = X[rows] @ W, np.abs(X[rows])
            y = logistic_of(a)
            bend = 2 * len(W) * y * (1.0 - y) * (size @ np.abs(W)) + 16
            return X[rows].T @ (y - t[rows, None]), size.T @ bend

    slope, bend = _added(by_rows(X, W.shape[1], work))
    with np.errstate(over="ignore", invalid="ignore"):
        moved = EPS * bend / len(X) * np.sqrt(len(X))
    return slope / len(X), moved


def limits_at(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """2/λmax of the Hessian Xᵀ diag(σ(1 − σ)) X/n at each column of W, (r,), from singular values."""

    def work(rows: slice) -> list[np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            a = X[rows] @ W
        # The root of each before their product: e^−|a| itself may be below what float64 holds.
        roots = np.sqrt(logistic_of(a)) * np.sqrt(logistic_of(-a)) / np.sqrt(len(X))
        return [root[:, None] * X[rows] for root in roots.T]

    sizes = _largest_singular(X, W.shape[1], work)
    with np.errstate(divide="ignore", over="ignore"):
        limits: np.ndarray = 2.0 / sizes**2
    return limits


def _largest_singular(
    X: np.ndarray, r: int, work: Callable[[slice], list[np.ndarray]]
) -> np.ndarray:
    """The largest singular value of each of r matrices of which ``work`` gives blocks of rows, (r,).

    The triangular factor of all rows has their singular values, and of many rows it is that of the
    factors of their blocks.
    """

    def factors(rows: slice) -> list[np.ndarray]:
        return [_triangle(part) if len(part) < len(X) else part for part in work(rows)]

    blocks = zip(*by_rows(X, r, factors), strict=True)
    return np.array([np.linalg.norm(np.concatenate(parts), 2) for parts in blocks])


def _triangle(rows: np.ndarray) -> np.ndarray:
    """R of QR: its Gram matrix, singular values and least squares are those of the rows."""
    return np.asarray(np.linalg.qr(rows, mode="r"))


def has_all_digits(X: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Whether the curvature that a limit comes from is so large that float64 has all its digits."""
    size = max(1.0, float(np.sum(np.abs(X).max(axis=0) ** 2)))
    enough: np.ndarray = 2.0 / limits >= FULL_DIGITS * size
    return enough


def steepest_limit(X: np.ndarray) -> float:
    """2/L, L = |X|²/(4n) in the spectral norm, since σ(1 − σ) is 1/4 at most."""
    (size,) = _largest_singular(X, 1, lambda rows: [X[rows]])
    return float(8.0 * len(X) / size**2)


def newton_step(X: np.ndarray, t: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """By how much Newton's next step at w (d+1,) moves an activation, and how much of that is rounding.

    As weighted least squares, PRML eq. 4.99 with its target less the activations: the step minimises
    |R^½ X δ + R^-½ (y − t)|, R = diag(y(1 − y)). An error ε of the residuals moves no activation by
    more than √n ε over the smallest y(1 − y).
    """

    def work(rows: slice) -> tuple[np.ndarray, float, float]:
        a = X[rows] @ w
        y = logistic_of(a)
        root = np.sqrt(y) * np.sqrt(logistic_of(-a))
        target = (t[rows] - y) / np.where(root > 0, root, 1.0)
        reach = root**2 * (np.abs(X[rows]) @ np.abs(w))
        system = np.column_stack([root[:, None] * X[rows], target])
        if len(a) < len(X):
            system = _triangle(system)
        return system, float(root.min()), float(reach.max())

    systems, roots, reaches = zip(*by_rows(X, len(w), work), strict=True)
    if not min(roots) > 0:
        return 0.0, np.inf
    system = np.concatenate(systems)
    step = np.linalg.lstsq(system[:, :-1], system[:, -1], rcond=None)[0]
    error = 16 * EPS * len(w) * (1.0 + max(reaches))
    moved = max(by_rows(X, 1, lambda rows: float(np.max(np.abs(X[rows] @ step)))))
    return moved, float(error * np.sqrt(len(X)) / min(roots) ** 2)


def lowest_nll(X: np.ndarray, t: np.ndarray, steps: int = 100) -> tuple[float, float]:
    """The smallest mean NLL by iteratively reweighted least squares, each step halved until it helps.

    Beside it the largest component of the gradient there.
    """
    w = np.zeros(X.shape[1])
    value, steepest = float(losses_at(X, t, w[:, None]).mean()), np.inf
    for _ in range(steps):
        a = X @ w
        root = np.maximum(np.sqrt(logistic_of(a)) * np.sqrt(logistic_of(-a)), EPS)
        step = np.linalg.lstsq(root[:, None] * X, (t - logistic_of(a)) / root, rcond=None)[0]
        trials = w[:, None] + step[:, None] * 0.5 ** np.arange(30)
        values = losses_at(X, t, trials).mean(axis=0)
        # Where the mean hides what a step gains, the gradient still shows it.
        best = int(values.argmin()) if values.min() < value else 0
        slope = float(np.max(np.abs(gradient_at(X, t, trials[:, [best]])[0])))
        if not values[best] < value and not slope < steepest:
            break
        w, value, steepest = trials[:, best], float(values[best]), slope
    return value, steepest


def standardized_off(X: np.ndarray, raw: np.ndarray, scaling: dict[str, list[float]]) -> float:
    """How far columns are from mean 0, deviation 1, and scaled back from the raw ones, over rounding."""
    mean, deviation = np.array(scaling["mean"]), np.array(scaling["standard_deviation"])
    Z = X[:, :-1]
    allowed = 1e-9 + 64 * EPS * len(X) * (1.0 + np.abs(mean) / deviation)
    apart = np.maximum(np.abs(Z.mean(axis=0)), np.abs(np.sqrt(np.mean(Z**2, axis=0)) - 1.0))
    back = np.abs(Z * deviation + mean - raw).max(axis=0) / deviation
    return float(np.max(np.maximum(apart, back) / allowed))
