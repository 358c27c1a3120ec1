"""Labelled point sets: built in by name, or from a text, CSV, TSV or NPZ file.

The course's own text format is columns ``x1 x2 1 t`` separated by blanks: no header, the last column
is the class, a column of ones is the bias. CSV and TSV have a header; the column ``label``, else the
last one, is the class. NPZ holds ``X`` (n, d) and ``y`` (n,); pickled content is refused.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import InputFile, NoOption, Option, Section, comma_list
from mlhw.errors import DataError
from mlhw.text.words import nearest

BUILT_IN = ("gaussians", "iris", "wine", "breast-cancer")
Label = int | float | str


def _not_empty(value: list[Any] | None) -> list[Any] | None:
    if value == []:
        raise ValueError("must have at least one item, or be null for all (got [])")
    return value


class PointsConfig(Section):
    """Which points: a built-in ``name`` or a ``file``, and what of them."""

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(BUILT_IN)}")
    ] = "gaussians"
    file: Annotated[
        str | None,
        InputFile(),
        NoOption(),
        Field(description="or a file: .txt (x1 x2 1 t), .csv, .tsv or .npz"),
    ] = None
    classes: Annotated[
        list[int | float | str] | None,
        BeforeValidator(comma_list),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these classes"),
    ] = None
    features: Annotated[
        list[int | str] | None,
        BeforeValidator(comma_list),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these features, by name or by number from 0"),
    ] = None
    digest: Annotated[
        str | None,
        NoOption(),
        Field(description="sha256 of the points, recorded by a run; a rerun warns if it differs"),
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        """``--data X``: a file where X is a path that exists or has a suffix, else a name."""
        is_file = text not in BUILT_IN and (os.path.splitext(text)[1] or os.path.exists(text))
        return {"name": None, "file": text} if is_file else {"name": text, "file": None}

    @model_validator(mode="before")
    @classmethod
    def _name_or_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("file") is not None:
            if value.get("name") is not None:
                raise ValueError("give a name or a file, not both")
            return {**value, "name": None}
        return value

    @model_validator(mode="after")
    def _known_name(self) -> PointsConfig:
        if self.file is None and self.name is None:
            raise ValueError(f"give a name or a file (built in: {', '.join(BUILT_IN)})")
        if self.file is None and self.name not in BUILT_IN:
            near = nearest(str(self.name), BUILT_IN)
            hint = f", did you mean '{near}'?" if near else ""
            raise ValueError(
                f"unknown data set '{self.name}'{hint} (built in: {', '.join(BUILT_IN)}; "
                "or a file with a suffix)"
            )
        return self


@dataclass(frozen=True)
class Points:
    """Labelled points.

    ``X`` is (n, d) float64 without a bias column, ``labels`` (n,) has a value of ``classes`` for each
    point, ``features`` are the columns' names, ``notes`` say what was recognised on reading.
    """

    name: str
    X: np.ndarray
    labels: list[Label]
    features: tuple[str, ...]
    digest: str = ""
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> list[Label]:
        """The distinct labels in order: numbers as numbers, else as text."""
        return sorted(set(self.labels), key=lambda label: (isinstance(label, str), label))


def load_points(config: PointsConfig) -> Points:
    """The points that ``config`` names, its classes and features selected.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame.
    """
    if config.file is not None:
        from mlhw.points.files import read_points

        points = read_points(config.file)
    else:
        points = _built_in(str(config.name))
    points = replace(points, digest=_digest(points))
    if config.classes is not None:
        points = _select_classes(points, config.classes)
    if config.features is not None:
        points = _select_features(points, config.features)
    return points


def changed(config: PointsConfig, points: Points) -> str | None:
    """A warning, if these are not the points whose digest the configuration recorded."""
    if config.digest in (None, points.digest):
        return None
    return f"{points.name}: the data has changed: it was {config.digest}, it is {points.digest}"


def two_classes(points: Points) -> tuple[np.ndarray, np.ndarray, list[Label]]:
    """Design matrix and targets for a two-class model.

    Returns
    -------
    X : (n, d+1), the last column ones
    t : (n,), 1.0 for the second class, else 0.0
    classes : the two labels, in order

    Raises DataError unless there are exactly two classes.
    """
    classes = points.classes
    if len(classes) < 2:
        raise DataError(f"{points.name}: only one class ({classes[0]}), two needed")
    if len(classes) > 2:
        some = ", ".join(map(str, classes[:5])) + (", …" if len(classes) > 5 else "")
        raise DataError(
            f"{points.name}: {len(classes)} classes, two needed ({some}); "
            "choose two with data.classes or --classes A,B"
        )
    t = np.array([float(label == classes[1]) for label in points.labels])
    return np.column_stack([points.X, np.ones(len(points.X))]), t, classes


# ------------------------------------------------------------------------------------- built in


def _built_in(name: str) -> Points:
    if name == "gaussians":
        return _gaussians()
    from sklearn import datasets

    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
    }
    bunch = loaders[name]()
    return Points(
        name,
        np.asarray(bunch.data, float),
        [int(label) for label in bunch.target],
        tuple(str(feature) for feature in bunch.feature_names),
        notes=("classes " + ", ".join(f"{i} {c}" for i, c in enumerate(bunch.target_names)),),
    )


# Means and covariances of the two classes of the course's data.
_MEANS = ((4.98, 0.94), (6.93, -0.87))
_COVARIANCES = (((2.78, 2.08), (2.08, 3.91)), ((2.00, 1.27), (1.27, 2.51)))
_DATA_SEED = 28
_PER_CLASS = 100


def _gaussians() -> Points:
    """Two correlated Gaussian classes, 100 points each.

    NumPy freezes the stream of RandomState (NEP 19), so these are the same points for ever.
    """
    stream = np.random.RandomState(_DATA_SEED)
    X = np.vstack(
        [
            np.asarray(mean)
            + stream.standard_normal((_PER_CLASS, 2)) @ np.linalg.cholesky(np.asarray(covariance)).T
            for mean, covariance in zip(_MEANS, _COVARIANCES, strict=True)
        ]
    )
    labels: list[Label] = [*[0] * _PER_CLASS, *[1] * _PER_CLASS]
    return Points("gaussians", X, labels, ("x1", "x2"))


# ------------------------------------------------------------------------------------- selection


def _select_classes(points: Points, wanted: list[Label]) -> Points:
    known = points.classes
    by_text = {str(label): label for label in known}
    chosen = []
    for label in wanted:
        if str(label) not in by_text:
            raise DataError(
                f"{points.name}: data.classes: no class '{label}' "
                f"(there are {', '.join(map(str, known[:10]))})"
            )
        chosen.append(by_text[str(label)])
    keep = [i for i, label in enumerate(points.labels) if label in chosen]
    return replace(points, X=points.X[keep], labels=[points.labels[i] for i in keep])


def _select_features(points: Points, wanted: list[int | str]) -> Points:
    columns = []
    for feature in wanted:
        if isinstance(feature, int) and 0 <= feature < len(points.features):
            columns.append(feature)
        elif str(feature) in points.features:
            columns.append(points.features.index(str(feature)))
        else:
            near = nearest(str(feature), points.features)
            hint = f", did you mean '{near}'?" if near else ""
            raise DataError(
                f"{points.name}: data.features: no feature '{feature}'{hint} "
                f"(there are {', '.join(points.features[:10])}, numbered from 0)"
            )
    if len(set(columns)) != len(columns):
        raise DataError(f"{points.name}: data.features: a feature stands twice")
    return replace(
        points, X=points.X[:, columns], features=tuple(points.features[i] for i in columns)
    )


def _digest(points: Points) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(points.X, "<f8").tobytes())
    digest.update("\n".join(map(str, points.labels)).encode())
    return f"sha256:{digest.hexdigest()}"
