"""What the draws of ``vanishing`` gave: samples, their profiles against the layers, and the law beside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlhw.experiments.vanishing.networks import (
    Network,
    Rounding,
    Setting,
    autograd,
    blocks,
    gradients,
)
from mlhw.maths import chain, survival
from mlhw.maths import random_weights as weights
from mlhw.maths.chain import Gradients, decades
from mlhw.maths.log_activations import BEYOND
from mlhw.result.recorder import Recorder

Array = np.ndarray[Any, Any]

# Gradients kept for quantiles: 268 MB for a network, 220,000 draws at depth 153.
KEPT = 2**25
# Widths whose survival is drawn against depth, and the most random weights spent on one of them.
WIDTHS = (1, 2, 4, 8, 16)
WEIGHTS_SPENT = 2e7


# ------------------------------------------------------------------------------------- sample


@dataclass
class Sample:
    """What the draws of one network gave.

    ``log10`` (L−1, K): log10 |∂E/∂w_11^(l)| of the first K draws, −inf for exact zeros. ``zeros``
    (L−1,): zeros among all ``draws``. ``alive``: draws without an all-dead layer. ``settled``: those
    of them with a^(L) = t exactly, whose gradients are zero because nothing is left to learn. ``exceptions``:
    gradients that are zero where the rule for plain ReLU networks says otherwise, or the other way
    round. ``product_error``: how far log10 of a living ReLU chain's gradient lies from the plain
    product of weights; None where nothing was compared. ``beyond``: gradients whose logarithm is only
    a bound. ``slopes`` (H,): h'(a_1) along the first draw.
    """

    network: Network
    draws: int
    log10: Array
    zeros: Array
    alive: int
    settled: int
    exceptions: int
    product_error: float | None
    products: int
    beyond: int
    slopes: Array
    rounding: Rounding


def sample(
    network: Network, setting: Setting, progress: Callable[[int], None] = lambda done: None
) -> Sample:
    """Draw ``setting.draws`` networks and their gradients in blocks."""
    steps = network.depth - 1
    kept = min(setting.draws, max(1, KEPT // steps))
    log10 = np.empty((steps, kept))
    zeros = np.zeros(steps, dtype=np.int64)
    alive = settled = exceptions = products = beyond = 0
    errors: list[float] = []
    slopes, rounding = np.empty(0), Rounding(0.0, None, 0, 0, 0)
    done = 0
    for w in blocks(network, setting):
        g = gradients(network, w, setting.x, setting.t)
        n = g.log.shape[1]
        if done == 0:
            slopes = np.exp(g.slope_log[:, 0]) * g.slope_sign[:, 0]
            rounding = autograd(network, w, g, setting)
        part = max(0, min(n, kept - done))
        log10[:, done : done + part] = decades(g.log[:, :part])
        zeros += g.zero.sum(axis=1)
        survives = g.layer_alive.all(axis=0)
        hit = survives & (g.residue == 0)
        alive += int(survives.sum())
        settled += int(np.sum(hit))
        beyond += int(np.sum(g.log == -BEYOND))
        living = survives & ~hit
        if network.plain_relu:
            exceptions += int(np.sum((g.zero != dead_gradients(g)) & ~hit))
        if network.plain_relu and network.width == 1 and living.any():
            product = plain_product(w[0][:, living], setting.x, setting.t)
            errors.append(float(np.max(np.abs(decades(g.log[:, living]) - product))))
            products += int(living.sum())
        done += n
        progress(done)
    error = max(errors) if errors else None
    return Sample(
        network,
        done,
        log10,
        zeros,
        alive,
        settled,
        exceptions,
        error,
        products,
        beyond,
        slopes,
        rounding,
    )


def dead_gradients(g: Gradients) -> Array:
    """(L−1, n): by the rule, ∂E/∂w_11^(l) is zero where a layer is all dead or unit 1 of l or l+1 is."""
    dead = np.tile(~g.layer_alive.all(axis=0), (len(g.log), 1))
    dead[1:] |= ~g.unit_alive
    dead[:-1] |= ~g.unit_alive
    return dead


def plain_product(w: Array, x: float, t: float) -> Array:
    """log10 |(a^(L) − t) · x · Π_{n≠l} w^(n)| with a^(L) = x Π w, from the weights (L−1, n) alone."""
    logs = np.log(np.abs(w))
    product = logs.sum(axis=0) + np.log(abs(x))
    sign = np.sign(w).prod(axis=0) * np.sign(x)
    residue = chain.add(chain.Signed(sign, product), chain.signed(-t))
    return decades(product - logs + residue.log)


# ------------------------------------------------------------------------------------- profile


@dataclass(frozen=True)
class Profile:
    """One network against the layers: ``quantiles`` (3, L−1) are log10 of the median, 5 % and 95 %.

    NaN where no draw has a gradient other than zero. ``theory`` (L−1,): the log share of gradients
    that are not zero, None where the law says nothing.
    """

    sample: Sample
    quantiles: Array
    theory: list[float] | None

    @property
    def network(self) -> Network:
        return self.sample.network

    @cached_property
    def shares(self) -> Array:
        """(L−1,): the observed share of zeros."""
        return self.sample.zeros / self.sample.draws

    @property
    def zero_theory(self) -> float | None:
        """The expected share of zeros at layer 1."""
        return survival.share_zero(self.theory[0]) if self.theory else None

    @cached_property
    def slope(self) -> tuple[float, float] | None:
        """Decades a layer towards the input, and the error; None where too few layers have any."""
        return slope(self.quantiles[0])


def profile(
    network: Network, setting: Setting, progress: Callable[[int], None] = lambda done: None
) -> Profile:
    """Draw one network and put its quantiles and the law beside."""
    found = sample(network, setting, progress)
    return Profile(found, quantiles(found.log10), theory(network, setting))


def theory(network: Network, setting: Setting) -> list[float] | None:
    """The log share of gradients that are not zero at each layer; None where no law is known.

    With continuous weights and an input, an activation that is zero nowhere but at single points
    leaves no zeros; for ReLU see ``maths.survival``. With residual connections other activations may
    cancel to the last bit.
    """
    layers = range(1, network.depth)
    if not setting.random or setting.x == 0:
        return None
    if network.activation != "relu":
        return None if network.residual else [0.0 for _ in layers]
    return [
        survival.log_nonzero(
            network.width, network.depth, layer, alive=network.alive, residual=network.residual
        )
        for layer in layers
    ]


def quantiles(log10: Array) -> Array:
    """Median, 5 % and 95 % of each row's finite values (3, L−1), NaN where there are none."""
    found = np.full((3, len(log10)), np.nan)
    for layer, row in enumerate(log10):
        finite = row[np.isfinite(row)]
        if len(finite):
            found[:, layer] = np.quantile(finite, [0.5, 0.05, 0.95])
    return found


def slope(medians: Array) -> tuple[float, float] | None:
    """Least-squares slope of a profile (L−1,) and its standard error.

    From layer to layer the profile takes steps of its own, so its noise is a random walk: with steps
    of deviation s over n layers the slope's error is s √(6 / 5n) (the variance of the least-squares
    slope of a random walk), not the smaller one of independent points.
    """
    layers = np.flatnonzero(np.isfinite(medians))
    if len(layers) < 3:
        return None
    centred = layers - layers.mean()
    steps = np.diff(medians[layers]) / np.diff(layers)
    with np.errstate(over="ignore"):  # magnitudes such as exp(−1e200) have logarithms like these
        deviation = np.std(steps, ddof=1)
    return (
        float(centred @ medians[layers] / (centred @ centred)),
        float(deviation * math.sqrt(1.2 / len(layers))),
    )


def least_slope(setting: Setting) -> float:
    """Decades that a sigmoid layer takes at least: |h'| ≤ 1/4, so it multiplies by at most |w|/4."""
    return math.log10(4.0) - weights.mean_log(setting.weights, setting.scale) / math.log(10.0)


# ------------------------------------------------------------------------------------- survival


@dataclass(frozen=True)
class Curve:
    """Zeros of the first layer's gradient among ``draws`` ReLU networks of each of ``depths``."""

    width: int
    draws: int
    depths: Array
    zeros: Array

    @property
    def theory(self) -> list[float]:
        return [survival.log_nonzero(self.width, int(depth), 1) for depth in self.depths]


SURVIVAL = {
    "width": "units a hidden layer",
    "depth": "layers, input and output included",
    "draws": "networks drawn",
    "share_zero": "share of them whose gradient at layer 1 is zero",
    "share_zero_theory": "the same by the law of dead ReLUs",
}


def survival_curves(setting: Setting, depth: int, recorder: Recorder) -> list[Curve]:
    """Share of zero gradients against depth for ``WIDTHS``, by forward passes of their own."""
    table = recorder.table("survival", SURVIVAL)
    depths = np.unique(np.geomspace(3, depth, 24).round().astype(int))
    rng = np.random.default_rng([setting.seed, 2])
    curves = []
    for done, m in enumerate(WIDTHS):
        recorder.progress(done, len(WIDTHS), "survival")
        layers = depth - 2
        most = min(WEIGHTS_SPENT / (m * m * layers), 2**21 / (m * m))
        n = max(50, min(setting.draws, int(most)))

        def draws(count: int, m: int = m) -> Array:
            return weights.draw(rng, setting.weights, setting.scale, (m, m, count), m, m)

        lived, first = survival.lifetimes(draws, m, layers, n)
        zeros = np.array([int(np.sum(~(first & (lived >= d - 2)))) for d in depths])
        curve = Curve(m, n, depths, zeros)
        table.extend(
            (m, int(d), n, int(k) / n, survival.share_zero(log))
            for d, k, log in zip(depths, zeros, curve.theory, strict=True)
        )
        curves.append(curve)
    return curves
