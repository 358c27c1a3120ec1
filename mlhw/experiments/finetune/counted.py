"""The numbers of classes, ranks and calibration once more, image by image as their definitions read.

``maths.classification`` and ``maths.calibration`` count with sorted arrays and bins; here stand plain
masks, average ranks and the equations that intervals solve. What is told may be off by a distance, and is
infinitely far off where only one of the two is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

Z = NormalDist().inv_cdf(0.975)


def apart(told: float | None, counted: float) -> float:
    """|told − counted|; both unknown is 0, one unknown infinite."""
    if told is None or np.isnan(told):
        return 0.0 if np.isnan(counted) else np.inf
    return float(abs(told - counted)) if not np.isnan(counted) else np.inf


def share(mask: np.ndarray, among: np.ndarray) -> float:
    """How many of the images in ``among`` are in ``mask``; NaN of none."""
    return float(mask[among].mean()) if among.any() else float("nan")


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """AUC by the sum of average ranks, (R⁺ − n⁺(n⁺ + 1)/2) / (n⁺ n⁻): Mann and Whitney 1947."""
    n, positives = len(scores), int(positive.sum())
    if positives in (0, n):
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    whole = float(ranks[positive].sum()) - positives * (positives + 1) / 2
    return whole / positives / (n - positives)


def interval_off(right: int, count: int, limits: Sequence[float | None]) -> float:
    """Wilson's limits p solve (right/count − p)² = z² p (1 − p)/count, one on either side (1927)."""
    low, high = (np.nan if limit is None else limit for limit in limits)
    if not count:
        return 0.0 if np.isnan(low) and np.isnan(high) else np.inf
    seen = right / count
    ordered = low <= seen <= high and low < high
    rest = [abs((seen - p) ** 2 - Z**2 * p * (1 - p) / count) for p in (low, high)]
    return max(rest) if ordered else np.inf


def classes_off(
    rows: Sequence[Mapping[str, Any]], labels: np.ndarray, logits: np.ndarray, log_p: np.ndarray
) -> float:
    """The furthest number of ``classes.csv`` from what counting gives."""
    predicted, far = logits.argmax(1), 0.0
    for k, row in enumerate(rows):
        own, taken = labels == k, predicted == k
        counts = int(own.sum()), int(taken.sum()), int((own & taken).sum())
        precision, recall = share(own, taken), share(taken, own)
        f1 = 2 * counts[2] / (counts[0] + counts[1]) if counts[0] + counts[1] else np.nan
        pairs = [
            *zip((row["images"], row["predicted"], row["right"]), counts, strict=True),
            (row["precision"], precision),
            (row["recall"], recall),
            (row["f1"], f1),
            (row["auc"], area(log_p[:, k], own)),
        ]
        far = max(far, *(apart(told, counted) for told, counted in pairs))
        limits = row["recall_low"], row["recall_high"]
        far = max(far, interval_off(counts[2], counts[0], limits))
    return far


def metrics_off(
    told: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    labels: np.ndarray,
    logits: np.ndarray,
) -> float:
    """The furthest of the numbers over all classes from what the rows of the classes and the images give."""
    right = logits.argmax(1) == labels
    far = apart(told["accuracy"], float(right.mean()))
    far = max(far, interval_off(int(right.sum()), len(right), told["accuracy_interval"]))
    for kind in ("macro", "weighted"):
        for name in ("precision", "recall", "f1", "auc"):
            known = [(r[name], r["images"]) for r in rows if r[name] is not None]
            weights = [1 if kind == "macro" else count for _, count in known]
            value = np.nan
            if sum(weights):
                value = sum(v * w for (v, _), w in zip(known, weights, strict=True)) / sum(weights)
            far = max(far, apart(told[kind][name], value))
    present = [r for r in rows if r["images"]]
    mean = sum(r["recall"] for r in present) / len(present)
    far = max(far, apart(told["balanced_accuracy"], mean))
    # Zou and Donner 2008: distances from the limits of each, added as variances are.
    below = sum((r["recall"] - r["recall_low"]) ** 2 for r in present) ** 0.5 / len(present)
    above = sum((r["recall_high"] - r["recall"]) ** 2 for r in present) ** 0.5 / len(present)
    low, high = told["balanced_accuracy_interval"]
    far = max(far, apart(low, max(0.0, mean - below)), apart(high, min(1.0, mean + above)))
    order = np.argsort(-logits, axis=1, kind="stable")
    for k, value in told["top_k"].items():
        among = (order[:, : int(k)] == labels[:, None]).any(axis=1)
        far = max(far, apart(value, float(among.mean())))
    names = [r["class"] for r in rows if not r["predicted"]]
    missing = [r["class"] for r in rows if not r["images"]]
    same = told["never_predicted"] == names and told["without_images"] == missing
    return far if same else np.inf


def binned_error(
    logits: np.ndarray, labels: np.ndarray, temperature: float, bins: int
) -> tuple[float, float]:
    """Guo et al. 2017, eq. 3, bin by bin, and how far images on the edge of a bin may move it.

    A bin holds the confidences in (m/bins, (m + 1)/bins]. Rounding decides where a confidence of 1/3 goes.
    """
    a = logits.astype(float) / temperature
    e = np.exp(a - a.max(axis=1, keepdims=True))
    confidence = e.max(axis=1) / e.sum(axis=1)
    right, whole = logits.argmax(1) == labels, 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            whole += abs(float(right[inside].mean() - confidence[inside].mean())) * inside.mean()
    edges = np.arange(1, bins) / bins
    on_edge = np.abs(confidence[:, None] - edges).min(axis=1) < 1e-9
    return float(whole), 2.0 * float(on_edge.mean())
