"""What the figures show is what scikit-learn works out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from mlhw.experiments.finetune.figures import (
    calibration_error,
    confusion,
    confusion_figure,
    images_figure,
    reliability,
    shortened,
)


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


def test_dollar_signs_in_names_are_shown_as_they_are() -> None:
    names = ["$$", "$x$", r"a\$", "$"]
    images = SimpleNamespace(
        names=["$$/1.png", "$x$/2.png"], images=lambda i: np.zeros((len(i), 4, 4, 3), np.uint8)
    )
    outcome: Any = SimpleNamespace(
        splits=SimpleNamespace(classes=names),
        labels=np.array([0, 1]),
        evaluated=SimpleNamespace(probabilities=np.full((2, 4), 0.25)),
        split="test",
        images=images,
    )
    for figure in (confusion_figure(outcome), images_figure(outcome, np.arange(2))):
        FigureCanvasAgg(figure).draw()  # text that is taken for a formula and is none fails here
