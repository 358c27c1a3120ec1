"""Labelled points in memory, and the two-class problem that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhw.errors import DataError
from mlhw.text.words import shortened

Label = int | float | str


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


def two_classes(points: Points) -> tuple[np.ndarray, np.ndarray, list[Label]]:
    """Design matrix and targets for a two-class model.

    Returns
    -------
    X : (n, d+1), the last column ones
    t : (n,), 1.0 for the second class, else 0.0
    classes : the two labels, in order

    Raises DataError unless there are exactly two classes.
    """
    classes = checked_two(points)
    t = np.array([float(label == classes[1]) for label in points.labels])
    return np.column_stack([points.X, np.ones(len(points.X))]), t, classes


def checked_two(points: Points) -> list[Label]:
    """The two labels, in order. Raises DataError unless there are exactly two classes."""
    classes = points.classes
    if len(classes) < 2:
        raise DataError(
            f"{points.name}: only one class ({shortened(str(classes[0]), 60)}), two needed"
        )
    if len(classes) > 2:
        shown = [shortened(str(label), 60) for label in classes[:5]]
        some = ", ".join(shown) + (", …" if len(classes) > 5 else "")
        raise DataError(
            f"{points.name}: {len(classes)} classes, two needed ({some}); "
            "choose two with data.classes or --classes A,B, or the class's column with --label"
        )
    return classes
