"""Chains in ordinary numbers against the same in logarithms, and mpmath where float64 underflows."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import mpmath
import numpy as np
import pytest

from mlhw.maths import plain_chain
from mlhw.maths.chain import LogGradients, chain_gradients
from mlhw.maths.log_activations import LOG_ACTIVATIONS
from mlhw.maths.plain_chain import plain_chain_gradients
from tests.maths.test_chain import assert_equal, by_mpmath

CASES: list[tuple[Any, float, str]] = [
    (1.0, 0.0, "identity"),
    (-0.7, 0.3, "identity"),
    (2.0, 1.0, "sigmoid"),
]


def assert_same(found: LogGradients, expected: LogGradients) -> None:
    for field in fields(LogGradients):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert one.dtype == other.dtype, field.name
        assert one.shape == other.shape, field.name
        if field.name in {"log", "z_log", "slope_log", "error_log"}:
            np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-12, err_msg=field.name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", sorted(LOG_ACTIVATIONS))
def test_they_are_the_same_as_by_logarithms(name: str, case: tuple[Any, float, str]) -> None:
    x, t, output = case
    rng = np.random.default_rng(0)
    for depth, n in ((3, 1), (12, 200), (153, 70)):
        w = rng.standard_normal((depth - 1, n))
        if name == "relu" and depth < 100:
            w[:, ::2] = np.abs(w[:, ::2])  # some live
            w[0, ::2] *= np.sign(x)
        expected = chain_gradients(w, x, t, name, output=output)
        assert_same(plain_chain_gradients(w, x, t, name, output=output), expected)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    w = np.random.default_rng(1).standard_normal((30, 500))
    inputs = np.random.default_rng(2).uniform(-2, 2, 500)
    whole = plain_chain_gradients(w, inputs, 0.2, "sigmoid")
    assert_same(whole, chain_gradients(w, inputs, 0.2, "sigmoid"))
    monkeypatch.setattr(plain_chain, "_FEWEST", 7)
    monkeypatch.setattr(plain_chain, "cpus", lambda: 5)
    parts = plain_chain_gradients(w, inputs, 0.2, "sigmoid")
    for field in fields(LogGradients):
        np.testing.assert_array_equal(getattr(whole, field.name), getattr(parts, field.name))


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-200, 40.0, 1e6])
def test_weights_of_any_size_are_right(size: float) -> None:
    for place in (0, 5, 11):
        w = np.random.default_rng(3).standard_normal((12, 4))
        w[place, 1] = size
        expected = chain_gradients(w, 1.0, 0.4, "sigmoid")
        assert_same(plain_chain_gradients(w, 1.0, 0.4, "sigmoid"), expected)


@pytest.mark.parametrize("w", [0.5, 29.0, 1e-9])
def test_a_chain_of_701_layers_is_right_far_below_float64(w: float) -> None:
    weights = np.full((700, 1), w)
    with mpmath.workdps(60):
        expected = by_mpmath(weights[:, 0], 1.0, 0.0, "sigmoid", False)
        assert mpmath.log10(abs(expected[0])) < -630
        g = plain_chain_gradients(weights, 1.0, 0.0, "sigmoid")
        assert_equal(g, expected, 1e-11)


def test_10_000_layers_are_right_to_1e_11() -> None:
    w = np.random.default_rng(4).standard_normal((9_999, 1))
    with mpmath.workdps(40):
        expected = by_mpmath(w[:, 0], 1.0, 0.0, "sigmoid", False)
        g = plain_chain_gradients(w, 1.0, 0.0, "sigmoid")
        for log, value in zip(g.log[:, 0].tolist(), expected, strict=True):
            assert abs(log / math.log(10) - float(mpmath.log10(abs(value)))) < 1e-11


def test_nothing_is_left_where_the_output_is_the_target() -> None:
    w = np.random.default_rng(5).standard_normal((6, 3))
    w[-1] = 0.5
    z = np.ones(3)
    for row in w[:-1]:
        z = 1.0 / (1.0 + np.exp(-row * z))
    g = plain_chain_gradients(w, 1.0, float(0.5 * z[1]), "sigmoid")
    assert (g.sign[:, 1] == 0).all()
    assert np.isneginf(g.log[:, 1]).all()
    assert (g.sign[:, [0, 2]] != 0).all()
