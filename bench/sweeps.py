"""sgd-sweep's loop beside a homework script's and scikit-learn's, lr-sweep's beside one rate a time.

    python bench/sweeps.py

Five rates, 500 epochs, 200 samples. Ours records weights, online and full-data NLL of every epoch;
scikit-learn's SGDClassifier makes the same number of updates and records nothing.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
from timing import in_turn, machine, record, show

from mlhw.maths.descent import gradient_descent, start_weights
from mlhw.maths.sgd import permutation_stream, stochastic_gradient_descent
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import two_classes

ETAS = [0.5, 0.3, 0.1, 0.05, 0.01]
EPOCHS = 500


def ours(X: np.ndarray, t: np.ndarray) -> None:
    start = start_weights(None, X.shape[1] - 1)
    for _ in stochastic_gradient_descent(X, t, start, ETAS, EPOCHS, permutation_stream(0, 0)):
        pass


def homework_loop(X: np.ndarray, t: np.ndarray) -> None:
    """One sample after another in NumPy, one rate after another, the NLL of each epoch kept."""
    stream = np.random.default_rng(0)
    for eta in ETAS:
        w = start_weights(None, X.shape[1] - 1)
        log = []
        for _ in range(EPOCHS):
            losses = 0.0
            for i in stream.permutation(len(X)):
                y = 1.0 / (1.0 + np.exp(-np.dot(w, X[i])))
                losses -= t[i] * np.log(y + 1e-300) + (1 - t[i]) * np.log(1 - y + 1e-300)
                w = w - eta * (y - t[i]) * X[i]
            log.append((losses / len(X), *w))


def scikit_learn(X: np.ndarray, t: np.ndarray) -> None:
    from sklearn.linear_model import SGDClassifier

    for eta in ETAS:
        model = SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=eta,
            max_iter=EPOCHS,
            tol=None,
            random_state=0,
        )
        model.fit(X[:, :-1], t)


def batch(X: np.ndarray, t: np.ndarray, groups: list[list[float]]) -> None:
    start = start_weights(None, X.shape[1] - 1)
    for etas in groups:
        for _ in gradient_descent(X, t, start, etas, EPOCHS):
            pass


def main() -> None:
    warnings.simplefilter("ignore")
    X, t, _ = two_classes(load_points(PointsConfig()))
    print(machine())
    quick = in_turn(
        {
            "sgd-sweep (records everything)": lambda: ours(X, t),
            "scikit-learn SGDClassifier (records nothing)": lambda: scikit_learn(X, t),
        },
        runs=15,
    )
    slow = in_turn(
        {
            "sgd-sweep (records everything)": lambda: ours(X, t),
            "homework loop in NumPy": lambda: homework_loop(X, t),
        },
        runs=3,
    )
    mine, theirs = quick.values()
    again, loop = slow.values()
    show(
        f"stochastic gradient descent, {len(ETAS)} rates, {EPOCHS} epochs, {len(X)} samples",
        quick | {"homework loop in NumPy": loop},
        [
            f"{loop / again:.0f} times faster than the homework loop (at least 80)",
            f"{theirs / mine:.2f} times faster than scikit-learn (more than 1)",
        ],
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("NumPy", "numba", "scikit-learn"))
    record(
        "sweeps",
        {
            "versions": versions,
            "ours_ms": 1000 * mine,
            "loop_ms": 1000 * loop,
            "scikit_learn_ms": 1000 * theirs,
            "faster_than_loop": loop / again,
            "faster_than_scikit_learn": theirs / mine,
        },
    )
    together = in_turn(
        {
            "all rates in one product": lambda: batch(X, t, [ETAS]),
            "one rate after another": lambda: batch(X, t, [[eta] for eta in ETAS]),
        },
        runs=9,
    )
    one, several = together.values()
    show(
        f"gradient descent, {len(ETAS)} rates, {EPOCHS} iterations, {len(X)} points",
        together,
        [f"{several / one:.1f} times faster than one rate after another"],
    )


if __name__ == "__main__":
    main()
