"""The planes of ``softmax-regions`` fitted to points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from mlhw.config.model import NoOption
from mlhw.errors import DataError
from mlhw.experiments.softmax_regions.planes import LIMIT, MAX_CLASSES
from mlhw.points.cells import brief
from mlhw.points.config import BUILT_IN_POINTS, PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import Label, Points
from mlhw.result.recorder import Recorder
from mlhw.text.words import listing


class FitConfig(PointsConfig):
    """Which points to fit, and which two of their features; without name and file none are fitted."""

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(BUILT_IN_POINTS)}")
    ] = None

    @property
    def given(self) -> bool:
        return self.name is not None or self.file is not None

    @model_validator(mode="after")
    def _known_name(self) -> FitConfig:
        if self.given:
            super()._known_name()  # type: ignore[operator]  # a function to pydantic alone
            return self
        defaults = type(self).model_fields
        given = [key for key in defaults if getattr(self, key) != defaults[key].default]
        if given:
            verb = "needs" if len(given) == 1 else "need"
            raise ValueError(f"{listing(given)} {verb} a data set: --fit iris, wine or a file")
        return self


@dataclass(frozen=True)
class FittedPlanes:
    """Multinomial logistic regression on two features.

    ``X`` (n, 2) and ``target`` (n,), the number of each point's class in ``classes``; ``weights``
    (K, 2) and ``biases`` (K,) for the features as they are; ``warnings`` are for the reader.
    """

    points: Points
    X: np.ndarray
    target: np.ndarray
    classes: list[Label]
    weights: np.ndarray
    biases: np.ndarray
    warnings: tuple[str, ...]

    @property
    def features(self) -> tuple[str, str]:
        first, second = self.points.features
        return first, second

    @property
    def names(self) -> list[str]:
        """The classes in words; a number by itself says little."""
        return [str(c) if isinstance(c, str) else f"class {c}" for c in self.classes]

    @property
    def accuracy(self) -> float:
        """The share of points, 0 to 1, whose class has the largest activation."""
        a = self.X @ self.weights.T + self.biases
        return float(np.mean(np.argmax(a, axis=1) == self.target))

    def log(self, recorder: Recorder, asked: FitConfig) -> None:
        """Warn of what went wrong or has changed, and log what was recognised in the points."""
        for warning in (*self.warnings, change_warning(asked, self.points)):
            if warning:
                recorder.warn(warning)
        for note in self.points.notes:
            recorder.log(f"{self.points.name}: {note}")

    def summary(self) -> dict[str, Any]:
        return {
            "fit": {
                "data": self.points.name,
                "features": list(self.features),
                "classes": self.classes,
                "points": len(self.X),
            },
            "accuracy": self.accuracy,
        }


def fit_planes(config: FitConfig) -> FittedPlanes:
    """Fit K linear activations to the points that ``config`` names.

    scikit-learn's LogisticRegression with its usual regularisation (C = 1) on features scaled to
    mean 0 and standard deviation 1; the scaling is then taken into the weights. With two classes it
    gives one activation w·x + b for the second against the first; −w/2 and +w/2 have the same softmax.

    Raises
    ------
    DataError
        The data cannot be used, or has not two classes and two chosen features.
    """
    loaded = _two_features(config)
    classes = loaded.classes
    if not 2 <= len(classes) <= MAX_CLASSES:
        hint = "; is the last column a class?" if len(classes) > 2 else f" ({brief(classes[0])})"
        raise DataError(
            f"{loaded.name}: {len(classes)} {'class' if len(classes) == 1 else 'classes'}, "
            f"2 to {MAX_CLASSES} needed{hint}"
        )
    with np.errstate(all="ignore"):  # what over- or underflows is refused below
        mean, deviation = loaded.X.mean(axis=0), loaded.X.std(axis=0)
        spread = np.ptp(loaded.X, axis=0)
    for column, name in enumerate(loaded.features):
        if spread[column] == 0:
            raise DataError(f"{loaded.name}: the feature '{brief(name)}' is constant")
        if not 1 / LIMIT <= deviation[column] <= LIMIT:
            size = "small" if deviation[column] < 1 else "large"
            raise DataError(
                f"{loaded.name}: the feature '{brief(name)}' is too {size} to work with; rescale it to a "
                f"standard deviation of {1 / LIMIT:g} to {LIMIT:g}"
            )
    number = {label: k for k, label in enumerate(classes)}
    target = np.array([number[label] for label in loaded.labels])
    W, b, notes = _regression((loaded.X - mean) / deviation, target)
    if len(W) == 1:
        W, b = np.vstack([-W, W]) / 2, np.concatenate([-b, b]) / 2
    W = W / deviation
    return FittedPlanes(loaded, loaded.X, target, classes, W, b - W @ mean, notes)


def _two_features(config: FitConfig) -> Points:
    try:
        loaded = load_points(config)
    except DataError as error:
        # The keys are the same, under another name than in the sweeps.
        raise DataError(*(line.replace(" data.", " fit.") for line in error.lines)) from None
    if len(loaded.features) != 2:
        some = ", ".join(map(brief, loaded.features[:6])) + (
            ", …" if len(loaded.features) > 6 else ""
        )
        raise DataError(
            f"{loaded.name}: {len(loaded.features)} features, two needed ({some}); choose two by name "
            "or number from 0 with fit.features or --features A,B"
        )
    return loaded


def _regression(
    X: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Coefficients, intercepts and warnings of scikit-learn."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(X, target)
    notes = [
        "the fit has not converged; the geometry below is of the weights as they are"
        for w in caught
        if issubclass(w.category, ConvergenceWarning)
    ]
    return model.coef_, model.intercept_, tuple(notes[:1])
