"""What lr-sweep finds at each rate; its claims, report and figures are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sweeps.problem import TwoClassProblem
from mlhw.text.values import numbers_text

# A rise of the NLL by less than this is rounding: the mean of n terms, each right to some ulps.
ROUNDING = 1e-12
# The rounding of Xw moves the NLL before an update, the NLL after it, and through the gradient the
# update: below 2/L by no more than twice the root mean square of the activations' errors, as
# η |g| |error of g| ≤ (8n / |X|²) (|X| |residual| / n) (|X| |error of Xw| / 4n).
ROUNDINGS = 4


@dataclass
class Trajectory:
    """The descent at one rate: ``nll`` (K,) and ``W`` (K, d+1), row k before the k-th update.

    ``cancelled`` (K,) is what the rounding of X w can add to the NLL or take from it.
    """

    eta: float
    nll: np.ndarray
    W: np.ndarray
    stopped: str
    cancelled: np.ndarray

    @cached_property
    def rounding(self) -> np.ndarray:
        """By how much an NLL may be off from where exact arithmetic would have it, (K,)."""
        return np.asarray(ROUNDING * np.maximum(1.0, self.nll) + ROUNDINGS * self.cancelled)

    @cached_property
    def rises(self) -> np.ndarray:
        """The k with E(k+1) > E(k), beyond rounding."""
        larger = np.maximum(self.cancelled[1:], self.cancelled[:-1])
        rounding = ROUNDING * np.maximum(1.0, self.nll[:-1]) + ROUNDINGS * larger
        return np.flatnonzero(np.diff(self.nll) > rounding)

    @property
    def oscillates(self) -> bool:
        return len(self.rises) > 0

    def summary(self) -> dict[str, Any]:
        return {
            "eta": self.eta,
            "iterations": len(self.nll),
            "stopped": self.stopped,
            "nll": self.nll[-1],
            "w": self.W[-1],
            "increases": int(np.sum(np.diff(self.nll) > 0)),
        }


@dataclass
class LocalLimits:
    """2/λmax(H(w_k)) along one trajectory: ``eta`` (M,) at ``iterations`` (M,), evenly spread."""

    iterations: np.ndarray
    eta: np.ndarray


@dataclass(frozen=True)
class Demand:
    """What was asked for: the start (d+1,), the most NLLs of a rate, the tolerance (0 for none)."""

    w0: np.ndarray
    max_iterations: int
    tolerance: float


@dataclass
class Evidence:
    """The problem, and for each rate in the order asked for its trajectory and its local limits.

    ``log_axis`` is the axis that the figure of the NLL was asked to have logarithmic.
    """

    problem: TwoClassProblem | ShardedProblem
    trajectories: list[Trajectory]
    limits: list[LocalLimits]
    log_axis: str
    asked: Demand

    @property
    def longest(self) -> int:
        """The number of iterations of the rate that has most."""
        return max(len(one.nll) for one in self.trajectories)

    @cached_property
    def falling(self) -> list[Trajectory]:
        """The trajectories, the largest rate first."""
        return sorted(self.trajectories, key=lambda one: -one.eta)

    @property
    def steady(self) -> list[Trajectory]:
        """The rates that neither oscillate nor overshoot, largest first.

        Between 1/L and 2/L a step can pass the minimum along the steepest direction although the NLL
        still falls; such a rate need not be faster than a smaller one.
        """
        limit = self.problem.monotone_eta / 2
        return [one for one in self.falling if not one.oscillates and one.eta <= limit]

    @property
    def steady_note(self) -> str:
        """Words for a claim's note: which rates it compares, and which it leaves out."""
        limit = self.problem.monotone_eta / 2
        left_out = [one.eta for one in self.falling if not one.oscillates and one.eta > limit]
        note = "rates that do not oscillate, up to 1/L"
        if left_out:
            note += f"; {numbers_text(left_out)} above it can overshoot without a rise"
        return note
