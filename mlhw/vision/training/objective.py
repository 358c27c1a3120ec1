"""What a step minimises: the cross-entropy, with smoothed labels, mixed images and class weights."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """The weight N/(K n_k) of each class k, of which there are n_k of N images, (K,).

    Every class then weighs the same, and an image 1 on average (King and Zeng 2001; scikit-learn's
    ``balanced``). A class without an image has weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / (classes * np.maximum(counts, 1)), 0.0)


def minimised(
    nll: torch.Tensor,
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
    weights: torch.Tensor | None,
) -> torch.Tensor:
    """The mean cross-entropy that the gradient is taken of.

    With the share q of each class in an image (1 for its own where images are not mixed) and its
    smoothed q' = (1 − ε) q + ε/K it is Σ w q' (−ln p) / Σ w q over images and classes: for labels and
    for shares without weights ``torch.nn.functional.cross_entropy``, which has no mean weight for
    shares.

    Args:
        nll: the plain mean cross-entropy to ``labels``.
        logits: (N, K).
        labels: (N,), or shares (N, K) of mixed images.
        smoothing: ε, the share of each label that is spread evenly over all classes.
        weights: w, (K,); None for 1 each.
    """
    if weights is None:
        return smoothed(nll, logits, smoothing)
    log_p = functional.log_softmax(logits, 1)
    shares = labels if labels.ndim == 2 else functional.one_hot(labels, logits.shape[1])
    targets = (1 - smoothing) * shares + smoothing / logits.shape[1]
    return -(weights * targets * log_p).sum() / divisor(labels, weights)


def divisor(labels: torch.Tensor, weights: torch.Tensor | None) -> float | torch.Tensor:
    """What the mean of ``minimised`` divides by: the number of images, or Σ w q over them."""
    if weights is None:
        return float(len(labels))
    return (weights * labels).sum() if labels.ndim == 2 else weights[labels].sum()


def smoothed(nll: torch.Tensor, logits: torch.Tensor, share: float) -> torch.Tensor:
    """The mean cross-entropy to labels of which ``share`` is spread evenly over all classes.

    Szegedy et al. 2015 (arXiv:1512.00567, section 7). The tables hold the plain ``nll``, so that
    training and validation can be compared.
    """
    if not share:
        return nll
    return (1 - share) * nll - share * functional.log_softmax(logits, 1).mean()
