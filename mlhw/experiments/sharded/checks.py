"""Passes for the claims: the mathematics once more, as the textbook writes it (``sweeps.textbook``).

Curvatures come from singular values: the triangular factor of all rows has those of the rows.
"""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sharded.passes import Block, Numbers, over_rows
from mlhw.experiments.sweeps.textbook import EPS, logistic_of, losses_at
from mlhw.maths import row_blocks
from mlhw.maths.tree import Parts


@over_rows("sum", "sum", "sum", "sum")
def again(block: Block, numbers: Numbers) -> Parts:
    """At ``W`` (d+1, r): losses, gradients by σ(a) − t, what rounding moves these by, and |X1|; summed."""
    X, W = block.X1, numbers["W"]
    with np.errstate(over="ignore", invalid="ignore"):
        a, size = X @ W, np.abs(X)
        y = logistic_of(a)
        bend = 2 * len(W) * y * logistic_of(-a) * (size @ np.abs(W)) + 16
        return (
            losses_at(X, block.t, W).sum(axis=0),
            X.T @ (y - block.t[:, None]),
            size.T @ bend,
            size.sum(axis=0),
        )


@over_rows("triangle")
def triangles(block: Block, numbers: Numbers) -> Parts:
    """The triangular factors of R^½ X1, R = diag(σ(1 − σ)), at each column of ``W``; (r, d+1, d+1)."""
    X = block.X1
    with np.errstate(over="ignore", invalid="ignore"):
        a = X @ numbers["W"]
    roots = np.sqrt(logistic_of(a)) * np.sqrt(logistic_of(-a))
    return (np.array([_triangle(root[:, None] * X) for root in roots.T]),)


@over_rows("triangle", "min", "max")
def least_squares(block: Block, numbers: Numbers) -> Parts:
    """Of Newton's step at ``v`` of Z as weighted least squares: the triangular factor of [R^½ Z1 | target].

    Beside it the smallest root of R, and the largest R (|Z1| |v|).
    """
    v, Z = numbers["v"], row_blocks.with_ones(block.Z)
    a = Z @ v
    y = logistic_of(a)
    root = np.sqrt(y) * np.sqrt(logistic_of(-a))
    weights = np.maximum(root, np.finfo(float).tiny)
    rows = np.column_stack([root[:, None] * Z, (block.t - y) / weights])
    reach = root**2 * (np.abs(Z) @ np.abs(v))
    return _triangle(rows), root.min()[None], reach.max()[None]


@over_rows("max", "max", "max")
def activations(block: Block, numbers: Numbers) -> Parts:
    """The largest |Z1 ``step``|, and how far activations by the weights told are from Z1 ``v``.

    By ``w`` (d+1,) of the columns, and by the slopes and the bias at the ``told`` centre (d,); over what
    rounding may do.
    """
    Z, X, v, w = row_blocks.with_ones(block.Z), block.X1, numbers["v"], numbers["w"]
    a = Z @ v
    terms = 4 * len(w) * EPS
    inner = block.X - numbers["told"]
    reach = np.abs(inner) @ np.abs(w[:-1]) + np.abs(Z) @ np.abs(v)
    direct = 1.0 + np.abs(X) @ np.abs(w) + np.abs(a)
    if "shift" in block.frame:
        reach = reach + 64 * block.total
        direct = reach + np.abs(X) @ np.abs(w)
    by_weights = np.abs(X @ w - a) / (terms * direct)
    by_centre = np.abs(inner @ w[:-1] + numbers["bias"] - a) / (terms * (1.0 + reach))
    return np.abs(Z @ numbers["step"]).max()[None], by_weights.max()[None], by_centre.max()[None]


@over_rows("sum", "sum", "max")
def standardized(block: Block, numbers: Numbers) -> Parts:
    """Sums and sums of squares of the columns, and how far they are, scaled back, from those read."""
    X = block.X
    back = np.abs(X * block.frame["scale"] + block.frame["shift"] - block.read)
    return X.sum(axis=0), (X**2).sum(axis=0), back.max(axis=0)


@over_rows("min", "min")
def gap_between(block: Block, numbers: Numbers) -> Parts:
    """The least height of the second class along ``v`` (d,) of Z, and minus the most of the first."""
    height = block.Z @ numbers["v"]
    ones, zeros = height[block.s > 0], height[block.s < 0]
    return np.min(ones, initial=np.inf)[None], np.min(-zeros, initial=np.inf)[None]


def _triangle(rows: np.ndarray) -> np.ndarray:
    """R of QR, (d, d), of rows (m, d); of fewer rows than columns filled up with zeros."""
    d = rows.shape[1]
    if len(rows) < d:
        rows = np.concatenate([rows, np.zeros((d - len(rows), d))])
    return np.asarray(np.linalg.qr(rows, mode="r"))
