"""Back-propagation held against three independent ways, entry by entry, for one network.

The relative error of an entry is |difference| / max |entry| of the δ vector or weight matrix that it
belongs to: an entry that nearly cancels has no accuracy of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mlhw.maths.activations import ACTIVATIONS, d_gelu
from mlhw.maths.derivatives import autograd, complex_step, complex_step_along
from mlhw.maths.differences import Differences, Kink, difference_along, finite_differences
from mlhw.maths.network import (
    LINKS,
    LOSSES,
    Array,
    Gradients,
    Network,
    backprop,
    delta_name,
    derivative,
    forward,
    weight_name,
    with_bias,
)

WAYS = ("autograd", "complex_step", "finite_difference")
TOLERANCES = {"autograd": 1e-12, "complex_step": 1e-12, "finite_difference": 1e-8}

RESOLVED = 1e-9
"""A finite difference counts if its own estimate of its relative error is below this."""

MOST_WEIGHTS = 4_000
"""Beyond so many weights the slow ways check so many random ones, and three random directions."""

DIRECTIONS = 3

POINTS = 12
"""So many entries of each network and way are kept for the figure of agreement."""

Point = tuple[str, float, float, float]
"""Way, value by back-propagation, value by the way, relative error."""


@dataclass(frozen=True)
class Problem:
    """A network with its weights, inputs X (N, n_1) and targets T (N, n_L)."""

    name: str
    network: Network
    weights: list[Array]
    X: Array
    T: Array


@dataclass(frozen=True)
class Worst:
    """The entry of one network that agrees least with a way's."""

    error: float
    network: str = ""
    quantity: str = ""
    analytic: float = 0.0
    reference: float = 0.0


@dataclass
class Comparison:
    """All that was found for one network.

    ``found`` has the gradients of each way that applies, NaN where an entry was not worked out;
    ``errors`` the relative errors, NaN also where a difference is at a kink or cannot resolve the
    entry. ``entries[l-1]`` are the (j, i) of W^(l) that the slow ways worked out.
    """

    problem: Problem
    entries: list[Array]
    analytic: Gradients
    found: dict[str, Gradients]
    errors: dict[str, Gradients] = field(default_factory=dict)
    worst: dict[str, Worst] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    unresolved: int = 0

    @property
    def sampled(self) -> bool:
        return sum(map(len, self.entries)) < self.problem.network.size

    def name_of(self, array: int, index: Sequence[int]) -> str:
        """The name of an entry of the ``array``-th of the gradients: weights first, then deltas."""
        network, layers = self.problem.network, self.problem.network.depth - 1
        if array < layers:
            return weight_name(network, array + 1, *index)
        n, j = index
        return delta_name(array - layers + 2, j, n if len(self.problem.X) > 1 else None)


def compare(problem: Problem, rng: np.random.Generator) -> Comparison:
    """Work out every derivative of ``problem`` in all ways that apply; ``rng`` picks what is sampled."""
    network, weights, X, T = problem.network, problem.weights, problem.X, problem.T
    entries = choose(network, rng)
    analytic = backprop(network, weights, X, T)
    found = {"autograd": autograd(network, weights, X, T)}
    if not network.kinked:
        found["complex_step"] = complex_step(network, weights, X, T, entries)
    differences = finite_differences(network, weights, X, T, entries)
    found["finite_difference"] = differences.found
    c = Comparison(problem, entries, analytic, found, kinks=differences.kinks)
    for way, gradients in found.items():
        due = _due(c, way, differences)
        c.errors[way] = Gradients([], [])
        c.worst[way] = Worst(0.0, problem.name)
        for k, (a, b) in enumerate(zip(analytic, gradients, strict=True)):
            error, scale = relative_errors(a, b)
            error = np.where(due[k], np.where(np.isnan(error), np.inf, error), np.nan)
            if way == "finite_difference":
                # A matrix that is 0 by both is no question of resolution.
                coarse = (list(differences.error)[k] > RESOLVED * scale) & (error > 0)
                c.unresolved += int(coarse.sum())
                error = np.where(coarse, np.nan, error)
            part = c.errors[way].weights if k < network.depth - 1 else c.errors[way].deltas
            part.append(error)
            if np.nanmax(error, initial=0.0) > c.worst[way].error:
                at = np.unravel_index(np.nanargmax(error), error.shape)
                name = c.name_of(k, [int(i) for i in at])
                values = (float(error[at]), problem.name, name, float(a[at]), float(b[at]))
                c.worst[way] = Worst(*values)
    if c.sampled:
        _compare_directions(c, rng)
    return c


def _due(c: Comparison, way: str, differences: Differences) -> list[Array]:
    """Where a way owes a value: a NaN there is no agreement."""
    due = [np.ones(gradient.shape, bool) for gradient in c.analytic]
    if way == "autograd":
        return due
    for mask, entries in zip(due, c.entries, strict=False):
        mask[:] = False
        mask[entries[:, 0], entries[:, 1]] = True
    if way == "finite_difference":
        due = [mask & ~(kink > 0) for mask, kink in zip(due, differences.at_kink, strict=True)]
    return due


def choose(network: Network, rng: np.random.Generator) -> list[Array]:
    """The (j, i) of each weight matrix to check: all, or MOST_WEIGHTS drawn from all matrices."""
    if network.size <= MOST_WEIGHTS:
        return [np.argwhere(np.ones(shape)) for shape in network.shapes]
    picked = np.sort(rng.choice(network.size, MOST_WEIGHTS, replace=False))
    entries, start = [], 0
    for rows, columns in network.shapes:
        here = picked[(picked >= start) & (picked < start + rows * columns)] - start
        entries.append(np.stack([here // columns, here % columns], axis=1))
        start += rows * columns
    return entries


def relative_errors(analytic: Array, reference: Array) -> tuple[Array, float]:
    """|difference| over the largest entry of both, and that entry; 0 where both are 0 all over."""
    scale = max(np.abs(analytic).max(), np.nanmax(np.abs(reference), initial=0.0))
    difference: Array = np.abs(analytic - reference)
    return (difference / scale if scale > 0 else difference), float(scale)


def _compare_directions(c: Comparison, rng: np.random.Generator) -> None:
    """The derivative along random directions of all weights at once, for what was only sampled."""
    p = c.problem
    directions = [
        [rng.normal(0.0, 1.0 / np.sqrt(s[1]), s) for s in p.network.shapes]
        for _ in range(DIRECTIONS)
    ]
    analytic = np.array(
        [
            sum(float((g * D).sum()) for g, D in zip(c.analytic.weights, direction, strict=True))
            for direction in directions
        ]
    )
    found = {}
    if "complex_step" in c.found:
        found["complex_step"] = np.array(
            [complex_step_along(p.network, p.weights, p.X, p.T, D) for D in directions]
        )
    slopes = [difference_along(p.network, p.weights, p.X, p.T, D) for D in directions]
    found["finite_difference"] = np.array([slope for slope, _ in slopes])
    for way, reference in found.items():
        error, scale = relative_errors(analytic, reference)
        if way == "finite_difference":
            coarse = np.array([estimate for _, estimate in slopes]) > RESOLVED * scale
            c.unresolved += int(coarse.sum())
            error = np.where(coarse, np.nan, error)
        if np.nanmax(error, initial=0.0) > c.worst[way].error:
            k = int(np.nanargmax(error))
            name = f"random direction {k + 1}"
            c.worst[way] = Worst(
                float(error[k]), p.name, name, float(analytic[k]), float(reference[k])
            )


def sample(c: Comparison, rng: np.random.Generator) -> list[Point]:
    """Up to POINTS entries of each way for the figure of agreement."""
    points: list[Point] = []
    for way, gradients in c.found.items():
        analytic, reference, errors = (
            np.concatenate([array.ravel() for array in g])
            for g in (c.analytic, gradients, c.errors[way])
        )
        known = np.flatnonzero(np.isfinite(errors))
        for i in rng.choice(known, min(POINTS, len(known)), replace=False):
            points.append((way, float(analytic[i]), float(reference[i]), float(errors[i])))
    return points


# ------------------------------------------------------------------------------------- random


def random_network(rng: np.random.Generator, max_width: int) -> Network:
    """Depth 2 to 8, widths 1 to ``max_width``, every activation, output and loss, biases or none.

    Every second network has analytic activations only, so that the complex step sees its share.
    """
    analytic = bool(rng.integers(2))
    names = [name for name, h in ACTIVATIONS.items() if h.analytic or not analytic]
    layers = rng.integers(1, max_width + 1, rng.integers(2, 9))
    loss = str(rng.choice(LOSSES))
    output = LINKS.get(loss) or str(rng.choice([*names, "softmax"]))
    if output == "softmax":  # of one unit it is 1, and every gradient 0
        layers[-1] = max(layers[-1], 2)
    hidden = tuple(str(name) for name in rng.choice(names, len(layers) - 2))
    return Network(tuple(map(int, layers)), hidden, output, loss, bool(rng.integers(2)))


def random_trial(name: str, rng: np.random.Generator, max_width: int) -> Problem:
    """A random network with weights and one input or three.

    One in which a whole δ vector nearly cancels is drawn again: no way has its digits any more.
    """
    while True:
        network = random_network(rng, max_width)
        problem = random_problem(name, network, int(rng.choice([1, 3])), rng)
        if kept_by_cancellation(problem) > 1e-3:
            return problem


def kept_by_cancellation(p: Problem) -> float:
    """How much is left of the δ vector or gradient that cancels most, by its largest entry.

    Compared with the same sums of absolute values, and Φ(a) + |a| φ(a) for GELU's h': so many digits
    are lost as this has zeros after the point. What is a sum of zeros (dead ReLUs) loses none.
    """
    gradients, activity = (
        backprop(p.network, p.weights, p.X, p.T),
        forward(p.network, p.weights, p.X),
    )
    pairs = []
    for layer in range(2, p.network.depth):
        a = activity.a[layer - 2]
        slope = np.abs(derivative(p.network, layer, a))
        if p.network.activation(layer) == "gelu":
            slope = d_gelu(a) - 2.0 * np.minimum(a, 0.0) * np.exp(-0.5 * a * a) / np.sqrt(
                2.0 * np.pi
            )
        W = np.abs(p.weights[layer - 1][:, : p.network.layers[layer - 1]])
        pairs.append(
            (gradients.deltas[layer - 2], slope * (np.abs(gradients.deltas[layer - 1]) @ W))
        )
    for gradient, delta, z in zip(gradients.weights, gradients.deltas, activity.z, strict=False):
        terms = np.abs(delta).T @ np.abs(with_bias(p.network, z)) / len(p.X)
        pairs.append((gradient, terms))
    shares = [np.abs(found).max() / terms.max() for found, terms in pairs if terms.max() > 0]
    return float(min(shares, default=1.0))


def random_problem(name: str, network: Network, inputs: int, rng: np.random.Generator) -> Problem:
    """Weights N(0, 1)/√fan-in, inputs N(0, 1), classes drawn evenly.

    Real targets lie 0.1 to 2 from the outputs: where z − t nearly cancels, every δ behind it would
    have lost its digits before any formula is tested.
    """
    weights = [rng.normal(0.0, 1.0 / np.sqrt(shape[1]), shape) for shape in network.shapes]
    X = rng.normal(size=(inputs, network.layers[0]))
    shape = (inputs, network.layers[-1])
    if network.loss == "binary_cross_entropy":
        T = rng.integers(0, 2, shape).astype(float)
    elif network.loss == "cross_entropy":
        T = np.eye(shape[1])[rng.integers(0, shape[1], inputs)]
    else:
        error = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 2.0, shape)
        T = forward(network, weights, X).z[-1] - error
    return Problem(name, network, weights, X, T)
