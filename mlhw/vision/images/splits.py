"""Train, val and test from one set of labelled images: stratified, and the same on every machine.

Which split an image falls in is decided by a hash of the seed and its name, class by class: neither
the order of files, nor the file system, nor a library's random generator has a say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mlhw.errors import ConfigError

Amount: TypeAlias = "int | float"

DEFAULT_SHARE = 0.15


@dataclass(frozen=True)
class Fold:
    """Fold ``number``, from 0, of ``count`` equal ones."""

    number: int
    count: int


@dataclass(frozen=True)
class Shares:
    """How many of the images ``val`` and ``test`` get, and the seed that decides which.

    Each is a count or a fraction of the images; None leaves it to the data set. With a ``fold``,
    validation is that fold of all that is not tested.
    """

    val: Amount | None
    test: Amount | None
    seed: int
    fold: Fold | None = None


@dataclass(frozen=True)
class Cut:
    """Positions (ascending int64) of the images in each split."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def stratified(
    labels: np.ndarray,
    names: Sequence[str],
    classes: Sequence[str],
    *,
    val: Amount,
    test: Amount,
    seed: int,
) -> Cut:
    """Cut val and test out of all images, each class in proportion, at least one image of each.

    Args:
        labels: int64 (n,), positions in ``classes``.
        names: of the images, all different.
        val, test: a count (an integer) or a fraction of n (below 1); 0 for none.

    Raises ConfigError if a split would lack a class or train would.
    """
    sizes = np.bincount(labels, minlength=len(classes))
    wanted = {
        "val": count_of("val", val, len(labels), len(classes)),
        "test": count_of("test", test, len(labels), len(classes)),
    }
    needed = 1 + sum(count > 0 for count in wanted.values())
    small = [f"{classes[k]!r} has {size}" for k, size in enumerate(sizes) if size < needed]
    if small:
        raise ConfigError(
            f"data: each class needs {needed} images, one for each split; {', '.join(small[:5])}"
        )
    if sum(wanted.values()) > len(labels) - len(classes):
        raise ConfigError(
            f"data.val, data.test: {wanted['val']} + {wanted['test']} images of {len(labels)} leave "
            f"too few to train {len(classes)} classes"
        )
    order = shuffled(names, seed)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    # The test images first: they stay the same whatever val is.
    test_sizes = _shares(sizes, wanted["test"], sizes - 1 - (wanted["val"] > 0))
    val_sizes = _shares(sizes, wanted["val"], sizes - test_sizes - 1)
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    for k in range(len(classes)):
        members = np.flatnonzero(labels == k)
        members = members[np.argsort(ranks[members])]
        ends = test_sizes[k], test_sizes[k] + val_sizes[k]
        for part, chosen in zip(
            ("test", "val", "train"), np.split(members, [int(e) for e in ends]), strict=True
        ):
            parts[part].append(chosen)
    return Cut(**{part: np.sort(np.concatenate(chosen)) for part, chosen in parts.items()})


def count_of(what: str, amount: Amount, total: int, classes: int) -> int:
    """The images of ``total`` that ``amount`` means for ``data.WHAT``; at least one for each class.

    Raises ConfigError for an amount that is none.
    """
    if isinstance(amount, float) and not amount.is_integer():
        if not 0 < amount < 1:
            raise ConfigError(
                f"data.{what}: must be a whole number of images or a fraction below 1 (got {amount})"
            )
        count = max(round(amount * total), classes)
    else:
        count = int(amount)
    if count < 0 or count >= total:
        raise ConfigError(
            f"data.{what}: must be at least 0 and below the number of images, {total} (got {amount})"
        )
    if 0 < count < classes:
        raise ConfigError(
            f"data.{what}: {count} images leave a class empty; there are {classes} classes"
        )
    return count


def _shares(sizes: np.ndarray, count: int, most: np.ndarray) -> np.ndarray:
    """``count`` places divided in proportion to ``sizes``, at least one and at most ``most`` each.

    By largest remainders: one place at a time to the class furthest below its proportion.
    """
    if count == 0:
        return np.zeros_like(sizes)
    exact = sizes * (count / sizes.sum())
    shares: np.ndarray = np.clip(np.floor(exact).astype(np.int64), 1, most)
    while shares.sum() != count:
        step = 1 if shares.sum() < count else -1
        movable = shares < most if step > 0 else shares > 1
        lack = np.where(movable, (exact - shares) * step, -np.inf)
        shares[int(lack.argmax())] += step
    return shares


def shuffled(names: Sequence[str], seed: int) -> np.ndarray:
    """Positions of ``names`` in the order of a hash of the seed and each of them."""
    keys = [hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
