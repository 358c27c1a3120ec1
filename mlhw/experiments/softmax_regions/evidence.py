"""What softmax-regions finds; its claims, report and figures are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlhw.experiments.softmax_regions.fit import FittedPlanes
from mlhw.experiments.softmax_regions.grid import Grid
from mlhw.experiments.softmax_regions.signs import Sign
from mlhw.maths.rational import Vector, to_float
from mlhw.maths.rays import Way
from mlhw.maths.regions import Envelope, activations_at
from mlhw.maths.softmax import softmax
from mlhw.text.words import listing


@dataclass(frozen=True)
class Evidence:
    """The regions of K classes called ``names``, and p along ways and on a grid.

    ``boundaries`` are the ways along all boundaries, ``middles`` those out through the unbounded
    regions, in class order. ``fitted`` is None where the planes were written down. ``signs`` is how each
    class is shown.
    """

    envelope: Envelope
    names: list[str]
    boundaries: list[Way]
    middles: list[Way]
    grid: Grid
    fitted: FittedPlanes | None
    signs: list[Sign]

    @property
    def scale(self) -> float:
        """Half the figure's side, by which distances along ways are chosen."""
        return self.grid.window.scale

    @property
    def probed(self) -> list[Way]:
        """The ways that lead away from something; a line has no vertex to move away from."""
        return [way for way in self.boundaries if way.kind != "line"] + self.middles

    def p_at(self, point: Vector) -> np.ndarray:
        """(K,), the probabilities at an exact point: activations worked out exactly, then rounded."""
        a = activations_at(self.envelope.planes, point)
        top = max(a)
        return softmax(np.array([to_float(value - top) for value in a]))

    def listed(self, classes: Sequence[int]) -> str:
        """The names of classes as a sentence has them: ``a, b and c``."""
        return listing([self.names[k] for k in classes])


def floats(point: Vector) -> list[float]:
    """A point's exact coordinates, rounded."""
    return [to_float(c) for c in point]
