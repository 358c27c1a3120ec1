"""How each claim of lr-sweep is made to fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.lr_sweep import experiment
from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.maths import descent, logistic, optimum

COMMAND: list[str] = []
QUASI = ["--data", str(Path(__file__).parents[1] / "points" / "cases" / "quasi_touch.csv")]
COMMANDS = {
    "separation-as-told": [*QUASI, "--etas", "0.5,0.1"],
    "no-settling-above-critical": ["--standardize", "--etas", "60,5,1", "--tolerance", "0"],
}


def scaled(function: Callable[..., Any], factor: float) -> Callable[..., Any]:
    return lambda *arguments, **keywords: factor * function(*arguments, **keywords)


def bound_without_the_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "monotone_eta", scaled(logistic.monotone_eta, 4.0))


def curvature_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "local_limits", scaled(logistic.local_limits, 4.0))
    mean_curvature = logistic.largest_mean_curvature
    monkeypatch.setattr(logistic, "largest_mean_curvature", scaled(mean_curvature, 0.25))


def gradient_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    true = TwoClassProblem.slopes

    def tenth(problem: TwoClassProblem, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, slope = true(problem, W)
        return loss, 0.1 * slope

    monkeypatch.setattr(TwoClassProblem, "slopes", tenth)


def rates_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    true = descent.descend

    def last_two_swapped(slopes: Any, w0: Any, etas: Any, *rest: Any) -> Any:
        return true(slopes, w0, [*etas[:-2], etas[-1], etas[-2]], *rest)

    monkeypatch.setattr(descent, "descend", last_two_swapped)


def newton_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    true = optimum.solve

    def early(*arguments: Any) -> Any:
        found = true(*arguments)
        assert found.infimum is not None
        return dataclasses.replace(found, infimum=found.infimum + 0.1)

    monkeypatch.setattr(optimum, "solve", early)


def optimum_told_too_high(monkeypatch: pytest.MonkeyPatch) -> None:
    true = optimum.solve

    def high(*arguments: Any) -> Any:
        found = true(*arguments)
        assert found.optimum is not None
        told = dataclasses.replace(found.optimum, nll=found.optimum.nll + 0.1)
        return dataclasses.replace(found, optimum=told)

    monkeypatch.setattr(optimum, "solve", high)


def infimum_of_all_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """The infimum without the boundary's share of the points."""
    true = optimum.solve

    def whole(*arguments: Any) -> Any:
        found = true(*arguments)
        return dataclasses.replace(found, infimum=found.infimum * 2.0)

    monkeypatch.setattr(optimum, "solve", whole)


def doubled_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    true = experiment.load_problem

    def doubled(config: Any) -> Any:
        problem = true(config)
        return dataclasses.replace(problem, X=problem.X * ([2.0] * problem.d + [1.0]))

    monkeypatch.setattr(experiment, "load_problem", doubled)


def another_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    true = descent.descend

    def coarse(slopes: Any, w0: Any, etas: Any, most: int, tolerance: float) -> Any:
        return true(slopes, w0, etas, most, 100 * tolerance)

    monkeypatch.setattr(descent, "descend", coarse)


TAMPERINGS = {
    "as-the-formula": gradient_too_small,
    "columns-as-asked": doubled_columns,
    "stops-as-asked": another_tolerance,
    "limits-are-curvatures": curvature_too_small,
    "optimum-is-lowest": optimum_told_too_high,
    "separation-as-told": infimum_of_all_points,
    "monotone-below-2L": bound_without_the_quarter,
    "rise-above-local-limit": curvature_too_small,
    "largest-oscillates": gradient_too_small,
    "no-settling-above-critical": gradient_too_small,
    "larger-is-faster": rates_mixed_up,
    "smaller-is-higher": rates_mixed_up,
    "above-optimum": newton_stops_early,
}
