"""``vanishing`` with biases and a sigmoid output: every claim judges rightly, and weights stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw.errors import ConfigError
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, blocks
from mlhw.experiments.vanishing.rounding import torch_gradients
from mlhw.result.result import Result

QUICK = {"depth": 12, "draws": 400}


def verdicts(result: Result) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in result.claims}


@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("bias_scale", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_every_claim_that_applies_holds(output: Any, bias_scale: float, target: float) -> None:
    for keys in ({}, {"weights": "constant"}, {"residual": True}):
        result = mlhw.vanishing(
            output=output, bias_scale=bias_scale, target=target, **QUICK, **keys
        )
        found = verdicts(result)
        assert not result.fails, [claim for claim in result.claims if claim.verdict == "fails"]
        assert found["autograd"] == "holds"
        if bias_scale and not keys:
            assert found["relu-chain-zeros"] == found["bipartite-zeros"] == "holds"
            assert found["zero-shares"] == "holds"
            assert found["relu-chain-product"] == "not applicable"


@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu", "softplus", "relu"])
def test_other_networks_with_biases_agree_with_autograd(activation: Any) -> None:
    for width in (1, 3):
        result = mlhw.vanishing(
            activation=activation, width=width, output="sigmoid", bias_scale=0.7, **QUICK
        )
        assert verdicts(result)["autograd"] == "holds"
        assert not result.fails


def test_a_chain_of_sigmoids_everywhere_falls_faster_with_biases() -> None:
    keys: dict[str, Any] = {"activation": "sigmoid", "depth": 60, "draws": 2000}
    plain = mlhw.vanishing(**keys).summary["networks"][0]["decades_per_layer"]
    result = mlhw.vanishing(output="sigmoid", bias_scale=1.0, **keys)
    assert verdicts(result)["sigmoid-vanishes"] == "holds"
    assert result.summary["networks"][0]["decades_per_layer"] > plain + 0.03
    assert "bias" in str(result.formulas)


def test_weights_are_the_same_with_and_without_biases() -> None:
    for width in (1, 3):
        network = NetworkKind("relu", width, 9)
        plain = next(blocks(network, Setting("normal", 1.0, 5, 1.0, 0.0, 7)))
        biased = next(blocks(network, Setting("normal", 1.0, 5, 1.0, 0.0, 7, bias_scale=1.0)))
        assert len(biased) == len(plain) + 2
        for before, after in zip(plain, biased, strict=False):
            assert np.array_equal(before, after)


def test_autograd_knows_biases_and_output() -> None:
    network = NetworkKind("sigmoid", 1, 4)
    settings = [
        Setting("normal", 1.0, 5, 1.0, 0.0, 7, output, scale)
        for output in ("identity", "sigmoid")
        for scale in (0.0, 1.0)
    ]
    found = [torch_gradients(network, next(blocks(network, s)), s) for s in settings]
    assert all(not np.allclose(a, b) for i, a in enumerate(found) for b in found[i + 1 :])


def test_the_probability_of_a_wide_network_is_written_in_few_digits() -> None:
    lines = "\n".join(mlhw.vanishing(width=64, depth=10, shallow_depth=None, draws=5).answers)
    assert "(1 - 2^-64)^8 = 1 - 4.3e-19;" in lines
    assert "18446744073709551616" not in lines
    lines = "\n".join(mlhw.vanishing(width=2, depth=10, shallow_depth=None, draws=5).answers)
    assert "(1 - 1/4)^8 = 0.1;" in lines


def test_what_others_call_an_activation_is_pointed_to() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sigmoid'"):
        mlhw.vanishing(activation="logistic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be at least 0"):
        mlhw.vanishing(bias_scale=-1.0)
