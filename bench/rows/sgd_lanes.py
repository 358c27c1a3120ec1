"""The descent of ``sgd-sweep`` at many rates at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rows import either
from rows.sgd_kernel import descents, points

ROW = "9b"
TITLE = "stochastic gradient descent at 512 rates (and at 64), 20 epochs (100), 200 points"
GOAL = "at most 6 ns an update and rate, or 4.9 times as fast as before,"

EPOCHS = {"mlhw": (512, 20), "mlhw, 64 rates": (64, 100)}


def works() -> dict[str, Callable[[], object]]:
    X, t = points()
    return {
        name: descents(X, t, np.geomspace(0.5, 0.01, rates).tolist(), epochs)
        for name, (rates, epochs) in EPOCHS.items()
    }


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        f"{GOAL} at {rates} rates": either(times, 6e-9 * rates * epochs * 200, 4.9, name)
        for name, (rates, epochs) in EPOCHS.items()
        if name in times
    }
