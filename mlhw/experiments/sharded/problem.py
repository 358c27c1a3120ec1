"""Two classes of points in shards: what ``TwoClasses`` asks for, from passes over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlhw.experiments.sharded import checks, newton, passes
from mlhw.experiments.sharded.columns import Read
from mlhw.experiments.sharded.team import Crew
from mlhw.experiments.sweeps.textbook import EPS
from mlhw.experiments.sweeps.two_classes import Minimum, TwoClasses
from mlhw.maths import logistic, optimum
from mlhw.points.points import Label

NUMBERS = 1 << 24
"""Numbers of all Hessians that are summed at once."""


@dataclass(frozen=True)
class ShardedProblem(TwoClasses):
    """``read`` is what the first passes have found out about the columns, ``most_limits`` the weights where
    the curvature is worked out along the path of one rate, as many as take about as long as the descent.
    """

    team: Crew
    read: Read
    classes: list[Label]
    w0: np.ndarray
    scaling: dict[str, list[float]] | None
    most_limits: int

    # ------------------------------------------------------------------ the points

    @property
    def n(self) -> int:
        return self.team.rows

    @property
    def d(self) -> int:
        return len(self.read.names)

    @property
    def patience(self) -> int:
        return self.most_limits

    @property
    def features(self) -> tuple[str, ...]:
        return self.read.names

    @cached_property
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        X = self.read.sample
        if self.scaling is not None:
            X = (X - np.array(self.scaling["mean"])) / np.array(self.scaling["standard_deviation"])
        return np.column_stack([X, np.ones(len(X))]), self.team.over(passes.sample_classes)[0]

    @cached_property
    def largest(self) -> np.ndarray:
        """The largest size in each column of X, (d+1,)."""
        sizes = np.maximum(np.abs(self.read.low), np.abs(self.read.high))
        if self.scaling is not None:
            mean, deviation = (
                np.array(self.scaling[key]) for key in ("mean", "standard_deviation")
            )
            ends = np.array([self.read.low, self.read.high])
            sizes = np.max(np.abs((ends - mean) / deviation), axis=0)
        return np.append(sizes, 1.0)

    # ------------------------------------------------------------------ answers without descent

    @cached_property
    def solution(self) -> optimum.Solution:
        return newton.minimum_of_rows(self.team, self.d + 1)

    @cached_property
    def optimum(self) -> Minimum | None:
        found = self.solution.optimum
        if found is None:
            return None
        slopes = found.v[:-1] / self.read.unit
        bias = float(found.v[-1])
        if self.scaling is not None:
            w = slopes * np.array(self.scaling["standard_deviation"])
            told = bias + float(
                np.sum(slopes * (np.array(self.scaling["mean"]) - self.read.centre))
            )
            return Minimum(found.nll, np.append(w, told), np.zeros(self.d), told, found.gradient)
        told = bias - float(np.sum(slopes * self.read.centre))
        return Minimum(found.nll, np.append(slopes, told), self.read.centre, bias, found.gradient)

    @property
    def no_optimum(self) -> str | None:
        if self.solution.optimum is None and self.separation is None:
            return (
                "no optimum was found: the largest component of the gradient stays at "
                f"{self.solution.steepest:.2g}, or weights grow without end; whether some points lie "
                "between separable classes takes all rows at once: a part of them without --shards tells"
            )
        return super().no_optimum

    @cached_property
    def gram(self) -> np.ndarray:
        """X1ᵀX1 / n, (d+1, d+1)."""
        return self.team.over(passes.gram)[0] / self.n

    @cached_property
    def monotone_eta(self) -> float:
        return float(8.0 / np.linalg.eigvalsh(self.gram)[-1])

    @cached_property
    def critical_eta(self) -> float | None:
        """From the Hessian of the centred columns, whose activations are exact: X1 is Z1 A."""
        found = self.solution.optimum
        if found is None:
            return None
        inner = newton.state_at(self.team, found.v, np.zeros(self.d + 1)).hessian
        A = np.diag(np.append(self.read.unit, 1.0))
        A[-1, :-1] = self.read.centre
        if self.scaling is not None:
            deviation = np.array(self.scaling["standard_deviation"])
            A[:, :-1] /= deviation
            A[-1, :-1] -= np.array(self.scaling["mean"]) / deviation
        largest = float(np.linalg.eigvalsh(A.T @ inner @ A)[-1])
        return 2.0 / largest if largest > 0 else np.inf

    @cached_property
    def start_limit(self) -> float:
        return float(self.local_limits(self.w0[:, None])[0])

    # ------------------------------------------------------------------ at any weights

    def slopes(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, slopes = self.team.over(passes.slopes, W=W)
        return losses / self.n, slopes / self.n

    def local_limits(self, W: np.ndarray) -> np.ndarray:
        at_once = max(1, NUMBERS // (self.d + 1) ** 2)
        largest = [np.zeros(0)]
        for first in range(0, W.shape[1], at_once):
            part = self.team.over(passes.curvature, W=W[:, first : first + at_once])[0]
            largest.append(np.linalg.eigvalsh(part)[:, -1] / self.n)
        found = np.concatenate(largest)
        with np.errstate(divide="ignore", over="ignore"):
            limits: np.ndarray = np.where(found > 0, 2.0 / found, np.inf)
        return limits

    def largest_ratios(self, W0: np.ndarray, W1: np.ndarray, eta: float) -> np.ndarray:
        r = W0.shape[1]
        if not r:
            return np.zeros(0)
        there = np.concatenate([W0, 0.5 * (W0 + W1), W1], axis=1)
        ratios = np.asarray((eta / self.local_limits(there)).reshape(3, r).max(axis=0))
        # A long step can jump over narrow peaks of the curvature.
        hidden = np.flatnonzero(ratios <= 1.0)
        if len(hidden):
            peaks = self._peaks(W0[:, hidden], W1[:, hidden], 2.0 / eta)
            ratios[hidden] = np.maximum(ratios[hidden], eta * peaks / 2.0)
        return ratios

    def _peaks(
        self, W0: np.ndarray, W1: np.ndarray, enough: float, halvings: int = 30
    ) -> np.ndarray:
        """As ``logistic.largest_mean_curvature``: one pass for each halving."""
        change = W1 - W0
        largest = np.max(np.abs(change), axis=0)
        unit = change / np.where(largest > 0, largest, 1.0)
        squared = np.sum(unit**2, axis=0) * largest * self.n
        low, high = np.zeros(W0.shape[1]), np.ones(W0.shape[1])
        best = np.zeros(W0.shape[1])
        for _ in range(halvings):
            middle = 0.5 * (low + high)
            sums = self.team.over(
                passes.mean_curvature,
                W0=W0,
                change=change,
                unit=unit,
                places=np.array([low, middle, high]),
            )[0]
            means = sums / (squared * 0.5 * (high - low))
            best = np.maximum(best, means.max(axis=0))
            if (best > enough).all():
                break
            upper = means[1] > means[0]
            low, high = np.where(upper, middle, low), np.where(upper, high, middle)
        return best

    def rounding_of_nll(self, W: np.ndarray) -> np.ndarray:
        return logistic.rounding_of_nll(np.sqrt(np.diag(self.gram)), W)

    def again(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As the textbook has them: NLL (r,), gradient (d+1, r), after each how far rounding may move it."""
        losses, slope, bend, sizes = self.team.over(checks.again, W=W)
        n = self.n
        nll = losses / n
        with np.errstate(over="ignore", invalid="ignore"):
            off = EPS * (16 + (4 + n / 2) * nll + 2 * len(W) * (sizes / n @ np.abs(W)))
            return nll, off, slope / n, EPS * bend / n * np.sqrt(n)
