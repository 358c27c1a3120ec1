"""What the draws of ``vanishing`` gave: gradients by layer, survival by depth, and the laws beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks
from mlhw.experiments.vanishing.rounding import Rounding, rounding_of
from mlhw.maths import chain, survival
from mlhw.maths.arrays import Array
from mlhw.maths.chain import LogGradients, decades
from mlhw.maths.log_activations import BEYOND
from mlhw.maths.random_weights import draw_weights, mean_log

# Gradients kept for quantiles: 268 MB for a network, 220,000 draws at depth 153.
KEPT = 2**25
# Widths whose survival is drawn against depth, and the most random weights spent on one of them.
SURVIVAL_WIDTHS = (1, 2, 4, 8, 16)
WEIGHTS_SPENT = 2e7


# ------------------------------------------------------------------------------------- the draws


@dataclass
class Drawn:
    """What the draws of one network gave.

    ``log10`` (L−1, K): log10 |∂E/∂w_11^(l)| of the first K draws, −inf for exact zeros. ``error`` (K,):
    log10 |∂E/∂a^(L)| of the same, without meaning where that is 0. ``zeros`` (L−1,): zeros among all
    ``draws``. ``alive``: draws without an all-dead layer. ``settled``: those
    of them with a^(L) = t exactly, whose gradients are zero because nothing is left to learn.
    ``exceptions``: gradients that are zero where the rule for plain ReLU networks says otherwise, or
    the other way round. ``product_error``: the largest difference between log10 of a gradient, or of
    ∂a^(L)/∂w, and that of the plain product of weights, over the ``products`` ReLU chains that are
    alive; None without any. ``beyond``: gradients whose logarithm is only a bound. ``slopes`` (H,):
    h'(a_1) along the first draw.
    """

    network: NetworkKind
    draws: int
    log10: Array
    error: Array
    zeros: Array
    alive: int
    settled: int
    exceptions: int
    product_error: float | None
    products: int
    beyond: int
    slopes: Array
    rounding: Rounding


def draw_networks(
    network: NetworkKind, setting: Setting, progress: Callable[[int], None] = lambda done: None
) -> Drawn:
    """Draw ``setting.draws`` networks and their gradients in blocks."""
    steps = network.depth - 1
    kept = min(setting.draws, max(1, KEPT // steps))
    log10, error = np.empty((steps, kept)), np.empty(kept)
    zeros = np.zeros(steps, dtype=np.int64)
    alive = settled = exceptions = products = beyond = 0
    errors: list[float] = []
    slopes, rounding = np.empty(0), Rounding(0.0, None, 0, 0, 0)
    done = 0
    for w in blocks(network, setting):
        g = block_gradients(network, w, setting.x, setting)
        n = g.log.shape[1]
        if done == 0:
            slopes = np.exp(g.slope_log[:, 0]) * g.slope_sign[:, 0]
            rounding = rounding_of(network, w, g, setting)
        part = max(0, min(n, kept - done))
        log10[:, done : done + part] = decades(g.log[:, :part])
        error[done : done + part] = decades(np.maximum(g.error_log[:part], -BEYOND))
        zeros += g.zero.sum(axis=1)
        survives = g.layer_alive.all(axis=0)
        # With biases a dead layer is no end: what comes out behind it depends on what is there.
        hit = (survives | setting.biased) & (g.residue == 0)
        alive += int(survives.sum())
        settled += int(np.sum(hit))
        beyond += int(np.sum(g.log == -BEYOND))
        living = survives & ~hit
        if network.plain_relu:
            dead = dead_gradients(g, biased=setting.biased)
            exceptions += int(np.sum((g.zero != dead) & ~hit))
        if network.plain_relu and network.width == 1 and living.any() and not setting.biased:
            jacobian, delta = plain_product(w[0][:, living], setting)
            log, factor = decades(g.log[:, living]), decades(g.error_log[living])
            errors.append(float(np.max(np.abs(log - (jacobian + delta)))))
            errors.append(float(np.max(np.abs(log - factor - jacobian))))
            products += int(living.sum())
        done += n
        progress(done)
    return Drawn(
        network=network,
        draws=done,
        log10=log10,
        error=error,
        zeros=zeros,
        alive=alive,
        settled=settled,
        exceptions=exceptions,
        product_error=max(errors) if errors else None,
        products=products,
        beyond=beyond,
        slopes=slopes,
        rounding=rounding,
    )


def dead_gradients(g: LogGradients, *, biased: bool) -> Array:
    """(L−1, n): by the rule, ∂E/∂w_11^(l) is zero where a layer is all dead or unit 1 of l or l+1 is.

    With biases a dead layer before l does not matter, since units behind it live again.
    """
    if biased:
        dead = np.zeros(g.log.shape, dtype=bool)
        dead[:-2] = np.logical_or.accumulate(~g.layer_alive[:0:-1], axis=0)[::-1]
    else:
        dead = np.tile(~g.layer_alive.all(axis=0), (len(g.log), 1))
    dead[1:] |= ~g.unit_alive
    dead[:-1] |= ~g.unit_alive
    return dead


def plain_product(w: Array, setting: Setting) -> tuple[Array, Array]:
    """log10 |∂a^(L)/∂w^(l)| = log10 |x · Π_{n≠l} w^(n)| (L−1, n), from the weights (L−1, n) alone.

    Second log10 |∂E/∂a^(L)| (n,), of a^(L) = x Π w.
    """
    logs = np.log(np.abs(w))
    product = logs.sum(axis=0) + np.log(abs(setting.x))
    sign = np.sign(w).prod(axis=0) * np.sign(setting.x)
    _, delta = chain.output_error(chain.Signed(sign, product), setting.t, setting.output)
    return decades(product - logs), decades(delta.log)


# ------------------------------------------------------------------------------------- profile


@dataclass(frozen=True)
class Profile:
    """One network against the layers: ``quantiles`` (3, L−1) are log10 of the median, 5 % and 95 %.

    NaN where no draw has a gradient other than zero. ``jacobian`` (3, L−1): the same of
    |∂a^(L)/∂w_11^(l)|, which is the gradient without its factor ∂E/∂a^(L), over the same draws.
    ``theory`` (L−1,): the log share of gradients that are not zero, None where the law says nothing.
    """

    drawn: Drawn
    quantiles: Array
    jacobian: Array
    theory: list[float] | None

    @property
    def network(self) -> NetworkKind:
        return self.drawn.network

    @cached_property
    def shares(self) -> Array:
        """(L−1,): the observed share of zeros."""
        return self.drawn.zeros / self.drawn.draws

    @property
    def zero_theory(self) -> float | None:
        """The expected share of zeros at layer 1."""
        return survival.share_zero(self.theory[0]) if self.theory else None

    @cached_property
    def slope(self) -> tuple[float, float] | None:
        """Decades a layer towards the input, and the error; None where too few layers have any."""
        return slope(self.quantiles[0])


def profile(
    network: NetworkKind, setting: Setting, progress: Callable[[int], None] = lambda done: None
) -> Profile:
    """Draw one network and put its quantiles and the law beside."""
    drawn = draw_networks(network, setting, progress)
    jacobian = quantiles(row - drawn.error for row in drawn.log10)
    return Profile(drawn, quantiles(drawn.log10), jacobian, theory(network, setting))


def theory(network: NetworkKind, setting: Setting) -> list[float] | None:
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
            network.width,
            network.depth,
            layer,
            alive=network.alive,
            residual=network.residual,
            biased=setting.biased,
        )
        for layer in layers
    ]


def quantiles(rows: Iterable[Array]) -> Array:
    """Median, 5 % and 95 % of the finite values of each of R rows (3, R), NaN where there are none."""
    found = []
    for row in rows:
        finite = row[np.isfinite(row)]
        found.append(np.quantile(finite, [0.5, 0.05, 0.95]) if len(finite) else np.full(3, np.nan))
    return np.array(found).T


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
    # Magnitudes such as exp(−1e200) have logarithms whose squares are beyond float64.
    size = float(np.abs(steps).max()) or 1.0
    deviation = size * np.std(steps / size, ddof=1)
    return (
        float(centred @ medians[layers] / (centred @ centred)),
        float(deviation * math.sqrt(1.2 / len(layers))),
    )


def least_slope(setting: Setting) -> float:
    """Decades that a sigmoid layer takes at least: |h'| ≤ 1/4, so it multiplies by at most |w|/4."""
    return math.log10(4.0) - mean_log(setting.weights, setting.scale) / math.log(10.0)


# ------------------------------------------------------------------------------------- survival


@dataclass(frozen=True)
class SurvivalCurve:
    """Zeros of the first layer's gradient among ``draws`` ReLU networks of each of ``depths``."""

    width: int
    draws: int
    depths: Array
    zeros: Array

    @property
    def theory(self) -> list[float]:
        return [survival.log_nonzero(self.width, int(depth), 1) for depth in self.depths]


def survival_curves(
    setting: Setting, depth: int, progress: Callable[[int], None] = lambda done: None
) -> Iterator[SurvivalCurve]:
    """Zero gradients against depth for each of ``SURVIVAL_WIDTHS``, by forward passes of their own."""
    depths = np.unique(np.geomspace(3, depth, 24).round().astype(int))
    rng = np.random.default_rng([setting.seed, 2])
    for done, m in enumerate(SURVIVAL_WIDTHS):
        progress(done)
        layers = depth - 2
        most = min(WEIGHTS_SPENT / (m * m * layers), 2**21 / (m * m))
        n = max(50, min(setting.draws, int(most)))

        def draws(count: int, m: int = m) -> Array:
            return draw_weights(rng, setting.weights, setting.scale, (m, m, count), m, m)

        lived, first = survival.lifetimes(draws, m, layers, n)
        zeros = np.array([int(np.sum(~(first & (lived >= d - 2)))) for d in depths])
        yield SurvivalCurve(m, n, depths, zeros)
