"""What sgd-sweep finds by both descents; its claims, report and figures are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlhw.experiments.sgd_sweep.audit import Pass, audit, distance_excess
from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.experiments.sweeps.textbook import losses_at


@dataclass(frozen=True)
class Asked:
    """What was asked for: the start (d+1,), the seed, the passes, the tolerance (0 for none)."""

    w0: np.ndarray
    seed: int
    epochs: int
    tolerance: float


@dataclass
class Evidence:
    """NLLs by repeat, epoch and rate, the rates in falling order, and what was made of them.

    ``nll`` and ``online`` are (repeats, epochs, rates) and ``W`` (repeats, epochs, d+1, rates), NaN
    after a rate has stopped; ``gd`` is
    (passes + 1, rates), the NLL of gradient descent after k updates. ``runs`` has a row for each rate
    and repeat, ``against`` one for each rate and number of passes, both with the rates in the order
    asked for. ``other_orders(eta, passes)`` is the NLL after so many passes for each of
    ``passes.ORDERS`` orders that were not recorded, infinite where one diverged.
    """

    problem: TwoClassProblem
    etas: list[float]
    nll: np.ndarray
    online: np.ndarray
    W: np.ndarray
    asked: Asked
    gd: np.ndarray
    runs: list[dict[str, Any]]
    against: list[dict[str, Any]]
    batch_size: int
    other_orders: Callable[[float, int], list[float]]

    @cached_property
    def passes(self) -> list[Pass]:
        """Some passes worked out again."""
        return list(
            audit(
                self.problem,
                self.etas,
                (self.W, self.online, self.nll),
                self.asked.w0,
                self.asked.seed,
                self.batch_size,
            )
        )

    @cached_property
    def excess(self) -> np.ndarray:
        """(repeats, epochs, rates): by how much a pass breaks the law of distances."""
        last = self.W[0, -1, :, -1]
        to = self.problem.optimum.w if self.problem.optimum is not None else last
        to = to if np.isfinite(to).all() else self.asked.w0
        recorded = (self.W, self.online)
        return distance_excess(
            self.problem, self.etas, recorded, self.asked.w0, self.batch_size, to
        )

    def ceiling(self, eta: float) -> float:
        """An NLL that noise alone does not take a working descent above.

        Summed over any number of passes, the online NLL is at most E(w0) + ηR²/2 in the mean, R being
        the longest sample (``audit.distance_excess`` with the start for u); one NLL may stand out
        from the mean, hence four times the noise.
        """
        start = float(losses_at(self.problem.X, self.problem.t, self.asked.w0[:, None]).mean())
        return start + 4.0 * self._noise(eta, start)

    def noise(self, eta: float) -> float:
        """How far above the optimum noise holds the online NLL of a rate in the long run, at most."""
        optimum = self.problem.optimum
        return self._noise(eta, np.inf if optimum is None else optimum.nll)

    def _noise(self, eta: float, level: float) -> float:
        """How far above ``level``, the NLL E(u) at some weights u, noise lifts the mean online NLL.

        ηR²/2, and for a small rate, with |∇f|² ≤ 0.41 R² f (``audit.distance_excess``), E(u) q/(1 − q)
        with q = 0.41 ηR²/2. What the way from the start to u adds, |w0 − u|²/(2η) over all updates, is
        nothing in the long run, or where u is the start.
        """
        any_rate = 4.0 * eta / self.sample_eta  # R² is 8/sample_eta
        q = 0.41 * any_rate
        return any_rate if q >= 1.0 else min(any_rate, level * q / (1.0 - q))

    @cached_property
    def sample_eta(self) -> float:
        """2/max Lᵢ: below it no update overshoots its own sample.

        The smoothness of one sample's loss is |x|²/4 (Needell, Srebro and Ward 2014, "Stochastic
        gradient descent, weighted sampling").
        """
        return float(2.0 / (np.max(np.sum(self.problem.X**2, axis=1)) / 4.0))
