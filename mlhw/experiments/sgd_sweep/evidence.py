"""What sgd-sweep finds by both descents; its claims, report and figures are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlhw.experiments.sweeps.problem import TwoClassProblem


@dataclass
class Evidence:
    """NLLs by repeat, epoch and rate, the rates in falling order, and what was made of them.

    ``nll`` and ``online`` are (repeats, epochs, rates), NaN after a rate has stopped; ``gd`` is
    (passes + 1, rates), the NLL of gradient descent after k updates. ``runs`` has a row for each rate
    and repeat, ``against`` one for each rate and number of passes, both with the rates in the order
    asked for. ``other_orders(eta, passes)`` is the NLL after so many passes for each of
    ``passes.ORDERS`` orders that were not recorded, infinite where one diverged.
    """

    problem: TwoClassProblem
    etas: list[float]
    nll: np.ndarray
    online: np.ndarray
    gd: np.ndarray
    runs: list[dict[str, Any]]
    against: list[dict[str, Any]]
    batch_size: int
    other_orders: Callable[[float, int], list[float]]

    @cached_property
    def sample_eta(self) -> float:
        """2/max Lᵢ: below it no update overshoots its own sample.

        The smoothness of one sample's loss is |x|²/4 (Needell, Srebro and Ward 2014, "Stochastic
        gradient descent, weighted sampling").
        """
        return float(2.0 / (np.max(np.sum(self.problem.X**2, axis=1)) / 4.0))
