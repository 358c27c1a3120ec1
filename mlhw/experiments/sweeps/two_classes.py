"""Two classes of points, and the answers that need no descent, however the points are held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.experiments.sweeps.separated import separation_answers, separation_summary
from mlhw.maths import optimum
from mlhw.maths.separation import Separation
from mlhw.points.points import Label

CANCELLED = 1e-12
"""Where the rounding of Xw moves the NLL by more, the optimum is also given without the offset."""


@dataclass(frozen=True)
class Minimum:
    """The smallest NLL and where it is.

    The weights ``w`` (d+1,) are those of ``X``. Their bias is the activation with all features at 0,
    rounded to float64; far from 0 that loses digits, so the activation is also given by its value
    ``bias_at_centre`` where the features have the values ``centre`` (d,) of a point in the middle:
    Σ w_j (x_j − centre_j) + bias_at_centre. ``gradient`` is the largest component that rounding left
    of the gradient, on centred and scaled columns.
    """

    nll: float
    w: np.ndarray
    centre: np.ndarray
    bias_at_centre: float
    gradient: float


class TwoClasses(ABC):
    """The problem that gradient descent has.

    The columns X (n, d+1) are the features and one of ones, t (n,) is 1 for the second of ``classes``;
    weights W (d+1, r) are r vectors side by side. ``scaling`` holds the means and standard deviations
    that were taken out of the features, None where they are as read.
    """

    classes: list[Label]
    scaling: dict[str, list[float]] | None

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of points."""

    @property
    @abstractmethod
    def d(self) -> int:
        """Number of features, the bias not counted."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""

    @property
    @abstractmethod
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """X (m, d+1) and t (m,) of the points that figures show: all, or some evenly spread."""

    @property
    def patience(self) -> int:
        """At so many weights of one rate the curvature may be worked out."""
        return 1 << 30

    @property
    @abstractmethod
    def solution(self) -> optimum.Solution:
        """The smallest NLL, of the centred columns: the same with and without ``standardize``."""

    @property
    @abstractmethod
    def optimum(self) -> Minimum | None:
        """The smallest NLL and its weights; None where the classes are separated, or none was found."""

    @property
    @abstractmethod
    def monotone_eta(self) -> float:
        """2/L: below it no step can raise the NLL."""

    @property
    @abstractmethod
    def critical_eta(self) -> float | None:
        """2/λmax of the Hessian at the optimum: above it descent cannot settle there."""

    @property
    @abstractmethod
    def start_limit(self) -> float:
        """2/λmax of the Hessian at the start."""

    # ------------------------------------------------------------------ at any weights

    @abstractmethod
    def slopes(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The NLL (r,) and its gradient (d+1, r)."""

    @abstractmethod
    def local_limits(self, W: np.ndarray) -> np.ndarray:
        """2/λmax of the Hessian (r,)."""

    @abstractmethod
    def largest_ratios(self, W0: np.ndarray, W1: np.ndarray, eta: float) -> np.ndarray:
        """The largest eta over the local limit found between columns of W0 and of W1, (r,)."""

    @abstractmethod
    def rounding_of_nll(self, W: np.ndarray) -> np.ndarray:
        """By how much rounding can move the NLL (r,)."""

    # ------------------------------------------------------------------ of these

    @property
    def separation(self) -> Separation | None:
        """How the classes are separated; None where they overlap, or where that was not found out."""
        return self.solution.separation

    @property
    def infimum(self) -> float | None:
        """What no NLL lies below: the optimum, or what separated classes approach; None if not found."""
        return self.solution.infimum

    @property
    def no_optimum(self) -> str | None:
        """Why there is no optimum, for a note; None where there is one."""
        if self.solution.optimum is not None:
            return None
        if self.separation is None:
            return (
                f"the optimum was not found: the largest component of the gradient stays at "
                f"{self.solution.steepest:.2g}, above {optimum.GRADIENT_TOLERANCE:g}"
            )
        if self.separation.kind == "complete":
            return "the classes are separable: there is no optimum"
        return "the classes are separable but for the points on the boundary: there is no optimum"

    @property
    def columns(self) -> dict[str, str]:
        """The weights' columns, ``w1 … wd, bias``, and what they are."""
        weights = {f"w{i}": "weights of the features, in order" for i in range(1, self.d + 1)}
        return weights | {"bias": "the constant of the activation"}

    def summary(self) -> dict[str, Any]:
        """The problem as both sweeps have it in their summaries."""
        found = None if self.optimum is None else vars(self.optimum)
        return {
            "classes": self.classes,
            "points": self.n,
            "features": list(self.features),
            "scaling": self.scaling,
            "optimum": found,
            "no_optimum": self.no_optimum,
            "separation": separation_summary(self.separation, self.infimum, self.features),
            "monotone_eta": self.monotone_eta,
            "critical_eta": self.critical_eta,
            "local_eta_at_start": self.start_limit,
        }

    def answers(self) -> list[str]:
        """The optimum and the limits of the rate, in sentences."""
        if self.optimum is not None:
            w = ", ".join(f"{value:.6g}" for value in self.optimum.w)
            lines = [f"optimum: NLL {self.optimum.nll:.8g} at w = [{w}]"]
            if self.rounding_of_nll(self.optimum.w[:, None])[0] > CANCELLED:
                centre = ", ".join(f"{value:.17g}" for value in self.optimum.centre)
                lines.append(
                    f"its bias is rounded, as features are far from 0 beside their spread; at x = [{centre}] "
                    f"the activation is {self.optimum.bias_at_centre:.6g}"
                )
        elif self.separation is not None:
            lines = separation_answers(self.separation, self.infimum, self.features)
        else:
            lines = [str(self.no_optimum)]
        lines.append(f"below eta = {self.monotone_eta:.4g} (2/L) no step can raise the NLL")
        if self.critical_eta is not None:
            lines.append(
                f"above the critical rate, eta = {self.critical_eta:.4g} (2/lambda_max of the Hessian at the "
                "optimum), gradient descent cannot settle there"
            )
        return lines
