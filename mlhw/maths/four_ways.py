"""The derivatives of one network in four ways: by back-propagation and three that check it.

The relative error of an entry is |difference| / max |entry| of the δ vector or weight matrix that it
belongs to: an entry that nearly cancels has no accuracy of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.derivatives import autograd, complex_step, complex_step_along
from mlhw.maths.differences import Differences, Kink, difference_along, finite_differences
from mlhw.maths.network import (
    Gradients,
    Network,
    backprop,
    delta_name,
    forward,
    losses,
    weight_name,
)
from mlhw.maths.random_networks import Trial

WAYS = ("autograd", "complex_step", "finite_difference")
TOLERANCES = {"autograd": 1e-12, "complex_step": 1e-12, "finite_difference": 1e-8}

RESOLVED = 1e-9
"""A finite difference counts if its own estimate of its relative error is below this."""

FAINT = 0.01
"""Only where the largest entry of a gradient is below this share of the loss can rounding hide it.

A difference over the step h is right to eps |E|/h, and h is 2^-12 at least where a kink leaves short steps
alone: 1e-9 of an entry is resolved wherever it exceeds 1e-3 |E|.
"""

MOST_CHECKED = 4_000
"""Beyond so many weights the slow ways check so many random ones, and three random directions."""

DIRECTIONS = 3

DRAWN = 12
"""So many entries of each network and way are drawn in the figure of agreement."""


class Entry(NamedTuple):
    """One derivative, by back-propagation and by another way.

    ``back`` is how many layers lie between it and the output: 0 for W^(L−1) and δ^(L).
    """

    way: str
    back: int
    analytic: float
    reference: float
    error: float


@dataclass(frozen=True)
class Worst:
    """The entry of one network that agrees least with a way's."""

    error: float
    network: str = ""
    quantity: str = ""
    analytic: float = 0.0
    reference: float = 0.0


@dataclass
class FourWays:
    """The derivatives of one network in all ways, and how well they agree.

    ``found`` has the gradients of each way that applies, NaN where an entry was not worked out;
    ``errors`` the relative errors, NaN also where a difference is at a kink or cannot resolve the
    entry. ``entries[l-1]`` are the (j, i) of W^(l) that the slow ways worked out.
    """

    trial: Trial
    entries: list[Array]
    analytic: Gradients
    found: dict[str, Gradients]
    errors: dict[str, Gradients] = field(default_factory=dict)
    worst: dict[str, Worst] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    unresolved: int = 0

    @property
    def sampled(self) -> bool:
        return sum(map(len, self.entries)) < self.trial.network.size

    def name_of(self, array: int, index: Sequence[int]) -> str:
        """The name of an entry of the ``array``-th of the gradients: weights first, then deltas."""
        network, layers = self.trial.network, self.trial.network.depth - 1
        if array < layers:
            return weight_name(network, array + 1, *index)
        n, j = index
        return delta_name(array - layers + 2, j, n if len(self.trial.X) > 1 else None)


def differentiate(trial: Trial, rng: np.random.Generator) -> FourWays:
    """Work out every derivative of ``trial`` in all ways that apply; ``rng`` picks what is sampled."""
    network, weights, X, T = trial.network, trial.weights, trial.X, trial.T
    entries = entries_to_check(network, rng)
    analytic = backprop(network, weights, X, T)
    found = {"autograd": autograd(network, weights, X, T)}
    if not network.kinked:
        found["complex_step"] = complex_step(network, weights, X, T, entries)
    differences = finite_differences(network, weights, X, T, entries)
    found["finite_difference"] = differences.found
    c = FourWays(trial, entries, analytic, found, kinks=differences.kinks)
    loss, flat = loss_of(trial), _Flat(analytic)
    for way, gradients in found.items():
        due, reference = flat.of(_due(c, way, differences)), flat.of(gradients)
        error, scale = relative_errors(flat.values, reference, flat.starts)
        error = np.where(due, np.where(np.isnan(error), np.inf, error), np.nan)
        if way == "finite_difference":
            # Where both are exactly 0 they agree, whatever the estimate.
            scale = np.repeat(scale, flat.sizes)
            coarse = (error > 0) & _hidden(error, flat.of(differences.error), scale, loss)
            c.unresolved += int(coarse.sum())
            error = np.where(coarse, np.nan, error)
        parts = flat.parts(error)
        c.errors[way] = Gradients(parts[: network.depth - 1], parts[network.depth - 1 :])
        c.worst[way] = Worst(0.0, trial.name)
        if _largest_known(error) > 0:
            at = int(np.nanargmax(error))
            values = (float(flat.values[at]), float(reference[at]))
            c.worst[way] = Worst(float(error[at]), trial.name, c.name_of(*flat.place(at)), *values)
    if c.sampled:
        _along_directions(c, rng)
    return c


def loss_of(trial: Trial) -> float:
    """The mean loss of a network over its inputs."""
    a = forward(trial.network, trial.weights, trial.X).a
    return float(losses(trial.network, a[-1], trial.T).mean())


def _hidden(error: Array, estimate: Array, scale: Array, loss: float) -> Array:
    """Which entries a difference cannot decide: rounding hides them, and it is not off by more.

    ``error`` is relative to ``scale``, ``estimate`` is the difference's own of its error.
    """
    with np.errstate(invalid="ignore"):
        hidden: Array = (estimate > RESOLVED * scale) & (error * scale <= 10 * estimate)
    return hidden & (scale <= FAINT * abs(loss))


def _due(c: FourWays, way: str, differences: Differences) -> list[Array]:
    """Which entries a way has to give: NaN in one of these counts as an infinite error."""
    due = [np.ones(gradient.shape, bool) for gradient in c.analytic]
    if way == "autograd":
        return due
    for mask, entries in zip(due, c.entries, strict=False):
        mask[:] = False
        mask[entries[:, 0], entries[:, 1]] = True
    if way == "finite_difference":
        due = [mask & ~(kink > 0) for mask, kink in zip(due, differences.at_kink, strict=True)]
    return due


def entries_to_check(network: Network, rng: np.random.Generator) -> list[Array]:
    """The (j, i) of each weight matrix to check: all, or MOST_CHECKED drawn from all matrices."""
    if network.size <= MOST_CHECKED:
        return [np.argwhere(np.ones(shape)) for shape in network.shapes]
    picked = np.sort(rng.choice(network.size, MOST_CHECKED, replace=False))
    entries, start = [], 0
    for rows, columns in network.shapes:
        here = picked[(picked >= start) & (picked < start + rows * columns)] - start
        entries.append(np.stack([here // columns, here % columns], axis=1))
        start += rows * columns
    return entries


class _Flat:
    """Arrays of several shapes as one vector: on many small ones most time goes into calls."""

    def __init__(self, arrays: Iterable[Array]) -> None:
        every = list(arrays)
        self.shapes = [array.shape for array in every]
        self.sizes = np.array([array.size for array in every])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.values = self.of(every)

    @staticmethod
    def of(arrays: Iterable[Array]) -> Array:
        """Others of the same shapes as such a vector."""
        return np.concatenate([array.ravel() for array in arrays])

    def parts(self, vector: Array) -> list[Array]:
        """Such a vector as arrays again."""
        ends = self.starts + self.sizes
        return [
            vector[start:end].reshape(shape)
            for start, end, shape in zip(self.starts, ends, self.shapes, strict=True)
        ]

    def place(self, at: int) -> tuple[int, list[int]]:
        """The number of the array and the index in it of an entry of the vector."""
        k = int(np.searchsorted(self.starts, at, side="right")) - 1
        return k, [int(i) for i in np.unravel_index(at - self.starts[k], self.shapes[k])]


def relative_errors(
    analytic: Array, reference: Array, starts: Sequence[int] | Array = (0,)
) -> tuple[Array, Array]:
    """|difference| over the largest entry of both, and that entry; 0 where both are 0 all over.

    Of vectors (n,), and of each part of them that begins at one of ``starts``: (n,) and (len(starts),).
    """
    known = np.fmax(np.fmax.reduceat(np.abs(reference), starts), 0.0)
    scale = np.maximum(np.maximum.reduceat(np.abs(analytic), starts), known)
    each = np.repeat(scale, np.diff([*starts, len(analytic)]))
    return np.abs(analytic - reference) / np.where(each > 0, each, 1.0), scale


def _largest_known(values: Array) -> float:
    """The largest of values from 0 up that are no NaN; 0 where none is."""
    return float(np.fmax.reduce(values, axis=None, initial=0.0))


def _along_directions(c: FourWays, rng: np.random.Generator) -> None:
    """The derivative along random directions of all weights at once, for what was only sampled."""
    p = c.trial
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
            estimates = np.array([estimate for _, estimate in slopes])
            coarse = _hidden(error, estimates, scale, loss_of(p))
            c.unresolved += int(coarse.sum())
            error = np.where(coarse, np.nan, error)
        if _largest_known(error) > c.worst[way].error:
            k = int(np.nanargmax(error))
            name = f"random direction {k + 1}"
            c.worst[way] = Worst(
                float(error[k]), p.name, name, float(analytic[k]), float(reference[k])
            )


def drawn_entries(c: FourWays, rng: np.random.Generator, most: int = DRAWN) -> list[Entry]:
    """Up to ``most`` entries of each way, picked at random, for the figure of agreement."""
    picked: list[Entry] = []
    layers = c.trial.network.depth - 1
    back = np.repeat(
        [layers - 1 - k % layers for k in range(2 * layers)], [array.size for array in c.analytic]
    )
    for way, gradients in c.found.items():
        analytic, reference, errors = (
            np.concatenate([array.ravel() for array in g])
            for g in (c.analytic, gradients, c.errors[way])
        )
        known = np.flatnonzero(np.isfinite(errors))
        for i in rng.choice(known, min(most, len(known)), replace=False):
            values = (float(analytic[i]), float(reference[i]), float(errors[i]))
            picked.append(Entry(way, int(back[i]), *values))
    return picked
