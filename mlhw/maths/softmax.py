"""The softmax and its logarithms, stable for activations of any size that float64 can hold.

p_k = exp(a_k) / Σ_j exp(a_j) (Bishop, PRML, eq. 4.104). Adding a constant to all activations changes
nothing, so the largest is taken out first and no exponential overflows. Where p saturates, at 0 or 1,
its logarithm and that of 1 − p go on telling values apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def log_sum_exp(a: np.ndarray) -> np.ndarray:
    """log Σ_k exp(a_k) over the last axis; −inf over none.

    Parameters
    ----------
    a : (..., K); entries may be −inf

    Returns
    -------
    (...)
    """
    a = np.asarray(a, float)
    if a.shape[-1] == 0:
        return np.full(a.shape[:-1], -np.inf)
    peak = np.argmax(a, axis=-1, keepdims=True)
    largest = np.take_along_axis(a, peak, axis=-1)
    terms = np.exp(a - np.where(np.isfinite(largest), largest, 0.0))
    # The largest term is exactly 1: kept apart, log1p tells a sum from 1 where rounding would not.
    np.put_along_axis(terms, peak, 0.0, axis=-1)
    return np.asarray(largest[..., 0] + np.log1p(np.sum(terms, axis=-1)))


def log_softmax(a: np.ndarray) -> np.ndarray:
    """log p of every class: a_k − log Σ_j exp(a_j).

    Parameters
    ----------
    a : (..., K), finite

    Returns
    -------
    (..., K)
    """
    a = np.asarray(a, float)
    shifted = a - np.max(a, axis=-1, keepdims=True)
    return np.asarray(shifted - log_sum_exp(shifted)[..., None])


def softmax(a: np.ndarray) -> np.ndarray:
    """p of every class; equal activations give equal bits, and the p sum to 1 within rounding.

    Parameters
    ----------
    a : (..., K), finite

    Returns
    -------
    (..., K)
    """
    a = np.asarray(a, float)
    terms = np.exp(a - np.max(a, axis=-1, keepdims=True))
    return np.asarray(terms / np.sum(terms, axis=-1, keepdims=True))


def log_complement(a: np.ndarray, members: Sequence[int]) -> np.ndarray:
    """log(1 − Σ_{k in members} p_k): the logarithm of what the other classes have together.

    For one member it is log(1 − p_k). It stays exact to rounding where p_k itself has become 1.0:
    a share beyond 1/2 is seen from the others, log Σ_others − log Σ_all; a smaller one by
    log(1 − p) = log1p(−p), which keeps a tiny p.

    Parameters
    ----------
    a : (..., K), finite
    members : indices of classes, none twice

    Returns
    -------
    (...); −inf where there are no others
    """
    a = np.asarray(a, float)
    shifted = a - np.max(a, axis=-1, keepdims=True)
    others = [k for k in range(a.shape[-1]) if k not in members]
    whole = log_sum_exp(shifted)
    share = np.exp(log_sum_exp(shifted[..., list(members)]) - whole)
    from_others = log_sum_exp(shifted[..., others]) - whole
    return np.asarray(np.where(share > 0.5, from_others, np.log1p(-np.minimum(share, 0.5))))


def log_mean_exp(weights: np.ndarray, change: np.ndarray) -> np.ndarray:
    """log Σ_k weights_k exp(change_k) for weights that sum to 1.

    By log1p and expm1 near 0, so that changes far below the spacing of floats around 1 keep all
    their digits; by log-sum-exp elsewhere, so that none over- or underflows.

    Parameters
    ----------
    weights : (K,), at least 0, sum 1
    change : (..., K)

    Returns
    -------
    (...)
    """
    weights, change = np.asarray(weights, float), np.asarray(change, float)
    near = np.max(np.abs(change), axis=-1) < 0.5
    small = np.where(near[..., None], change, 0.0)
    with np.errstate(divide="ignore"):
        direct = log_sum_exp(np.log(weights) + change)
    return np.where(near, np.log1p(np.sum(weights * np.expm1(small), axis=-1)), direct)
