"""How good a classifier is: precision, recall, F1, intervals, ranks, accuracy against coverage.

A value without anything to be counted from is NaN, never 0: the precision of a class that is never
predicted, the recall of a class without an image. Means are taken over the classes that have the value,
as scikit-learn's are with ``zero_division=np.nan``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054
"""Φ(z) = 0.975: between −z and z lie 95 % of a normal distribution."""


def confusion_matrix(t: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (K, K): row the class of the image, column what it is taken for."""
    pairs = np.bincount(t * classes + predicted, minlength=classes**2)
    return pairs.reshape(classes, classes)


class ClassScores(NamedTuple):
    """Arrays (K,) of each class: counts, and shares that are NaN where nothing is counted.

    ``images`` are those of the class, ``predicted`` those taken for it, ``right`` those that are both.
    """

    images: np.ndarray
    predicted: np.ndarray
    right: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def class_scores(counts: np.ndarray) -> ClassScores:
    """Precision, recall and F1 = 2 right / (images + predicted) of each class, from the confusions."""
    images, predicted, right = counts.sum(1), counts.sum(0), np.diagonal(counts)
    return ClassScores(
        images,
        predicted,
        right,
        quotient(right, predicted),
        quotient(right, images),
        quotient(2 * right, images + predicted),
    )


def quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    unknown = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=unknown, where=whole > 0))


def mean_of_known(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The mean of the values that are not NaN, each with its weight; NaN where there is none."""
    known = ~np.isnan(values)
    shares = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    whole = shares[known].sum()
    return float((values[known] * shares[known]).sum() / whole) if whole > 0 else float("nan")


def balanced_accuracy(counts: np.ndarray) -> float:
    """The mean recall of the classes that have images, from the confusions (K, K)."""
    return mean_of_known(class_scores(counts).recall)


def macro_f1(counts: np.ndarray) -> float:
    """The mean F1 of the classes that have images or are predicted, from the confusions (K, K)."""
    return mean_of_known(class_scores(counts).f1)


# ------------------------------------------------------------------------------------- intervals


def wilson(right: np.ndarray, count: np.ndarray, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit of a share of which ``right`` of ``count`` were seen; NaN where count is 0.

    Wilson 1927 (JASA 22, 209–212): all p that differ from right/count by at most z of *their* standard
    errors. Unlike right/count ± z standard errors it stays within 0 and 1 and keeps its width at both.
    """
    right, count = np.asarray(right, float), np.asarray(count, float)
    n = np.where(count > 0, count, np.nan)
    p = right / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At 0 and 1 the limit is exactly there; rounding would leave it 1e-17 off.
    low = np.where(right == 0, np.where(count > 0, 0.0, np.nan), centre - half)
    high = np.where(right == count, np.where(count > 0, 1.0, np.nan), centre + half)
    return low, high


def interval_of_mean(scores: ClassScores, z: float = Z95) -> tuple[float, float]:
    """Limits of the balanced accuracy, a mean of independent shares with limits of their own.

    Zou and Donner 2008 (Statistics in Medicine 27, 1693–1702), eq. 7: the distances of each share from
    its limits, added as variances are.
    """
    known = scores.images > 0
    p = scores.recall[known]
    low, high = wilson(scores.right[known], scores.images[known], z)
    if not len(p):
        return float("nan"), float("nan")
    down, up = np.sqrt(np.sum((p - low) ** 2)), np.sqrt(np.sum((high - p) ** 2))
    mean = float(p.mean())
    return max(0.0, mean - float(down) / len(p)), min(1.0, mean + float(up) / len(p))


# ------------------------------------------------------------------------------------- ranks


def ranks(scores: np.ndarray, t: np.ndarray) -> np.ndarray:
    """int64 (N,): how many classes come before the image's own; of equal scores the first class does.

    Parameters
    ----------
    scores : (N, K), activations or probabilities
    t : (N,), the classes
    """
    own = scores[np.arange(len(t)), t][:, None]
    earlier = np.arange(scores.shape[1]) < t[:, None]
    before: np.ndarray = ((scores > own) | ((scores == own) & earlier)).sum(1)
    return before


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, equals half.

    Mann and Whitney 1947; Hanley and McNeil 1982. NaN without a positive or without a negative.

    Parameters
    ----------
    scores : (N,)
    positive : (N,), bool
    """
    negatives, positives = np.sort(scores[~positive]), scores[positive]
    if not len(negatives) or not len(positives):
        return float("nan")
    below = np.searchsorted(negatives, positives, side="left").sum(dtype=float)
    upto = np.searchsorted(negatives, positives, side="right").sum(dtype=float)
    return float((below + upto) / 2 / (len(negatives) * len(positives)))


# ------------------------------------------------------------------------------------- coverage


class Coverage(NamedTuple):
    """For each threshold the images whose confidence reaches it, and how many of them are right."""

    thresholds: np.ndarray
    images: np.ndarray
    right: np.ndarray


def coverage(
    confidence: np.ndarray, right: np.ndarray, thresholds: np.ndarray | None = None
) -> Coverage:
    """Who is judged only from a confidence on, and how well (Geifman and El-Yaniv 2017,
    arXiv:1705.08500, section 2: coverage and selective risk).

    Parameters
    ----------
    confidence : (N,)
    right : (N,), bool
    thresholds : (M,); None is every confidence that occurs, from the highest down
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_down = confidence[order]
    hits = np.concatenate([[0], np.cumsum(right[order])])
    if thresholds is None:
        thresholds = np.unique(confidence)[::-1]
    images = np.searchsorted(-sorted_down, -thresholds, side="right")
    return Coverage(thresholds, images, hits[images])
