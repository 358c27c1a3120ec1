"""Stochastic gradient descent for two-class logistic regression, all rates as lanes of one loop.

The sequential part, one update a sample (or a batch), is compiled (``sgd_loop``). It adds up each sample's
loss at the weights before its update too, and with the weights held the NLL of all data at the end of each
epoch. Work comes in blocks of well below half a second.

Where a rate is so large that the descent is chaotic, the last bit of one number decides the digits of
those some epochs later. The same numbers are the rule for the same machine and versions, not beyond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.maths.descent import diverged
from mlhw.maths.in_blocks import by_threads
from mlhw.maths.logistic import nll

LANE_SAMPLES = 2_000_000
"""Samples times rates in one block: some 10 ms of the loop."""

WIDE = 64
"""Above so many columns activations are a product for BLAS, which then is most of the work."""

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
        orders = np.tile(_numbers(n), (block, 1))
        stream.permuted(orders, axis=1, out=orders)
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
    online, losses = np.zeros((2, epochs, r))
    piece = n
    if n * r > LANE_SAMPLES:
        piece = max(1, LANE_SAMPLES // r // batch_size) * batch_size
    for first in range(0, n, piece):
        part = np.ascontiguousarray(orders[:, first : first + piece])
        make_updates(X, signs, rate, part, batch_size, W, path, losses)
        online += losses
    return online / n, path


def make_updates(
    X: np.ndarray,
    signs: np.ndarray,
    rate: np.ndarray,
    orders: np.ndarray,
    batch_size: int,
    W: np.ndarray,
    path: np.ndarray,
    losses: np.ndarray,
) -> None:
    """Updates one after another, by the compiled loop.

    X (n, d+1); signs (n,), +1 for t = 1, else −1; rate (r,); orders (epochs, m) sample numbers; W
    (d+1, r) is updated in place; path (epochs, d+1, r) gets the weights at the end of each row of
    ``orders``, losses (epochs, r) the sums of the losses, each at the weights before the sample's update.
    """
    epochs = len(orders)
    d, r = W.shape
    lanes = _in_eights(W)
    ends = np.empty((epochs, *lanes.shape))
    sums = np.empty((epochs, len(lanes) * 8))
    rates = _in_eights(rate[None]).ravel()
    loop()(X, signs, rates, orders, batch_size, lanes.ravel(), ends.ravel(), sums.ravel())
    path[:] = ends.transpose(0, 2, 1, 3).reshape(epochs, d, -1)[:, :, :r]
    W[:] = path[-1]
    losses[:] = sums[:, :r]


def _numbers(n: int) -> np.ndarray:
    """0 … n − 1, in half the memory where that is enough."""
    return np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)


def _in_eights(W: np.ndarray) -> np.ndarray:
    """(d, r) as (g, d, 8), groups of eight columns, the last filled up with zeros."""
    d, r = W.shape
    groups = -(-r // 8)
    lanes = np.zeros((d, groups * 8))
    lanes[:, :r] = W
    return np.ascontiguousarray(lanes.reshape(d, groups, 8).transpose(1, 0, 2))


def loop() -> Any:
    """``sgd_loop``'s loop; numba is loaded where it is needed."""
    from mlhw.maths.sgd_loop import compiled_loop

    return compiled_loop()


def _full_nll(X: np.ndarray, t: np.ndarray, path: np.ndarray) -> np.ndarray:
    """NLL over all data, (epochs, r), at the weights path (epochs, d+1, r).

    The numbers of ``logistic.nll`` but for the last digits, by pieces of the rows, each in a thread
    where there are several.
    """
    epochs, d, r = path.shape
    signs = 2.0 * t - 1.0
    W = np.ascontiguousarray(path.transpose(1, 0, 2)).reshape(d, epochs * r)
    size = max(1, LANE_SAMPLES // W.shape[1])
    pieces = [slice(first, first + size) for first in range(0, len(X), size)]
    part = _losses_of_wide if d > WIDE else _losses

    def work(rows: slice) -> np.ndarray:
        return part(X[rows], signs[rows], W)

    if len(pieces) == 1:
        total = work(pieces[0])
    else:
        loop()
        total = sum(by_threads(work, pieces), np.zeros(W.shape[1]))
    return (total / len(X)).reshape(epochs, r)


def _losses(X: np.ndarray, signs: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Sums of the losses of the rows of X (m, d+1) at the columns of W (d+1, c); (c,)."""
    m, d = X.shape
    lanes = _in_eights(W)
    order = _numbers(m)[None]
    held = max(1, _CACHED // 8 // d)
    sums = np.empty(len(lanes) * 8)
    for first in range(0, len(lanes), held):
        w = lanes[first : first + held].ravel()
        total = sums[first * 8 : (first + held) * 8]
        loop()(X, signs, total, order, 0, w, w, total)
    return sums[: W.shape[1]]


def _losses_of_wide(X: np.ndarray, signs: np.ndarray, W: np.ndarray) -> np.ndarray:
    """As ``_losses``, in place and in pieces that stay in the processor's cache."""
    total = np.zeros(W.shape[1])
    rows = max(1, _CACHED // W.shape[1])
    buffers = np.empty((2, min(rows, len(X)), W.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(X), rows):
            part = signs[first : first + rows, None] * X[first : first + rows]
            margins, work = buffers[0, : len(part)], buffers[1, : len(part)]
            np.matmul(part, W, out=margins)
            total -= np.minimum(margins, 0.0, out=work).sum(axis=0)
            np.copysign(margins, -1.0, out=margins)  # −|m|
            np.exp(margins, out=margins)
            np.log1p(margins, out=margins)
            total += margins.sum(axis=0)
    return total
