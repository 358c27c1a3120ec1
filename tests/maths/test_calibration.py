"""The temperature and the calibration error, against minimisers and formulas that others wrote."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from mlhw.maths.calibration import (
    BINS,
    COLDEST,
    FEWEST_IMAGES,
    HOTTEST,
    calibration_error,
    fit_temperature,
    reliability,
    tempered_nll,
)
from mlhw.maths.softmax import softmax


def drawn(seed: int, count: int, classes: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Activations, and classes drawn from the softmax of them divided by ``scale``."""
    rng = np.random.default_rng(seed)
    a = scale * 2 * rng.standard_normal((count, classes))
    p = softmax(a / scale)
    return a, (p.cumsum(1) > rng.random((count, 1))).argmax(1)


def torch_nll(a: np.ndarray, t: np.ndarray, temperature: float) -> float:
    """Szegedy's smoothing, as torch has it, with the ε at which it gives Platt's targets."""
    count, classes = a.shape
    smoothing = classes / ((classes - 1) * (count + 2))
    return float(
        functional.cross_entropy(
            torch.from_numpy(a).double() / temperature,
            torch.from_numpy(t),
            label_smoothing=smoothing,
        )
    )


@pytest.mark.parametrize("classes", [2, 3, 100])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_minimum_that_scipy_finds_of_torchs_loss(
    classes: int, scale: float
) -> None:
    a, t = drawn(3, 400, classes, scale)
    found = fit_temperature(a, t)
    expected = minimize_scalar(
        lambda s: torch_nll(a, t, np.exp(s)),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found == pytest.approx(np.exp(expected.x), rel=1e-5)
    assert tempered_nll(a, t, found) == pytest.approx(torch_nll(a, t, found), rel=1e-12)


def test_classes_drawn_from_tempered_activations_give_the_temperature_back() -> None:
    a, t = drawn(0, 20_000, 5, scale=3.0)
    assert fit_temperature(a, t) == pytest.approx(3.0, rel=0.03)


def test_what_scales_the_activations_scales_the_temperature() -> None:
    a, t = drawn(1, 300, 4)
    assert fit_temperature(1.7 * a, t) == pytest.approx(1.7 * fit_temperature(a, t), rel=1e-9)


def test_images_that_are_all_judged_rightly_ask_for_no_certainty() -> None:
    """The mean probability of the own class is the rule of succession's, (N + 1)/(N + 2)."""
    t = np.arange(200) % 3
    a = 4.0 * np.eye(3)[t]
    p = softmax(a / fit_temperature(a, t))
    assert p.max(1).mean() == pytest.approx(201 / 202, rel=1e-9)


def test_the_bounds_hold() -> None:
    t = np.arange(100) % 2
    swapped = np.eye(2)[1 - t]  # always wrong: the hotter the better
    assert fit_temperature(swapped, t) == HOTTEST
    assert fit_temperature(1e-3 * np.eye(2)[t], t) == COLDEST
    assert fit_temperature(np.zeros((100, 2)), t) == HOTTEST  # no temperature matters


def test_too_few_images_and_activations_that_are_not_finite_leave_the_temperature_at_1() -> None:
    a, t = drawn(2, FEWEST_IMAGES, 3, scale=3.0)
    assert fit_temperature(a, t) != 1
    assert fit_temperature(a[1:], t[1:]) == 1
    a[0, 0] = -np.inf
    assert fit_temperature(a, t) == 1


def test_float32_activations_are_worked_on_in_float64() -> None:
    a, t = drawn(4, 500, 6)
    single = a.astype(np.float32)
    assert fit_temperature(single, t) == fit_temperature(single.astype(float), t)


def test_the_calibration_error_is_the_formula_image_by_image() -> None:
    rng = np.random.default_rng(5)
    confidence = np.concatenate([rng.random(200), np.arange(1, 16) / 15, [1e-9]])
    right = rng.random(len(confidence)) < 0.6
    total = 0.0
    for m in range(BINS):
        inside = (confidence > m / BINS) & (confidence <= (m + 1) / BINS)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, right) == pytest.approx(total, abs=1e-14)


def test_sure_and_right_has_no_error_and_sure_and_wrong_has_all() -> None:
    ones = np.ones(7)
    assert calibration_error(ones, np.ones(7, bool)) == 0
    assert calibration_error(ones, np.zeros(7, bool)) == 1
    assert np.isnan(calibration_error(ones[:0], np.zeros(0, bool)))


def test_every_image_is_in_one_bin_and_empty_bins_have_no_mean() -> None:
    found = reliability(np.array([0.5, 0.5, 1.0]), np.array([True, False, True]), 4)
    assert found.counts.tolist() == [0, 2, 0, 1]
    assert found.right.tolist() == [0, 1, 0, 1]
    assert np.isnan(found.confidence[[0, 2]]).all()
    assert found.confidence[[1, 3]].tolist() == [0.5, 1.0]
