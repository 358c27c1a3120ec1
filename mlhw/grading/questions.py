"""What somebody's function is asked: draws of weights, inputs and targets, and in which form it gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlhw.maths.network import Network, forward

if TYPE_CHECKING:
    import numpy as np

DRAWS, AGAIN, FURTHER = 20, 2, 4
"""Draws that count; how many of them are asked again; draws of a batch, and of another network."""

Targets = Literal["auto", "one-hot", "labels", "bits"]


@dataclass(frozen=True)
class Questions:
    """D draws of a network, whose gradients are asked for.

    Weights (D, n_{l+1}, n_l), X (D, N, n_1) and T (D, N, n_L).
    """

    network: Network
    weights: list[np.ndarray]
    X: np.ndarray
    T: np.ndarray

    @property
    def samples(self) -> int:
        """N, the inputs of each draw."""
        return int(self.X.shape[1])

    def first(self, count: int) -> Questions:
        return self.taken(slice(count))

    def taken(self, draws: slice | np.ndarray) -> Questions:
        """Some of the draws."""
        weights = [W[draws] for W in self.weights]
        return Questions(self.network, weights, self.X[draws], self.T[draws])

    def calls(self, single: bool, labels: bool) -> list[list[np.ndarray]]:
        """The arguments of each call: the weights, x and t.

        ``single``: one input as a vector. ``labels``: a target is the number of its class, an integer.
        """
        calls = []
        for d in range(len(self.X)):
            x, t = self.X[d], self.T[d]
            if labels:
                t = t.argmax(axis=-1) if t.shape[-1] > 1 else t[:, 0].astype(int)
            if single:
                x, t = x[0], t[0]
            calls.append([*(W[d] for W in self.weights), x, t])
        return calls


@dataclass(frozen=True)
class QuestionPlan:
    """All questions to one file, in the order of their calls.

    ``asked`` count. Some of them are asked ``again``, to see whether the answer stays. ``batch`` is
    asked of a function that has been asked for single inputs, ``wider`` is another network.
    """

    asked: Questions
    batch: Questions | None
    wider: Questions
    labels: bool

    @property
    def single(self) -> bool:
        return self.asked.samples == 1

    def asked_in_order(self) -> list[tuple[Questions, bool]]:
        """The questions, each with whether one input comes as a vector, in the order of their calls."""
        order = [(self.asked, self.single), (self.asked.first(AGAIN), self.single)]
        order.append((self.wider, self.single))
        if self.batch is not None:
            order.append((self.batch, False))
        return order

    def calls(self) -> list[list[np.ndarray]]:
        """Every call in the course's form."""
        parts = [q.calls(single, self.labels) for q, single in self.asked_in_order()]
        return [call for part in parts for call in part]


def plan(network: Network, inputs: int, seed: int, targets: Targets = "auto") -> QuestionPlan:
    """The questions to every file of one network; the same for the same seed."""
    import numpy as np

    rng = np.random.default_rng([seed, 2])
    one_hot = targets in ("one-hot", "labels")
    asked = draw_questions(network, inputs, DRAWS, rng, one_hot=one_hot)
    batch = None
    if inputs == 1:
        batch = draw_questions(network, batch_size(network), FURTHER, rng, one_hot=one_hot)
    other = wider(network)
    further = draw_questions(other, inputs, FURTHER, rng, one_hot=one_hot)
    return QuestionPlan(asked, batch, further, targets == "labels")


def batch_size(network: Network) -> int:
    """A number of samples unlike every layer's size, biases counted or not.

    Otherwise a batch of N inputs could be taken for a matrix of another kind and be misread.
    """
    sizes = {size + extra for size in network.layers for extra in (0, 1)}
    return next(n for n in range(3, 1000) if n not in sizes)


def wider(network: Network) -> Network:
    """The same network with other sizes, no two alike, and several outputs."""
    depth = network.depth
    layers = tuple(range(depth + 3, 3, -1))
    return Network(layers, network.hidden, network.output, network.loss, network.bias)


def draw_questions(
    network: Network, inputs: int, count: int, rng: np.random.Generator, *, one_hot: bool = False
) -> Questions:
    """``count`` draws of weights, ``inputs`` inputs and targets: nothing zero, nothing symmetric.

    ``one_hot``: of binary cross-entropy's targets exactly one is 1, where there are several outputs.
    """
    import numpy as np

    def away_from_zero(shape: Sequence[int]) -> np.ndarray:
        drawn: np.ndarray = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.3, 1.3, shape)
        return drawn

    # Scaled so that a is of order 1 in every layer: h' differs from 0, from 1 and from h'(z).
    weights = [1.5 * away_from_zero((count, *s)) / np.sqrt(s[1]) for s in network.shapes]
    X = away_from_zero((count, inputs, network.layers[0]))
    shape = (count, inputs, network.layers[-1])
    if network.loss == "cross_entropy" or (one_hot and shape[-1] > 1):
        T = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    elif network.loss == "binary_cross_entropy":
        T = rng.integers(0, 2, shape).astype(float)
    else:
        T = forward(network, weights, X).z[-1] + away_from_zero(shape)
    return Questions(network, weights, X, T)
