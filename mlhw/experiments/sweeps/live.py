"""The live figure that both sweeps have: the points, and the separators that move over them."""

from __future__ import annotations

from collections.abc import Sequence

from mlhw.experiments.sweeps.two_classes import TwoClasses
from mlhw.result.live import LivePath, LivePlane


def live_separators(
    problem: TwoClasses, paths: Sequence[LivePath], step: str, first: int = 0
) -> LivePlane:
    """The two-dimensional data and the line p = 1/2 along each path."""
    best = problem.optimum
    X, t = problem.shown
    return LivePlane(
        names=(problem.features[0], problem.features[1]),
        dots={
            f"class {label} (t = {value})": X[t == value, :2]
            for value, label in enumerate(problem.classes)
        },
        paths=paths,
        step=step,
        first=first,
        optimum=None if best is None else (best.w, best.nll),
    )
