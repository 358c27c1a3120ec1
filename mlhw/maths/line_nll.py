"""How low the NLL can be with a given separating line: what contours over lines of the plane show."""

from __future__ import annotations

import numpy as np

from mlhw.maths.activations import softplus

HALVINGS = 12
"""The best length is found to a factor of 1.002, which moves the NLL by a millionth."""
SHORTEST, LONGEST = 1e-3, 1e3
"""In units of 1 over the root mean square margin."""

_BLOCK = 1 << 20


def lowest_with_line(
    X: np.ndarray, t: np.ndarray, slope: np.ndarray, intercept: np.ndarray
) -> np.ndarray:
    """The lowest NLL of all weights whose line p = 1/2 is x2 = slope · x1 + intercept; (r,).

    ``X`` is (n, 3) with a last column of ones, ``t`` (n,) 0 or 1, ``slope`` and ``intercept`` (r,). The
    weights with this line are s · (−slope, 1, −intercept): their direction is given, and s says
    which side is which class and how sure. The NLL is convex in s and ln 2 at s = 0; its derivative
    there tells the sign of s, and halving finds the size, up to a thousand times what makes the mean
    square margin 1.
    """
    signs = 2.0 * t - 1.0
    lowest = np.empty(len(slope))
    # Lines may be so steep that squares overflow; the length is free, and powers of two round nothing.
    _, exponent = np.frexp(np.maximum(1.0, np.maximum(np.abs(slope), np.abs(intercept))))
    unit = np.ldexp(1.0, -exponent)
    slope, intercept = slope * unit, intercept * unit
    columns = max(1, _BLOCK // len(X))
    for first in range(0, len(slope), columns):
        part = slice(first, first + columns)
        margins = signs[:, None] * (
            X[:, 1:2] * unit[part] - X[:, :1] * slope[part] - intercept[part] * X[:, 2:]
        )
        size = np.sqrt(np.mean(margins**2, axis=0))
        margins /= np.where(size > 0, size, 1.0)
        margins *= np.where(margins.mean(axis=0) < 0, -1.0, 1.0)
        low = np.full(margins.shape[1], np.log(SHORTEST))
        high = np.full(margins.shape[1], np.log(LONGEST))
        # To find three digits, numbers of seven do, which take a third of the time. Where a line separates
        # the classes they end at 1e-38, and so does the NLL: 0 in every contour.
        short = margins.astype(np.float32)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            # −dE/ds = mean of m σ(−s m): above 0 the NLL still falls.
            with np.errstate(over="ignore"):
                waning = 1.0 / (1.0 + np.exp(np.exp(middle).astype(np.float32) * short))
            falls = np.einsum("ij,ij->j", short, waning) > 0
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
        scaled = np.exp(0.5 * (low + high)) * margins
        lowest[part] = np.mean(softplus(-scaled), axis=0)
    return lowest
