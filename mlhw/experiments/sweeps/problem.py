"""What lr-sweep and sgd-sweep start from: the keys of the data and the start, and the problem they make."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from mlhw.config.model import ExperimentConfig, Option, comma_list
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.sweeps.etas import Etas
from mlhw.maths import logistic
from mlhw.maths.descent import start_weights
from mlhw.points.config import BUILT_IN_POINTS, PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import Label, Points, two_classes
from mlhw.points.spreads import spread_ratio, without_constants
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula

LARGEST = 1e100
"""Features and start weights have to be smaller, so that squares and products of them are finite."""


class SweepConfig(ExperimentConfig):
    """The keys that both sweeps have."""

    data: Annotated[
        PointsConfig,
        Option("--data", metavar="NAME|FILE", values=BUILT_IN_POINTS),
        Field(
            description=f"points: {', '.join(BUILT_IN_POINTS)}, or a file (text, CSV, ARFF, NPZ …)"
        ),
    ] = PointsConfig()
    etas: Etas = [0.5, 0.3, 0.1, 0.05, 0.01]
    w0: Annotated[
        list[float] | None,
        BeforeValidator(comma_list),
        Option(metavar="LIST"),
        Field(description="start, w1,…,wd,bias; null: 0.1,0,…,0"),
    ] = None
    standardize: Annotated[
        bool, Field(description="scale every feature to mean 0 and standard deviation 1")
    ] = False


@dataclass(frozen=True)
class TwoClassProblem:
    """Two classes of points, a start, and the answers that need no descent.

    ``X`` (n, d+1) has a last column of ones, ``t`` (n,) is 1 for the second class, ``w0`` (d+1,).
    ``points`` are as they were read; ``scaling`` holds the means and standard deviations that were
    taken out of the features of ``X``, None where they are as read.
    """

    points: Points
    classes: list[Label]
    X: np.ndarray
    t: np.ndarray
    w0: np.ndarray
    scaling: dict[str, list[float]] | None

    @property
    def features(self) -> tuple[str, ...]:
        return self.points.features

    @cached_property
    def optimum(self) -> logistic.Optimum | None:
        """The smallest NLL and its weights; None where the classes are separable."""
        return logistic.optimum(self.X, self.t)

    @cached_property
    def monotone_eta(self) -> float:
        """2/L: below it no step can raise the NLL."""
        return logistic.monotone_eta(self.X)

    @cached_property
    def critical_eta(self) -> float | None:
        """2/λmax of the Hessian at the optimum: above it descent cannot settle there."""
        return None if self.optimum is None else logistic.local_limit(self.X, self.optimum.w)

    @cached_property
    def start_limit(self) -> float:
        """2/λmax of the Hessian at the start."""
        return logistic.local_limit(self.X, self.w0)

    @property
    def d(self) -> int:
        """Number of features, the bias not counted."""
        return int(self.X.shape[1]) - 1

    @property
    def columns(self) -> dict[str, str]:
        """The weights' columns, ``w1 … wd, bias``, and what they are."""
        weights = {f"w{i}": "weights of the features, in order" for i in range(1, self.d + 1)}
        return weights | {"bias": "the constant of the activation"}

    def summary(self) -> dict[str, Any]:
        """The problem as both sweeps have it in their summaries."""
        optimum = None
        if self.optimum is not None:
            optimum = {"nll": self.optimum.nll, "w": self.optimum.w}
        return {
            "classes": self.classes,
            "points": len(self.X),
            "features": list(self.features),
            "scaling": self.scaling,
            "optimum": optimum,
            "monotone_eta": self.monotone_eta,
            "critical_eta": self.critical_eta,
            "local_eta_at_start": self.start_limit,
        }

    def answers(self) -> list[str]:
        """The optimum and the limits of the rate, in sentences."""
        if self.optimum is None:
            lines = ["the classes are separable: the NLL has no minimum, it falls for ever"]
        else:
            w = ", ".join(f"{value:.6g}" for value in self.optimum.w)
            lines = [f"optimum: NLL {self.optimum.nll:.8g} at w = [{w}]"]
        lines.append(f"below eta = {self.monotone_eta:.4g} (2/L) no step can raise the NLL")
        if self.critical_eta is not None:
            lines.append(
                f"above eta = {self.critical_eta:.4g} (2/lambda_max of the Hessian at the optimum) "
                "gradient descent cannot settle there"
            )
        return lines


def load_problem(config: SweepConfig) -> TwoClassProblem:
    """Read and check the data of a sweep.

    Raises DataError or ConfigError for what cannot be used.
    """
    points = load_points(config.data)
    if config.standardize:
        points = without_constants(points)
    X, t, classes = two_classes(points)
    d = X.shape[1] - 1
    for column, name in enumerate(points.features):
        if not np.max(np.abs(X[:, column])) < LARGEST:
            raise DataError(
                f"{points.name}: the feature '{name}' is too large to work with (at most {LARGEST:g})"
            )
    if config.w0 is not None and len(config.w0) != d + 1:
        raise ConfigError(
            f"w0: {d + 1} weights needed ({d} features and the bias), got {len(config.w0)}"
        )
    if config.w0 is not None and max(map(abs, config.w0)) >= LARGEST:
        raise ConfigError(f"w0: must be below {LARGEST:g} in size")
    scaling = None
    if config.standardize:
        mean, deviation = X[:, :-1].mean(axis=0), X[:, :-1].std(axis=0)
        if not (deviation > 0).all():
            column = int(np.argmin(deviation))
            raise ConfigError(
                f"standardize: the feature '{points.features[column]}' of {points.name} is too small to "
                "be scaled"
            )
        X[:, :-1] = (X[:, :-1] - mean) / deviation
        scaling = {"mean": mean.tolist(), "standard_deviation": deviation.tolist()}
    return TwoClassProblem(points, classes, X, t, start_weights(config.w0, d), scaling)


def begin_sweep(config: SweepConfig, problem: TwoClassProblem, recorder: Recorder) -> None:
    """Begin the run and log what was recognised in the data."""
    points = problem.points
    data = config.data.model_copy(update={"digest": points.digest})
    recorder.begin(config.model_copy(update={"data": data}), data_digest=points.digest)
    warning = change_warning(config.data, points)
    if warning:
        recorder.warn(warning)
    for note in points.notes:
        recorder.log(f"{points.name}: {note}")
    a, b = problem.classes
    recorder.log(
        f"{points.name}: {len(problem.X)} points, {problem.d} features; "
        f"class {a} is t = 0, class {b} is t = 1"
    )
    spread = None if config.standardize else spread_ratio(points)
    if spread is not None and spread.advice:
        recorder.log(f"{points.name}: {spread.advice}")


FORMULAS = [
    Formula(
        "The model: the probability of the second class at x, whose last component is 1; "
        "σ is the logistic function.",
        r"p(C_1 \mid x) = \sigma(w^\top x), \quad w = (w_1, \dots, w_d, \mathrm{bias})",
    ),
    Formula(
        "The NLL: the mean over the N points of the negative log-likelihood, t being 1 for the second "
        "class and 0 for the first (Bishop, PRML, eq. 4.90, divided by N).",
        r"E(w) = -\frac{1}{N} \sum_n \left[ t_n \ln y_n + (1 - t_n) \ln (1 - y_n) \right], "
        r"\quad y_n = \sigma(w^\top x_n)",
    ),
]
"""The model and its loss, PRML eq. 4.87 and 4.90 over N, which both reports begin with."""
