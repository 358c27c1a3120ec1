"""Batch gradient descent at several learning rates side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlhw.maths.logistic import nll_and_gradient

DIVERGED_FACTOR = 1e6
"""A rate has diverged when its NLL exceeds this many times the one it started with."""


@dataclass(frozen=True)
class Step:
    """The state of the running rates before an update.

    ``rates`` (r,) are indices into the etas, ``nll`` (r,) and ``W`` (d+1, r) belong to them.
    ``stopped`` gives the reason for each rate that makes no further update: ``tolerance``,
    ``max_iterations`` or ``diverged``. A rate whose numbers are no longer finite is in ``stopped``
    alone.
    """

    iteration: int
    rates: np.ndarray
    nll: np.ndarray
    W: np.ndarray
    stopped: dict[int, str]


def start_weights(w0: Sequence[float] | None, d: int) -> np.ndarray:
    """The start (d+1,): ``w0``, or [0.1, 0, …, 0]."""
    if w0 is not None:
        return np.array(w0, float)
    w = np.zeros(d + 1)
    w[0] = 0.1
    return w


def diverged(nll: np.ndarray, W: np.ndarray, start: float) -> np.ndarray:
    """Which of r rates have diverged; ``nll`` (…, r), ``W`` (…, d+1, r)."""
    finite = np.isfinite(nll) & np.isfinite(W).all(axis=-2)
    result: np.ndarray = ~finite | (nll > DIVERGED_FACTOR * start)
    return result


def gradient_descent(
    X: np.ndarray,
    t: np.ndarray,
    w0: np.ndarray,
    etas: Sequence[float],
    max_iterations: int,
    tolerance: float = 0.0,
) -> Iterator[Step]:
    """w ← w − η ∇E(w) for every η at once: one matrix product an iteration serves all rates.

    X is (n, d+1), t (n,), w0 (d+1,). As ``descend``.
    """
    return descend(lambda W: nll_and_gradient(X, t, W), w0, etas, max_iterations, tolerance)


def descend(
    slopes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    w0: np.ndarray,
    etas: Sequence[float],
    max_iterations: int,
    tolerance: float = 0.0,
) -> Iterator[Step]:
    """The same by whatever gives the NLL (r,) and its gradient (d+1, r) at W (d+1, r).

    Yields the state before each update, at most ``max_iterations`` times. A rate drops out when its
    NLL changes by less than ``tolerance`` between iterations (0 never does), or has diverged.
    """
    rates = np.arange(len(etas))
    rate = np.array(etas, float)
    W = np.repeat(w0[:, None], len(etas), axis=1)
    before = np.full(len(etas), np.inf)
    start = np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        for iteration in range(max_iterations):
            loss, slope = slopes(W)
            if iteration == 0:
                start = float(loss[0])
            settled = np.abs(loss - before) < tolerance
            last = iteration == max_iterations - 1
            # Most iterations end nothing, which a sum and a few numbers tell.
            if (
                last
                or settled.any()
                or not np.isfinite(W.sum())
                or not loss.max() <= DIVERGED_FACTOR * start
            ):
                gone = diverged(loss, W, start)
                stopped = {}
                for i in np.flatnonzero(gone | settled | last):
                    reason = (
                        "diverged" if gone[i] else "tolerance" if settled[i] else "max_iterations"
                    )
                    stopped[int(rates[i])] = reason
                finite = np.isfinite(loss) & np.isfinite(W).all(axis=0)
                yield Step(iteration, rates[finite], loss[finite], W[:, finite], stopped)
                go = ~(gone | settled)
                if last or not go.any():
                    return
                if not go.all():
                    rates, rate, loss = rates[go], rate[go], loss[go]
                    W, slope = W[:, go], slope[:, go]
            else:
                yield Step(iteration, rates, loss, W, {})
            W = W - rate * slope
            before = loss
