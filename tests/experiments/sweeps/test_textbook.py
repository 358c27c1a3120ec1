"""The textbook's mathematics by blocks of rows is that of all rows at once."""

from __future__ import annotations

import numpy as np
import pytest

from mlhw.experiments.lr_sweep import audit
from mlhw.experiments.sweeps import textbook
from mlhw.maths import in_blocks
from tests.maths.test_logistic import overlapping


def test_many_rows_are_gone_through_in_blocks_with_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(4, n=5003, d=3)
    W = np.random.default_rng(4).normal(size=(4, 3))

    def everything() -> list[np.ndarray]:
        return [
            *textbook.nll_at(X, t, W),
            *textbook.gradient_at(X, t, W),
            textbook.limits_at(X, W),
            np.array(textbook.steepest_limit(X)),
            np.array(textbook.newton_step(X, t, W[:, 0])),
        ]

    whole = everything()
    monkeypatch.setattr(in_blocks, "WORTH", 1)
    monkeypatch.setattr(textbook, "_HELD", 1)
    assert len(textbook.by_rows(X, 3, lambda rows: rows)) == 10
    for parts, known in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(parts, known, rtol=1e-11, atol=1e-15)


def test_a_block_of_rows_with_residuals_of_nothing_stops_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(4, n=2000, d=3)
    w = np.array([1e6, 0.0, 0.0, 0.0])
    whole = textbook.newton_step(X, t, w)
    monkeypatch.setattr(in_blocks, "WORTH", 1)
    monkeypatch.setattr(textbook, "_HELD", 1)
    assert textbook.newton_step(X, t, w) == whole == (0.0, np.inf)


def test_of_much_data_at_many_rates_fewer_steps_and_limits_are_worked_out_again() -> None:
    assert audit.steps_looked_at(200, 5) == audit.STEPS
    assert audit.steps_looked_at(250_000, 1) == 16
    assert audit.steps_looked_at(250_000, 32) == 2
