"""How the error of a derivative depends on the step: differences against the complex step."""

from __future__ import annotations

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.derivatives import losses_behind
from mlhw.maths.four_ways import FourWays
from mlhw.maths.network import forward, weight_name


class StepErrors:
    """Relative errors of one weight's derivative at many steps, (S,) each, by three formulas."""

    def __init__(self, c: FourWays) -> None:
        p = c.trial
        self.name = weight_name(p.network, 1, 0, 0)
        self.value = float(c.analytic.weights[0][0, 0])
        self.steps = 10.0 ** np.arange(-20.0, 0.25, 0.25)
        activity = forward(p.network, p.weights, p.X)
        # A step of w_11 moves a_1 of layer 2 by z_1 = x_1 times as much.
        change = np.zeros_like(activity.a[0])
        change[:, 0] = p.X[:, 0]

        def along(steps: Array) -> Array:
            a = activity.a[0] + steps[:, None, None] * change
            return np.asarray(losses_behind(p.network, p.weights, 2, a, p.T).mean(axis=-1))

        plus, minus, here = along(self.steps), along(-self.steps), along(np.zeros(1))
        self.found = {
            "forward difference": (plus - here) / self.steps,
            "central difference": (plus - minus) / (2.0 * self.steps),
        }
        if not p.network.kinked:
            self.found["complex step"] = along(1j * self.steps).imag / self.steps

    def relative(self, name: str) -> Array:
        """|error|/|value|; where it is 0 a tenth of the rounding unit, so that a log axis shows it."""
        error = np.abs(self.found[name] - self.value) / (abs(self.value) or 1.0)
        return np.maximum(error, 2e-17)

    def best(self, name: str) -> str:
        return f"{name} at best {self.relative(name).min():.1e}"
