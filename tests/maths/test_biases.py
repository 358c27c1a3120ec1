"""Chains and wider networks with biases and a sigmoid output, against the textbook, mpmath and torch."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from mlhw.maths import survival
from mlhw.maths.bipartite import bipartite_gradients
from mlhw.maths.chain import LogGradients, Signed, chain_gradients, output_error, signed
from tests.maths.test_chain import DH, NAMES, TORCH, H, assert_equal

OUTPUTS = ["identity", "sigmoid"]


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def test_nielsens_chain_of_four_neurons_is_his_formula() -> None:
    """Neural Networks and Deep Learning, chapter 5, equation 122, times the input."""
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((2, 4))
    x, y = 0.7, 0.2
    a, slopes = x, []
    for weight, bias in zip(w.tolist(), b.tolist(), strict=True):
        a = sigmoid(weight * a + bias)
        slopes.append(a * (1 - a))
    expected = slopes[0] * w[1] * slopes[1] * w[2] * slopes[2] * w[3] * slopes[3] * (a - y) * x
    g = chain_gradients(w[:, None], x, y, "sigmoid", biases=b[:, None], output="sigmoid")
    assert g.sign[0, 0] * math.exp(g.log[0, 0]) == pytest.approx(expected, rel=1e-12)


def by_mpmath(
    hidden: np.ndarray, last: np.ndarray, biases: Any, t: float, name: str, residual: bool, out: str
) -> list[mpmath.mpf]:
    """∂E/∂w_11^(l) of one network for the input 0.8, by back-propagation as the textbook has it."""
    m = len(last)
    z, slopes = [[mpmath.mpf(0.8)] * m], []
    for w, b in zip(hidden.tolist(), biases[0].tolist(), strict=True):
        a = [mpmath.fdot(row, z[-1]) + bias for row, bias in zip(w, b, strict=True)]
        slopes.append([DH[name](value) for value in a])
        before = z[-1] if residual else [mpmath.mpf(0)] * m
        z.append([H[name](value) + old for value, old in zip(a, before, strict=True)])
    a_last = mpmath.fdot(last.tolist(), z[-1]) + float(biases[1])
    y, slope = (H[out](a_last), DH[out](a_last)) if out != "identity" else (a_last, 1)
    delta_last = (y - t) * slope
    gradients = [delta_last * z[-1][0]]
    d = [delta_last * weight for weight in last.tolist()]
    for row in reversed(range(len(hidden))):
        delta = [s * value for s, value in zip(slopes[row], d, strict=True)]
        gradients.insert(0, delta[0] * z[row][0])
        back = [mpmath.fdot(column, delta) for column in hidden[row].T.tolist()]
        d = [b + (old if residual else 0) for b, old in zip(back, d, strict=True)]
    return gradients


def drawn(m: int, layers: int, seed: int, scale: float = 1.0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    hidden, last = rng.standard_normal((layers, m, m)), rng.standard_normal(m)
    return hidden, last, (scale * rng.standard_normal((layers, m)), scale * rng.standard_normal())


def computed(
    hidden: Any, last: Any, biases: Any, t: float, name: str, residual: bool, out: str
) -> LogGradients:
    """The chain for one unit a layer, else the wider network."""
    if len(last) == 1:
        w = np.concatenate([hidden[:, 0], last[None]])
        b = np.append(biases[0][:, 0], biases[1])[:, None]
        return chain_gradients(w, 0.8, t, name, residual, biases=b, output=out)
    b = (biases[0][..., None], np.array([biases[1]]))
    w = hidden[..., None], last[:, None]
    return bipartite_gradients(*w, 0.8, t, name, residual, biases=b, output=out)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("out", OUTPUTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_agrees_with_mpmath(name: str, out: str, residual: bool) -> None:
    for m in (1, 3):
        for scale in (1.0, 1e-3, 20.0):
            case = drawn(m, 12, m, scale)
            with mpmath.workdps(60):
                expected = by_mpmath(*case, 0.3, name, residual, out)
                assert_equal(computed(*case, 0.3, name, residual, out), expected, 1e-9)


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_a_saturated_output_far_below_float64_is_right(m: int, t: float) -> None:
    hidden, last, (b, _) = drawn(m, 60, 5)
    for last_bias in (-2000.0, 2000.0):
        case = (hidden, last, (b, last_bias))
        with mpmath.workdps(1000):
            expected = by_mpmath(*case, t, "sigmoid", False, "sigmoid")
            assert min(float(mpmath.log10(abs(value))) for value in expected) < -600
            assert_equal(computed(*case, t, "sigmoid", False, "sigmoid"), expected, 1e-10)


@pytest.mark.parametrize("out", OUTPUTS)
@pytest.mark.parametrize("name", NAMES)
def test_torch_autograd_gives_the_same_gradients(name: str, out: str) -> None:
    for m in (1, 2, 5):
        hidden, last, (b, last_bias) = drawn(m, 6, 10 + m)
        layers = [torch.tensor(w, requires_grad=True) for w in (*hidden, last[None])]
        z = torch.full((m,), 0.8, dtype=torch.float64)
        for w, bias in zip(layers[:-1], torch.tensor(b), strict=True):
            z = TORCH[name](w @ z + bias)
        y = layers[-1] @ z + last_bias
        y = torch.sigmoid(y) if out == "sigmoid" else y
        (0.5 * (y - 0.3) ** 2).sum().backward()
        g = computed(hidden, last, (b, last_bias), 0.3, name, False, out)
        rows: list[Any] = [w.grad for w in layers]
        found = [float(row[0, 0]) for row in rows]
        assert g.sign[:, 0] * np.exp(g.log[:, 0]) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_biases_of_zero_change_nothing(name: str) -> None:
    for m in (1, 3):
        hidden, last, (b, _) = drawn(m, 20, 3)
        g = computed(hidden, last, (0.0 * b, 0.0), 0.3, name, False, "identity")
        if m == 1:
            w = np.concatenate([hidden[:, 0], last[None]])
            plain = chain_gradients(w, 0.8, 0.3, name)
        else:
            plain = bipartite_gradients(hidden[..., None], last[:, None], 0.8, 0.3, name)
        assert (g.sign == plain.sign).all()
        shown = g.sign != 0
        assert g.log[shown] == pytest.approx(plain.log[shown], rel=1e-12, abs=1e-11)


def test_a_unit_lives_again_behind_a_dead_layer_by_its_bias() -> None:
    w = np.array([[-1.0], [2.0], [3.0], [1.0]])
    b = np.array([[0.5], [1.0], [-0.5], [0.25]])
    # a = −0.5, 1, 2.5, 2.75: layer 2 is dead, layers 3 and 4 are not.
    g = chain_gradients(w, 1.0, 0.0, "relu", biases=b)
    assert g.unit_alive[:, 0].tolist() == [False, True, True]
    assert (g.sign[:, 0] * np.exp(g.log[:, 0])).tolist() == pytest.approx([0, 0, 2.75, 6.875])


@pytest.mark.parametrize("t", [0.0, 1.0, 0.5])
def test_the_outputs_error_loses_no_digit_where_it_saturates(t: float) -> None:
    for a in (-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0):
        residue, delta = output_error(signed(np.array([a])), t, "sigmoid")
        with mpmath.workdps(800):
            y = 1 / (1 + mpmath.exp(-mpmath.mpf(a)))
            for found, expected in ((residue, y - t), (delta, (y - t) * y * (1 - y))):
                assert found.sign[0] == mpmath.sign(expected)
                if expected:
                    assert found.log[0] == pytest.approx(
                        float(mpmath.log(abs(expected))), rel=1e-12
                    )


def test_an_identity_output_is_its_activation() -> None:
    a = Signed(np.array([1.0]), np.array([2.0]))
    residue, delta = output_error(a, 0.0, "identity")
    assert residue is delta
    assert residue.log[0] == 2.0


# ---------------------------------------------------------------- the law of dead units


@pytest.mark.parametrize("width", [1, 2, 4])
def test_with_biases_only_layers_behind_a_weight_can_stop_its_gradient(width: int) -> None:
    rng = np.random.default_rng(width)
    n, layers, depth = 20_000, 6, 8
    hidden = rng.standard_normal((layers, width, width, n))
    b = rng.standard_normal((layers, width, n)), rng.standard_normal(n)
    last = rng.standard_normal((width, n))
    if width == 1:
        w, biases = (
            np.concatenate([hidden[:, 0, 0], last]),
            np.concatenate([b[0][:, 0], b[1][None]]),
        )
        g = chain_gradients(w, 1.0, 0.0, "relu", biases=biases)
    else:
        g = bipartite_gradients(hidden, last, 1.0, 0.0, "relu", biases=b)
    for layer in range(1, depth):
        law = math.exp(survival.log_nonzero(width, depth, layer, biased=True))
        share = float(np.mean(g.sign[layer - 1] != 0))
        assert abs(share - law) < 5 * math.sqrt(law * (1 - law) / n) + 1e-12
    assert survival.log_nonzero(width, depth, 1, biased=True) == pytest.approx(
        survival.log_nonzero(width, depth, 1)
    )
