"""The descent of ``sgd-sweep`` with everything it records, beside scikit-learn's, which records nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rows import either

ROW = "9"
TITLE = "stochastic gradient descent, 5 rates, 500 epochs, 200 points, each epoch recorded"
GOAL = "at most 8 ms, or 2.4 times as fast as before"

ETAS = [0.5, 0.3, 0.1, 0.05, 0.01]
EPOCHS = 500


def points() -> tuple[np.ndarray, np.ndarray]:
    from mlhw.points.config import PointsConfig
    from mlhw.points.load import load_points
    from mlhw.points.points import two_classes

    X, t, _ = two_classes(load_points(PointsConfig()))
    return X, t


def descents(
    X: np.ndarray, t: np.ndarray, etas: list[float], epochs: int
) -> Callable[[], list[np.ndarray]]:
    """All epochs at all rates; the online NLL, NLL and weights of each."""
    from mlhw.maths.descent import start_weights
    from mlhw.maths.sgd import permutation_stream, stochastic_gradient_descent

    start = start_weights(None, X.shape[1] - 1)

    def work() -> list[np.ndarray]:
        blocks = list(
            stochastic_gradient_descent(X, t, start, etas, epochs, permutation_stream(0, 0))
        )
        return [
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("nll_online", "nll", "W")
        ]

    return work


def homework_loop(X: np.ndarray, t: np.ndarray) -> None:
    """One sample after another in NumPy, one rate after another, the NLL of each epoch kept."""
    stream = np.random.default_rng(0)
    for eta in ETAS:
        w, log = np.array([0.1, *np.zeros(X.shape[1] - 1)]), []
        for _ in range(EPOCHS):
            losses = 0.0
            for i in stream.permutation(len(X)):
                y = 1.0 / (1.0 + np.exp(-np.dot(w, X[i])))
                losses -= t[i] * np.log(y + 1e-300) + (1 - t[i]) * np.log(1 - y + 1e-300)
                w = w - eta * (y - t[i]) * X[i]
            log.append((losses / len(X), *w))


def plain_classifier() -> Callable[[float, int], Any] | None:
    """scikit-learn's stochastic descent at a rate, so many epochs, without penalty; None without it."""
    try:
        from sklearn.linear_model import SGDClassifier
    except ImportError:
        return None
    return lambda eta, epochs: SGDClassifier(
        loss="log_loss",
        penalty=None,
        learning_rate="constant",
        eta0=eta,
        max_iter=epochs,
        tol=None,
        random_state=0,
    )


def works() -> dict[str, Callable[[], object]]:
    X, t = points()
    found: dict[str, Callable[[], object]] = {
        "mlhw": descents(X, t, ETAS, EPOCHS),
        "a homework script's loop": lambda: homework_loop(X, t),
    }
    classifier = plain_classifier()
    if classifier is None:
        return found

    def scikit_learn() -> None:
        warnings.simplefilter("ignore")
        for eta in ETAS:
            classifier(eta, EPOCHS).fit(X[:, :-1], t)

    return found | {"scikit-learn": scikit_learn}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {GOAL: either(times, 0.008, 2.4)}


def checks() -> dict[str, float]:
    """How far the first epochs at a rate that is not chaotic are from a plain loop in NumPy."""
    from mlhw.maths.descent import start_weights
    from mlhw.maths.sgd import permutation_stream

    X, t = points()
    online, _, W = descents(X, t, [0.05], 20)()
    stream, w = permutation_stream(0, 0), start_weights(None, X.shape[1] - 1)
    apart = 0.0
    for epoch in range(20):
        losses = []
        for i in stream.permutation(len(X)):
            a = X[i] @ w
            losses.append(np.logaddexp(0.0, a) - t[i] * a)
            w = w - 0.05 * (1.0 / (1.0 + np.exp(-a)) - t[i]) * X[i]
        apart = max(apart, abs(online[epoch, 0] / np.mean(losses) - 1.0))
        apart = max(apart, float(np.max(np.abs(W[epoch, :, 0] / w - 1.0))))
    return {"largest relative difference from NumPy, 20 epochs at 0.05": apart}
