"""Columns of features less a value of their own and over a power of two: nothing of them is lost.

A feature far from 0 beside its spread, such as a time in seconds since 1970, makes the columns of a
design matrix nearly parallel to the column of ones, and what tells its values apart is lost in the
first product. Here each column has its median, one of its own values, taken out. Where the values are
near each other such a difference is exact (Sterbenz, *Floating-Point Computation*, 1974), and in any
case it depends on the values' differences alone: the same constant added to all of a column, so that
the sums are exact, changes no bit of what comes out. The median also lies within one standard
deviation of the mean, so that the columns are as good as centred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhw.maths import in_blocks

FAR = 1024.0
"""Beyond so many standard deviations from 0 a mean's own rounding shows in standardized values."""


@dataclass(frozen=True)
class Centred:
    """Columns X (n, d) as Z (n, d+1), whose last column is ones.

    Column j of Z is (X_j − centre_j) / 2^exponent_j, at most about 1 in root mean square; it is 0
    throughout where X_j is constant.
    """

    X: np.ndarray
    Z: np.ndarray
    centre: np.ndarray
    exponent: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Centred:
        n, d = X.shape
        Z = np.empty((n, d + 1))
        Z[:, -1] = 1.0

        def work(columns: slice) -> tuple[np.ndarray, np.ndarray]:
            # Each column by itself in memory, where its median is found.
            part = X[:, columns] if columns == everything else np.asfortranarray(X[:, columns])
            Z[:, columns], centre, exponent = _centred(part)
            return centre, exponent

        everything = slice(0, d)
        if X.size < in_blocks.WORTH:
            return cls(X, Z, *work(everything))
        parts = [slice(first, min(d, first + _COLUMNS)) for first in range(0, d, _COLUMNS)]
        centres, each = zip(*in_blocks.in_threads(work, parts), strict=True)
        return cls(X, Z, np.concatenate(centres), np.concatenate(each))

    @property
    def varying(self) -> np.ndarray:
        """Which of the d columns are not constant."""
        return np.asarray(self.Z[:, :-1].any(axis=0))

    def slopes(self, v: np.ndarray) -> np.ndarray:
        """The weights (d,) of the features as they were read, of weights v (d+1,) of Z."""
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(v[:-1], -self.exponent))

    def weights(self, v: np.ndarray) -> np.ndarray:
        """The weights (d+1,) of the features as they were read, and of ones, with Z v as activation.

        The bias is what all features are at 0, which may be far from every point: it is rounded to
        float64, and with it the activations to its size times 1e-16.
        """
        slopes = self.slopes(v)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.append(slopes, v[-1] - np.sum(slopes * self.centre))

    def standardized_weights(self, v: np.ndarray) -> np.ndarray:
        """The weights (d+1,) of the standardized features, and of ones, with Z v as activation."""
        mean, deviation = self.Z[:, :-1].mean(axis=0), self.Z[:, :-1].std(axis=0)
        return np.append(v[:-1] * deviation, v[-1] + v[:-1] @ mean)

    def standardized(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns with mean 0 and standard deviation 1, and the means and deviations of X.

        Returns (n, d), (d,) and (d,). A constant column stays 0 and has the deviation 0.
        """
        size = exponents(np.max(np.abs(self.X), axis=0, initial=0.0))
        small = np.ldexp(self.X, -size)
        mean, deviation = small.mean(axis=0), small.std(axis=0)
        inner = self.Z[:, :-1]
        inner_mean, inner_deviation = inner.mean(axis=0), inner.std(axis=0)
        constant = ~self.varying
        far = (np.abs(mean) > FAR * deviation) | constant
        divisor = np.where(constant, 1.0, inner_deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            near = (small - mean) / deviation
        columns = np.where(far, (inner - inner_mean) / divisor, near)
        spread = np.ldexp(inner_mean, self.exponent)
        return (
            columns,
            np.where(far, self.centre + spread, np.ldexp(mean, size)),
            np.where(far, np.ldexp(inner_deviation, self.exponent), np.ldexp(deviation, size)),
        )


_COLUMNS = 4  # that are read together


def _centred(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns as those of Z, their centres and their exponents."""
    n = len(X)
    size = exponents(np.max(np.abs(X), axis=0, initial=0.0))
    small = _times_power(X, -size)  # below 1, so that neither difference nor square overflows
    median = np.partition(small, n // 2, axis=0)[n // 2]
    small -= median
    spread = exponents(np.max(np.abs(small), axis=0, initial=0.0))
    small = _times_power(small, -spread)
    root = exponents(np.sqrt(np.mean(small**2, axis=0)))
    return _times_power(small, -root), np.ldexp(median, size), size + spread + root


def _times_power(X: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """X 2^exponent, rounded where it is below 2⁻¹⁰²²; a product is faster than ``ldexp`` where it can be."""
    if len(exponent) and exponent.min() >= -1074 and exponent.max() <= 1023:
        return np.asarray(X * np.ldexp(1.0, exponent))
    return np.asarray(np.ldexp(X, exponent))


def exponents(sizes: np.ndarray) -> np.ndarray:
    """The integer e with 2^(e−1) ≤ size < 2^e for each of the sizes; 0 where it is 0."""
    return np.asarray(np.frexp(sizes)[1])
