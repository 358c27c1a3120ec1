"""Which class leads where: the command's grid at 1000 × 1000 points, beside scikit-learn's display."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rows import either

ROW = "13"
TITLE = "softmax-regions, 1000 × 1000 points: the leading class and exact region of each, 3 and 50 classes"
GOAL = "at most 0.1 s for 3 classes, 0.3 s for 50, or 3.1 and 6.6 times as fast as before"

SIDE = 1000
RING = 50
"""Classes around a circle, so that each has a region: the hardest of fifty."""


def planes(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, 2) and biases (K,): the course's three, fifty drawn, or as many with a region each."""
    if classes == 3:
        return np.array([[3.0, 1.0], [1.0, 3.0], [-3.0, 1.5]]), np.array([1.0, 2.0, 2.0])
    rng = np.random.default_rng(50)
    return rng.normal(size=(classes, 2)), rng.normal(size=classes)


def ring() -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * np.arange(RING) / RING
    rng = np.random.default_rng(RING)
    return 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1), rng.normal(size=RING)


def _window(envelope: Any) -> Any:
    from mlhw.experiments.softmax_regions.window import figure_window

    return figure_window(None, envelope)


def _grid(weights: np.ndarray, biases: np.ndarray, heights: bool = False) -> Callable[[], object]:
    from mlhw.experiments.softmax_regions import grid
    from mlhw.maths.regions import upper_envelope

    grid.SIDE = SIDE
    envelope = upper_envelope(weights.tolist(), biases.tolist())
    window = _window(envelope)

    def work() -> object:
        found = grid.grid_over(envelope, window)
        return found.top if heights else found.chosen

    return work


def _display(weights: np.ndarray, biases: np.ndarray) -> Callable[[], object]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from sklearn.inspection import DecisionBoundaryDisplay
    from sklearn.linear_model import LogisticRegression

    from mlhw.maths.regions import upper_envelope

    window = _window(upper_envelope(weights.tolist(), biases.tolist()))
    model = LogisticRegression()
    model.coef_, model.intercept_ = weights, biases
    model.classes_, model.n_features_in_ = np.arange(len(biases)), 2

    def work() -> object:
        figure, axes = pyplot.subplots()
        shown = DecisionBoundaryDisplay.from_estimator(
            model,
            np.stack([window.low, window.high]),
            grid_resolution=SIDE,
            eps=0.0,
            response_method="predict",
            plot_method="pcolormesh",
            ax=axes,
        )
        pyplot.close(figure)
        return shown.response

    return work


def works() -> dict[str, Callable[[], object]]:
    three, fifty = planes(3), planes(50)
    found = {
        "mlhw": _grid(*three),
        "mlhw, 50 classes": _grid(*fifty),
        "mlhw, 50 classes with a region each": _grid(*ring()),
        "mlhw, 3 classes, with p": _grid(*three, heights=True),
        "mlhw, 50 classes, with p": _grid(*fifty, heights=True),
    }
    with contextlib.suppress(ImportError):  # matplotlib is an optional part
        found["DecisionBoundaryDisplay"] = _display(*three)
        found["DecisionBoundaryDisplay, 50 classes"] = _display(*fifty)
    return found


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        "at most 0.1 s for 3 classes, or 3.1 times as fast as before": either(times, 0.1, 3.1),
        **{
            f"at most 0.3 s for {classes}, or 6.6 times as fast as before": (
                either(times, 0.3, 6.6, f"mlhw, {classes}")
            )
            for classes in ("50 classes", "50 classes with a region each")
        },
    }


def checks() -> dict[str, float]:
    """Points whose class is not the arg max of all activations, of those where that is beyond rounding."""
    off = {}
    for name, (weights, biases) in {"3": planes(3), "50": planes(50)}.items():
        from mlhw.maths.regions import upper_envelope

        window = _window(upper_envelope(weights.tolist(), biases.tolist()))
        x1, x2 = np.linspace(window.low, window.high, SIDE).T
        a = biases[:, None, None] + weights[:, :1, None] * x1 + (weights[:, 1:] * x2)[:, :, None]
        chosen = np.asarray(_grid(weights, biases)())
        behind = a.max(axis=0) - np.take_along_axis(a, chosen[None], axis=0)[0]
        off[f"points with another class than the largest, {name} classes"] = float(
            (behind > 1e-12 * np.abs(a).max()).sum()
        )
    return off
