"""Splits that keep groups whole, and the folds of a cross-validation.

As in ``splits``, a hash of the seed and of names decides what is drawn, never the order of files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlhw.errors import ConfigError
from mlhw.vision.images.splits import Amount, Cut, Fold, count_of, shuffled, stratified

# Improving a division of many groups, which is good already, would take longer than reading them.
_MOST_MOVES = 1000
_MOST_PRODUCTS = 10**8


def folded(
    labels: np.ndarray,
    names: Sequence[str],
    classes: Sequence[str],
    *,
    fold: Fold,
    test: Amount,
    seed: int,
    groups: np.ndarray | None = None,
) -> Cut:
    """Test images cut out, and of the others one fold for validation, each class in proportion.

    Args:
        labels, names, classes, test, seed: as ``stratified`` takes them.
        groups: int64 (n,); images with the same number stay together. None divides every image alone.

    The test images and the folds are the same whatever ``fold.number`` is, and every image that is not
    tested is in one fold. Without groups the sizes of two folds differ by one at most, and so do their
    numbers of images of a class.

    Raises ConfigError if a class has fewer images than there are folds.
    """
    if groups is not None:
        first = grouped(labels, names, classes, groups, val=0, test=test, seed=seed)
    else:
        first = stratified(labels, names, classes, val=0, test=test, seed=seed)
    rest = first.train
    sizes = np.bincount(labels[rest], minlength=len(classes))
    small = [f"{classes[k]!r} has {n}" for k, n in enumerate(sizes) if n < fold.count]
    if small:
        raise ConfigError(
            f"data.folds: each class needs {fold.count} images, one for each fold; {', '.join(small[:5])}"
        )
    if groups is not None:
        shares = np.full(fold.count, 1 / fold.count)
        number = share_out(labels[rest], [names[i] for i in rest], groups[rest], shares, seed)
    else:
        # Dealt out class by class like cards, each class going on where the one before ended.
        order = shuffled([names[i] for i in rest], seed)
        order = order[np.argsort(labels[rest][order], kind="stable")]
        number = np.empty(len(rest), dtype=np.int64)
        number[order] = np.arange(len(rest)) % fold.count
    held = number == fold.number
    cut = Cut(rest[~held], rest[held], first.test)
    _require_all(cut, labels, classes, val=True, test=False)
    return cut


def grouped(
    labels: np.ndarray,
    names: Sequence[str],
    classes: Sequence[str],
    groups: np.ndarray,
    *,
    val: Amount,
    test: Amount,
    seed: int,
) -> Cut:
    """``stratified`` with whole groups: as close to the wanted counts as they allow.

    Raises ConfigError if the groups cannot be divided so that train has every class.
    """
    total, k = len(labels), len(classes)
    wanted = [count_of("val", val, total, k), count_of("test", test, total, k)]
    shares = np.array([total - sum(wanted), *wanted]) / total
    if shares[0] <= 0:
        raise ConfigError(
            f"data.val, data.test: {sum(wanted)} of {total} images leave none to train"
        )
    used = np.flatnonzero(shares > 0)
    part = used[share_out(labels, names, groups, shares[used], seed)]
    cut = Cut(*(np.flatnonzero(part == p) for p in range(3)))
    _require_all(cut, labels, classes, val=wanted[0] > 0, test=wanted[1] > 0)
    return cut


def _require_all(
    cut: Cut, labels: np.ndarray, classes: Sequence[str], *, val: bool, test: bool
) -> None:
    missing = set(range(len(classes))) - set(labels[cut.train].tolist())
    if missing:
        raise ConfigError(
            f"data.group: all images of {classes[min(missing)]!r} are in groups that are kept from "
            "training; fewer val, test or folds, or smaller groups are needed"
        )
    for what, wanted, part in (("val", val, cut.val), ("test", test, cut.test)):
        if wanted and not len(part):
            raise ConfigError(
                f"data.group: there are too few groups to divide; none is left for {what}"
            )


def share_out(
    labels: np.ndarray, names: Sequence[str], groups: np.ndarray, shares: np.ndarray, seed: int
) -> np.ndarray:
    """The part, int64 (n,), that each image goes to, groups whole, each class near its shares.

    Args:
        labels, groups: int64 (n,).
        shares: (P,), positive, their sum 1.

    Minimised is Σ_p Σ_k (c_pk / n_k − s_p)², c_pk the images of class k in part p, after the parts
    that lack a class: greedily, the groups with the largest shares of classes first (as scikit-learn's
    StratifiedGroupKFold goes on), then by moving one group at a time while that helps.
    """
    kinds, member = np.unique(groups, return_inverse=True)
    classes = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((len(kinds), classes.max() + 1), dtype=np.int64)
    np.add.at(counts, (member, classes), 1)
    weights = counts / counts.sum(0)
    # A group is known by the first of its images, in the order of the hash.
    order = shuffled(names, seed)
    first = np.empty(len(kinds), dtype=np.int64)
    first[member[order[::-1]]] = np.arange(len(order))[::-1]
    ahead = np.lexsort((first, -(weights**2).sum(1)))
    lack = np.repeat(shares[:, None], counts.shape[1], axis=1)
    part = np.empty(len(kinds), dtype=np.int64)
    for i in ahead:
        part[i] = np.argmax(lack @ weights[i])
        lack[part[i]] -= weights[i]
    for _ in range(min(_MOST_MOVES, _MOST_PRODUCTS // weights.size)):
        move = _best_move(counts, weights, part, lack)
        if move is None:
            break
        i, p = move
        lack[part[i]] += weights[i]
        lack[p] -= weights[i]
        part[i] = p
    return part[member]


def _best_move(
    counts: np.ndarray, weights: np.ndarray, part: np.ndarray, lack: np.ndarray
) -> tuple[int, int] | None:
    """The group, and the part that it should move to; None where no move makes the division better."""
    own = np.arange(len(part))
    held = np.zeros_like(lack, dtype=np.int64)
    np.add.at(held, part, counts)
    gain = weights @ lack.T
    change = 2 * (gain[own, part][:, None] - gain) + 2 * (weights**2).sum(1)[:, None]
    present = counts > 0
    filled = present.astype(np.int64) @ (held == 0).T
    emptied = (present & (counts == held[part])).sum(1)
    # No sum of squares outweighs a class that a part lacks, and train, the first, lacks none.
    worth = np.full(len(lack), 10.0 * lack.size)
    worth[0] *= 10 * lack.size
    change = change + emptied[:, None] * worth[part][:, None] - filled * worth[None, :]
    change[own, part] = 0.0
    best = np.unravel_index(int(change.argmin()), change.shape)
    return (int(best[0]), int(best[1])) if change[best] < -1e-12 else None
