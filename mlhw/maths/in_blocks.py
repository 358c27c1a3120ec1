"""NLL, gradients and Hessians of many points in memory, by blocks of rows in several threads.

The same numbers as ``logistic`` has but for the last digits, which neither the number of threads nor the
environment moves: sixteen parts of the rows go up a fixed tree, each with one thread of BLAS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np

from mlhw.maths import row_blocks
from mlhw.maths.tree import Parts, joined, up_the_tree

Item = TypeVar("Item")
Found = TypeVar("Found")

WORTH = 4_000_000
"""Points times weight vectors, or numbers, from which blocks, threads and compiled loops pay."""
PARTS = 16
_BLOCK = 1 << 17  # numbers, 1 MB
_HELD = 1 << 22  # numbers of Hessians at once


def slopes_in_blocks(X: np.ndarray, t: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As ``logistic.nll_and_gradient``: X (n, d+1) with ones last, t (n,), W (d+1, r)."""

    def work(rows: slice) -> Parts:
        s = 2.0 * t[rows] - 1.0
        return row_blocks.losses_and_slopes(X[rows, :-1], s, W, compiled=True)

    losses, slopes = summed_over_rows(len(X), X.shape[1], ("sum", "sum"), work)
    return losses / len(X), slopes / len(X)


def hessians_in_blocks(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """H(w) for each of the r columns of W, PRML eq. 4.97 over n; (r, d+1, d+1)."""

    def work(rows: slice) -> Parts:
        bends = row_blocks.curvatures(X[rows, :-1], W, compiled=True)
        return (row_blocks.hessians(X[rows], bends),)

    (found,) = summed_over_rows(len(X), X.shape[1], ("sum",), work)
    return found / len(X)


def limits_in_blocks(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """As ``logistic.local_limits``, (r,)."""
    at_once = max(1, _HELD // X.shape[1] ** 2)
    largest = np.concatenate(
        [
            np.linalg.eigvalsh(hessians_in_blocks(X, W[:, first : first + at_once]))[:, -1]
            for first in range(0, W.shape[1], at_once)
        ]
    )
    with np.errstate(divide="ignore", over="ignore"):
        limits: np.ndarray = np.where(largest > 0, 2.0 / largest, np.inf)
    return limits


def gram_in_blocks(X: np.ndarray) -> np.ndarray:
    """XᵀX / n, (d, d)."""
    (found,) = summed_over_rows(len(X), X.shape[1], ("sum",), lambda rows: (X[rows].T @ X[rows],))
    return found / len(X)


def summed_over_rows(
    n: int, columns: int, ways: Sequence[str], work: Callable[[slice], Parts]
) -> Parts:
    """What ``work`` gives for blocks of n rows with so many columns, put together by ``ways`` (``tree``)."""
    size = max(512, 1 << (_BLOCK // columns).bit_length() - 1)

    def part(number: int) -> Parts | None:
        total: Parts | None = None
        stop = (number + 1) * n // PARTS
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(number * n // PARTS, stop, size):
                total = joined(ways, total, work(slice(first, min(stop, first + size))))
        return total

    found = up_the_tree(ways, in_threads(part, range(PARTS)))
    assert found is not None
    return found


def in_threads(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """``work`` of each item, in their order, by as many threads as there are processors.

    BLAS has one thread in each of them meanwhile.
    """
    with _blas().limit(limits=1, user_api="blas"):
        return by_threads(work, items)


def by_threads(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """As ``in_threads`` for work that leaves BLAS alone: where it has threads of its own, it keeps them."""
    # Threads are made anew: those of a process that is forked are not in its child.
    threads = ThreadPoolExecutor(cpus())
    try:
        return list(threads.map(work, items))
    finally:
        threads.shutdown(cancel_futures=True)


def cpus() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
