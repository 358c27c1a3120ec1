"""Which rows of an integer matrix some vector makes positive while it makes none negative; exactly.

For A (m, k) the vectors u with A u ≥ 0 form a cone. A row is *strict* if some u of the cone makes it
positive. Sums of vectors of the cone are in it, so one u makes all strict rows positive at once; on
the rows left over every u of the cone is 0. Found by the simplex method on the homogeneous system, in
integers: every vertex is the origin, so nothing is rounded and nothing has a tolerance.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def strict_rows(A: np.ndarray) -> tuple[np.ndarray, list[Fraction]]:
    """The strict rows of an integer matrix A (m, k) as a mask (m,), and u (k,) positive on them all.

    The unknown u is written in terms of as many rows' values as A has rank; a pivot exchanges one of
    these for another row's. With no negative entry in a column that raises the sum of the rows still
    in question, that column is a vector of the cone; with no column that raises it, the sum is at
    most 0 on the cone, and the rows in question are 0 on it. Bland's rule (1977, "New finite pivoting
    rules for the simplex method") ends every such search.
    """
    m, k = A.shape
    tableau = _Tableau(A)
    for column in range(k):
        tableau.exchange(column)
    strict = np.zeros(m, bool)
    total = [Fraction(0)] * k
    while True:
        rise = tableau.N[:m][~strict].sum(axis=0) if not strict.all() else np.zeros(k, object)
        rising = [column for column in range(k) if rise[column] > 0]
        if not rising:
            return strict, total
        column = min(rising, key=lambda j: tableau.parameter[j])
        entries = tableau.N[:m, column]
        negative = np.flatnonzero(entries < 0)
        if len(negative):
            tableau.pivot(int(negative[0]), column)
            continue
        strict |= np.asarray(entries > 0, bool)
        direction = tableau.N[m:, column]
        largest = max(map(abs, direction))
        total = [a + Fraction(int(b), int(largest)) for a, b in zip(total, direction, strict=True)]


def rank(A: np.ndarray) -> int:
    """The rank of an integer matrix A (m, k)."""
    tableau = _Tableau(A)
    return sum(tableau.exchange(column) for column in range(A.shape[1]))


class _Tableau:
    """The rows of A and of the unknowns as N / D of the parameters: N (m + k, k) integers, D > 0.

    ``parameter[j]`` is the row of A whose value column j stands for; beyond all rows while it still
    stands for an unknown, which may have any sign.
    """

    def __init__(self, A: np.ndarray) -> None:
        m, k = A.shape
        self.m = m
        self.N = np.vstack([A.astype(object), np.identity(k, dtype=object)])
        self.D = 1
        self.parameter = [m + j for j in range(k)]

    def exchange(self, column: int) -> bool:
        """Let a row of A stand for an unknown; False where none can, all being 0 in its column."""
        rows = np.flatnonzero(self.N[: self.m, column] != 0)
        if len(rows):
            smallest = min(rows, key=lambda i: abs(self.N[i, column]))
            self.pivot(int(smallest), column)
        return len(rows) > 0

    def pivot(self, row: int, column: int) -> None:
        """Make the value of a row the parameter of a column (fraction-free, as Bareiss 1968)."""
        N = self.N
        pivot = int(N[row, column])
        sign = 1 if pivot > 0 else -1
        entering = N[:, column].copy()
        for j in range(N.shape[1]):
            factor = N[row, j]
            if j == column:
                N[:, j] = sign * entering
            elif factor == 0:
                N[:, j] = abs(pivot) * N[:, j] // self.D
            else:
                N[:, j] = sign * (N[:, j] * pivot - entering * factor) // self.D
        self.D = sign * pivot
        self.parameter[column] = row
