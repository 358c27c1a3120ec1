"""The V of the differences and the floor of the complex step."""

from __future__ import annotations

import numpy as np

from mlhw.maths.four_ways import differentiate
from mlhw.maths.network import Network
from mlhw.maths.random_networks import trial_of
from mlhw.maths.step_errors import StepErrors


def errors(hidden: str) -> StepErrors:
    network = Network((3, 4, 1), (hidden,), "identity", "half_squared_error", False)
    rng = np.random.default_rng(0)
    return StepErrors(differentiate(trial_of("x", network, 2, rng), rng))


def test_differences_make_a_v_and_the_complex_step_a_floor() -> None:
    steps = errors("tanh")
    forward, central = (steps.relative(f"{kind} difference") for kind in ("forward", "central"))
    best = [float(steps.steps[e.argmin()]) for e in (forward, central)]
    # The best steps are about eps^(1/2) and eps^(1/3).
    assert 1e-10 < best[0] < 1e-6 < best[1] < 1e-3
    assert forward[0] > 0.5 < central[0]
    floor = steps.relative("complex step")
    assert floor[steps.steps < 1e-9].max() < 1e-14


def test_errors_of_the_formulas_have_their_orders() -> None:
    steps = errors("logistic")
    wide = (steps.steps > 1e-3) & (steps.steps < 1e-1)
    for name, order in (("forward difference", 1), ("central difference", 2), ("complex step", 2)):
        slope = np.polyfit(np.log(steps.steps[wide]), np.log(steps.relative(name)[wide]), 1)[0]
        assert abs(slope - order) < 0.1, name


def test_a_kink_has_no_complex_step() -> None:
    assert "complex step" not in errors("relu").found
