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
from mlhw.experiments.sweeps.separated import separation_answers, separation_summary
from mlhw.maths import logistic, optimum
from mlhw.maths.centring import Centred
from mlhw.maths.descent import start_weights
from mlhw.maths.separation import Separation
from mlhw.points.config import BUILT_IN_POINTS, PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import Label, Points, two_classes
from mlhw.points.spreads import spread_ratio, without_constants
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula

LARGEST = 1e100
"""Features and start weights have to be smaller, so that squares and products of them are finite."""
SMALLEST = 1e-100
"""The largest value of a feature has to be larger, so that squares and products do not vanish."""

CANCELLED = 1e-12
"""Where the rounding of Xw moves the NLL by more, the optimum is also given without the offset."""


class SweepConfig(ExperimentConfig):
    """The keys that both sweeps have."""

    GROUP = "Training"
    GROUPS = {"standardize": "Data"}

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
class Minimum:
    """The smallest NLL and where it is.

    The weights ``w`` (d+1,) are those of ``X``. Their bias is the activation with all features at 0,
    rounded to float64; far from 0 that loses digits, so the activation is also given by its value
    ``bias_at_centre`` where the features have the values ``centre`` (d,) of a point in the middle:
    Σ w_j (x_j − centre_j) + bias_at_centre. ``gradient`` is the largest component that rounding left
    of the gradient, on centred and scaled columns.
    """

    nll: float
    w: np.ndarray
    centre: np.ndarray
    bias_at_centre: float
    gradient: float


@dataclass(frozen=True)
class TwoClassProblem:
    """Two classes of points, a start, and the answers that need no descent.

    ``X`` (n, d+1) has a last column of ones, ``t`` (n,) is 1 for the second class, ``w0`` (d+1,).
    ``points`` are as they were read and ``centred`` are their columns without offset; ``scaling``
    holds the means and standard deviations that were taken out of the features of ``X``, None where
    they are as read.
    """

    points: Points
    classes: list[Label]
    X: np.ndarray
    t: np.ndarray
    w0: np.ndarray
    scaling: dict[str, list[float]] | None
    centred: Centred

    @property
    def features(self) -> tuple[str, ...]:
        return self.points.features

    @cached_property
    def solution(self) -> optimum.Solution:
        """The smallest NLL, of the centred columns: the same with and without ``standardize``."""
        return optimum.solve(self.centred, self.t)

    @cached_property
    def optimum(self) -> Minimum | None:
        """The smallest NLL and its weights; None where the classes are separated, or none was found."""
        found = self.solution.optimum
        if found is None:
            return None
        if self.scaling is not None:
            w = self.centred.standardized_weights(found.v)
            return Minimum(found.nll, w, np.zeros(self.d), float(w[-1]), found.gradient)
        w = self.centred.weights(found.v)
        return Minimum(found.nll, w, self.centred.centre, float(found.v[-1]), found.gradient)

    @property
    def separation(self) -> Separation | None:
        """How the classes are separated; None where they overlap, or where that was not found out."""
        return self.solution.separation

    @property
    def infimum(self) -> float | None:
        """What no NLL lies below: the optimum, or what separated classes approach; None if not found."""
        return self.solution.infimum

    @property
    def no_optimum(self) -> str | None:
        """Why there is no optimum, for a note; None where there is one."""
        if self.solution.optimum is not None:
            return None
        if self.separation is None:
            return (
                f"the optimum was not found: the largest component of the gradient stays at "
                f"{self.solution.steepest:.2g}, above {optimum.GRADIENT_TOLERANCE:g}"
            )
        if self.separation.kind == "complete":
            return "the classes are separable: there is no optimum"
        return "the classes are separable but for the points on the boundary: there is no optimum"

    @cached_property
    def monotone_eta(self) -> float:
        """2/L: below it no step can raise the NLL."""
        return logistic.monotone_eta(self.X)

    @cached_property
    def critical_eta(self) -> float | None:
        """2/λmax of the Hessian at the optimum: above it descent cannot settle there."""
        found = self.solution.optimum
        return None if found is None else logistic.limit_at_activations(self.X, found.activations)

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
        found = None if self.optimum is None else vars(self.optimum)
        return {
            "classes": self.classes,
            "points": len(self.X),
            "features": list(self.features),
            "scaling": self.scaling,
            "optimum": found,
            "no_optimum": self.no_optimum,
            "separation": separation_summary(self.separation, self.infimum, self.features),
            "monotone_eta": self.monotone_eta,
            "critical_eta": self.critical_eta,
            "local_eta_at_start": self.start_limit,
        }

    def answers(self) -> list[str]:
        """The optimum and the limits of the rate, in sentences."""
        if self.optimum is not None:
            w = ", ".join(f"{value:.6g}" for value in self.optimum.w)
            lines = [f"optimum: NLL {self.optimum.nll:.8g} at w = [{w}]"]
            if logistic.rounding_of_nll(self.X, self.optimum.w[:, None])[0] > CANCELLED:
                centre = ", ".join(f"{value:.17g}" for value in self.optimum.centre)
                lines.append(
                    f"its bias is rounded, as features are far from 0 beside their spread; at x = [{centre}] "
                    f"the activation is {self.optimum.bias_at_centre:.6g}"
                )
        elif self.separation is not None:
            lines = separation_answers(self.separation, self.infimum, self.features)
        else:
            lines = [str(self.no_optimum)]
        lines.append(f"below eta = {self.monotone_eta:.4g} (2/L) no step can raise the NLL")
        if self.critical_eta is not None:
            lines.append(
                f"above the critical rate, eta = {self.critical_eta:.4g} (2/lambda_max of the Hessian at the "
                "optimum), gradient descent cannot settle there"
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
    if config.w0 is not None and len(config.w0) != d + 1:
        raise ConfigError(
            f"w0: {d + 1} weights needed ({d} features and the bias), got {len(config.w0)}"
        )
    if config.w0 is not None and max(map(abs, config.w0)) >= LARGEST:
        raise ConfigError(f"w0: must be below {LARGEST:g} in size")
    centred = Centred.of(X[:, :-1].copy())
    scaling = None
    if config.standardize:
        X[:, :-1], scaling = _standardized(points, centred)
    else:
        _check_sizes(points)
    return TwoClassProblem(points, classes, X, t, start_weights(config.w0, d), scaling, centred)


def _check_sizes(points: Points) -> None:
    for name, size in zip(points.features, np.max(np.abs(points.X), axis=0), strict=True):
        what = "large" if not size < LARGEST else "small" if 0 < size < SMALLEST else None
        if what is not None:
            limit = f"at most {LARGEST:g}" if what == "large" else f"at least {SMALLEST:g}"
            raise DataError(
                f"{points.name}: the feature '{name}' is too {what} to work with ({limit} in size); "
                "--standardize scales it"
            )


def _standardized(points: Points, centred: Centred) -> tuple[np.ndarray, dict[str, list[float]]]:
    """The features with mean 0 and standard deviation 1, and what was taken out of them."""
    if not centred.varying.all():
        name = points.features[int(np.argmin(centred.varying))]
        raise ConfigError(f"standardize: the feature '{name}' of {points.name} is constant")
    columns, mean, deviation = centred.standardized()
    return columns, {"mean": mean.tolist(), "standard_deviation": deviation.tolist()}


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
    if problem.no_optimum is not None:
        recorder.log(f"{points.name}: {problem.no_optimum}")


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
