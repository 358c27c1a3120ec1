"""The minimum of the loss over a million points, beside scikit-learn's solvers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from rows import either

ROW = "6"
TITLE = "the optimum of logistic regression, 1,000,000 × 20, with the proof that there is one"
GOAL = "at most 1.2 s or 2.1 times as fast as before, every component of the gradient below 1e-12"
TURNS = 5

ROWS, FEATURES = 1_000_000, 20


@cache
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    w = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    return X, (X @ w + rng.logistic(size=ROWS) > 0).astype(float)


@cache
def centred() -> Any:
    from mlhw.maths.centring import Centred

    return Centred.of(problem()[0])


def solution() -> Any:
    from mlhw.maths import optimum

    return optimum.solve(centred(), problem()[1])


def _from_the_columns_on() -> object:
    from mlhw.maths import optimum
    from mlhw.maths.centring import Centred

    X, t = problem()
    return optimum.solve(Centred.of(X), t)


def fitted(solver: str) -> Any:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # No penalty; its own tolerance, with which it is done sooner than we are.
        return LogisticRegression(C=np.inf, solver=solver).fit(*problem())


def works() -> dict[str, Callable[[], object]]:
    centred()
    found: dict[str, Callable[[], object]] = {
        "mlhw": solution,
        "with the columns centred": _from_the_columns_on,
    }
    try:
        import sklearn.linear_model  # noqa: F401
    except ImportError:
        return found
    for solver in ("lbfgs", "newton-cholesky"):
        found[f"scikit-learn {solver}"] = partial(fitted, solver)
    return found


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {"at most 1.2 s, or 2.1 times as fast as before": either(times, 1.2, 2.1)}


def slope_at(Z: np.ndarray, v: np.ndarray) -> float:
    """The largest component of the gradient at weights v of Z."""
    t, total = problem()[1], np.zeros(Z.shape[1])
    for first in range(0, ROWS, 100_000):
        rows = slice(first, first + 100_000)
        total += (1.0 / (1.0 + np.exp(-(Z[rows] @ v))) - t[rows]) @ Z[rows]
    return float(np.abs(total / ROWS).max())


def checks() -> dict[str, float]:
    found = solution().optimum
    checked = {"largest component of the gradient": slope_at(centred().Z, found.v)}
    try:
        theirs = fitted("newton-cholesky")
    except ImportError:
        return checked
    w = np.append(theirs.coef_[0], theirs.intercept_)
    checked["the same of scikit-learn newton-cholesky"] = slope_at(
        np.column_stack([problem()[0], np.ones(ROWS)]), w
    )
    return checked
