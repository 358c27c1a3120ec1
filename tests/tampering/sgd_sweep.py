"""How each claim of sgd-sweep is made to fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.sgd_sweep import experiment
from mlhw.maths import logistic, sgd
from tests.tampering import lr_sweep

COMMAND: list[str] = []
COMMANDS = {
    "stops-as-asked": ["--tolerance", "1e-4", "--epochs", "60"],
    "separation-as-told": [*lr_sweep.QUASI, "--etas", "0.5,0.1", "--epochs", "30"],
}


def with_rates(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pytest.MonkeyPatch], None]:
    """The compiled loop with other learning rates than it was given."""

    def tamper(monkeypatch: pytest.MonkeyPatch) -> None:
        true = sgd.make_updates

        def loop(X: Any, signs: Any, rate: np.ndarray, *rest: Any) -> None:
            true(X, signs, change(rate), *rest)

        monkeypatch.setattr(sgd, "make_updates", loop)

    return tamper


def doubled_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    true = experiment.load_problem

    def doubled(config: Any) -> Any:
        problem = true(config)
        return dataclasses.replace(problem, X=problem.X * ([2.0] * problem.d + [1.0]))

    monkeypatch.setattr(experiment, "load_problem", doubled)


def another_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    true = experiment.stochastic_gradient_descent

    def coarse(*arguments: Any, tolerance: float, **keywords: Any) -> Any:
        return true(*arguments, tolerance=100 * tolerance, **keywords)

    monkeypatch.setattr(experiment, "stochastic_gradient_descent", coarse)


def bound_without_the_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "monotone_eta", lr_sweep.scaled(logistic.monotone_eta, 4.0))


def one_update_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with gradient descent one update behind."""
    true = experiment.against_gd

    def late(etas: Any, nll: Any, gd: np.ndarray, settled: Any) -> Any:
        return true(etas, nll, np.concatenate([gd[:1], gd[:-1]]), settled)

    monkeypatch.setattr(experiment, "against_gd", late)


ascent = with_rates(lambda rate: -rate)

TAMPERINGS = {
    "as-the-formula": with_rates(lambda rate: 0.999999 * rate),
    "distance-law": ascent,
    "columns-as-asked": doubled_columns,
    "optimum-is-lowest": lr_sweep.optimum_told_too_high,
    "separation-as-told": lr_sweep.infimum_of_all_points,
    "limits-are-curvatures": bound_without_the_quarter,
    "stops-as-asked": another_tolerance,
    "equal-passes": one_update_less,
    "not-always-faster": with_rates(lambda rate: 0.01 * rate),
    "keeps-fluctuating": with_rates(lambda rate: np.full_like(rate, rate.min())),
    "faster-at-smallest": with_rates(lambda rate: 1e-4 * rate),
}
