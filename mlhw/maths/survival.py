"""How long ReLU networks live: the law of dead units and layers, and networks drawn alive.

With zero-mean, symmetric, continuous weights and no bias, a = Σ w_j z_j is above zero with probability
½ for any z ≠ 0, and the units of a layer decide independently. So a layer of m units is all dead with
probability 2^−m whatever came before, and a network of H hidden layers has no such layer with
probability (1 − 2^−m)^H. The gradient ∂E/∂w_11^(l) also needs unit 1 of the layers l and l+1 alive
where they are hidden: with s of the two hidden it is not zero with probability

    (1 − 2^−m)^(H−s) · 2^−s.

Given that no layer is all dead, only those s layers matter: (½ / (1 − 2^−m))^s. With residual
connections no layer can stop the gradient but l+1, whose unit 1 is alive with probability ½.

With symmetric, continuous biases beside the weights every a = Σ w_j z_j + b is symmetric too, also
where z = 0: a dead layer stops the gradients of the layers before it, and after it units live again
with probability ½. So only the L − 2 − l layers behind l+1 must not be all dead, and the probability is
(1 − 2^−m)^(L−2−l) · 2^−s.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mlhw.maths.arrays import Array

DrawLayer = Callable[[int], Array]
"""Given n, draws the weights (m, m, n) of one layer of n networks."""


# ------------------------------------------------------------------------------------- the law


def hidden_beside(layer: int, depth: int) -> int:
    """s: how many of the layers ``layer`` and ``layer`` + 1 are hidden (2 … depth − 1)."""
    return sum(2 <= beside <= depth - 1 for beside in (layer, layer + 1))


def log_alive(width: int, depth: int) -> float:
    """log (1 − 2^−m)^H, the probability that no hidden layer is all dead."""
    return (depth - 2) * math.log1p(-(2.0**-width))


def log_nonzero(
    width: int,
    depth: int,
    layer: int,
    *,
    alive: bool = False,
    residual: bool = False,
    biased: bool = False,
) -> float:
    """The log probability that ∂E/∂w_11^(layer) of a ReLU network is not zero.

    ``alive`` is given that no layer is all dead, ``biased`` with symmetric biases. A
    logarithm, since 2^−2000 has no float64.
    """
    if residual:
        return -math.log(2.0) if layer + 1 < depth else 0.0
    s = hidden_beside(layer, depth)
    layer_alive = math.log1p(-(2.0**-width))
    near = -s * math.log(2.0)
    if biased:
        return near + max(0, depth - 2 - layer) * layer_alive
    return near - s * layer_alive if alive else near + (depth - 2 - s) * layer_alive


def share_zero(log_share_nonzero: float) -> float:
    """1 − exp(…), without the cancellation near 0."""
    return max(0.0, -math.expm1(log_share_nonzero))


def width_alive(probability: float, depth: int) -> int:
    """The fewest units a layer with which a network of ``depth`` layers is alive so probably."""
    # (1 − 2^−m)^H ≥ p where 2^−m ≤ 1 − p^(1/H).
    enough = -math.log2(-math.expm1(math.log(probability) / (depth - 2)))
    width = max(1, math.ceil(enough - 1e-9))
    return width if log_alive(width, depth) >= math.log(probability) else width + 1


# ------------------------------------------------------------------------------------- the sample


def lifetimes(draws: DrawLayer, width: int, layers: int, n: int) -> tuple[Array, Array]:
    """How many of ``layers`` hidden layers n ReLU networks live, and whether unit 1 of the first does.

    Forward only, from m equal inputs (their size and common sign change nothing); dead networks drop
    out of the computation.

    Returns
    -------
    (n,) layers before the first that is all dead, and (n,) bool.
    """
    lived = np.full(n, layers)
    first = np.zeros(n, dtype=bool)
    running = np.arange(n)
    z = np.ones((width, n))
    for layer in range(layers):
        z = np.maximum(np.einsum("ijn,jn->in", draws(len(running)), z), 0.0)
        top = z.max(axis=0)
        if layer == 0:
            first = z[0] > 0
        stays = top > 0
        lived[running[~stays]] = layer
        running, z = running[stays], z[:, stays] / top[stays]
        if not len(running):
            break
    return lived, first


def alive_chain(weights: Array, x: float) -> Array:
    """Weights (L−1, n) of chains with their signs turned so that every hidden unit has a > 0.

    Of symmetric weights this is exactly the law given survival; the last weight keeps its sign.
    """
    turned = np.abs(weights)
    turned[0] *= np.sign(x)
    turned[-1] = weights[-1]
    return turned


def alive_layers(draws: DrawLayer, width: int, layers: int, n: int, x: float) -> Array:
    """Weights (layers, m, m, n) of ReLU networks, each layer redrawn until one of its units is alive."""
    weights = np.empty((layers, width, width, n))
    z = np.full((width, n), float(x))
    for layer in range(layers):
        w = weights[layer]
        w[...] = draws(n)
        a = np.einsum("ijn,jn->in", w, z)
        dead = np.flatnonzero((a <= 0).all(axis=0))
        while len(dead):
            w[:, :, dead] = draws(len(dead))
            a[:, dead] = np.einsum("ijn,jn->in", w[:, :, dead], z[:, dead])
            dead = dead[(a[:, dead] <= 0).all(axis=0)]
        z = np.maximum(a, 0.0)
        z /= z.max(axis=0)
    return weights


# ------------------------------------------------------------------------------------- the band


def binomial_band(n: Array, probability: Array, error: float) -> tuple[Array, Array]:
    """The counts of n trials that neither tail of the binomial law makes unlikely.

    Returns
    -------
    The lowest k with P(X ≤ k) > error/2 and the highest with P(X ≥ k) > error/2, shaped as the inputs.
    """
    from scipy.special import bdtr, bdtrc

    n, probability = np.broadcast_arrays(np.asarray(n, dtype=np.int64), probability)
    low = _first(n, lambda k: bdtr(k, n, probability) > error / 2)
    # P(X ≥ k) = bdtrc(k − 1); the first k where it has become unlikely is one too high.
    high = _first(n + 1, lambda k: (k > n) | (bdtrc(k - 1, n, probability) <= error / 2)) - 1
    return low, np.maximum(high, 0)


def _first(most: Array, condition: Callable[[Array], Array]) -> Array:
    """The smallest whole number in 0 … most where a condition that stays true is true, by halving."""
    low, high = np.zeros(most.shape), most.astype(np.float64)
    while np.any(low < high):
        middle = np.floor((low + high) / 2)
        true = condition(middle)
        low, high = np.where(true, low, np.minimum(middle + 1, high)), np.where(true, middle, high)
    return low.astype(np.int64)
