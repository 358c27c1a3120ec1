"""The law of dead ReLUs against simulation, counting and SciPy; networks drawn alive."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from mlhw.maths import random_weights, survival


@pytest.mark.parametrize(("width", "depth"), [(1, 5), (2, 8), (3, 4)])
def test_the_law_of_zeros_agrees_with_200000_networks_through_torch(width: int, depth: int) -> None:
    n = 200_000
    generator = torch.Generator().manual_seed(width)
    shape = (n, width, width)
    w = [torch.randn(shape, generator=generator, requires_grad=True) for _ in range(depth - 2)]
    v = torch.randn((n, 1, width), generator=generator, requires_grad=True)
    z = torch.ones((n, width, 1))
    for layer in w:
        z = torch.relu(layer @ z)
    (0.5 * (v @ z) ** 2).sum().backward()
    for layer, weight in enumerate([*w, v], 1):
        assert weight.grad is not None
        zeros = int((weight.grad[:, 0, 0] == 0).sum())
        law = survival.share_zero(survival.log_nonzero(width, depth, layer))
        deviation = math.sqrt(n * law * (1 - law))
        assert abs(zeros - n * law) < 5 * deviation, (layer, zeros / n, law)


@settings(deadline=None)
@given(width=st.integers(1, 3), depth=st.integers(3, 5), layer=st.integers(1, 4))
def test_the_law_of_zeros_is_the_share_of_patterns_of_living_units(
    width: int, depth: int, layer: int
) -> None:
    """Every pattern of living and dead units is equally likely: count those that let it through."""
    if layer >= depth:
        return
    nonzero = alive = both = 0
    patterns = list(itertools.product([False, True], repeat=width * (depth - 2)))
    for pattern in patterns:
        hidden = np.array(pattern).reshape(depth - 2, width)
        lives = hidden.any(axis=1).all()
        through = lives and all(hidden[n - 2, 0] for n in (layer, layer + 1) if 2 <= n < depth)
        alive, nonzero = alive + lives, nonzero + through
        both += through
    assert math.exp(survival.log_alive(width, depth)) == pytest.approx(alive / len(patterns))
    plain = survival.log_nonzero(width, depth, layer)
    assert math.exp(plain) == pytest.approx(nonzero / len(patterns))
    given_alive = survival.log_nonzero(width, depth, layer, alive=True)
    assert math.exp(given_alive) == pytest.approx(both / alive)


def test_a_two_wide_network_is_dead_at_depth_153() -> None:
    assert math.exp(survival.log_alive(2, 153)) == pytest.approx(0.75**151, rel=1e-12)
    assert survival.share_zero(survival.log_nonzero(2, 153, 1)) == 1.0
    assert survival.log_nonzero(1, 10_000, 1) == pytest.approx(-9998 * math.log(2))


@given(st.floats(0.001, 0.9999), st.integers(3, 10_000))
def test_the_width_needed_is_the_first_that_is_enough(probability: float, depth: int) -> None:
    width = survival.width_alive(probability, depth)
    assert (1 - 2.0**-width) ** (depth - 2) >= probability * (1 - 1e-9)
    if width > 1:
        assert (1 - 2.0 ** -(width - 1)) ** (depth - 2) < probability * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_lifetimes_follow_the_law(kind: str, width: int) -> None:
    rng = np.random.default_rng(width)
    n, layers = 40_000, 12
    lived, first = survival.lifetimes(
        lambda count: random_weights.draw_weights(
            rng, kind, 2.0, (width, width, count), width, width
        ),
        width,
        layers,
        n,
    )
    for depth in (3, 5, 9, 14):
        low, high = survival.binomial_band(
            np.array(n), np.exp(survival.log_nonzero(width, depth, 1)), 1e-8
        )
        assert low <= np.sum(first & (lived >= depth - 2)) <= high


def test_layers_drawn_alive_never_die_and_keep_their_law() -> None:
    rng = np.random.default_rng(0)
    m, layers, n = 2, 40, 4000
    w = survival.alive_layers(lambda k: rng.standard_normal((m, m, k)), m, layers, n, 1.0)
    z = np.ones((m, n))
    alive = []
    for layer in w:
        a = np.einsum("ijn,jn->in", layer, z)
        assert (a > 0).any(axis=0).all()
        alive.append(a[0] > 0)
        z = np.maximum(a, 0) / a.max(axis=0)
    # P(unit 1 alive | layer alive) = ½ / (1 − ¼) = 2/3, layer after layer.
    share = np.mean(alive)
    assert abs(share - 2 / 3) < 5 * math.sqrt(2 / 9 / (layers * n))
    # The second layer, whose weights nothing before has touched but survival: compared with
    # networks that happened to survive.
    free = rng.standard_normal((m, m, 60_000))
    happened = free[:, :, (free.sum(axis=1) > 0).any(axis=0)]
    assert kstest(w[0, 0, 0], happened[0, 0]).pvalue > 1e-4
    assert kstest(w[0, 0, 0], free[0, 0]).pvalue < 1e-4


def test_chains_drawn_alive_keep_the_size_of_their_weights_and_the_last_sign() -> None:
    w = np.random.default_rng(0).standard_normal((6, 100))
    alive = survival.alive_chain(w, -2.0)
    assert np.array_equal(np.abs(alive), np.abs(w))
    assert (alive[0] < 0).all()
    assert (alive[1:-1] > 0).all()
    assert np.array_equal(alive[-1], w[-1])


@given(
    n=st.integers(1, 100_000),
    probability=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-19, 1 - 1e-9])),
    error=st.sampled_from([1e-2, 1e-6, 1e-10]),
)
def test_the_binomial_band_is_bounded_by_its_tails(
    n: int, probability: float, error: float
) -> None:
    low, high = survival.binomial_band(np.array(n), np.array(probability), error)
    assert 0 <= low <= high <= n
    slack = 1 + 1e-6
    assert binom.cdf(low, n, probability) * slack > error / 2
    assert binom.cdf(low - 1, n, probability) <= error / 2 * slack
    assert binom.sf(high - 1, n, probability) * slack > error / 2
    assert binom.sf(high, n, probability) <= error / 2 * slack


@pytest.mark.parametrize(
    ("kind", "fan_in", "fan_out", "variance"),
    [
        ("normal", 5, 7, 9.0),
        ("uniform", 5, 7, 3.0),
        ("constant", 5, 7, 0.0),
        ("xavier", 5, 7, 9.0 * 2 / 12),
        ("he", 5, 7, 9.0 * 2 / 5),
    ],
)
def test_weights_have_the_variance_of_their_name(
    kind: str, fan_in: int, fan_out: int, variance: float
) -> None:
    w = random_weights.draw_weights(
        np.random.default_rng(0), kind, 3.0, (200_000,), fan_in, fan_out
    )
    assert np.var(w) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("kind", ["normal", "uniform", "xavier", "he", "constant"])
def test_the_mean_logarithm_of_a_weight_agrees_with_a_sample(kind: str) -> None:
    w = random_weights.draw_weights(np.random.default_rng(0), kind, 0.3, (400_000,), 1, 1)
    assert random_weights.mean_log(kind, 0.3) == pytest.approx(np.mean(np.log(np.abs(w))), abs=0.01)
