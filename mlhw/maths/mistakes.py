"""The classic mistakes in a derivation of back-propagation, made on purpose.

To say which mistake somebody made, the network's gradients are worked out again with it; the mistake
that gives exactly the numbers they got is theirs. The search goes through the matrices from the output
to the input, since a mistake in δ^(l) shows in every matrix before it.

Arrays are as in ``network.py``, with an axis of D draws in front: weights (D, n_{l+1}, n_l), X (D, N,
n_1), T (D, N, n_L).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.network import (
    Activity,
    Gradients,
    Network,
    derivative,
    forward,
    output_delta,
    with_bias,
)

CODES = (
    "transposed",
    "sign",
    "factor",
    "missing_derivative",
    "derivative_at_z",
    "wrong_layer",
    "missing_sum",
    "batch_mean",
)


@dataclass(frozen=True)
class Mistake:
    """What is done differently: ``kind`` of step, in which ``layer``, and ``how``.

    The kinds: ``delta`` and ``gradient`` multiply δ^(l) or ∂E/∂W^(l) by a number, ``slope`` is where
    h' of layer l is taken, ``sum`` which k of the sum in δ^(l) are kept, ``matrix`` W^(l) for its
    transpose, ``z`` and ``from_delta`` the layer whose z or δ enters ∂E/∂W^(l), ``turned`` returns
    its transpose, ``batch`` sums over the batch.
    """

    codes: tuple[str, ...]
    words: str
    kind: str
    layer: int
    how: float | str = ""

    @property
    def step(self) -> tuple[str, int]:
        return self.kind, self.layer


Mistakes = tuple[Mistake, ...]


# ------------------------------------------------------------------------------------- with mistakes


class Mistaken:
    """Gradients of one set of draws with mistakes in them; the forward pass is done once."""

    def __init__(self, network: Network, weights: Sequence[Array], X: Array, T: Array) -> None:
        self.network, self.weights, self.X, self.T = network, weights, X, T
        self.activity: Activity = forward(network, weights, X)
        self._z = [with_bias(network, z) for z in self.activity.z]

    def gradient(self, layer: int, mistakes: Mistakes) -> tuple[Array, Array]:
        """∂E/∂W^(l), (D, n_{l+1}, n_l), and δ^(l+1), (D, N, n_{l+1}), with these mistakes."""
        how = {m.step: m.how for m in mistakes}
        deltas = self._deltas(layer + 1, how)
        delta = deltas[layer + 1]
        source = deltas.get(int(how.get(("from_delta", layer), layer + 1)), delta)
        z = self._z[int(how.get(("z", layer), layer)) - 1]
        gradient = np.swapaxes(source, -1, -2) @ z
        if ("batch", 0) not in how:
            gradient = gradient / self.X.shape[-2]
        gradient = gradient * float(how.get(("gradient", layer), 1.0))
        if ("turned", layer) in how:
            gradient = np.swapaxes(gradient, -1, -2)
        return gradient, delta

    def _deltas(self, last: int, how: dict[tuple[str, int], float | str]) -> dict[int, Array]:
        """δ^(L) … δ^(last) by layer; one more where a mistake takes it instead."""
        network, activity = self.network, self.activity
        lowest = min([last, *(int(v) for (kind, _), v in how.items() if kind == "from_delta")])
        output = output_delta(network, activity.a[-1], activity.z[-1], self.T)
        if how.get(("slope", network.depth)) == "none":
            output = activity.z[-1] - self.T
        elif ("slope", network.depth) in how:
            error = activity.z[-1] - self.T
            output = self._slope(network.depth, str(how["slope", network.depth])) * error
        found = {network.depth: output * float(how.get(("delta", network.depth), 1.0))}
        for layer in range(network.depth - 1, lowest - 1, -1):
            W = self.weights[layer - 1][..., : network.layers[layer - 1]]
            if ("matrix", layer) in how:
                W = np.swapaxes(W, -1, -2)
            behind = found[layer + 1]
            kept = how.get(("sum", layer), "all")
            if kept == "own":
                total = behind * np.diagonal(W, axis1=-2, axis2=-1)[..., None, :]
            elif kept == "all":
                total = behind @ W
            else:
                k = int(kept)
                total = behind[..., k : k + 1] * W[..., k : k + 1, :]
            slope = self._slope(layer, str(how.get(("slope", layer), "a")))
            found[layer] = slope * total * float(how.get(("delta", layer), 1.0))
        return found

    def _slope(self, layer: int, where: str) -> Array:
        a, z = self.activity.a, self.activity.z
        if where == "none":
            return np.ones_like(a[layer - 2])
        at = {
            "a": lambda: a[layer - 2],
            "z": lambda: z[layer - 1],
            "before": lambda: a[layer - 3],
            "after": lambda: a[layer - 1],
        }[where]()
        return derivative(self.network, layer, at)


# ------------------------------------------------------------------------------------- candidates


def candidates(network: Network, layer: int) -> Iterator[Mistake]:
    """The mistakes that first show in ∂E/∂W^(l): in δ^(l+1), or in the matrix itself."""
    n, behind = network.layers, layer + 1
    delta, matrix = f"delta^({behind})", f"dE/dW^({layer})"
    yield Mistake(("transposed",), f"{matrix} is transposed", "turned", layer)
    for kind, what in (("delta", delta), ("gradient", matrix)):
        yield Mistake(
            ("sign",), f"{what} has the wrong sign", kind, layer + (kind == "delta"), -1.0
        )
        for factor, size in ((2.0, "2 times too large"), (0.5, "half as large as it should be")):
            at = layer + (kind == "delta")
            yield Mistake(("factor",), f"{what} is {size}", kind, at, factor)
            yield Mistake(
                ("sign", "factor"), f"{what} has the wrong sign and is {size}", kind, at, -factor
            )
    for m in range(1, network.depth):
        if m != layer and n[m - 1] == n[layer - 1]:
            words = f"{matrix} is made with z^({m}) instead of z^({layer})"
            yield Mistake(("wrong_layer",), words, "z", layer, m)
    for m in range(2, network.depth + 1):
        if m != behind and n[m - 1] == n[behind - 1]:
            words = f"{matrix} is made with delta^({m}) instead of {delta}"
            yield Mistake(("wrong_layer",), words, "from_delta", layer, m)
    yield from _slopes(network, behind)
    if behind < network.depth:
        yield from _sums(network, behind)


def _slopes(network: Network, layer: int) -> Iterator[Mistake]:
    """h' missing in ``layer``, or taken in the wrong place."""
    if layer == network.depth and (
        network.loss != "half_squared_error" or network.output == "softmax"
    ):
        return
    missing = f"h' of layer {layer} is missing"
    yield Mistake(("missing_derivative",), missing, "slope", layer, "none")
    words = f"h' of layer {layer} is taken at z^({layer}) instead of a^({layer})"
    yield Mistake(("derivative_at_z",), words, "slope", layer, "z")
    for where, other in (("before", layer - 1), ("after", layer + 1)):
        same = (
            2 <= other <= network.depth and network.layers[other - 1] == network.layers[layer - 1]
        )
        if same:
            words = f"h' of layer {layer} is taken at a^({other}) instead of a^({layer})"
            yield Mistake(("derivative_at_z", "wrong_layer"), words, "slope", layer, where)


def _sums(network: Network, layer: int) -> Iterator[Mistake]:
    """The sum over k in δ^(layer) cut short, or with W^(layer) where its transpose should be."""
    here, behind = network.layers[layer - 1], network.layers[layer]
    if behind > 1:
        for k in {*range(min(behind, 8)), behind - 1}:
            words = f"delta^({layer}) has only the term k = {k + 1} of its sum over k"
            yield Mistake(("missing_sum",), words, "sum", layer, k)
        if here == behind:
            words = f"delta_j^({layer}) has only the term k = j of its sum over k"
            yield Mistake(("missing_sum",), words, "sum", layer, "own")
    if here == behind and here > 1:
        words = f"delta^({layer}) is made with W^({layer}) where its transpose should be"
        yield Mistake(("transposed",), words, "matrix", layer)


SUMMED = Mistake(("batch_mean",), "the gradient is summed over the batch, not averaged", "batch", 0)


# ------------------------------------------------------------------------------------- the search

STATES, FEW_STATES = 40, 3
"""At most so many explanations are followed at once; so many where two mistakes are added."""


@dataclass(frozen=True)
class Explanation:
    """The shortest ``ways`` to arrive at somebody's numbers, each a few mistakes; all of them.

    ``unexplained`` are the layers l whose ∂E/∂W^(l) no classic mistake gives.
    """

    ways: list[Mistakes]
    unexplained: list[int]

    @property
    def codes(self) -> list[str]:
        """The codes of all mistakes named, in their fixed order."""
        named = {code for mistakes in self.ways for m in mistakes for code in m.codes}
        return [code for code in CODES if code in named]

    def __str__(self) -> str:
        """In words: mistakes joined by "and", ways by "or"."""
        ways = dict.fromkeys(" and ".join(m.words for m in mistakes) for mistakes in self.ways)
        likely = "; or ".join(way for way in ways if way)
        if not likely:
            return "no classic mistake explains it"
        rest = ", ".join(f"dE/dW^({layer})" for layer in sorted(self.unexplained))
        return f"likely: {likely}" + (f"; {rest}: no classic mistake explains it" if rest else "")


def explain(
    mistaken: Mistaken, got: Sequence[Array], deltas: Sequence[Array] | None, tolerance: float
) -> Explanation:
    """Which classic mistakes lead to the gradients ``got``.

    ``got[l-1]`` is (D, …), what somebody has for ∂E/∂W^(l), transposed or not; ``deltas[l-2]`` what
    they have for δ^(l), if anything. Equal means to ``tolerance`` of each matrix's largest entry.
    """
    network = mistaken.network
    states: list[Mistakes] = [()]
    unexplained: list[int] = []
    if mistaken.X.shape[-2] > 1:
        states.append((SUMMED,))
    for layer in range(network.depth - 1, 0, -1):

        def right(mistakes: Mistakes, layer: int = layer) -> bool:
            gradient, delta = mistaken.gradient(layer, mistakes)
            return equal(got[layer - 1], gradient, tolerance) and (
                deltas is None or equal(deltas[layer - 1], delta, tolerance)
            )

        known = list(candidates(network, layer))
        found = [state for state in states if right(state)]
        for size in (1, 2):
            if found:
                break
            steps = [c for c in combinations(known, size) if len({m.step for m in c}) == size]
            # Two new mistakes at once are many pairs: only the likeliest states get them.
            tried = states if size == 1 else states[:FEW_STATES]
            found = [(*s, *more) for s in tried for more in steps if right((*s, *more))]
        if found:
            states = sorted(found, key=len)[:STATES]
        else:
            unexplained.append(layer)
    fewest = min(len(state) for state in states)
    return Explanation([state for state in states if len(state) == fewest], unexplained)


def equal(got: Array, want: Array, tolerance: float) -> bool:
    """Whether arrays (D, …) agree in every draw, to ``tolerance`` of its largest entry."""
    if got.shape != want.shape:
        return False
    axes = tuple(range(1, want.ndim))
    scale = np.abs(want).max(axis=axes)
    with np.errstate(all="ignore"):
        return bool((np.abs(got - want).max(axis=axes) <= tolerance * scale + 1e-300).all())


def right_gradients(mistaken: Mistaken) -> Gradients:
    """The same without any mistake, every array with its axis of draws."""
    pairs = [mistaken.gradient(layer, ()) for layer in range(1, mistaken.network.depth)]
    return Gradients([gradient for gradient, _ in pairs], [delta for _, delta in pairs])
