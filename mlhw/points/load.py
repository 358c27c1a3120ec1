"""Labelled points by configuration: a built-in set or a file, then the chosen classes and features."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from mlhw.errors import DataError
from mlhw.points.config import PointsConfig
from mlhw.points.files import read_points
from mlhw.points.points import Label, Points
from mlhw.text.words import nearest


def load_points(config: PointsConfig) -> Points:
    """The points that ``config`` names, and of them the classes and features that it keeps.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame.
    """
    if config.file is not None:
        points = read_points(config.file)
    else:
        points = _built_in(str(config.name))
    points = replace(points, digest=_digest(points))
    if config.classes is not None:
        points = _select_classes(points, config.classes)
    if config.features is not None:
        points = _select_features(points, config.features)
    return points


def change_warning(config: PointsConfig, points: Points) -> str | None:
    """A warning where the configuration recorded the digest of other points; None where it did not."""
    if config.digest in (None, points.digest):
        return None
    return f"{points.name}: the data has changed: it was {config.digest}, it is {points.digest}"


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
    """``sha256:…`` of the numbers and labels as they were read, before any selection."""
    digest = hashlib.sha256(np.ascontiguousarray(points.X, "<f8").tobytes())
    digest.update("\n".join(map(str, points.labels)).encode())
    return f"sha256:{digest.hexdigest()}"
