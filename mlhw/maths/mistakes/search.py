"""The search for the mistakes that give somebody's numbers.

To say which mistake somebody made, the network's gradients are worked out again with it; the mistake
that gives exactly the numbers they got is theirs. The search goes through the matrices from the output
to the input, since a mistake in δ^(l) shows in every matrix before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mlhw.maths.arrays import Array
from mlhw.maths.mistakes.candidates import candidates, of_biases
from mlhw.maths.mistakes.kinds import CODES, Mistake, Mistakes, as_fraction, multiplied, simplest
from mlhw.maths.mistakes.mistaken import Mistaken
from mlhw.maths.network import Gradients

# With biases the columns of the weights are looked at first, then that of the biases.
WEIGHTS, BIAS = slice(None, -1), slice(-1, None)

STATES, FEW_STATES = 40, 3
"""At most so many explanations are followed at once; so many where two mistakes are added."""


@dataclass(frozen=True)
class Explanation:
    """The shortest ``ways`` to arrive at somebody's numbers, each a few mistakes, the likeliest first.

    ``unexplained`` are the layers l whose ∂E/∂W^(l) no classic mistake gives.
    """

    ways: list[Mistakes]
    unexplained: list[int]

    @property
    def codes(self) -> list[str]:
        """The codes of the likeliest way, in their fixed order."""
        named = {m.code for m in self.ways[0]} if self.ways else set()
        return [code for code in CODES if code in named]

    @property
    def possible(self) -> set[str]:
        """The codes of every way: mistakes that these numbers cannot tell apart."""
        return {m.code for way in self.ways for m in way if m.code}

    @property
    def words(self) -> str:
        """Mistakes joined by "and", ways by "or"; '' where nothing is explained."""
        ways = dict.fromkeys(" and ".join(m.words for m in way if m.words) for way in self.ways)
        return "; or ".join([way for way in ways if way][:4])

    def __str__(self) -> str:
        likely = self.words
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
    states: list[Mistakes] = [()]
    unexplained: list[int] = []
    for layer in range(mistaken.network.depth - 1, 0, -1):
        wanted = _Wanted(mistaken, got[layer - 1], None, layer, tolerance)
        if deltas is not None:
            wanted = _Wanted(mistaken, got[layer - 1], deltas[layer - 1], layer, tolerance)
        found = wanted.ways(states)
        if found:
            states = sorted(found, key=len)[:STATES]
        else:
            unexplained.append(layer)
    fewest = min(len(state) for state in states)
    return Explanation([state for state in states if len(state) == fewest], unexplained)


@dataclass(frozen=True)
class _Wanted:
    """Somebody's ∂E/∂W^(layer), and their δ^(layer + 1) if there is one."""

    mistaken: Mistaken
    got: Array
    delta: Array | None
    layer: int
    tolerance: float

    def ways(self, states: Sequence[Mistakes]) -> list[Mistakes]:
        """States that give it, as they are or with one mistake more, or with two."""
        network = self.mistaken.network
        known = list(candidates(network, self.layer, self.mistaken.samples))
        found = self._grown(states, known, WEIGHTS)
        if not network.bias or not found:
            return found
        return self._grown(found, list(of_biases(network, self.layer, self.mistaken.samples)), BIAS)

    def _grown(
        self, states: Sequence[Mistakes], known: Sequence[Mistake], part: slice
    ) -> list[Mistakes]:
        found = [state for state in states if self.given_by(state, part)]
        if found:
            return found
        found = [way for state in states for way in self._with_one(state, known, part)]
        if found:
            return found
        # Two new mistakes at once are many pairs: only the likeliest of both.
        pairs = [
            pair
            for pair in combinations([c for c in known if c.common], 2)
            if pair[0].step != pair[1].step
        ]
        return [
            (*state, *pair)
            for state in states[:FEW_STATES]
            for pair in pairs
            if self.given_by((*state, *pair), part)
        ]

    def _with_one(
        self, state: Mistakes, known: Sequence[Mistake], part: slice
    ) -> Iterator[Mistakes]:
        steps = {m.step for m in state}
        for candidate in known:
            if candidate.step in steps:
                continue
            one = self.fitted(state, candidate, part) if candidate.fitted else candidate
            if one is not None and self.given_by((*state, one), part):
                yield (*state, one)

    def given_by(self, mistakes: Mistakes, part: slice) -> bool:
        """Whether these mistakes give this part of the columns, and δ^(l+1)."""
        gradient, delta = self.mistaken.gradient(self.layer, mistakes)
        got = self.got
        if ("turned", self.layer) in {m.step for m in mistakes}:
            gradient, got = np.swapaxes(gradient, -1, -2), np.swapaxes(got, -1, -2)
        if got.shape != gradient.shape:
            return False
        if self.mistaken.network.bias:
            gradient, got = gradient[..., part], got[..., part]
        return equal(got, gradient, self.tolerance) and (
            self.delta is None or equal(self.delta, delta, self.tolerance)
        )

    def fitted(self, state: Mistakes, candidate: Mistake, part: slice) -> Mistake | None:
        """The mistake with the number that fits best, None where there is nothing to be found.

        ∂E/∂W^(l) is linear in it, so it is a quotient of sums of products over all draws, each divided
        by its size.
        """
        at: list[Array] = []
        for number in (0.0, 1.0):
            trial = Mistake(candidate.code, "", candidate.kind, candidate.layer, number)
            at.append(self.mistaken.gradient(self.layer, (*state, trial))[0])
        if at[0].shape != self.got.shape:
            return None
        columns = part if self.mistaken.network.bias else slice(None)
        got, without, once = (array[..., columns] for array in (self.got, *at))
        axes = tuple(range(1, got.ndim))
        with np.errstate(all="ignore"):
            scale = np.abs(got).max(axis=axes, keepdims=True)
            scale = np.where(scale > 0, scale, 1.0)
            change, wanted = (once - without) / scale, (got - without) / scale
            size = float((change * change).sum())
            number = float((change * wanted).sum()) / size if size else np.nan
        if not np.isfinite(number):
            return None
        return self._numbered(candidate, simplest(number))

    def _numbered(self, candidate: Mistake, number: float) -> Mistake | None:
        network = self.mistaken.network
        if candidate.kind in ("delta", "gradient", "bias_factor"):
            # Minus N is two mistakes, a sign and a sum over the batch.
            if number in (0.0, 1.0) or 1 < self.mistaken.samples == -number:
                return None
            code, words = multiplied(
                number, network.layers[-1], network.layers[0], self.mistaken.samples
            )
            return candidate.with_number(number, words, code)
        return candidate.with_number(number, as_fraction(number)) if number else None


ROUNDING = 1e-13
"""What is left of a sum that is 0, such as that of softmax's δ; draws have numbers of order 1."""


def equal(got: Array, want: Array, tolerance: float) -> bool:
    """Whether arrays (D, …) agree in every draw, to ``tolerance`` of its largest entry."""
    if got.shape != want.shape:
        return False
    axes = tuple(range(1, want.ndim))
    scale = np.abs(want).max(axis=axes)
    with np.errstate(all="ignore"):
        return bool((np.abs(got - want).max(axis=axes) <= tolerance * scale + ROUNDING).all())


def right_gradients(mistaken: Mistaken) -> Gradients:
    """The same without any mistake, every array with its axis of draws."""
    pairs = [mistaken.gradient(layer, ()) for layer in range(1, mistaken.network.depth)]
    return Gradients([gradient for gradient, _ in pairs], [delta for _, delta in pairs])
