"""The sequential part of stochastic gradient descent: all rates side by side, eight in a register.

The margin of a sample is m = (2t − 1) wᵀx, its loss softplus(−m) = max(−m, 0) + log1p(e⁻|ᵐ|), and the
gradient of that −σ(−m) (2t − 1) x (PRML eq. 4.91 for one term). Here a sample is z = (2t − 1) x, so that
m = wᵀz and w ← w + η σ(−m) z.

Of the logarithms there is one for many samples: with p = Π (1 + e⁻|ᵐ|) − 1 their sum is log1p(p), and
p ← p + e⁻|ᵐ| (1 + p) adds positive terms alone, so that tiny losses keep their digits too.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
import numpy as np

from mlhw.maths.lanes import eight, eight_at, exp_minus, magnitude, put_eight, where_less


def _loop(
    X: Any, signs: Any, rate: Any, orders: Any, batch_size: Any, W: Any, path: Any, losses: Any
) -> None:
    """Rows of samples one after another, at ``rate`` in batches, or with the weights as they are.

    X (n, d+1); signs (n,), +1 for t = 1, else −1; orders (epochs, m) sample numbers. The rates stand in
    g groups of eight, and arrays are flat: rate (g·8), W (g·(d+1)·8), which is updated in place, path
    (epochs·g·(d+1)·8), which gets the weights at the end of each row of ``orders``, losses (epochs·g·8)
    the sums of the losses, each at the weights before the sample's update. With batch_size 0 the weights
    stay, and ``path`` is not touched.
    """
    epochs, m = orders.shape
    d = X.shape[1]
    groups = len(rate) // 8
    # Samples of a large set are far apart in memory: a few are fetched at once, before they are needed.
    many = max(1, min(64, 8192 // d))
    Z = np.empty((many, d))
    products = np.empty(groups * 8)
    step = np.zeros(groups * d * 8 if batch_size > 1 else 0)
    for epoch in range(epochs):
        for lane in range(groups * 8):
            losses[epoch * groups * 8 + lane] = 0.0
            products[lane] = 0.0
        waiting, taken = 0, 0
        for first in range(0, m, many):
            count = min(many, m - first)
            for k in range(count):
                i = orders[epoch, first + k]
                s = signs[i]
                for j in range(d):
                    Z[k, j] = s * X[i, j]
            # A product of 1,000 factors of at most 2 is no more than float64 holds.
            if taken + count > 1000:
                for lane in range(groups * 8):
                    losses[epoch * groups * 8 + lane] += math.log1p(products[lane])
                    products[lane] = 0.0
                taken = 0
            taken += count
            for k in range(count):
                waiting += 1
                full = waiting == batch_size or first + k == m - 1
                for g in range(groups):
                    w = g * d * 8
                    a = eight_at(W, w) * Z[k, 0]
                    b = eight(0.0)
                    for j in range(1, d - 1, 2):
                        b = b + eight_at(W, w + j * 8) * Z[k, j]
                        a = a + eight_at(W, w + j * 8 + 8) * Z[k, j + 1]
                    if d % 2 == 0:
                        b = b + eight_at(W, w + (d - 1) * 8) * Z[k, d - 1]
                    margin = a + b
                    e = exp_minus(magnitude(margin))
                    p = eight_at(products, g * 8)
                    put_eight(products, g * 8, p + e * (p + 1.0))
                    here = (epoch * groups + g) * 8
                    zero = eight(0.0)
                    put_eight(
                        losses,
                        here,
                        eight_at(losses, here) - where_less(zero, margin, zero, margin),
                    )
                    if batch_size == 0:
                        continue
                    y = eight_at(rate, g * 8) * where_less(margin, zero, eight(1.0), e) / (e + 1.0)
                    if batch_size == 1:
                        for j in range(d):
                            put_eight(W, w + j * 8, eight_at(W, w + j * 8) + y * Z[k, j])
                        continue
                    for j in range(d):
                        put_eight(step, w + j * 8, eight_at(step, w + j * 8) + y * Z[k, j])
                    if full:
                        for j in range(d):
                            put_eight(
                                W,
                                w + j * 8,
                                eight_at(W, w + j * 8) + eight_at(step, w + j * 8) / waiting,
                            )
                            put_eight(step, w + j * 8, zero)
                if full:
                    waiting = 0
        for lane in range(groups * 8):
            losses[epoch * groups * 8 + lane] += math.log1p(products[lane])
        if batch_size > 0:
            for j in range(len(W)):
                path[epoch * len(W) + j] = W[j]


@cache
def compiled_loop() -> Any:
    """``_loop`` compiled by numba, once in a process for each kind of arguments; without Python's lock."""
    return numba.njit(nogil=True, error_model="numpy")(_loop)
