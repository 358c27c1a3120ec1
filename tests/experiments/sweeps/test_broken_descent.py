"""Stochastic descent broken in one place each: in every kind of run some claim fails.

The loop is written out here once more, an update at a time, so that any part of it can be turned over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw import Result
from mlhw.maths import sgd

RUNS: dict[str, dict[str, Any]] = {
    "overlapping": {"etas": [0.5, 0.3, 0.1, 0.05], "epochs": 12},
    "separable": {
        "data": {"name": "iris", "classes": [0, 1]},
        "etas": [0.5, 0.05],
        "epochs": 12,
        "standardize": True,
    },
    "batches": {"etas": [0.5, 0.05], "epochs": 12, "batch_size": 7, "repeats": 2},
    "diverging": {"etas": [1e300, 0.05], "epochs": 6, "w0": [1, -1, 0.5]},
}


def loop(
    update: Callable[[np.ndarray, np.ndarray, int], np.ndarray], order: Any = lambda rows: rows
) -> Any:
    """The loop of ``maths.sgd`` with w ← w + ``update``(−gradient, rate, samples in the batch)."""

    def run(
        X: np.ndarray,
        signs: np.ndarray,
        rate: np.ndarray,
        orders: np.ndarray,
        batch_size: int,
        W: np.ndarray,
        path: np.ndarray,
        losses: np.ndarray,
    ) -> None:
        for epoch, rows in enumerate(order(orders)):
            losses[epoch] = 0.0
            for first in range(0, len(rows), batch_size):
                part = rows[first : first + batch_size]
                margins = signs[part, None] * (X[part] @ W)
                tail = np.exp(-np.abs(margins))
                losses[epoch] += np.sum(np.maximum(-margins, 0.0) + np.log1p(tail), axis=0)
                slope = signs[part, None] * np.where(margins < 0, 1.0, tail) / (1.0 + tail)
                W += update(X[part].T @ slope, rate, len(part))
            path[epoch] = W

    return run


BROKEN = {
    "up the gradient": loop(lambda g, rate, m: -rate * g / m),
    "half the rate": loop(lambda g, rate, m: 0.5 * rate * g / m),
    "a rate off by a millionth": loop(lambda g, rate, m: (1 + 1e-6) * rate * g / m),
    "no step at all": loop(lambda g, rate, m: 0.0 * g),
    "the bias never learns": loop(
        lambda g, rate, m: rate * g / m * np.array([[1.0]] * (len(g) - 1) + [[0.0]])
    ),
    "all rates the first": loop(lambda g, rate, m: rate[0] * g / m),
    "the sign alone": loop(lambda g, rate, m: rate * np.sign(g)),
    "always in one order": loop(
        lambda g, rate, m: rate * g / m, lambda rows: [*rows[:1]] * len(rows)
    ),
    "the last sample left out": loop(
        lambda g, rate, m: rate * g / m, lambda rows: np.roll(rows, 1, axis=1)
    ),
}


def failing(result: Result) -> list[str]:
    return [claim.id for claim in result.claims if claim.verdict == "fails"]


@pytest.mark.parametrize("kind", RUNS)
def test_the_loop_as_it_is_written_here_fails_no_claim(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = loop(lambda g, rate, m: rate * g / m)
    monkeypatch.setattr(sgd, "make_updates", right)
    with np.errstate(over="ignore", invalid="ignore"):
        assert failing(mlhw.sgd_sweep(**RUNS[kind])) == []


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("kind", RUNS)
def test_a_broken_descent_fails_a_claim(
    kind: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sgd, "make_updates", BROKEN[how])
    with np.errstate(over="ignore", invalid="ignore"):
        assert failing(mlhw.sgd_sweep(**RUNS[kind])) != []


def test_gradient_ascent_is_called_neither_noise_nor_fluctuation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first claim of the course must not hold because the descent is ruined."""
    monkeypatch.setattr(sgd, "make_updates", BROKEN["up the gradient"])
    found = mlhw.sgd_sweep(etas=[0.5, 0.3, 0.1, 0.05], epochs=200)
    verdicts = {claim.id: claim.verdict for claim in found.claims}
    for id in ("as-the-formula", "distance-law", "not-always-faster", "keeps-fluctuating"):
        assert verdicts[id] == "fails", id


def test_one_excused_comparison_excuses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smallest rate that hardly moves lags after 10 passes, whatever is excused after 1."""
    true = sgd.make_updates

    def slow(X: Any, signs: Any, rate: np.ndarray, *rest: Any) -> None:
        true(X, signs, 1e-4 * rate, *rest)

    monkeypatch.setattr(sgd, "make_updates", slow)
    found = mlhw.sgd_sweep(etas=[0.5, 0.01], epochs=100)
    claim = next(claim for claim in found.claims if claim.id == "faster-at-smallest")
    assert claim.verdict == "fails"
