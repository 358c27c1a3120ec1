"""The activations of ``softmax-regions``: written down, or fitted to points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import NoOption, comma_list
from mlhw.errors import ConfigError, DataError
from mlhw.maths.rational import dot
from mlhw.maths.regions import Envelope
from mlhw.points import points
from mlhw.points.points import Label, PointsConfig
from mlhw.result.recorder import Recorder
from mlhw.text.yaml12 import parse_value

# Weights are 0 or between 1e-100 and this in size: squares and quotients of them then fit float64.
LIMIT = 1e100
# More labels than this are no classes but a column of numbers.
MAX_CLASSES = 100


def _items(value: Any) -> Any:
    """``1,2,2`` or ``[1, 2, 2]`` as given on the command line, to the list that a file would hold."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return comma_list(value)
    try:
        return parse_value(value, "the list")
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _rows(value: Any) -> Any:
    """``3,1; 1,3`` as given on the command line, to rows."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [_items(row) for row in value.strip().rstrip(";").split(";")]
    rows = _items(value)
    if not isinstance(rows, list):
        return rows
    return [list(row) if isinstance(row, tuple) else row for row in rows]  # tuples, from Python


def _words(value: Any) -> Any:
    return comma_list(value, read=str)


def _different(names: list[str]) -> list[str]:
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise ValueError(f"two classes are called '{twice[0]}'")
    return names


def _in_range(value: float) -> float:
    if value != 0 and not 1 / LIMIT <= abs(value) <= LIMIT:
        raise ValueError(f"must be 0 or {1 / LIMIT:g} to {LIMIT:g} in size (got {value:g})")
    return value


Number = Annotated[float, AfterValidator(_in_range)]
Numbers = Annotated[list[Number], BeforeValidator(_items)]
Rows = Annotated[
    list[Annotated[list[Number], Field(min_length=2, max_length=2)]], BeforeValidator(_rows)
]
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=60)]],
    BeforeValidator(_words),
    AfterValidator(_different),
]


class FitConfig(PointsConfig):
    """Which points to fit, and which two of their features; without name and file none are fitted."""

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(points.BUILT_IN)}")
    ] = None

    @property
    def given(self) -> bool:
        return self.name is not None or self.file is not None

    @model_validator(mode="after")
    def _known_name(self) -> FitConfig:
        if self.given:
            super()._known_name()  # type: ignore[operator]  # a function to pydantic alone
        elif self.features is not None or self.classes is not None:
            raise ValueError("features and classes need a data set: --fit iris, wine or a file")
        return self


@dataclass(frozen=True)
class Fitted:
    """Multinomial logistic regression on two features.

    ``X`` (n, 2) and ``target`` (n,), the number of each point's class in ``classes``; ``weights``
    (K, 2) and ``biases`` (K,) for the features as they are; ``warnings`` are for the reader.
    """

    points: points.Points
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

    def tell(self, recorder: Recorder, asked: FitConfig) -> None:
        """What the reader of the log has to know of the points."""
        changed = points.changed(asked, self.points)
        for warning in (*self.warnings, *([changed] if changed else [])):
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


def fit(config: FitConfig) -> Fitted:
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
        hint = "; is the last column a class?" if len(classes) > 2 else f" ({classes[0]})"
        raise DataError(
            f"{loaded.name}: {len(classes)} {'class' if len(classes) == 1 else 'classes'}, "
            f"2 to {MAX_CLASSES} needed{hint}"
        )
    with np.errstate(all="ignore"):  # what over- or underflows is refused below
        mean, deviation = loaded.X.mean(axis=0), loaded.X.std(axis=0)
        spread = np.ptp(loaded.X, axis=0)
    for column, name in enumerate(loaded.features):
        if spread[column] == 0:
            raise DataError(f"{loaded.name}: the feature '{name}' is constant")
        if not 1 / LIMIT <= deviation[column] <= LIMIT:
            size = "small" if deviation[column] < 1 else "large"
            raise DataError(
                f"{loaded.name}: the feature '{name}' is too {size} to work with; rescale it to a "
                f"standard deviation of {1 / LIMIT:g} to {LIMIT:g}"
            )
    number = {label: k for k, label in enumerate(classes)}
    target = np.array([number[label] for label in loaded.labels])
    W, b, notes = _regression((loaded.X - mean) / deviation, target)
    if len(W) == 1:
        W, b = np.vstack([-W, W]) / 2, np.concatenate([-b, b]) / 2
    W = W / deviation
    return Fitted(loaded, loaded.X, target, classes, W, b - W @ mean, notes)


def _two_features(config: FitConfig) -> points.Points:
    try:
        loaded = points.load_points(config)
    except DataError as error:
        # The keys are the same, under another name than in the sweeps.
        raise DataError(*(line.replace(" data.", " fit.") for line in error.lines)) from None
    if len(loaded.features) != 2:
        some = ", ".join(loaded.features[:6]) + (", …" if len(loaded.features) > 6 else "")
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


def check_range(envelope: Envelope) -> None:
    """Raise ConfigError where a boundary lies, or ends, beyond what float64 can work with."""
    for b in envelope.boundaries:
        i, j = (k + 1 for k in b.classes)
        ends = [b.start] if b.end is None else [b.start, b.end]
        if not all(abs(c) <= LIMIT for end in ends for c in end):
            raise ConfigError(
                f"weights: the boundary of classes {i} and {j} begins or ends beyond {LIMIT:g}, since "
                "weights are all but equal; make them equal, or more different"
            )
        if b.end is not None and dot(b.direction, b.direction) < 1 / Fraction(LIMIT) ** 2:
            raise ConfigError(
                f"weights: the boundary of classes {i} and {j} is shorter than {1 / LIMIT:g}; make the "
                "biases equal, or more different"
            )
