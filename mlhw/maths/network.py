"""A feed-forward network, its losses, and back-propagation written out by hand.

Notation (Bishop, PRML, section 5.3, with the layer as a superscript): w_ji^(l) goes from unit i of
layer l to unit j of layer l+1, a^(l+1) = W^(l) z^(l), z^(l) = h(a^(l)), z^(1) = x and
δ_j^(l) = ∂E_n/∂a_j^(l) for one input n. For a batch of N inputs E = (1/N) Σ_n E_n.

Arrays: ``weights[l-1]`` is W^(l), (n_{l+1}, n_l), with the bias as last column where the network has
biases; X is (N, n_1), one input a row; T is (N, n_L). All may have further axes in front, the same
for all of them: that many networks are worked out at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.maths.activations import ACTIVATIONS, softplus
from mlhw.maths.arrays import Array

LOSSES = ("half_squared_error", "binary_cross_entropy", "cross_entropy")

# The output activation for which a cross-entropy is the negative log-likelihood of the data.
LINKS = {"binary_cross_entropy": "logistic", "cross_entropy": "softmax"}


@dataclass(frozen=True)
class Network:
    """The structure: layer sizes n_1 … n_L, the L − 2 hidden activations, output, loss, biases."""

    layers: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    loss: str
    bias: bool

    @property
    def depth(self) -> int:
        """L, the number of layers, input and output counted."""
        return len(self.layers)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shapes of W^(1) … W^(L−1)."""
        return [
            (self.layers[i + 1], self.layers[i] + self.bias) for i in range(len(self.layers) - 1)
        ]

    @property
    def size(self) -> int:
        """The number of weights, biases counted."""
        return sum(rows * columns for rows, columns in self.shapes)

    def activation(self, layer: int) -> str:
        """The name of h in ``layer``, 2 … L."""
        return self.output if layer == self.depth else self.hidden[layer - 2]

    @property
    def kinked(self) -> tuple[str, ...]:
        """The activations in it that have a kink, so that the complex step does not apply."""
        names = dict.fromkeys((*self.hidden, self.output))
        return tuple(n for n in names if n in ACTIVATIONS and ACTIVATIONS[n].kinked)

    def kinked_at(self, layer: int) -> bool:
        """Whether the activation of ``layer`` has a kink."""
        return self.activation(layer) in self.kinked


@dataclass(frozen=True)
class Gradients:
    """``weights[l-1]`` is ∂E/∂W^(l), l = 1 … L−1; ``deltas[l-2]`` is δ^(l), (N, n_l), l = 2 … L."""

    weights: list[Array]
    deltas: list[Array]

    def __iter__(self) -> Any:
        """All arrays: the weights' first, then the deltas."""
        return iter([*self.weights, *self.deltas])


def weight_name(network: Network, layer: int, row: int, column: int) -> str:
    """``dE/dw_12^(3)`` for the entry (0, 1) of W^(3); with a comma where indices have two digits."""
    comma = "," if max(network.layers) + network.bias > 9 else ""
    return f"dE/dw_{row + 1}{comma}{column + 1}^({layer})"


def delta_name(layer: int, unit: int, n: int | None = None) -> str:
    """``delta_1^(4)`` for unit 0 of layer 4, ``delta_1^(4)[2]`` for input 1 of a batch."""
    return f"delta_{unit + 1}^({layer})" + ("" if n is None else f"[{n + 1}]")


@dataclass(frozen=True)
class Activity:
    """What the forward pass leaves: ``z[l-1]`` is z^(l), l = 1 … L; ``a[l-2]`` is a^(l), l = 2 … L."""

    a: list[Array]
    z: list[Array]


# ------------------------------------------------------------------------------------- forward


def forward(network: Network, weights: Sequence[Array], X: Array) -> Activity:
    """a and z of every layer, (N, n_l) each."""
    a, z = [], [X]
    for layer, W in enumerate(weights, start=2):
        a.append(with_bias(network, z[-1]) @ np.swapaxes(W, -1, -2))
        z.append(value(network, layer, a[-1]))
    return Activity(a, z)


def with_bias(network: Network, z: Array) -> Array:
    """z with a last column of ones where the network has biases."""
    if not network.bias:
        return z
    return np.concatenate([z, np.ones_like(z[..., :1])], axis=-1)


def value(network: Network, layer: int, a: Array) -> Array:
    """z^(l) = h(a^(l)) for a (…, n_l), real or complex."""
    name = network.activation(layer)
    return complex_softmax(a) if name == "softmax" else ACTIVATIONS[name].value(a)


def complex_softmax(a: Array) -> Array:
    """exp(a_k)/Σ_j exp(a_j) along the last axis, real or complex (Bishop, PRML, eq. 4.62)."""
    e = np.exp(a - a.real.max(axis=-1, keepdims=True))
    quotient: Array = e / e.sum(axis=-1, keepdims=True)
    return quotient


def losses(network: Network, a: Array, T: Array) -> Array:
    """E_n (…, N) from the output's activations a^(L) (…, N, n_L), real or complex.

    Half squared error ½ Σ_k (z_k − t_k)²; binary cross-entropy −Σ_k t_k ln z_k + (1 − t_k) ln(1 − z_k)
    with logistic outputs (Bishop, PRML, eq. 5.23); cross-entropy −Σ_k t_k ln z_k with softmax outputs
    (eq. 5.24). Both logarithms are worked out from a, so they never see a rounded 0 or 1.
    """
    if network.loss == "half_squared_error":
        return np.asarray(0.5 * ((value(network, network.depth, a) - T) ** 2).sum(axis=-1))
    if network.loss == "binary_cross_entropy":
        return np.asarray((softplus(a) - T * a).sum(axis=-1))
    whole = np.zeros(a.shape[:-1], dtype=a.dtype)
    for j in np.flatnonzero(T.reshape(-1, T.shape[-1]).any(axis=0)):
        # −ln z_j from a_k − a_j: where z_j is all but 1 the small derivative stays small term by term.
        d = a - a[..., j : j + 1]
        largest = d.real.max(axis=-1)
        log_sum = largest + np.log(np.exp(d - largest[..., None]).sum(axis=-1))
        whole = whole + T[..., j] * log_sum
    return np.asarray(whole)


# ------------------------------------------------------------------------------------- backward


def derivative(network: Network, layer: int, a: Array) -> Array:
    """h'(a^(l)), elementwise; for every activation but softmax."""
    return ACTIVATIONS[network.activation(layer)].derivative(a)


def output_delta(network: Network, a: Array, z: Array, T: Array) -> Array:
    """δ^(L) = ∂E_n/∂a^(L), (…, N, n_L).

    For a loss with its own link it is z − t (Bishop, PRML, section 5.2); for the half squared error
    h'(a)(z − t), and for softmax outputs z_j (e_j − Σ_k e_k z_k) with e = z − t.
    """
    error: Array = z - T
    if network.loss == "binary_cross_entropy":
        return error
    if network.loss == "cross_entropy":
        # z_j Σ_k t_k − t_j Σ_k z_k without the k = j that both have: z − t where the t_k add up to 1,
        # and where z_j is all but 1 a sum of small terms instead of a difference of large ones.
        others = 1.0 - np.eye(T.shape[-1])
        return np.asarray(z * (T @ others) - T * (z @ others))
    if network.output == "softmax":
        return np.asarray(z * (error - (error * z).sum(axis=-1, keepdims=True)))
    return derivative(network, network.depth, a) * error


def backprop(network: Network, weights: Sequence[Array], X: Array, T: Array) -> Gradients:
    """Every δ and every ∂E/∂W by back-propagation (Bishop, PRML, eq. 5.53 and 5.56).

    δ_j^(l) = h'(a_j^(l)) Σ_k w_kj^(l) δ_k^(l+1) and ∂E/∂w_ji^(l) = (1/N) Σ_n δ_j^(l+1) z_i^(l).
    """
    activity = forward(network, weights, X)
    a, z = activity.a, activity.z
    deltas = [output_delta(network, a[-1], z[-1], T)]
    for layer in range(network.depth - 1, 1, -1):
        W = weights[layer - 1][..., : network.layers[layer - 1]]
        deltas.insert(0, derivative(network, layer, a[layer - 2]) * (deltas[0] @ W))
    gradients = [
        np.swapaxes(delta, -1, -2) @ with_bias(network, z_before) / X.shape[-2]
        for delta, z_before in zip(deltas, z, strict=False)
    ]
    return Gradients(gradients, deltas)


# ------------------------------------------------------------------------------------- the course


@dataclass(frozen=True)
class Quantity:
    """One of the course's six: its name and formula in plain text and in LaTeX, and its value."""

    name: str
    formula: str
    latex: str
    value: float


def is_course_network(network: Network) -> bool:
    """Whether the course's six formulas speak of this network: four layers, one linear output."""
    return (
        network.depth == 4
        and network.layers[3] == 1
        and network.layers[2] >= 2
        and network.output == "identity"
        and network.loss == "half_squared_error"
    )


def course_quantities(
    network: Network, weights: Sequence[Array], x: Array, t: float
) -> list[Quantity]:
    """The six derivatives by their literal formulas, written out entry by entry.

    For one input x (n_1,) and target t of a four-layer network with one linear output. Nothing here
    uses the general back-propagation above.
    """
    w1, w2, w3 = weights
    h2, h3 = (ACTIVATIONS[name] for name in network.hidden)
    ones = [1.0] if network.bias else []
    a2 = w1 @ np.array([*x, *ones])
    z2 = h2.value(a2)
    a3 = w2 @ np.array([*z2, *ones])
    z3 = h3.value(a3)
    a4 = w3 @ np.array([*z3, *ones])
    delta4 = a4[0] - t
    delta3 = [h3.derivative(a3)[j] * w3[0, j] * delta4 for j in range(len(a3))]
    delta2 = h2.derivative(a2)[0] * sum(w2[k, 0] * delta3[k] for k in range(len(a3)))
    dE = r"\frac{\partial E}{\partial %s}"
    return [
        Quantity(
            "delta_1^(4)",
            "a_1^(4) - t",
            r"\delta_1^{(4)} = a_1^{(4)} - t",
            float(delta4),
        ),
        Quantity(
            "dE/dw_12^(3)",
            "delta_1^(4) z_2^(3)",
            dE % "w_{12}^{(3)}" + r" = \delta_1^{(4)} \, z_2^{(3)}",
            float(delta4 * z3[1]),
        ),
        Quantity(
            "dE/da_1^(3)",
            "h'(a_1^(3)) w_11^(3) delta_1^(4)",
            dE % "a_1^{(3)}" + r" = h'(a_1^{(3)}) \, w_{11}^{(3)} \, \delta_1^{(4)}",
            float(delta3[0]),
        ),
        Quantity(
            "dE/dw_11^(2)",
            "delta_1^(3) z_1^(2)",
            dE % "w_{11}^{(2)}" + r" = \delta_1^{(3)} \, z_1^{(2)}",
            float(delta3[0] * z2[0]),
        ),
        Quantity(
            "dE/da_1^(2)",
            "h'(a_1^(2)) sum_k w_k1^(2) delta_k^(3)",
            dE % "a_1^{(2)}" + r" = h'(a_1^{(2)}) \sum_k w_{k1}^{(2)} \, \delta_k^{(3)}",
            float(delta2),
        ),
        Quantity(
            "dE/dw_11^(1)",
            "delta_1^(2) x_1",
            dE % "w_{11}^{(1)}" + r" = \delta_1^{(2)} \, x_1",
            float(delta2 * x[0]),
        ),
    ]
