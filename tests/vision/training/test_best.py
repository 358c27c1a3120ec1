"""Which validation is the best, by each value that may pick the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from mlhw.vision.names import BestBy
from mlhw.vision.training.loop import is_better
from mlhw.vision.training.progress import Progress
from mlhw.vision.training.task import Evaluation


@dataclass
class Course:
    """A progress that is fed validation results, as the loop does."""

    metric: BestBy
    progress: Progress = field(default_factory=Progress)

    def feed(self, *results: tuple[float, float]) -> int | None:
        """Results are loss and accuracy of two classes with ten images each, all of one right."""
        for epoch, (loss, accuracy) in enumerate(results):
            labels = np.arange(20) // 10
            right = np.arange(20) < round(20 * accuracy)
            logits = np.eye(2, dtype=np.float32)[np.where(right, labels, 1 - labels)]
            found = Evaluation(loss, accuracy, logits, labels)
            if is_better(found, self.progress, self.metric):
                self.progress.best_epoch = epoch
                self.progress.best_loss, self.progress.best_accuracy = loss, accuracy
                self.progress.best_balanced_accuracy = found.balanced_accuracy
                self.progress.best_macro_f1 = found.macro_f1
        return self.progress.best_epoch


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "macro-f1"])
def test_of_equal_shares_the_lower_loss_is_the_best_and_of_equals_in_both_the_earlier(
    metric: BestBy,
) -> None:
    assert Course(metric).feed((0.5, 0.7), (0.7, 0.8), (0.6, 0.8), (0.6, 0.8), (0.1, 0.7)) == 2


def test_best_is_the_lowest_loss_and_a_tie_keeps_the_earlier() -> None:
    assert Course("loss").feed((0.5, 0.7), (0.4, 0.7), (0.4, 0.6), (0.6, 0.8), (0.7, 0.8)) == 1


def test_an_evaluation_weighs_its_classes_alike_where_it_is_asked_to() -> None:
    """Nine of ten images are of one class, and it alone is ever predicted."""
    labels = np.array([0] * 9 + [1])
    logits = np.tile(np.array([[1.0, 0.0]], np.float32), (10, 1))
    found = Evaluation(0.5, 0.9, logits, labels)
    assert found.balanced_accuracy == balanced_accuracy_score(labels, logits.argmax(1)) == 0.5
    assert found.macro_f1 == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_is_never_the_best(bad: float) -> None:
    assert Course("loss").feed((bad, 0.1), (0.9, 0.2), (bad, 0.9)) == 1
    assert Course("accuracy").feed((bad, 0.9), (0.9, 0.2), (bad, 0.9)) == 1
    assert Course("loss").feed((bad, 0.1)) is None
