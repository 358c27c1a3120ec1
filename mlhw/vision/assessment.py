"""How good a classifier is on labelled images: the numbers that a run and ``mlhw evaluate`` report.

Predictions and the calibration error are of the tempered probabilities, softmax(a / T); the loss is of the
plain ones, so that it can be compared with those of training. What cannot be counted is NaN: ``null`` in
JSON, an empty cell in a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlhw.maths import calibration, classification
from mlhw.maths.classification import ClassScores
from mlhw.maths.softmax import log_softmax
from mlhw.text.values import NOTHING, is_nothing
from mlhw.text.words import listing, printable, text_table

TOP_K = (2, 3, 5)
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
MOST_CLASSES = 100
"""A confusion matrix of more classes stands in ``confusion.csv`` only, not in ``result.json`` too; a report
shows so many rows of a table."""

MOST_NAMED = 5


@dataclass(frozen=True)
class Assessment:
    """A classifier's logits for labelled images, and what follows from them.

    Attributes:
        classes: K names.
        labels: int64 (n,), positions in ``classes``; n is at least 1.
        logits: (n, K), before the temperature.
        temperature: what they are divided by.
    """

    classes: list[str]
    labels: np.ndarray
    logits: np.ndarray
    temperature: float

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """float64 (n, K), tempered."""
        return log_softmax(self.logits / float(self.temperature))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64 (n, K), tempered."""
        return np.asarray(np.exp(self.log_probabilities))

    @cached_property
    def predicted(self) -> np.ndarray:
        """int64 (n,): the most probable class; of equals the first."""
        return np.asarray(self.logits.argmax(1))

    @cached_property
    def right(self) -> np.ndarray:
        """bool (n,)."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confidence(self) -> np.ndarray:
        """float64 (n,): the probability of the predicted class."""
        return np.asarray(self.probabilities.max(1))

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (K, K): row the class of the image, column what it is taken for."""
        return classification.confusion_matrix(self.labels, self.predicted, len(self.classes))

    @cached_property
    def scores(self) -> ClassScores:
        return classification.class_scores(self.confusion)

    @cached_property
    def aucs(self) -> np.ndarray:
        """float64 (K,): each class against the rest, ranked by the logarithm of its probability."""
        # The logarithm tells images apart whose probabilities have rounded to 0.
        columns = range(len(self.classes))
        return np.array(
            [classification.auc(self.log_probabilities[:, k], self.labels == k) for k in columns]
        )

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        low, high = interval_of(self.right)
        return low, high

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the plain probabilities, as in the tables of epochs."""
        return float(-log_softmax(self.logits)[np.arange(len(self)), self.labels].mean())

    @property
    def calibration_error(self) -> float:
        return calibration.calibration_error(self.confidence, self.right)

    @property
    def plain_calibration_error(self) -> float:
        """The calibration error at temperature 1."""
        plain = Assessment(self.classes, self.labels, self.logits, 1.0)
        return plain.calibration_error

    def calibration(self) -> dict[str, Any]:
        """Temperature and calibration error, for a summary."""
        return {
            "temperature": self.temperature,
            "ece_before": self.plain_calibration_error,
            "ece_after": self.calibration_error,
            "bins": calibration.BINS,
            "images": len(self),
        }

    def metrics(self) -> dict[str, Any]:
        """The numbers of all classes together, for a summary; shares from 0 to 1."""
        scores, weights = self.scores, self.scores.images
        ranks = classification.ranks(self.logits, self.labels)
        among = {k: ranks < k for k in TOP_K if k < len(self.classes)}
        means = {
            name: {
                "precision": classification.mean_of_known(scores.precision, share),
                "recall": classification.mean_of_known(scores.recall, share),
                "f1": classification.mean_of_known(scores.f1, share),
                "auc": classification.mean_of_known(self.aucs, share),
            }
            for name, share in (("macro", None), ("weighted", weights))
        }
        return {
            "images": len(self),
            "loss": self.loss,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "balanced_accuracy": classification.balanced_accuracy(self.confusion),
            "balanced_accuracy_interval": list(classification.interval_of_mean(scores)),
            **means,
            "top_k": {str(k): float(hits.mean()) for k, hits in among.items()},
            "top_k_interval": {str(k): interval_of(hits) for k, hits in among.items()},
            "never_predicted": self._named(scores.predicted == 0),
            "without_images": self._named(scores.images == 0),
        }

    def per_class(self) -> list[dict[str, Any]]:
        """A mapping a class, for a summary: the columns of ``class_rows``."""
        return [dict(zip(CLASS_COLUMNS, row, strict=True)) for row in self.class_rows()]

    def confusion_list(self) -> list[list[int]] | None:
        """The confusion matrix for a summary; None with more than ``MOST_CLASSES``."""
        return self.confusion.tolist() if len(self.classes) <= MOST_CLASSES else None

    # As rows of tables.

    def class_rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows under ``CLASS_COLUMNS``."""
        s = self.scores
        low, high = classification.wilson(s.right, s.images)
        counts = (s.images, s.predicted, s.right)
        shares = (s.precision, s.recall, low, high, s.f1, self.aucs)
        for k, name in enumerate(self.classes):
            yield name, *(int(c[k]) for c in counts), *(_or_none(float(v[k])) for v in shares)

    def confusion_rows(self) -> Iterator[tuple[Any, ...]]:
        """A row a class: its name, then how many of its images are taken for each class."""
        for name, row in zip(self.classes, self.confusion.tolist(), strict=True):
            yield name, *row

    def coverage_rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows under ``COVERAGE_COLUMNS``."""
        found = classification.coverage(self.confidence, self.right, np.array(THRESHOLDS))
        low, high = classification.wilson(found.right, found.images)
        shares = classification.quotient(found.right, found.images), low, high
        for m, threshold in enumerate(THRESHOLDS):
            count = int(found.images[m])
            yield threshold, count, count / len(self), *(_or_none(float(v[m])) for v in shares)

    def prediction_rows(self, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """An image's name, class, predicted class, then the tempered probability of each class.

        The probabilities have float32's digits: the network knows no more.
        """
        rows = self.probabilities.astype(np.float32)
        for name, label, predicted, row in zip(
            names, self.labels, self.predicted, rows, strict=True
        ):
            digits = map(float, row.astype(str))
            yield name, self.classes[label], self.classes[predicted], *digits

    def _named(self, chosen: np.ndarray) -> list[str]:
        return [self.classes[k] for k in np.flatnonzero(chosen)]


# ------------------------------------------------------------------------------------- columns

CLASS_COLUMNS = {
    "class": "the class, or the mean over classes",
    "images": "images of the class",
    "predicted": "images that are taken for it",
    "right": "images of the class that are taken for it",
    "precision": "right / predicted; empty for a class that is never predicted",
    "recall": "right / images, the accuracy on the class; empty for a class without images",
    "recall_low": "Wilson's 95 % interval of the recall: lower limit",
    "recall_high": "upper limit",
    "f1": "2 right / (images + predicted)",
    "auc": "the chance that an image of the class has a higher probability of it than another image",
}

COVERAGE_COLUMNS = {
    "threshold": "least probability of the predicted class with which an image is judged",
    "images": "images that reach it",
    "coverage": "their share of all images",
    "accuracy": "share of them that is right; empty where no image reaches the threshold",
    "accuracy_low": "Wilson's 95 % interval of the accuracy: lower limit",
    "accuracy_high": "upper limit",
}


def confusion_columns(classes: list[str]) -> dict[str, str]:
    """The row's class, then a column a class."""
    first = "class"
    while first in classes:  # somebody's class is called so
        first = f"{first} of the row"
    taken = "images of the row's class that are taken for this one"
    return {first: "the class of the images"} | dict.fromkeys(classes, taken)


# ------------------------------------------------------------------------------------- as text


def _or_none(value: float) -> float | None:
    """The number for a table or JSON, None for NaN."""
    return None if value != value else value


def interval_of(right: np.ndarray) -> list[float]:
    """Wilson's 95 % interval of the share of ``right``, bool (n,)."""
    return share_interval(int(right.sum()), len(right))


def share_interval(right: int, count: int) -> list[float]:
    """Wilson's 95 % interval of the share ``right`` of ``count``."""
    return [float(end) for end in classification.wilson(np.array(right), np.array(count))]


def with_interval(value: float, interval: Sequence[float]) -> str:
    """``0.9852 (0.963 to 0.994)``."""
    low, high = interval
    return f"{value:.4f} ({low:.3f} to {high:.3f})"


def overview(o: Assessment) -> list[str]:
    """Sentences of the numbers of all classes together."""
    m = o.metrics()
    lines = [
        f"loss {m['loss']:.4f}, accuracy {with_interval(m['accuracy'], m['accuracy_interval'])}, "
        f"balanced accuracy {with_interval(m['balanced_accuracy'], m['balanced_accuracy_interval'])}, "
        "with 95 % intervals"
    ]
    if m["top_k"]:
        tops = [
            f"first {k} for {with_interval(share, m['top_k_interval'][k])}"
            for k, share in m["top_k"].items()
        ]
        lines.append(f"the right class is among the {', the '.join(tops)} of the images")
    for words, names in (
        ("never predicted, so without a precision", m["never_predicted"]),
        ("without an image here, so without a recall", m["without_images"]),
    ):
        if names:
            more = len(names) - MOST_NAMED
            shown = [*names[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])]
            lines.append(f"{words} (left out of its mean): {printable(listing(shown))}")
    return lines


def means_in_words(o: Assessment) -> str:
    """The means over the classes, in a sentence."""
    m = o.metrics()
    parts = [
        f"{words} precision {_digits(m[mean]['precision'])}, recall {_digits(m[mean]['recall'])}, "
        f"F1 {_digits(m[mean]['f1'])}, AUC {_digits(m[mean]['auc'])}"
        for mean, words in (("macro", "means over the classes:"), ("weighted", "by their images:"))
    ]
    return "; ".join(parts)


def class_lines(o: Assessment) -> list[str]:
    """A table for people: a line a class, then the means over the classes."""
    m = o.metrics()
    header = ["class", "images", "predicted", "precision", "recall", "95 % interval", "F1", "AUC"]
    rows = []
    for name, images, predicted, _, precision, recall, low, high, f1, auc in o.class_rows():
        interval = NOTHING if low is None else f"{low:.3f} to {high:.3f}"
        row = [_digits(v) for v in (precision, recall)], [_digits(v) for v in (f1, auc)]
        rows.append([printable(name), str(images), str(predicted), *row[0], interval, *row[1]])
    for mean in ("macro", "weighted"):
        precision, recall, f1, auc = (
            _digits(m[mean][key]) for key in ("precision", "recall", "f1", "auc")
        )
        rows.append([f"{mean} mean", str(len(o)), str(len(o)), precision, recall, "", f1, auc])
    return text_table(header, rows)


def _digits(share: float | None) -> str:
    return NOTHING if is_nothing(share) else f"{share:.4f}"
