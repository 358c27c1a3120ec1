"""What docs/sgd-sweep.md promises of numbers elsewhere: a rate that differs in its last bit stands for it."""

from __future__ import annotations

from functools import cache

import numpy as np

from mlhw.maths.descent import start_weights
from mlhw.maths.sgd import permutation_stream, stochastic_gradient_descent
from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import two_classes

ETAS = [0.5, 0.3, 0.1, 0.05, 0.01]
EPOCHS = 500


@cache
def nlls(bits: int) -> np.ndarray:
    """The NLL after each epoch at the default rates, each moved by its last bit or not; (epochs, rates)."""
    X, t, _ = two_classes(load_points(PointsConfig()))
    etas = [float(np.nextafter(eta, 1)) if bits else eta for eta in ETAS]
    start, stream = start_weights(None, X.shape[1] - 1), permutation_stream(0, 0)
    parts = stochastic_gradient_descent(X, t, start, etas, EPOCHS, stream)
    return np.concatenate([np.asarray(part.nll) for part in parts])


def test_below_the_largest_rate_a_last_bit_stays_a_last_bit() -> None:
    np.testing.assert_allclose(nlls(1)[:, 1:], nlls(0)[:, 1:], rtol=1e-11)


def test_at_the_largest_rate_only_the_first_epochs_and_the_mean_are_the_same() -> None:
    other, one = nlls(1)[:, 0], nlls(0)[:, 0]
    np.testing.assert_allclose(other[:5], one[:5], rtol=1e-7)
    assert np.abs(other[:20] - one[:20]).max() < 0.01
    assert np.abs(other - one).max() > 1  # it is chaotic
    np.testing.assert_allclose(other[100:].mean(), one[100:].mean(), rtol=0.05)
