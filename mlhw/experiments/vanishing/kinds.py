"""The kinds of networks that ``vanishing`` draws, block by block: memory does not grow with the draws.

``blocks`` draws the weights of one kind, ``block_gradients`` sends a block of them through
``maths.plain_chain``, ``maths.chain`` or ``maths.bipartite``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mlhw.maths import in_blocks, survival
from mlhw.maths.arrays import Array
from mlhw.maths.bipartite import bipartite_gradients
from mlhw.maths.chain import LogGradients, chain_gradients
from mlhw.maths.plain_chain import plain_chain_gradients
from mlhw.maths.random_weights import draw_weights

# A block has 2^20 weights (8 MB), or those of 256 draws if these are more, since with fewer NumPy spends
# its time on calls; but at most 2^22 (32 MB), or those of one draw. What is computed from them takes
# about five times that.
BLOCK, FEWEST, MOST = 2**20, 256, 2**22


@dataclass(frozen=True)
class NetworkKind:
    """Networks of one structure, of which many are drawn.

    ``alive``: drawn given that no hidden layer is all dead. ``shallow``: of the comparison's second,
    smaller depth.
    """

    activation: str
    width: int
    depth: int
    alive: bool = False
    residual: bool = False
    shallow: bool = False

    @property
    def name(self) -> str:
        """``chain``, ``bipartite-2``, ``chain|alive`` …"""
        kind = "chain" if self.width == 1 else f"bipartite-{self.width}"
        return kind + ("|alive" if self.alive else "")

    @property
    def rows(self) -> str:
        """The name in the table, where the second depth of a comparison shows."""
        return self.name + (f"@{self.depth}" if self.shallow else "")

    @property
    def title(self) -> str:
        return f"{self.activation} {self.name}, depth {self.depth}"

    @property
    def plain_relu(self) -> bool:
        return self.activation == "relu" and not self.residual


@dataclass(frozen=True)
class Setting:
    """What all networks of a run share.

    ``bias_scale`` is the standard deviation of the biases, 0 for none; ``output`` the output unit's
    activation.
    """

    weights: str
    scale: float
    draws: int
    x: float
    t: float
    seed: int
    output: str = "identity"
    bias_scale: float = 0.0

    @property
    def biased(self) -> bool:
        return self.bias_scale > 0

    @property
    def random(self) -> bool:
        return self.weights != "constant"


# ------------------------------------------------------------------------------------- drawing


def blocks(network: NetworkKind, setting: Setting) -> Iterator[tuple[Array, ...]]:
    """Weights of all draws: (w (L−1, n),) of chains, (hidden (L−2, m, m, n), last (m, n)) of others.

    With biases those of the hidden units follow, (L−2, m, n), and the output's, (n,). They are drawn by
    themselves, so that the weights are the same with and without.

    The same seed, depth and width give the same weights whatever the activation, so networks are
    compared on equal draws, alone or in a comparison. While a block is worked on, the next one is drawn
    in a thread: the streams are drawn from in the same order.
    """
    drawn = _drawn_blocks(network, setting)
    thread = ThreadPoolExecutor(1)
    try:
        coming = thread.submit(next, drawn, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, drawn, None)
            yield block
            del block
    finally:
        thread.shutdown(cancel_futures=True)


def _drawn_blocks(network: NetworkKind, setting: Setting) -> Iterator[tuple[Array, ...]]:
    """``blocks`` one after another."""
    m, layers = network.width, network.depth - 2
    rng = np.random.default_rng([setting.seed, network.depth, m])
    # To draw takes longer than what is worked out of it, but for a chain: every other layer has a stream
    # of its own, so that two processors draw.
    streams = [rng] if m == 1 else [rng, np.random.default_rng([setting.seed, network.depth, m, 4])]
    bias_rng = np.random.default_rng([setting.seed, network.depth, m, 3])
    size = block_size(network)
    for start in range(0, setting.draws, size):
        n = min(size, setting.draws - start)

        def draws(count: int, stream: np.random.Generator = rng) -> Array:
            return draw_weights(stream, setting.weights, setting.scale, (m, m, count), m, m)

        if network.alive and m > 1:
            hidden = survival.alive_layers(draws, m, layers, n, setting.x)
        else:
            hidden = np.empty((layers, m, m, n))

            def fill(first: int, into: Array = hidden, count: int = n) -> None:
                for layer in range(first, layers, len(streams)):
                    into[layer] = draws(count, streams[first])

            in_blocks.by_threads(fill, range(len(streams)))
        last = draw_weights(rng, setting.weights, setting.scale, (m, n), m, 1)
        biases: tuple[Array, ...] = ()
        if setting.biased:
            biases = (
                setting.bias_scale * bias_rng.standard_normal((layers, m, n)),
                setting.bias_scale * bias_rng.standard_normal(n),
            )
        if m > 1:
            yield hidden, last, *biases
        else:
            w = np.concatenate([hidden[:, 0, 0], last])
            yield (survival.alive_chain(w, setting.x) if network.alive else w), *biases


def block_size(network: NetworkKind) -> int:
    """Draws in a block."""
    m = network.width
    each = (network.depth - 2) * m * m + m
    return max(1, min(max(BLOCK // each, FEWEST), MOST // each))


def block_gradients(
    network: NetworkKind, w: tuple[Array, ...], x: Array | float, setting: Setting
) -> LogGradients:
    """∂E/∂w_11^(l) of every draw in a block ``w`` of weights, as ``blocks`` gives it, for the input x."""
    t, name, residual, output = setting.t, network.activation, network.residual, setting.output
    weights: Sequence[Array] = w
    both: tuple[Array, Array] | None = None
    if setting.biased:
        *weights, hidden_biases, last_bias = w
        both = hidden_biases, last_bias
    if network.width == 1:
        b = None if both is None else np.concatenate([both[0][:, 0], both[1][None]])
        if b is None and not residual:
            return plain_chain_gradients(weights[0], x, t, name, output=output)
        return chain_gradients(weights[0], x, t, name, residual, biases=b, output=output)
    hidden, last = weights
    return bipartite_gradients(hidden, last, x, t, name, residual, biases=both, output=output)
