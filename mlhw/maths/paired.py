"""Paired differences: Student's t on them, and Holm's procedure over several comparisons.

n differences d_i of two methods on common seeds have mean m and standard error s/√n; under no difference
m/(s/√n) follows Student's t with n − 1 degrees of freedom (Student 1908, doi:10.1093/biomet/6.1.1). Of k
comparisons, Holm (1979, Scand. J. Statist. 6, 65–70) tests the smallest p at α/k, the next at α/(k − 1), and
so on, and stops at the first that fails; the chance of a false rejection is then at most α.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

ALPHA = 0.05
FEWEST = 3
"""Pairs; with two, a t interval is wider than most differences that are worth a word."""


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference over ``pairs`` pairs, its interval at ``1 − alpha``, and the two-sided p.

    ``excludes_zero``: this comparison, and every one that Holm tests before it, is significant.
    """

    pairs: int
    mean: float
    low: float
    high: float
    p: float
    alpha: float
    excludes_zero: bool


def p_value(differences: np.ndarray) -> float:
    """Two-sided p of mean difference 0, for differences (n,), n ≥ 2.

    Differences that are all equal and not 0 have p = 0.
    """
    mean, error = differences.mean(), _standard_error(differences)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(len(differences) - 1, -abs(mean / error)))


def interval(differences: np.ndarray, alpha: float) -> tuple[float, float]:
    """The t interval of the mean difference at ``1 − alpha``."""
    half = special.stdtrit(len(differences) - 1, 1 - alpha / 2) * _standard_error(differences)
    mean = float(differences.mean() if half else differences[0])
    return mean - float(half), mean + float(half)


def _standard_error(differences: np.ndarray) -> float:
    # Equal differences have none, where rounding of their mean would leave some.
    if np.all(differences == differences[0]):
        return 0.0
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


def against_each(differences: Sequence[np.ndarray], alpha: float = ALPHA) -> list[PairedDifference]:
    """Each comparison with its interval at the level that Holm tests it at, in the order given."""
    found: dict[int, PairedDifference] = {}
    p_values = [p_value(each) for each in differences]
    going = True
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        level = alpha / (len(p_values) - rank)
        low, high = interval(differences[i], level)
        going = going and p_values[i] < level
        found[i] = PairedDifference(
            len(differences[i]), float(differences[i].mean()), low, high, p_values[i], level, going
        )
    return [found[i] for i in range(len(p_values))]
