"""What lr-sweep and sgd-sweep start from: the keys of the data and the start, and the problem they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from mlhw.config.model import ExperimentConfig, Option, comma_list
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.sweeps.etas import Etas
from mlhw.experiments.sweeps.two_classes import Minimum, TwoClasses
from mlhw.maths import in_blocks, logistic, optimum, row_blocks
from mlhw.maths.centring import Centred
from mlhw.maths.descent import start_weights
from mlhw.points.cells import brief
from mlhw.points.config import BUILT_IN_POINTS, PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import Label, Points, two_classes
from mlhw.points.row_files import is_many
from mlhw.points.spreads import spread_ratio, without_constants
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula
from mlhw.system.machine_code import keep

LARGEST = 1e100
"""Features and start weights have to be smaller, so that squares and products of them are finite."""
SMALLEST = 1e-100
"""The largest value of a feature has to be larger, so that squares and products do not vanish."""


def _small_enough(w0: list[float] | None) -> list[float] | None:
    if w0 and max(map(abs, w0)) >= LARGEST:
        raise ValueError(f"must be below {LARGEST:g} in size")
    return w0


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
        AfterValidator(_small_enough),
        Option(metavar="LIST"),
        Field(description="start, w1,…,wd,bias; null: 0.1,0,…,0"),
    ] = None
    standardize: Annotated[
        bool, Field(description="scale every feature to mean 0 and standard deviation 1")
    ] = False


@dataclass(frozen=True)
class TwoClassProblem(TwoClasses):
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
        return optimum.solve(self.centred, self.t)

    @cached_property
    def optimum(self) -> Minimum | None:
        found = self.solution.optimum
        if found is None:
            return None
        if self.scaling is not None:
            w = self.centred.standardized_weights(found.v)
            return Minimum(found.nll, w, np.zeros(self.d), float(w[-1]), found.gradient)
        w = self.centred.weights(found.v)
        return Minimum(found.nll, w, self.centred.centre, float(found.v[-1]), found.gradient)

    @cached_property
    def monotone_eta(self) -> float:
        return logistic.monotone_eta(self.X)

    @cached_property
    def critical_eta(self) -> float | None:
        found = self.solution.optimum
        return None if found is None else logistic.limit_at_activations(self.X, found.activations)

    @cached_property
    def start_limit(self) -> float:
        return logistic.local_limit(self.X, self.w0)

    @property
    def n(self) -> int:
        return len(self.X)

    @property
    def d(self) -> int:
        return int(self.X.shape[1]) - 1

    @property
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        return self.X, self.t

    def _is_large(self, W: np.ndarray) -> bool:
        """Whether so much is worked out at once that compiled loops pay."""
        if self.n * W.shape[1] < in_blocks.WORTH:
            return False
        _keep_code()
        return True

    def slopes(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._is_large(W):
            return in_blocks.slopes_in_blocks(self.X, self.t, W)
        return logistic.nll_and_gradient(self.X, self.t, W)

    def local_limits(self, W: np.ndarray) -> np.ndarray:
        if self._is_large(W) and self.n > self.d:
            return in_blocks.limits_in_blocks(self.X, W)
        return logistic.local_limits(self.X, W)

    def largest_ratios(self, W0: np.ndarray, W1: np.ndarray, eta: float) -> np.ndarray:
        limits = self.local_limits if self._is_large(W0) else None
        return logistic.largest_ratios(self.X, W0, W1, eta, limits)

    def rounding_of_nll(self, W: np.ndarray) -> np.ndarray:
        return logistic.rounding_of_nll(self._sizes, W)

    @cached_property
    def _sizes(self) -> np.ndarray:
        return logistic.root_mean_squares(self.X)


@cache
def _keep_code() -> None:
    for loop in row_blocks.loops():
        keep(loop)


def load_problem(config: SweepConfig) -> TwoClassProblem:
    """Read and check the data of a sweep.

    Raises DataError or ConfigError for what cannot be used.
    """
    if config.data.file is not None and is_many(config.data.file):
        raise ConfigError(
            f"data.file: {config.data.file} may name several files, which lr-sweep reads in shards: "
            "--shards 16"
        )
    points = load_points(config.data)
    if config.standardize:
        points = without_constants(points)
    X, t, classes = two_classes(points)
    d = X.shape[1] - 1
    check_start(config.w0, d)
    centred = Centred.of(X[:, :-1].copy())
    scaling = None
    if config.standardize:
        X[:, :-1], scaling = _standardized(points, centred)
    else:
        check_sizes_of(points)
    return TwoClassProblem(points, classes, X, t, start_weights(config.w0, d), scaling, centred)


def check_start(w0: list[float] | None, d: int) -> None:
    """Raise ConfigError for a start of another number of weights than d and the bias."""
    if w0 is not None and len(w0) != d + 1:
        raise ConfigError(f"w0: {d + 1} weights needed ({d} features and the bias), got {len(w0)}")


def check_sizes_of(points: Points) -> None:
    """Raise DataError for features that no sweep takes unless they are standardized."""
    sizes = np.max(np.abs(points.X), axis=0)
    check_sizes(points.name, points.features, sizes, "--standardize scales it")


def check_sizes(name: str, features: Sequence[str], sizes: np.ndarray, remedy: str) -> None:
    """Raise DataError for features too large or too small to work with, by their largest values (d,)."""
    for feature, size in zip(features, sizes, strict=True):
        what = "large" if not size < LARGEST else "small" if 0 < size < SMALLEST else None
        if what is not None:
            limit = f"at most {LARGEST:g}" if what == "large" else f"at least {SMALLEST:g}"
            raise DataError(
                f"{name}: the feature '{brief(feature)}' is too {what} to work with ({limit} in size); "
                f"{remedy}"
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
