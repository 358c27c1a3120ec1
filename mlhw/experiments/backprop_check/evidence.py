"""What a run of ``backprop-check`` found: its claims, report and figures are made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mlhw.experiments.backprop_check.formula_text import value_of
from mlhw.experiments.backprop_check.kinks import false_kinks
from mlhw.grading.judgement import Grade
from mlhw.maths.four_ways import WAYS, Entry, FourWays, Worst
from mlhw.maths.network import Quantity, course_quantities, is_course_network
from mlhw.maths.step_errors import StepErrors


class CourseValue(NamedTuple):
    """One of the course's six: by its literal formula, and by general back-propagation.

    ``scale`` is the largest entry of the vector or matrix that it belongs to, ``printed`` what the
    formula comes to as it is printed, NaN under another name than the course's.
    """

    quantity: Quantity
    general: float
    scale: float
    printed: float


@dataclass
class Evidence:
    """The configured network, what all networks together gave, and the grades of implementations.

    ``six`` are the course's quantities, where the configured network is the course's. By way: the
    ``worst`` entry, how many derivatives were ``compared`` and of how many networks. ``kinked`` are the
    activations that are not analytic, in the order in which they were met; ``kinks`` and
    ``unresolved`` count the derivatives at a kink and those below what rounding resolves,
    ``false_kinks`` those of the former at which no unit changes sides. ``due`` is how
    many each way has to give, those two included; of ``sampled`` networks only some. ``entries`` are
    drawn in the figure of agreement.
    """

    configured: FourWays
    six: list[CourseValue]
    networks: int = 0
    worst: dict[str, Worst] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    networks_by: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    kinked: dict[str, None] = field(default_factory=dict)
    kinks: int = 0
    false_kinks: int = 0
    unresolved: int = 0
    due: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    sampled: int = 0
    entries: list[Entry] = field(default_factory=list)
    grades: list[Grade] = field(default_factory=list)

    def add(self, c: FourWays) -> None:
        """Count one more network."""
        self.networks += 1
        for way, worst in c.worst.items():
            self.networks_by[way] += 1
            self.compared[way] += sum(int(np.isfinite(e).sum()) for e in c.errors[way])
            if way not in self.worst or worst.error > self.worst[way].error:
                self.worst[way] = worst
        for way, count in derivatives_due(c).items():
            self.due[way] += count
        self.sampled += c.sampled
        self.kinked.update(dict.fromkeys(c.trial.network.kinked))
        self.kinks += len(c.kinks)
        self.false_kinks += false_kinks(c)
        self.unresolved += c.unresolved

    @property
    def no_complex_step(self) -> str:
        """A sentence about the networks that have none."""
        count = self.networks - self.networks_by["complex_step"]
        which = (
            "the network has" if self.networks == 1 else f"{count} of {self.networks} networks have"
        )
        return f"{which} no complex step: {' and '.join(self.kinked)} not analytic"

    @property
    def first_failing(self) -> Grade | None:
        """The first implementation that is not correct."""
        return next((g for g in self.grades if g.verdict != "correct"), None)

    @cached_property
    def steps(self) -> StepErrors:
        """How the error of the configured network's first weight depends on the step."""
        return StepErrors(self.configured)


MOST_WEIGHTS = 4_000
"""Of more weights the slow ways have to give this many, as the documentation says."""


def derivatives_due(c: FourWays) -> dict[str, int]:
    """How many derivatives each way has to give for one network, counted from its layers alone."""
    network = c.trial.network
    layers = network.layers
    weights = sum((a + network.bias) * b for a, b in pairwise(layers))
    deltas = len(c.trial.X) * sum(layers[1:])
    some = min(weights, MOST_WEIGHTS) + deltas
    smooth = {"logistic", "tanh", "softplus", "gelu", "identity", "softmax"}
    analytic = {*network.hidden, network.output} <= smooth
    return {
        "autograd": weights + deltas,
        "complex_step": some if analytic else 0,
        "finite_difference": some,
    }


def is_the_course_s(c: FourWays) -> bool:
    """Whether the course's six speak of a network: four layers, one linear output, one input."""
    network = c.trial.network
    kind = (len(network.layers), network.layers[-1], network.output, network.loss, len(c.trial.X))
    return kind == (4, 1, "identity", "half_squared_error", 1) and network.layers[2] > 1


def names_are_right(c: FourWays) -> bool:
    """Whether every derivative of a network is called by its layer and its units, counted from 1."""
    network, batch = c.trial.network, len(c.trial.X)
    layers = network.layers
    comma = "," if max(layers) + network.bias > 9 else ""
    expected, told = [], []
    for k, (inputs, units) in enumerate(pairwise(layers)):
        for j in range(units):
            for i in range(inputs + network.bias):
                expected.append(f"dE/dw_{1 + j}{comma}{1 + i}^({1 + k})")
                told.append(c.name_of(k, (j, i)))
            for n in range(batch):
                which = f"[{1 + n}]" if batch > 1 else ""
                expected.append(f"delta_{1 + j}^({2 + k}){which}")
                told.append(c.name_of(k + len(layers) - 1, (n, j)))
    return told == expected


def course_values(c: FourWays) -> list[CourseValue]:
    """The course's six; none where the network is another or has several inputs."""
    p = c.trial
    if not is_course_network(p.network) or len(p.X) > 1:
        return []
    weights, deltas = c.analytic.weights, c.analytic.deltas
    general = [
        ("delta_1^(4)", deltas[2], (0, 0)),
        ("dE/dw_12^(3)", weights[2], (0, 1)),
        ("dE/da_1^(3)", deltas[1], (0, 0)),
        ("dE/dw_11^(2)", weights[1], (0, 0)),
        ("dE/da_1^(2)", deltas[0], (0, 0)),
        ("dE/dw_11^(1)", weights[0], (0, 0)),
    ]
    quantities = course_quantities(p.network, p.weights, p.X[0], float(p.T[0, 0]))
    return [
        CourseValue(
            q,
            float(array[at]),
            float(np.abs(array).max()),
            value_of(q.formula, c) if q.name == name else np.nan,
        )
        for q, (name, array, at) in zip(quantities, general, strict=True)
    ]
