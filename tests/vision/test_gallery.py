"""What the figures show is what scikit-learn works out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from mlhw.vision.gallery import calibration_error, confusion, reliability, shortened


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(500, 4)) * 2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(4, p=row) for row in p])
    return p, labels


def test_the_confusion_matrix_is_scikit_learns(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p, labels = predictions
    expected = confusion_matrix(labels, p.argmax(1), labels=range(5))
    assert np.array_equal(confusion(labels, p.argmax(1), 5), expected)


def test_the_reliability_diagram_is_scikit_learns(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p, labels = predictions
    counts, means, accuracies = reliability(p, labels)
    hits = p.argmax(1) == labels
    true, predicted = calibration_curve(hits, p.max(1), n_bins=10)
    assert accuracies[counts > 0] == pytest.approx(true)
    assert means[counts > 0] == pytest.approx(predicted)
    assert counts.sum() == 500


def test_the_calibration_error_is_0_for_honest_and_large_for_boasting_probabilities(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p, labels = predictions
    assert calibration_error(p, labels) < 0.06  # sampling alone: 500 images
    certain = np.eye(4)[p.argmax(1)]
    wrong = (certain.argmax(1) != labels).mean()
    assert calibration_error(certain, labels) == pytest.approx(wrong)


def test_long_names_are_shortened_with_a_sign() -> None:
    assert [shortened("abcdef", n) for n in (6, 5)] == ["abcdef", "abcd…"]
