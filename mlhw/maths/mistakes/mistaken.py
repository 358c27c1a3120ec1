"""The gradients of a network worked out again with mistakes in them.

Arrays are as in ``network.py``, with an axis of D draws in front: weights (D, n_{l+1}, n_l), X (D, N,
n_1), T (D, N, n_L).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mlhw.maths.activations import ACTIVATIONS
from mlhw.maths.arrays import Array
from mlhw.maths.mistakes.kinds import Mistakes
from mlhw.maths.network import (
    Activity,
    Network,
    derivative,
    output_delta,
    value,
    with_bias,
)

How = dict[tuple[str, int], float | str]

# What works on the matrices alone leaves every δ as it is.
_ON_MATRICES = {
    "z",
    "from_delta",
    "bias",
    "bias_factor",
    "gradient",
    "decay",
    "accumulated",
    "zero",
    "turned",
}
_KEPT = 500
"""So many backward passes are remembered, then all are forgotten."""


class Mistaken:
    """Gradients of one set of draws; passes that several mistakes share are done once."""

    def __init__(self, network: Network, weights: Sequence[Array], X: Array, T: Array) -> None:
        self.network, self.weights, self.X, self.T = network, weights, X, T
        self._forward: dict[object, Forward] = {}
        self._backward: dict[object, dict[int, Array]] = {}

    @property
    def samples(self) -> int:
        """N, the size of a batch."""
        return int(self.X.shape[-2])

    def gradient(self, layer: int, mistakes: Mistakes) -> tuple[Array, Array]:
        """∂E/∂W^(l), (D, n_{l+1}, n_l), and δ^(l+1), (D, N, n_{l+1}), with these mistakes."""
        how: How = {m.step: m.how for m in mistakes}
        forward = self._forward_pass(how)
        deltas = self._deltas(forward, layer, how)
        gradient = self._matrix(forward, deltas, layer, how)
        if ("accumulated", 0) in how:
            gradient = np.cumsum(gradient, axis=0)
        if how.get(("bias", 0)) == "first":
            gradient = np.roll(gradient, 1, axis=-1)
        if ("turned", layer) in how:
            gradient = np.swapaxes(gradient, -1, -2)
        return gradient, deltas[layer + 1]

    def _forward_pass(self, how: How) -> Forward:
        changed = {k: v for k, v in how.items() if k[0] in ("activation", "bias_ignored")}
        key = frozenset(changed.items())
        if key not in self._forward:
            self._forward[key] = Forward(self.network, self.weights, self.X, changed)
        return self._forward[key]

    def _deltas(self, forward: Forward, layer: int, how: How) -> dict[int, Array]:
        """δ^(L) … δ^(layer + 1) by layer; further ones where a mistake takes them instead."""
        lowest = min([layer + 1, *(int(v) for (kind, _), v in how.items() if kind == "from_delta")])
        matters = how
        if ("updated", 0) not in how and "gradient" not in [
            v for (kind, _), v in how.items() if kind == "matrix"
        ]:
            matters = {k: v for k, v in how.items() if k[0] not in _ON_MATRICES}
        key = (lowest, frozenset(matters.items()))
        if key not in self._backward:
            if len(self._backward) > _KEPT:
                self._backward.clear()
            self._backward[key] = self._backward_pass(forward, lowest, how)
        return self._backward[key]

    def _backward_pass(self, forward: Forward, lowest: int, how: How) -> dict[int, Array]:
        depth = self.network.depth
        error, output = self._output(forward, how)
        found = {depth: output * float(how.get(("delta", depth), 1.0))}
        for layer in range(depth - 1, lowest - 1, -1):
            behind = error if ("passed", layer) in how else found[layer + 1]
            error = self._passed_back(forward, found, behind, layer, how)
            if how.get(("batch", 0)) == "each":
                error = error / self.samples
            slope = forward.slope(layer, str(how.get(("slope", layer), "a")))
            found[layer] = slope * error * float(how.get(("delta", layer), 1.0))
        return found

    def _output(self, forward: Forward, how: How) -> tuple[Array, Array]:
        """The error at the output, before h', and δ^(L)."""
        network, depth = forward.network, self.network.depth
        a, z, T = forward.a[-1], forward.z[-1], self.T
        error = _ERRORS[str(how.get(("error", depth), "difference"))](z, T)
        slope = how.get(("slope", depth))
        if slope == "none" or (("error", depth) in how and slope is None and self._linked):
            return error, error
        if slope is not None:
            return error, forward.slope(depth, str(slope)) * error
        if network.output != self.network.output or forward.own[depth]:
            if self._linked or network.output == "softmax":
                return error, error
            return error, forward.slope(depth, "a") * error
        if ("error", depth) in how:
            if network.output == "softmax":
                return error, np.asarray(z * (error - (error * z).sum(axis=-1, keepdims=True)))
            return error, derivative(network, depth, a) * error
        return error, output_delta(network, a, z, T)

    @property
    def _linked(self) -> bool:
        """Whether δ^(L) is z − t without any h'."""
        return self.network.loss != "half_squared_error"

    def _passed_back(
        self, forward: Forward, found: dict[int, Array], behind: Array, layer: int, how: How
    ) -> Array:
        """Σ_k w_kj^(l) δ_k^(l+1), (D, N, n_l)."""
        size = self.network.layers[layer - 1]
        whole = self.weights[layer - 1]
        matrix = how.get(("matrix", layer))
        if matrix == "gradient":
            whole = self._matrix(forward, found, layer, how)
        elif ("updated", 0) in how:
            rate = float(how["updated", 0])
            whole = whole - rate * self._matrix(forward, found, layer, how)
        W = whole[..., -size:] if matrix == "slice" else whole[..., :size]
        if matrix == "transposed":
            W = np.swapaxes(W, -1, -2)
        elif matrix == "ones":
            W = np.ones_like(W)
        kept = how.get(("sum", layer), "all")
        if kept == "own":
            own = np.diagonal(W, axis1=-2, axis2=-1)[..., None, :]
            return np.asarray(behind * own)
        if kept == "all":
            return np.asarray(behind @ W)
        k = int(kept)
        return np.asarray(behind[..., k : k + 1] * W[..., k : k + 1, :])

    def _matrix(self, forward: Forward, deltas: dict[int, Array], layer: int, how: How) -> Array:
        """∂E/∂W^(l) from δ^(l+1) and z^(l), averaged over the batch."""
        delta = deltas[int(how.get(("from_delta", layer), layer + 1))]
        place = how.get(("z", layer), layer)
        z = forward.a[layer - 2] if place == "a" else forward.z[int(place) - 1]
        N = self.samples
        batch = how.get(("batch", 0), "mean")
        z = with_bias(self.network, z)
        if batch in ("means", "means_sum"):
            delta, z = delta.mean(axis=-2, keepdims=True), z.mean(axis=-2, keepdims=True)
        elif batch in ("last", "last_mean"):
            delta, z = delta[..., -1:, :], z[..., -1:, :]
        elif batch in ("first", "first_mean"):
            delta, z = delta[..., :1, :], z[..., :1, :]
        share = {"mean": 1 / N, "sum": 1.0, "twice": N**-2.0, "each": 1 / N}
        share |= {"means": 1.0, "means_sum": float(N), "last": 1.0, "first": 1.0}
        gradient = np.swapaxes(delta, -1, -2) @ z * share.get(str(batch), 1 / N)
        gradient = gradient * float(how.get(("gradient", layer), 1.0))
        for place in (0, layer):
            if ("decay", place) in how:
                gradient = gradient + float(how["decay", place]) * self.weights[layer - 1]
        if ("zero", layer) in how:
            gradient = np.zeros_like(gradient)
        if self.network.bias:
            gradient = self._with_bias_column(forward, gradient, deltas[layer + 1], layer, how)
        return np.asarray(gradient)

    def _with_bias_column(
        self, forward: Forward, gradient: Array, delta: Array, layer: int, how: How
    ) -> Array:
        name = how.get(("bias", layer), how.get(("bias", 0)))
        factor = how.get(("bias_factor", layer), how.get(("bias_factor", 0)))
        if name in (None, "first") and factor is None:
            return gradient
        column = gradient[..., -1]
        if name == "right":
            column = delta.mean(axis=-2)
        elif name == "zero":
            column = np.zeros_like(column)
        elif name == "all":
            column = np.broadcast_to(column.sum(axis=-1, keepdims=True), column.shape)
        elif name == "units":
            column = np.broadcast_to(column.mean(axis=-1, keepdims=True), column.shape)
        elif name == "times_z":
            column = (delta * forward.z[layer]).mean(axis=-2)
        elif name == "weight":
            column = gradient[..., 0]
        elif name == "last":
            column = delta[..., -1, :]
        if factor is not None:
            column = column * float(factor)
        return np.concatenate([gradient[..., :-1], column[..., None]], axis=-1)


def _log_derivative(z: Array, T: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray((z - T) / (z * (1 - z)))


_ERRORS: dict[str, Callable[[Array, Array], Array]] = {
    "difference": lambda z, T: z - T,
    "abs": lambda z, T: np.abs(z - T),
    "squared": lambda z, T: (z - T) ** 2,
    "half_squared": lambda z, T: 0.5 * (z - T) ** 2,
    "output": lambda z, T: z,
    "target": lambda z, T: -T,
    "quotient": lambda z, T: -T / z,
    "binary_quotient": _log_derivative,
    "diagonal": lambda z, T: -T * (1 - z),
}


class Forward:
    """A forward pass, perhaps with other activations or without biases.

    ``a[l-2]`` is a^(l), ``z[l-1]`` is z^(l). ``own[l]``: h' stays the asked network's, though h is not.
    """

    def __init__(self, network: Network, weights: Sequence[Array], X: Array, changed: How) -> None:
        layers = range(2, network.depth + 1)
        said = [str(changed.get(("activation", layer), "")) for layer in layers]
        self.own = {k: name.endswith("/own") for k, name in zip(layers, said, strict=True)}
        names = [
            name.removesuffix("/own") or network.activation(layer)
            for layer, name in zip(layers, said, strict=True)
        ]
        self.asked = network
        self.network = replace(network, hidden=tuple(names[:-1]), output=names[-1])
        a, z = [], [X]
        for layer, W in enumerate(weights, start=2):
            if ("bias_ignored", 0) in changed:
                a.append(z[-1] @ np.swapaxes(W[..., :-1], -1, -2))
            else:
                a.append(with_bias(network, z[-1]) @ np.swapaxes(W, -1, -2))
            z.append(value(self.network, layer, a[-1]))
        self.a, self.z = a, z

    @property
    def activity(self) -> Activity:
        return Activity(self.a, self.z)

    def slope(self, layer: int, how: str) -> Array:
        """h' of a layer, (D, N, n_l), taken where and by what formula ``how`` says."""
        a, z = self.a[layer - 2], self.z[layer - 1]
        if how in _FORMULAS:
            return _FORMULAS[how](a, z)
        if how.startswith("of "):
            return ACTIVATIONS[how.removeprefix("of ")].derivative(a)
        network = self.asked if self.own[layer] else self.network
        if how == "squared":
            return np.asarray(self._derivative(network, layer, a) ** 2)
        if how.startswith("at "):
            return self._derivative(network, layer, self.a[int(how.removeprefix("at ")) - 2])
        return self._derivative(network, layer, {"a": a, "z": z}[how])

    def _derivative(self, network: Network, layer: int, at: Array) -> Array:
        if network.activation(layer) == "softmax":
            # Elementwise, as the logistic's: the diagonal of the Jacobian.
            z = self.z[layer - 1]
            return np.asarray(z * (1 - z))
        return derivative(network, layer, at)


_FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "none": lambda a, z: np.ones_like(z),
    "z itself": lambda a, z: z,
    "a itself": lambda a, z: a,
    "z(1-z)": lambda a, z: z * (1 - z),
    "a(1-a)": lambda a, z: a * (1 - a),
    "1-z^2": lambda a, z: 1 - z**2,
    "1-a^2": lambda a, z: 1 - a**2,
    "1-z": lambda a, z: 1 - z,
    "1+z^2": lambda a, z: 1 + z**2,
    "z(1+z)": lambda a, z: z * (1 + z),
    "z^2": lambda a, z: z**2,
    "z(1-z)^2": lambda a, z: z * (1 - z) ** 2,
    "1-a": lambda a, z: 1 - a,
    "step(-a)": lambda a, z: (a <= 0).astype(float),
    "sign": lambda a, z: np.sign(a),
}
FORMULAS = tuple(_FORMULAS)
