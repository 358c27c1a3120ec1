"""Values over a grid that are constant over convex parts of it, worked out near their edges alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEP = 8
"""Points from corner to corner of a block; with 4, 16 or 32 grids of 3 and of 50 classes cost more."""

Look = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of points by row and column, (N,) each: the value there, and whether it is sure."""


def by_blocks(rows: int, columns: int, look: Look) -> np.ndarray:
    """The value at every point of a grid, equal to that of ``look`` at each.

    A block whose corners have one value, all of them sure, has it everywhere; ``look`` must promise that.
    Only in other blocks it is asked about every point.

    Parameters
    ----------
    rows, columns : 2 or more

    Returns
    -------
    (rows, columns)
    """
    i, j = (np.unique([*range(0, n, STEP), n - 1]) for n in (rows, columns))
    found, sure = (part.reshape(len(i), len(j)) for part in look(*_pairs(i, j)))
    value = found[:-1, :-1]
    settled = np.ones(value.shape, bool)
    for corner in (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]):
        settled &= sure[corner] & (found[corner] == value)
    heights, widths = np.diff(i), np.diff(j)
    # The last blocks have the last row and column too.
    heights[-1] += 1
    widths[-1] += 1
    whole = np.repeat(np.repeat(value, widths, axis=1), heights, axis=0)
    open_points = np.repeat(np.repeat(~settled, widths, axis=1), heights, axis=0)
    at = np.nonzero(open_points)
    whole[at] = look(*at)[0]
    return whole


def _pairs(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of the two, row by row."""
    return np.repeat(i, len(j)), np.tile(j, len(i))
