"""What rounding does to gradients is found in pieces: whatever the size, little memory, and no long call."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from mlhw.experiments.vanishing import rounding
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks

SETTING = Setting("normal", 1.0, 9, 1.0, 0.0, 0)


def rounded(network: NetworkKind) -> rounding.Rounding:
    w = next(blocks(network, SETTING))
    return rounding.rounding_of(network, w, block_gradients(network, w, 1.0, SETTING), SETTING)


def test_pieces_are_shifted_as_the_whole_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "AT_ONCE", 7)
    for shape, n, copies in (((5, 3, 3, 9), 4, 3), ((9,), 4, 5), ((7, 6), 1, 1)):
        values = np.random.default_rng(0).normal(size=shape)[..., :n]
        ulps = np.random.default_rng(1).choice([-1.0, 1.0], (*shape[:-1], n * copies))
        expected = np.tile(values, copies) * (1.0 + np.finfo(float).eps * ulps)
        found = rounding._shifted(np.random.default_rng(1), values, copies)
        assert (found == expected).all()


@pytest.mark.parametrize("width", [1, 2])
def test_copies_that_come_a_few_at_a_time_say_the_same(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    network = NetworkKind("sigmoid", width, 12)
    whole = rounded(network)
    monkeypatch.setattr(rounding, "COPIED", 1)
    assert rounded(network) == whole
    assert whole.compared > 0


def test_of_a_wide_network_no_twenty_copies_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NetworkKind("relu", 64, 60)
    weights = sum(part[..., :1].nbytes for part in next(blocks(network, SETTING)))
    monkeypatch.setattr(rounding, "COPIED", weights // 8)
    monkeypatch.setattr(rounding, "AT_ONCE", 2**12)
    w = tuple(part[..., :1] for part in next(blocks(network, SETTING)))
    g = block_gradients(network, w, 1.0, SETTING)
    tracemalloc.start()
    try:
        rounding.rounding_of(network, w, g, SETTING)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * weights
