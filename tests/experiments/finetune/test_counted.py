"""What counting image by image gives is what a run tells, and broken numbers are far from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from mlhw.experiments.finetune import counted
from mlhw.maths import calibration, classification
from mlhw.vision.assessment import Assessment


def assessment(seed: int, classes: int = 4, images: int = 60, missing: int = 0) -> Assessment:
    """Labels and logits that agree more often than not; the last ``missing`` classes have no image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - missing, images)
    logits = rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]
    names = [f"c{k}" for k in range(classes)]
    return Assessment(names, labels, np.round(logits, 1).astype(np.float32), 0.7)


def off(a: Assessment) -> float:
    rows = a.per_class()
    again, edge = counted.binned_error(a.logits, a.labels, a.temperature, calibration.BINS)
    return max(
        counted.classes_off(rows, a.labels, a.logits, a.log_probabilities),
        counted.metrics_off(a.metrics(), rows, a.labels, a.logits),
        counted.apart(a.calibration_error, again) - edge,
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"classes": 2},
        {"classes": 30},
        {"missing": 2},
        {"images": 1},
        {"classes": 2, "images": 2},
    ],
    ids=str,
)
def test_what_is_told_is_what_counting_gives(seed: int, shape: dict[str, int]) -> None:
    assert off(assessment(seed, **shape)) < 1e-6


def test_the_area_is_scikit_learns_and_the_limits_are_scipys() -> None:
    a = assessment(3)
    for k in range(4):
        expected = roc_auc_score(a.labels == k, a.log_probabilities[:, k])
        assert counted.area(a.log_probabilities[:, k], a.labels == k) == pytest.approx(expected)
    limits = binomtest(41, 60).proportion_ci(method="wilson")
    assert counted.interval_off(41, 60, (limits.low, limits.high)) < 1e-12
    assert counted.interval_off(41, 60, (limits.low - 1e-3, limits.high)) > 1e-5
    assert counted.interval_off(41, 60, (limits.high, limits.low)) == np.inf
    assert counted.interval_off(0, 0, (None, None)) == 0


REAL = {
    name: getattr(classification, name)
    for name in ("wilson", "auc", "ranks", "mean_of_known", "interval_of_mean", "quotient")
}
BROKEN: dict[str, Callable[..., Any]] = {
    "wilson": lambda right, count, z=1.64: REAL["wilson"](right, count, z),
    "auc": lambda scores, positive: 1 - REAL["auc"](scores, positive),
    "ranks": lambda scores, t: REAL["ranks"](scores, t) + 1,
    "mean_of_known": lambda values, weights=None: REAL["mean_of_known"](values),
    "interval_of_mean": lambda scores, z=2.5: REAL["interval_of_mean"](scores, z),
    "quotient": lambda part, whole: REAL["quotient"](part, whole + 1),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_broken_number_is_far_from_it(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, name, BROKEN[name])
    assert off(assessment(seed)) > 1e-4


@pytest.mark.parametrize("bins", [10, 14, 16])
def test_other_bins_give_another_calibration_error(
    bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = calibration.calibration_error
    monkeypatch.setattr(calibration, "calibration_error", lambda c, r: real(c, r, bins))
    assert off(assessment(2)) > 1e-4
