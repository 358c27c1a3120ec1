"""How far a classifier's probabilities can be trusted, and the temperature that mends them.

A network is calibrated where, of the images to which it gives a probability of 0.8, 80 % are what it
takes them for. Training leaves it over-confident, and training on smoothed labels under-confident. One
number for all classes, the temperature T, mends most of that: p = softmax(a / T) (Guo et al. 2017,
arXiv:1706.04599, section 4.2). It leaves the most probable class as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mlhw.maths.softmax import log_sum_exp, softmax

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures that are fitted; beyond them softmax(a / T) is a hard choice, or next to uniform."""

FEWEST_IMAGES = 50
"""A temperature fitted on fewer says more about their noise than about the network."""

BINS = 15  # as in Guo et al. 2017, section 5

_BLOCK = 1 << 20  # activations that are worked on at once
_STEPS = 100  # Newton's method needs about six; halving the interval alone, about fifty


def fit_temperature(a: np.ndarray, t: np.ndarray) -> float:
    """The T in [``COLDEST``, ``HOTTEST``] with the least ``tempered_nll``; 1 for too few images.

    In β = 1/T the NLL is convex: its derivative, the mean of Σ_k p_k a_k − Σ_k q_k a_k, only rises. Its
    zero is found by Newton's method, kept inside an interval that each step narrows. Also 1 where an
    activation is not finite.

    Parameters
    ----------
    a : (N, K), activations
    t : (N,), the classes, 0 … K − 1
    """
    if len(a) < FEWEST_IMAGES or not np.isfinite(a).all():
        return 1.0
    aim = _aim(a, t)
    low, high = 1 / HOTTEST, 1 / COLDEST
    if _slope(a, low)[0] >= aim:
        return HOTTEST
    if _slope(a, high)[0] <= aim:
        return COLDEST
    beta = 1.0
    for _ in range(_STEPS):
        mean, variance = _slope(a, beta)
        low, high = (beta, high) if mean < aim else (low, beta)
        step = (aim - mean) / variance if variance > 0 else np.inf
        following = beta + step if low < beta + step < high else (low + high) / 2
        if abs(following - beta) <= 1e-12 * beta:
            break
        beta = following
    return float(1 / beta)


def tempered_nll(a: np.ndarray, t: np.ndarray, temperature: float) -> float:
    """Mean of −Σ_k q_k log p_k for p = softmax(a / T), against Platt's targets q.

    Platt 1999 (Probabilistic outputs for support vector machines, section 2.2) fits not to 0 and 1 but
    to what N right labels would make one expect of another by the rule of succession: (N + 1)/(N + 2)
    for the image's own class. The rest is spread evenly over the other classes. Without it, images that
    are all judged rightly would ask for T = 0. N counts all images and not, as in Platt's two sets, those
    of a class: T is one number for all, and a class of ten images must not ask for 0.92 of everyone.
    """
    beta = 1 / temperature
    whole = sum(float(log_sum_exp(beta * part).sum()) for part in _blocks(a))
    return whole / len(a) - beta * _aim(a, t)


def _aim(a: np.ndarray, t: np.ndarray) -> float:
    """Mean of Σ_k q_k a_k."""
    count, classes = a.shape
    own = a[np.arange(count), t].astype(float)
    others = a.sum(1, dtype=float) - own
    miss = 1 / (count + 2) if classes > 1 else 0.0
    return float(np.mean((1 - miss) * own + miss * others / max(classes - 1, 1)))


def _slope(a: np.ndarray, beta: float) -> tuple[float, float]:
    """Mean over the images of Σ_k p_k a_k, and its derivative by β, the variance of a under p."""
    mean = variance = 0.0
    for part in _blocks(a):
        p = softmax(beta * part)
        means = np.sum(p * part, axis=1)
        mean += float(means.sum())
        variance += float(np.sum(p * (part - means[:, None]) ** 2))
    return mean / len(a), variance / len(a)


def _blocks(a: np.ndarray) -> Iterator[np.ndarray]:
    """``a`` as float64, a block of rows after the other."""
    rows = max(1, _BLOCK // a.shape[1])
    for start in range(0, len(a), rows):
        yield a[start : start + rows].astype(float)


# ------------------------------------------------------------------------------------- reliability


class Reliability(NamedTuple):
    """Images in bins of equal width by confidence: how many, how many right, their mean confidence.

    Arrays (bins,); the mean is NaN where there is none.
    """

    counts: np.ndarray
    right: np.ndarray
    confidence: np.ndarray


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Images grouped by the probability of the predicted class; bin m is ((m − 1)/bins, m/bins].

    Parameters
    ----------
    confidence : (N,), 0 to 1
    right : (N,), whether the predicted class is the image's own
    """
    inner = np.arange(1, bins) / bins
    bin_of = np.searchsorted(inner, confidence, side="left")
    counts = np.bincount(bin_of, minlength=bins)
    hits = np.bincount(bin_of, right, bins).astype(np.int64)
    with np.errstate(invalid="ignore"):
        return Reliability(counts, hits, np.bincount(bin_of, confidence, bins) / counts)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over the images.

    Guo et al. 2017, eq. 3: Σ_m n_m/N · |accuracy_m − confidence_m|. NaN over no images.
    """
    if not len(confidence):
        return float("nan")
    found = reliability(confidence, right, bins)
    full = found.counts > 0
    distance = np.abs(found.right[full] - found.counts[full] * found.confidence[full])
    return float(distance.sum() / len(confidence))
