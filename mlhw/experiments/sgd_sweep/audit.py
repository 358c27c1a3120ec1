"""Some passes worked out again, update by update, in the textbook's form and in no other code's words.

The loop that made the record is compiled, has all rates side by side and never forms σ(a) − t. Here
the same passes are plain NumPy: w ← w − η Xᵀ(σ(Xw) − t)/m over each batch of m samples (Bishop, PRML,
eq. 3.22 with 4.91), in orders drawn again from the seed. Beside the result stands a bound on how far
rounding may part the two, carried along update by update: one update stretches a distance by
|1 − ηh| at most, h being the mean of σ(1 − σ)|x|² over its batch, or leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.experiments.sweeps.textbook import (
    EPS,
    gradient_at,
    logistic_of,
    losses_at,
    nll_at,
)

SAMPLES = 1_500  # worked out again in one run, at least one pass
DRAWN = 2_000_000  # samples in the orders drawn to get to a later pass
LOST = 1e-6  # of the weights' size: where rounding alone may move them by more, nothing is compared


@dataclass(frozen=True)
class Pass:
    """One pass, recorded and worked out again.

    ``weights``, ``online`` and ``full`` are the distances, over what rounding allows, between the
    two results at each rate, (rates,): the weights at the end, the mean of the losses on the way, the
    NLL at the end. NaN where a rate had stopped or rounding leaves nothing to compare; ``lost`` counts
    the latter.
    """

    repeat: int
    epoch: int
    weights: np.ndarray
    online: np.ndarray
    full: np.ndarray
    lost: int


def audited_epochs(n: int, epochs: int) -> list[int]:
    """Which passes over n samples are worked out again: the first, and others evenly in logarithm."""
    last = max(1, min(epochs, DRAWN // n))
    count = max(1, min(last, SAMPLES // n))
    return sorted({int(e) for e in np.geomspace(1, last, count).round() - 1})


def audit(
    problem: TwoClassProblem,
    etas: Sequence[float],
    recorded: tuple[np.ndarray, np.ndarray, np.ndarray],
    w0: np.ndarray,
    seed: int,
    batch_size: int,
) -> Iterator[Pass]:
    """Work out again some passes of the first repeat, and the first of the last.

    ``recorded`` are the weights (repeats, epochs, d+1, rates), the online and the full NLL (repeats,
    epochs, rates), NaN after a rate has stopped.
    """
    W, online, full = recorded
    repeats, epochs = online.shape[:2]
    chosen = [(0, audited_epochs(len(problem.X), epochs))]
    if repeats > 1:
        chosen.append((repeats - 1, [0]))
    for repeat, passes in chosen:
        seeds = np.random.SeedSequence(seed, spawn_key=(repeat,))
        stream = np.random.Generator(np.random.PCG64(seeds))
        for epoch in range(passes[-1] + 1):
            order = stream.permuted(np.arange(len(problem.X)))
            if epoch in passes:
                start = W[repeat, epoch - 1] if epoch else np.repeat(w0[:, None], len(etas), axis=1)
                start = np.where(np.isfinite(W[repeat, epoch]), start, np.nan)
                found = _replay(problem, np.array(etas), start, order, batch_size)
                there = (W[repeat, epoch], online[repeat, epoch], full[repeat, epoch])
                yield _compare(problem, repeat, epoch, found, there)


def _replay(
    problem: TwoClassProblem, eta: np.ndarray, w: np.ndarray, order: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One pass from w (d+1, r): weights, mean loss on the way, and what rounding may move of each."""
    X, t = problem.X, problem.t
    off = np.zeros(len(eta))
    loss, loss_off = np.zeros(len(eta)), np.zeros(len(eta))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            x, target = X[rows], t[rows][:, None]
            a = x @ w
            y = logistic_of(a)
            values = losses_at(x, t[rows], w)
            length = np.linalg.norm(x, axis=1)[:, None]
            size = np.linalg.norm(w, axis=0)
            a_off = length * (off + 2 * len(w) * EPS * size)
            loss += values.sum(axis=0)
            loss_off += (a_off + 8 * EPS * values).sum(axis=0)
            slope = y * logistic_of(-a)
            bend = np.mean(slope * length**2, axis=0)
            wrong = np.mean(length * (slope * 2 * len(w) * EPS * length * size + 8 * EPS), axis=0)
            step = eta * (x.T @ (y - target)) / len(rows)
            off = off * np.maximum(1.0, np.abs(1.0 - eta * bend)) + eta * wrong
            off = off + 4 * EPS * (size + np.linalg.norm(step, axis=0))
            w = w - step
    return w, loss / len(order), 4 * off, 4 * loss_off / len(order)


def _compare(
    problem: TwoClassProblem,
    repeat: int,
    epoch: int,
    found: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    recorded: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Pass:
    w, loss, off, loss_off = found
    W, online, full = recorded
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.linalg.norm(W, axis=0)
        lost = ~(off <= LOST * (1.0 + size)) & np.isfinite(size)
        apart = np.linalg.norm(W - w, axis=0) / off
        online_apart = np.abs(online - loss) / (loss_off + 64 * EPS)
        nll, nll_off = nll_at(problem.X, problem.t, W)
        full_apart = np.abs(full - nll) / nll_off
    return Pass(
        repeat,
        epoch,
        np.where(lost, np.nan, apart),
        np.where(lost, np.nan, online_apart),
        full_apart,
        int(lost.sum()),
    )


def audit_gd(
    problem: TwoClassProblem, etas: Sequence[float], gd: np.ndarray, w0: np.ndarray, updates: int
) -> tuple[np.ndarray, int]:
    """Gradient descent's first NLLs (updates + 1, rates) over what rounding allows, and how many are lost.

    Worked out again like a pass whose one batch is all the data.
    """
    eta = np.array(etas)
    w = np.repeat(w0[:, None], len(eta), axis=1)
    off = np.zeros(len(eta))
    length = np.linalg.norm(problem.X, axis=1)[:, None]
    apart, lost = np.zeros((updates + 1, len(eta))), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(updates + 1):
            nll, nll_off = nll_at(problem.X, problem.t, w)
            unsure = ~(off <= LOST * (1.0 + np.linalg.norm(w, axis=0)))
            gone = ~np.isfinite(gd[k])  # it has diverged, and stands no more in the record
            apart[k] = np.abs(gd[k] - nll) / (nll_off + length.mean() * off)
            apart[k, unsure | gone] = np.nan
            lost += int(np.sum(unsure & ~gone))
            y = logistic_of(problem.X @ w)
            bend = np.mean(y * (1.0 - y) * length**2, axis=0)
            slope, wrong = gradient_at(problem.X, problem.t, w)
            step = eta * slope
            off = off * np.maximum(1.0, np.abs(1.0 - eta * bend)) + eta * np.linalg.norm(
                wrong, axis=0
            )
            w = w - step
            off = off + 4 * EPS * (np.linalg.norm(w, axis=0) + np.linalg.norm(step, axis=0))
    return apart, lost


def distance_excess(
    problem: TwoClassProblem,
    etas: Sequence[float],
    recorded: tuple[np.ndarray, np.ndarray],
    w0: np.ndarray,
    batch_size: int,
    to: np.ndarray,
) -> np.ndarray:
    """By how much more than convexity allows each pass ends farther from the weights ``to`` (d+1,).

    For a convex loss f of a batch and any u, one update by −η∇f has
    |w' − u|² ≤ |w − u|² + 2η(f(u) − f(w)) + η²|∇f|²
    (Zinkevich 2003, "Online convex programming and generalized infinitesimal gradient ascent", theorem
    1), whatever the rate and the order. Summed over a pass, f(w) is the online NLL, and |∇f|² is at
    most the mean of |x|²(1 − e^−f)² ≤ R² min(1, 0.41 f), R the longest x.

    Returns (repeats, epochs, rates), relative to the sizes that are compared: above 0 is a
    contradiction, NaN after a rate has stopped.
    """
    W, online = recorded
    n = len(problem.X)
    eta = np.array(etas)
    updates, last = -(-n // batch_size), n % batch_size
    at_u = losses_at(problem.X, problem.t, to[:, None])
    # A smaller last batch counts with its own mean: more than its samples' share, in any order.
    of_u = n * float(at_u.mean()) / batch_size
    of_w = n * online / batch_size, n * online / batch_size
    if last:
        of_u += (1 - last / batch_size) * float(at_u.max())
        of_w = of_w[0], n * online / last
    radius = float(np.max(np.sum(problem.X**2, axis=1)))
    with np.errstate(over="ignore", invalid="ignore"):
        bounds = [
            2 * eta * (of_u - losses) + (eta**2 * radius) * np.minimum(updates, 0.41 * losses)
            for losses in (*of_w, np.clip(updates / 0.41, *of_w))
        ]
        before = np.concatenate([np.broadcast_to(w0[:, None], W[:, :1].shape), W[:, :-1]], axis=1)
        d0, d1 = (np.sum((weights - to[:, None]) ** 2, axis=2) for weights in (before, W))
        allowed = np.maximum.reduce(bounds)
        sizes = d0 + d1 + 2 * eta * (of_u + of_w[1]) + (np.sum(to**2) + np.sum(W**2, axis=2))
        excess: np.ndarray = (d1 - d0 - allowed) / sizes
    return excess
