"""Ways to make each claim of backprop-check fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhw.maths import derivatives, four_ways, network
from mlhw.maths.mistakes import mistaken

COMMAND = ["--trials", "4", "--max-width", "6"]
RIGHT = str(Path(__file__).with_name("right_backprop.py"))
COMMANDS = {"implementation": ["--trials", "0", "--implementation", RIGHT]}


def derivative_at_z(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-propagation with h'(z) for h'(a): every other way must see it."""
    true = network.derivative

    def wrong(net: network.Network, layer: int, a: np.ndarray) -> np.ndarray:
        return true(net, layer, network.value(net, layer, a))

    monkeypatch.setattr(network, "derivative", wrong)


def one_weight_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-propagation that is wrong in one weight of one matrix only, by one part in 10^10."""
    true = four_ways.backprop

    def wrong(*arguments: object) -> network.Gradients:
        gradients = true(*arguments)  # type: ignore[arg-type]
        gradients.weights[0][0, 0] *= 1 + 1e-10
        return gradients

    monkeypatch.setattr(four_ways, "backprop", wrong)


def real_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A complex step so large that its own error shows."""
    monkeypatch.setattr(derivatives.complex_step, "__defaults__", (1e-3,))


def error_turned_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """General back-propagation with the error turned round: the literal formulas part from it."""
    true = network.output_delta
    monkeypatch.setattr(network, "output_delta", lambda *arguments: -true(*arguments))


def reference_turned_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference of the grading loses a sign: a right file must then be called wrong."""
    true = mistaken.output_delta
    monkeypatch.setattr(mistaken, "output_delta", lambda *arguments: -true(*arguments))


def one_weight_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow ways leave out the last weight of the first matrix."""
    true = four_ways.entries_to_check

    def fewer(*arguments: object) -> list[np.ndarray]:
        first, *others = true(*arguments)  # type: ignore[arg-type]
        return [first[:-1], *others]

    monkeypatch.setattr(four_ways, "entries_to_check", fewer)


TAMPERINGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "autograd": one_weight_off,
    "complex-step": real_step,
    "finite-difference": derivative_at_z,
    "nothing-left-out": one_weight_unchecked,
    "course-formulas": error_turned_round,
    "implementation": reference_turned_round,
}
