"""What lr-sweep and sgd-sweep share: the keys of the data and the start, the problem, two figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from mlhw.config.model import ExperimentConfig, Option, comma_list
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.sweeps.etas import Etas
from mlhw.maths import logistic
from mlhw.maths.descent import start_weights
from mlhw.points import points
from mlhw.points.points import Label, Points, PointsConfig
from mlhw.result import plots
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LARGEST = 1e100
"""Features and start weights stay below it: squares and products of them are finite."""


class SweepConfig(ExperimentConfig):
    """The keys that both sweeps have."""

    data: Annotated[
        PointsConfig,
        Option("--data", metavar="NAME|FILE", values=points.BUILT_IN),
        Field(
            description=f"points: {', '.join(points.BUILT_IN)}, or a .txt, .csv, .tsv, .npz file"
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
class Problem:
    """Two classes of points and the answers that need no descent.

    X (n, d+1) with a last column of ones, t (n,), w0 (d+1,). ``optimum`` is None where the classes
    are separable. ``scaling`` holds the means and standard deviations that were taken out.
    """

    X: np.ndarray
    t: np.ndarray
    w0: np.ndarray
    classes: list[Label]
    features: tuple[str, ...]
    optimum: logistic.Optimum | None
    monotone_eta: float
    critical_eta: float | None
    start_limit: float
    scaling: dict[str, list[float]] | None

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
        """What both sweeps report about the problem."""
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
        """The same in sentences."""
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


def load(config: SweepConfig) -> tuple[Problem, Points]:
    """Read and check the data of a sweep and work out the answers that need no descent.

    Raises DataError or ConfigError for what cannot be used.
    """
    loaded = points.load_points(config.data)
    X, t, classes = points.two_classes(loaded)
    d = X.shape[1] - 1
    for column, name in enumerate(loaded.features):
        if not np.max(np.abs(X[:, column])) < LARGEST:
            raise DataError(
                f"{loaded.name}: the feature '{name}' is too large to work with (at most {LARGEST:g})"
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
            what = "constant" if np.ptp(X[:, column]) == 0 else "too small to be scaled"
            raise ConfigError(
                f"standardize: the feature '{loaded.features[column]}' of {loaded.name} is {what}"
            )
        X[:, :-1] = (X[:, :-1] - mean) / deviation
        scaling = {"mean": mean.tolist(), "standard_deviation": deviation.tolist()}
    optimum = logistic.optimum(X, t)
    w0 = start_weights(config.w0, d)
    problem = Problem(
        X=X,
        t=t,
        w0=w0,
        classes=classes,
        features=loaded.features,
        optimum=optimum,
        monotone_eta=logistic.monotone_eta(X),
        critical_eta=None if optimum is None else logistic.local_limit(X, optimum.w),
        start_limit=logistic.local_limit(X, w0),
        scaling=scaling,
    )
    return problem, loaded


def begin(config: SweepConfig, problem: Problem, loaded: Points, recorder: Recorder) -> None:
    """Begin the run and log what was recognised in the data."""
    warning = points.changed(config.data, loaded)
    data = config.data.model_copy(update={"digest": loaded.digest})
    recorder.begin(config.model_copy(update={"data": data}), data_digest=loaded.digest)
    if warning:
        recorder.warn(warning)
    for note in loaded.notes:
        recorder.log(f"{loaded.name}: {note}")
    a, b = problem.classes
    recorder.log(
        f"{loaded.name}: {len(problem.X)} points, {problem.d} features; "
        f"class {a} is t = 0, class {b} is t = 1"
    )


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
"""The model and its loss, PRML eq. 4.87 and 4.90 over N, for the reports."""


def eta_label(eta: float) -> str:
    return f"η = {eta:g}"


def separators_figure(problem: Problem, weights: Mapping[str, np.ndarray]) -> Figure:
    """The two-dimensional data with the line p = 1/2 of each of the named weights (d+1,)."""
    figure = plots.new_figure(7.2, 5.0)
    axes = figure.add_subplot()
    for value, label in enumerate(problem.classes):
        part = problem.X[problem.t == value]
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=18,
            marker=plots.MARKERS[value],
            facecolor="none" if value else plots.GREY,
            edgecolor="black" if value else plots.GREY,
            linewidth=0.8,
            label=plots.plain(f"class {label} (t = {value})"),
        )
    low, high = problem.X[:, :2].min(axis=0), problem.X[:, :2].max(axis=0)
    margin = 0.06 * (high - low) + 1e-12
    low, high = low - margin, high + margin
    for i, (name, w) in enumerate(weights.items()):
        line = _line_in_box(w, low, high)
        if line is not None:
            axes.plot(*line.T, color=plots.colour(i), linestyle=plots.dash(i), label=name)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set(xlabel=plots.plain(problem.features[0]), ylabel=plots.plain(problem.features[1]))
    plots.legend(axes, outside=True)
    return figure


def _line_in_box(w: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """Two points (2, 2) of w1 x1 + w2 x2 + bias = 0 that span the box, or None."""
    steep = abs(w[0]) > abs(w[1])
    if not np.isfinite(w).all() or max(abs(w[0]), abs(w[1])) == 0:
        return None
    # Solve for the coordinate with the larger weight: no division by a small number.
    along, across = (1, 0) if steep else (0, 1)
    line = np.empty((2, 2))
    line[:, along] = low[along], high[along]
    line[:, across] = -(w[2] + w[along] * line[:, along]) / w[across]
    return line
