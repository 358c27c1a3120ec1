"""Labelled points by configuration: a built-in set or a file, then what is chosen of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from mlhw.errors import DataError
from mlhw.points.choice import Choice, choose, choose_classes
from mlhw.points.config import PointsConfig
from mlhw.points.points import Label, Points
from mlhw.points.table import ReadTable


def load_points(config: PointsConfig) -> Points:
    """The points that ``config`` names, and of them the classes and features that it keeps.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame.
    """
    return points_of(load_table(config), config)


def load_table(config: PointsConfig) -> ReadTable:
    """All that the file or built-in set of a configuration holds. DataError as ``load_points``."""
    if config.file is not None:
        from mlhw.points.files import (
            Layout,
            read_table,
        )  # archives and what else built-in points need not

        return read_table(config.file, Layout(config.label, config.header, config.encoding))
    if config.label is not None:
        raise DataError(
            f"{config.name}: data.label: the class of built-in points is known; leave it out"
        )
    return _built_in(str(config.name))


def points_of(table: ReadTable, config: PointsConfig) -> Points:
    """What a configuration keeps of a table. DataError as ``load_points``."""
    choice = Choice(config.features, config.drop, config.missing, config.encode)
    points, whole = choose(table, choice)
    points = replace(points, digest=_digest(points.X if whole is None else whole, points.labels))
    if config.classes is not None:
        rows, labels = choose_classes(points, config.classes)
        points = replace(points, X=points.X[rows], labels=labels)
    return points


def change_warning(config: PointsConfig, points: Points) -> str | None:
    """A warning where the configuration recorded the digest of other points; None where it did not."""
    if config.digest in (None, points.digest):
        return None
    return f"{points.name}: the data has changed: it was {config.digest}, it is {points.digest}"


# ------------------------------------------------------------------------------------- built in


def _built_in(name: str) -> ReadTable:
    if name == "gaussians":
        return _gaussians()
    from sklearn import datasets

    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
    }
    bunch = loaders[name]()
    return _table_of(
        name,
        tuple(str(feature) for feature in bunch.feature_names),
        np.asarray(bunch.data, float),
        [int(label) for label in bunch.target],
        ("classes " + ", ".join(f"{i} {c}" for i, c in enumerate(bunch.target_names)),),
    )


def _table_of(
    name: str, features: tuple[str, ...], X: np.ndarray, labels: list[int], said: tuple[str, ...]
) -> ReadTable:
    def place(row: int, column: str) -> str:
        return f"{name}: {column}[{row}]"

    return ReadTable(
        name, features, X, list(labels), "class", said, place, range(len(X)), built_in=True
    )


# Means and covariances of the two classes of the course's data.
_MEANS = ((4.98, 0.94), (6.93, -0.87))
_COVARIANCES = (((2.78, 2.08), (2.08, 3.91)), ((2.00, 1.27), (1.27, 2.51)))
_DATA_SEED = 28
_PER_CLASS = 100


def _gaussians() -> ReadTable:
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
    return _table_of("gaussians", ("x1", "x2"), X, [*[0] * _PER_CLASS, *[1] * _PER_CLASS], ())


# ------------------------------------------------------------------------------------- digest


def _digest(X: np.ndarray, labels: list[Label]) -> str:
    """``sha256:…`` of the numbers and labels as they were read, before any selection."""
    digest = hashlib.sha256(np.ascontiguousarray(X, "<f8").reshape(-1).view(np.uint8).data)
    digest.update("\n".join(map(str, labels)).encode())
    return f"sha256:{digest.hexdigest()}"
