"""How the error of a derivative depends on the step: differences against the complex step."""

from __future__ import annotations

import numpy as np

from mlhw.maths.agreement import Comparison
from mlhw.maths.derivatives import complex_step
from mlhw.maths.network import Array, forward, losses, weight_name


class StepErrors:
    """Relative errors of one weight's derivative at many steps, (S,) each, by three formulas."""

    def __init__(self, c: Comparison) -> None:
        p = c.problem
        self.name = weight_name(p.network, 1, 0, 0)
        self.value = float(c.analytic.weights[0][0, 0])
        self.steps = 10.0 ** np.arange(-20.0, 0.25, 0.25)

        def along(steps: Array) -> Array:
            moved = [np.broadcast_to(W, (len(steps), *W.shape)).copy() for W in p.weights]
            moved[0][:, 0, 0] += steps
            X = np.broadcast_to(p.X, (len(steps), *p.X.shape))
            return np.asarray(
                losses(p.network, forward(p.network, moved, X).a[-1], p.T).mean(axis=-1)
            )

        plus, minus, here = along(self.steps), along(-self.steps), along(np.zeros(1))
        self.found = {
            "forward difference": (plus - here) / self.steps,
            "central difference": (plus - minus) / (2.0 * self.steps),
        }
        if not p.network.kinked:
            only = [np.zeros((0, 2), int) for _ in p.weights]
            only[0] = np.zeros((1, 2), int)
            self.found["complex step"] = np.array(
                [
                    complex_step(p.network, p.weights, p.X, p.T, only, step).weights[0][0, 0]
                    for step in self.steps
                ]
            )

    def relative(self, name: str) -> Array:
        """|error|/|value|; where it is 0 a tenth of the rounding unit, so that a log axis shows it."""
        error = np.abs(self.found[name] - self.value) / (abs(self.value) or 1.0)
        return np.maximum(error, 2e-17)

    def best(self, name: str) -> str:
        return f"{name} at best {self.relative(name).min():.1e}"
