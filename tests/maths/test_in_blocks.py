"""Blocks of rows in threads: the numbers of ``logistic``, the same bits with any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from mlhw.maths import in_blocks, logistic
from tests.maths.test_logistic import overlapping


def test_blocks_have_the_numbers_of_logistic_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, t = overlapping(0, n=9001, d=4)
    W = np.random.default_rng(0).normal(size=(5, 7))
    monkeypatch.setattr(in_blocks, "_BLOCK", 5 * 512)
    bits = []
    for cpus in (1, 3):
        monkeypatch.setattr(in_blocks, "cpus", lambda n=cpus: n)
        nll, slope = in_blocks.slopes_in_blocks(X, t, W)
        limits = in_blocks.limits_in_blocks(X, W)
        bits.append((nll.tobytes(), slope.tobytes(), limits.tobytes()))
    assert bits[0] == bits[1]
    theirs = logistic.nll_and_gradient(X, t, W)
    np.testing.assert_allclose(nll, theirs[0], rtol=1e-13)
    np.testing.assert_allclose(slope, theirs[1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(limits, logistic.local_limits(X, W), rtol=1e-12)


def test_what_does_not_end_is_not_hidden_and_what_vanishes_has_no_limit() -> None:
    X, t = overlapping(0, n=600, d=2)
    W = np.array([[1e300, np.nan], [0.0, 0.0], [0.0, 0.0]])
    nll, _ = in_blocks.slopes_in_blocks(X, t, W)
    assert not np.isfinite(nll[1])
    assert nll[0] > 1e290
    assert in_blocks.limits_in_blocks(np.ones((600, 3)), np.full((3, 1), 300.0)) == np.inf


def test_an_error_in_a_thread_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    X, t = overlapping(0, n=600, d=2)
    with pytest.raises(ValueError, match=r"shapes|mismatch|dimension"):
        in_blocks.slopes_in_blocks(X, t, np.zeros((7, 1)))
