"""Random networks with weights and data, in which no derivative has lost its digits to cancellation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhw.maths.activations import ACTIVATIONS, d_gelu
from mlhw.maths.arrays import Array
from mlhw.maths.network import (
    LINKS,
    LOSSES,
    Network,
    backprop,
    derivative,
    forward,
    with_bias,
)


@dataclass(frozen=True)
class Trial:
    """A network that is worked out: its weights, inputs X (N, n_1) and targets T (N, n_L)."""

    name: str
    network: Network
    weights: list[Array]
    X: Array
    T: Array


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


def random_trial(name: str, rng: np.random.Generator, max_width: int) -> Trial:
    """A random network with weights and one input or three.

    A network in which a whole δ vector nearly cancels is drawn again: its digits are lost in any way
    of working it out.
    """
    while True:
        network = random_network(rng, max_width)
        trial = trial_of(name, network, int(rng.choice([1, 3])), rng)
        if kept_by_cancellation(trial) > 1e-3:
            return trial


def kept_by_cancellation(p: Trial) -> float:
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


def trial_of(name: str, network: Network, inputs: int, rng: np.random.Generator) -> Trial:
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
    return Trial(name, network, weights, X, T)
