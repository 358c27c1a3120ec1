"""An iteration of gradient descent, and Hessians along a path, over many points in memory.

    python bench/descent.py

In turn with what they are compared with: the same in whole arrays of NumPy, and the bare products X W and
Xᵀ A alone. ``DESCENT_ROWS`` changes the number of points.
"""

from __future__ import annotations

import os

import numpy as np
from timing import in_turn, record, show

from mlhw.maths import in_blocks, logistic

ROWS = int(os.environ.get("DESCENT_ROWS", "1_000_000"))
FEATURES, RATES, VECTORS = 20, 32, 64
TURNS = 5


def main() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(ROWS, FEATURES)), np.ones(ROWS)])
    w = rng.normal(size=FEATURES + 1) / np.sqrt(FEATURES)
    t = (X @ w + rng.logistic(size=ROWS) > 0).astype(float)
    W = 0.3 * rng.normal(size=(FEATURES + 1, RATES))
    few = X[: ROWS // 4]
    V = 0.3 * rng.normal(size=(FEATURES + 1, VECTORS))
    times = in_turn(
        {
            "an iteration in blocks": lambda: in_blocks.slopes_in_blocks(X, t, W),
            "in whole arrays": lambda: logistic.nll_and_gradient(X, t, W),
            "bare products": lambda: X.T @ (X @ W),
            "limits in blocks": lambda: in_blocks.limits_in_blocks(few, V),
            "limits in whole arrays": lambda: logistic.local_limits(few, V),
        },
        runs=TURNS,
    )
    blocks, arrays, bare, limits, slow = times.values()
    apart = np.abs(in_blocks.slopes_in_blocks(X, t, W)[0] / logistic.nll(X, t, W) - 1.0).max()
    show(
        f"{ROWS:,} points of {FEATURES} features, {RATES} rates; limits at {VECTORS} weights of a quarter",
        times,
        [
            f"{blocks / bare:.2f} times the bare products (at most 1.2)",
            f"{arrays / blocks:.1f} and {slow / limits:.1f} times faster than whole arrays",
            f"NLLs differ by {apart:.1e}, relative",
        ],
    )
    record(
        "descent",
        {
            "rows": ROWS,
            "blocks_ms": 1000 * blocks,
            "arrays_ms": 1000 * arrays,
            "bare_ms": 1000 * bare,
            "over_bare": blocks / bare,
            "faster": arrays / blocks,
            "limits_ms": 1000 * limits,
            "limits_faster": slow / limits,
            "apart": float(apart),
        },
    )


if __name__ == "__main__":
    main()
