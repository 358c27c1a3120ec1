"""One pass of stochastic descent over a million points, beside scikit-learn's ``partial_fit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rows.sgd_kernel import descents, plain_classifier

ROW = "10"
TITLE = "stochastic gradient descent, 1,000,000 points of 20 features, 5 rates, one epoch"
GOAL = "3 times as fast as before"
TURNS = 5

ETAS = [0.05, 0.03, 0.01, 0.005, 0.001]


def works() -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((1_000_000, 20))
    t = (Z @ rng.standard_normal(20) + rng.standard_normal(len(Z)) > 0).astype(float)
    X = np.column_stack([Z, np.ones(len(Z))])
    found: dict[str, Callable[[], object]] = {"mlhw": descents(X, t, ETAS, 1)}
    classifier = plain_classifier()
    if classifier is None:
        return found

    def scikit_learn() -> None:
        for eta in ETAS:
            classifier(eta, 1).partial_fit(Z, t, classes=[0.0, 1.0])

    return found | {"scikit-learn": scikit_learn}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {GOAL: times["before"] >= 3 * times["mlhw"]} if "before" in times else {}
