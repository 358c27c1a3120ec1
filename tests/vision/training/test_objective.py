"""Class weights and balanced draws, against scikit-learn and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from mlhw.vision.images.augment import balanced_order
from mlhw.vision.training.objective import balanced_weights, minimised

LOGITS = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) ** 2 % 5
WEIGHTS = torch.tensor([0.2, 3.0, 1.0, 0.7, 2.0])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200))
def test_balanced_weights_are_scikit_learns(labels: list[int]) -> None:
    classes = np.unique(labels)
    place = np.searchsorted(classes, labels)
    expected = compute_class_weight("balanced", classes=np.arange(len(classes)), y=place)
    np.testing.assert_allclose(balanced_weights(place, len(classes)), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_what_is_minimised_is_torchs_cross_entropy(
    weights: torch.Tensor | None, smoothing: float
) -> None:
    expected = functional.cross_entropy(
        LOGITS, LABELS, weight=weights, label_smoothing=smoothing
    ).item()
    nll = functional.cross_entropy(LOGITS, LABELS)
    assert minimised(nll, LOGITS, LABELS, smoothing, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_mixed_images_too(smoothing: float) -> None:
    shares = torch.rand(40, 5, generator=torch.Generator().manual_seed(1)).softmax(1)
    expected = functional.cross_entropy(LOGITS, shares, label_smoothing=smoothing).item()
    nll = functional.cross_entropy(LOGITS, shares)
    for weights in (None, torch.ones(5)):
        found = minimised(nll, LOGITS, shares, smoothing, weights).item()
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_shares_of_one_class_cost_what_its_label_does(smoothing: float) -> None:
    shares = functional.one_hot(LABELS, 5).float()
    nll = functional.cross_entropy(LOGITS, LABELS)
    label = minimised(nll, LOGITS, LABELS, smoothing, WEIGHTS).item()
    assert minimised(nll, LOGITS, shares, smoothing, WEIGHTS).item() == pytest.approx(label)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=300),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 50),
)
def test_each_class_is_drawn_equally_often_and_so_is_each_image_of_it(
    labels: list[int], seed: int, epoch: int
) -> None:
    values = np.array(labels)
    order = balanced_order(seed, epoch, values)
    assert len(order) == len(values)
    assert np.array_equal(order, balanced_order(seed, epoch, values))
    _, of_class = np.unique(np.concatenate([np.unique(values), values[order]]), return_counts=True)
    assert np.ptp(of_class) <= 1
    times = np.bincount(order, minlength=len(values))
    for k in np.unique(values):
        assert np.ptp(times[values == k]) <= 1


def test_draws_differ_between_epochs_and_leave_no_image_out_in_the_long_run() -> None:
    labels = np.array([0] * 95 + [1] * 5)
    orders = [balanced_order(0, epoch, labels) for epoch in range(20)]
    assert len({order.tobytes() for order in orders}) == 20
    assert set(np.concatenate(orders)) == set(range(100))
