"""How each claim of vanishing is made to fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.vanishing import sample
from mlhw.maths import plain_chain, random_weights, survival
from mlhw.maths.activations import LEAK
from mlhw.maths.chain import chain_gradients
from mlhw.maths.log_activations import KINK_SLOPE, LOG_ACTIVATIONS, Forms, log_leaky_relu

COMMAND = ["--depth", "30", "--draws", "500"]


def scale_slope(monkeypatch: pytest.MonkeyPatch, name: str, factor: float) -> None:
    """h' of one activation times ``factor``."""
    true = LOG_ACTIVATIONS[name]

    def scaled(sign: Any, log: Any) -> Forms:
        h = true(sign, log)
        return h._replace(slope_log=h.slope_log + math.log(factor))

    monkeypatch.setitem(LOG_ACTIVATIONS, name, scaled)


def change_plain_slope(monkeypatch: pytest.MonkeyPatch, changed: Callable[[Any, Any], Any]) -> None:
    """e of h' = e z², in chains that are worked out in ordinary numbers, by e and z."""
    true = plain_chain._forward

    def wrong(w: Any, x: Any) -> Any:
        minus_z, e = true(w, x)
        return minus_z, changed(e, -minus_z[1:])

    monkeypatch.setattr(plain_chain, "_forward", wrong)


def sigmoid_slope_up_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scale_slope(monkeypatch, "sigmoid", 4.0)
    change_plain_slope(monkeypatch, lambda e, z: 4.0 * e)


def relu_leaks_in_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOG_ACTIVATIONS, "relu", log_leaky_relu)
    # No chain is at zero then, and none is left to ordinary numbers.
    monkeypatch.setattr(
        plain_chain,
        "_of_relu",
        lambda weights, x, t, output: chain_gradients(weights, x, t, "relu", output=output),
    )


def relu_slope_one_half(monkeypatch: pytest.MonkeyPatch) -> None:
    scale_slope(monkeypatch, "relu", 0.5)


def relu_leaks_in_wide_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINK_SLOPE, "relu", LEAK)


def layers_die_half_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    true = survival.log_nonzero
    monkeypatch.setattr(
        survival, "log_nonzero", lambda width, *rest, **given: true(width + 1, *rest, **given)
    )


def one_tail_of_the_logistic_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    """log h' = −|a| − log1p(e^−|a|), without the factor 2."""
    true = LOG_ACTIVATIONS["sigmoid"]

    def wrong(sign: Any, log: Any) -> Forms:
        h = true(sign, log)
        size = np.exp(np.minimum(log, 700.0)) * np.abs(sign)  # |a|
        return h._replace(slope_log=(h.slope_log - size) / 2.0)

    monkeypatch.setitem(LOG_ACTIVATIONS, "sigmoid", wrong)
    change_plain_slope(monkeypatch, lambda e, z: np.sqrt(e * np.minimum(e, 1.0 / e)) / z)


def weights_a_tenth_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    true = random_weights.deviation
    monkeypatch.setattr(random_weights, "deviation", lambda *arguments: 1.1 * true(*arguments))


def decades_of_the_wrong_end(monkeypatch: pytest.MonkeyPatch) -> None:
    true = sample.slope
    monkeypatch.setattr(sample, "slope", lambda medians: true(medians[: len(medians) // 2]))


TAMPERINGS = {
    "weights-have-their-law": weights_a_tenth_too_large,
    "told-as-drawn": decades_of_the_wrong_end,
    "law-by-counting": layers_die_half_as_often,
    "sigmoid-vanishes": sigmoid_slope_up_to_one,
    "relu-chain-zeros": relu_leaks_in_chains,
    "relu-chain-product": relu_slope_one_half,
    "bipartite-zeros": relu_leaks_in_wide_networks,
    "zero-shares": layers_die_half_as_often,
    "autograd": one_tail_of_the_logistic_slope,
}
