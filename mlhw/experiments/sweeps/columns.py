"""A claim of both sweeps: the columns that they descend on are those that were asked for."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.experiments.sweeps.textbook import by_rows, standardized_off
from mlhw.result.claims import Claim, check

COLUMNS_STATEMENT = (
    "the columns are the features, standardized where that was asked, and one of ones"
)


def judge_columns(problem: TwoClassProblem) -> Claim:
    """Whether ``X`` is the points as read, or scaled back is."""
    shape = problem.X.shape == (len(problem.points.X), len(problem.features) + 1)
    if not shape or not np.all(problem.X[:, -1] == 1.0):
        return check(False, measured=list(problem.X.shape), expected="features and ones")
    if problem.scaling is None:
        made, read = problem.X[:, :-1], problem.points.X
        off = max(
            by_rows(
                made,
                made.shape[1],
                lambda rows: float(np.max(np.abs(made[rows] - read[rows]), initial=0.0)),
            )
        )
    else:
        off = standardized_off(problem.X, problem.points.X, problem.scaling)
    return check(
        off <= 1.0 if problem.scaling else off == 0.0,
        measured=off,
        expected="at most 1" if problem.scaling else 0,
        note="differences from the points as read"
        + (", scaled back, over what rounding allows" if problem.scaling else ""),
    )
