"""Stochastic gradient descent for two-class logistic regression, all rates as lanes of one loop.

The sequential part, one update a sample (or a batch), is compiled; it also leaves behind each
sample's e⁻|ᵐ| at the weights before its update, so that the logarithms of the losses can be taken
outside it, as whole arrays. Work comes in blocks of well below half a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mlhw.maths.descent import diverged
from mlhw.maths.logistic import nll

LANE_SAMPLES = 2_000_000
"""Samples times rates in one block: some 30 ms of the loop and 16 MB of its record."""

_CACHED = 16_384  # numbers that are worked on at once, 128 kB


@dataclass(frozen=True)
class Epochs:
    """A block of finished epochs of one repeat.

    ``first`` is the number of its first epoch; ``rates`` (r,) are indices into the etas;
    ``nll_online`` and ``nll`` are (epochs, r), ``W`` (epochs, d+1, r) at each epoch's end. ``count``
    (r,) says how many of the epochs a rate really has, ``stopped`` why it has no more.
    """

    first: int
    rates: np.ndarray
    nll_online: np.ndarray
    nll: np.ndarray
    W: np.ndarray
    count: np.ndarray
    stopped: dict[int, str]


def permutation_stream(seed: int, repeat: int) -> np.random.Generator:
    """The stream of permutations of one repeat; every rate in the repeat sees the same ones."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(repeat,))))


def stochastic_gradient_descent(
    X: np.ndarray,
    t: np.ndarray,
    w0: np.ndarray,
    etas: Sequence[float],
    epochs: int,
    stream: np.random.Generator,
    *,
    batch_size: int = 1,
    tolerance: float = 0.0,
) -> Iterator[Epochs]:
    """w ← w − η ∇Eᵢ(w), the mean gradient of a batch, over a fresh permutation every epoch.

    X is (n, d+1), t (n,), w0 (d+1,). Each epoch draws one permutation of the n samples from
    ``stream``; its last batch may be smaller and counts with its own mean. A rate drops out when its
    full-data NLL changes by less than ``tolerance`` between epochs (0 never does), or has diverged.

    ``nll_online`` is the mean over an epoch of each sample's loss at the weights before its update.
    """
    n = len(X)
    start = float(nll(X, t, w0))
    signs = 2.0 * t - 1.0
    rates = np.arange(len(etas))
    W = np.repeat(w0[:, None], len(etas), axis=1)
    before = np.full(len(etas), np.inf)
    epoch = 0
    while epoch < epochs and len(rates):
        rate = np.array([etas[i] for i in rates.tolist()])
        block = min(epochs - epoch, max(1, LANE_SAMPLES // (n * len(rates))))
        orders = stream.permuted(np.tile(np.arange(n), (block, 1)), axis=1)
        online, path = _run(X, signs, rate, orders, batch_size, W)
        full = _full_nll(X, t, path)
        with np.errstate(invalid="ignore"):
            gone = diverged(full, path, start)
            settled = np.abs(np.diff(full, axis=0, prepend=before[None])) < tolerance
        count = np.full(len(rates), block)
        stopped = {}
        for i in np.flatnonzero((gone | settled).any(axis=0)):
            k = int(np.argmax(gone[:, i] | settled[:, i]))
            stopped[int(rates[i])] = "diverged" if gone[k, i] else "tolerance"
            finite = np.isfinite(full[k, i]) and np.isfinite(path[k, :, i]).all()
            count[i] = k + 1 if finite and np.isfinite(online[k, i]) else k
        go = np.array([int(r) not in stopped for r in rates])
        if epoch + block == epochs:
            stopped |= {int(r): "max_epochs" for r in rates[go]}
        yield Epochs(epoch, rates, online, full, path, count, stopped)
        epoch += block
        rates, W, before = rates[go], np.ascontiguousarray(path[-1][:, go]), full[-1][go]


def _run(
    X: np.ndarray,
    signs: np.ndarray,
    rate: np.ndarray,
    orders: np.ndarray,
    batch_size: int,
    W: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Run whole epochs; online NLL (epochs, r) and weights (epochs, d+1, r) at their ends.

    One epoch that is larger than a block goes through the loop in pieces of whole batches.
    """
    epochs, n = orders.shape
    r = len(rate)
    W = W.copy()
    path = np.empty((epochs, X.shape[1], r))
    online = np.zeros((epochs, r))
    piece = n
    if n * r > LANE_SAMPLES:
        piece = max(1, LANE_SAMPLES // r // batch_size) * batch_size
    kernel = compiled_loop()
    for first in range(0, n, piece):
        part = np.ascontiguousarray(orders[:, first : first + piece])
        tails = np.empty((epochs, part.shape[1], r))
        hinges = np.empty((epochs, r))
        kernel(X, signs, rate, part, batch_size, W, path, tails, hinges)
        # A sample's loss softplus(−m) is max(−m, 0) + log1p(e⁻|ᵐ|).
        online += hinges + np.einsum("emr->er", np.log1p(tails, out=tails))
    return online / n, path


def _loop(
    X: np.ndarray,
    signs: np.ndarray,
    rate: np.ndarray,
    orders: np.ndarray,
    batch_size: int,
    W: np.ndarray,
    path: np.ndarray,
    tails: np.ndarray,
    hinges: np.ndarray,
) -> None:
    """The sequential part, compiled before use.

    X (n, d+1); signs (n,), +1 for t = 1, else −1; rate (r,); orders (epochs, m) sample numbers; W
    (d+1, r) is updated in place; path (epochs, d+1, r) gets the weights at the end of each row of
    ``orders``; tails (epochs, m, r) gets e⁻|ᵐ| and hinges (epochs, r) the sum of max(−m, 0), with
    the margin m = sign · a at the weights before the sample's update.

    The gradient of a sample's loss is −sign σ(−m) x (PRML eq. 4.91 for one term).
    """
    epochs, m = orders.shape
    d, r = W.shape
    a = np.empty(r)
    step = np.zeros((d, r))
    for epoch in range(epochs):
        hinges[epoch, :] = 0.0
        waiting = 0
        for k in range(m):
            i = orders[epoch, k]
            for lane in range(r):
                a[lane] = 0.0
            for j in range(d):
                x = X[i, j]
                for lane in range(r):
                    a[lane] += x * W[j, lane]
            s = signs[i]
            for lane in range(r):
                margin = s * a[lane]
                tail = math.exp(-abs(margin))
                tails[epoch, k, lane] = tail
                if margin < 0.0:
                    hinges[epoch, lane] -= margin
                    a[lane] = s * rate[lane] / (1.0 + tail)
                else:
                    a[lane] = s * rate[lane] * tail / (1.0 + tail)
            if batch_size == 1:
                for j in range(d):
                    x = X[i, j]
                    for lane in range(r):
                        W[j, lane] += x * a[lane]
                continue
            for j in range(d):
                x = X[i, j]
                for lane in range(r):
                    step[j, lane] += x * a[lane]
            waiting += 1
            if waiting == batch_size or k == m - 1:
                for j in range(d):
                    for lane in range(r):
                        W[j, lane] += step[j, lane] / waiting
                        step[j, lane] = 0.0
                waiting = 0
        path[epoch] = W


@cache
def compiled_loop() -> Any:
    """``_loop`` compiled by numba, once in a process for each kind of arguments."""
    import numba

    return numba.njit(_loop)


def _full_nll(X: np.ndarray, t: np.ndarray, path: np.ndarray) -> np.ndarray:
    """NLL over all data, (epochs, r), at the weights path (epochs, d+1, r).

    The same numbers as ``logistic.nll``, in place and in pieces that stay in the processor's cache,
    since this is half of the work.
    """
    epochs, d, r = path.shape
    W = np.ascontiguousarray(path.transpose(1, 0, 2)).reshape(d, epochs * r)
    total = np.zeros(epochs * r)
    signed = (2.0 * t - 1.0)[:, None] * X
    rows = max(1, _CACHED // (epochs * r))
    buffers = np.empty((2, min(rows, len(X)), epochs * r))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(X), rows):
            part = signed[first : first + rows]
            margins, work = buffers[0, : len(part)], buffers[1, : len(part)]
            np.matmul(part, W, out=margins)
            total -= np.minimum(margins, 0.0, out=work).sum(axis=0)
            np.copysign(margins, -1.0, out=margins)  # −|m|
            np.exp(margins, out=margins)
            np.log1p(margins, out=margins)
            total += margins.sum(axis=0)
    result: np.ndarray = (total / len(X)).reshape(epochs, r)
    return result
