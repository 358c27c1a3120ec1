"""Pictures that a data set holds more than once: in two splits, in two classes, or just twice.

What is in two splits is learnt by heart and then counted as understood; what is in two classes teaches
that both are right. Identical pixels are certain. That two pictures are nearly the same is a guess from
their thumbnails, so it is told and never held against the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.vision.images.fingerprints import Fingerprints

# Two pictures are nearly the same if few of the 64 signs between neighbouring pixels of their
# thumbnails differ (a difference hash, as the ImageHash library has it) and their colours hardly do.
# Of 397 photographs these bounds join no two, and each with its copy of half the size or at JPEG
# quality 40; of 12,000 images of CIFAR-10 they join 40 pairs, each of them one picture twice.
MOST_BITS = 6
MOST_LEVELS = 12.0  # mean difference of a thumbnail's values, of 255
# Of a thumbnail's grey levels, their standard deviation: plain walls and skies all have the same signs.
LEAST_CONTRAST = 8.0
# A value of one band of the hash that more images share tells nothing apart.
_MOST_SHARING = 3_000
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Copies:
    """Images that show the same picture: ``places`` are (split, position in it), in order.

    ``labels`` are their classes in the same order; ``same_file`` whether their files are byte for byte
    the same.
    """

    places: list[tuple[str, int]]
    labels: list[int]
    same_file: bool

    @property
    def leaks(self) -> bool:
        """Whether they are in more than one split."""
        return len({split for split, _ in self.places}) > 1

    @property
    def contradicts(self) -> bool:
        """Whether they are in more than one class."""
        return len(set(self.labels)) > 1


@dataclass(frozen=True)
class Duplicates:
    """What was found in a data set.

    Attributes:
        identical: sets of images with the same pixels, two or more each.
        near: pairs of images that look nearly the same and are not identical; None where the images
            are too small to tell.
    """

    identical: list[Copies]
    near: list[Copies] | None

    @property
    def leaks(self) -> list[Copies]:
        return [copies for copies in self.identical if copies.leaks]

    @property
    def contradictions(self) -> list[Copies]:
        return [copies for copies in self.identical if copies.contradicts]

    def summary(self) -> dict[str, Any]:
        """Numbers for ``result.json``.

        ``copies`` are images beyond the first of each picture, ``same_file`` those of them with the same
        bytes; ``leaked`` is for each later split the number of its images that an earlier one has too
        (val: train; test: train or val); ``in_two_classes`` are pictures; ``near`` counts pairs.
        """
        leaked = {
            split: sum(
                sum(s == split for s, _ in copies.places)
                for copies in self.leaks
                if copies.places[0][0] != split
            )
            for split in ("val", "test")
        }
        near = None
        if self.near is not None:
            near = {
                "pairs": len(self.near),
                "across_splits": sum(pair.leaks for pair in self.near),
                "in_two_classes": sum(pair.contradicts for pair in self.near),
            }
        return {
            "copies": sum(len(copies.places) - 1 for copies in self.identical),
            "same_file": sum(len(c.places) - 1 for c in self.identical if c.same_file),
            "leaked": leaked,
            "in_two_classes": len(self.contradictions),
            "near": near,
        }


def find_duplicates(
    parts: Sequence[tuple[str, Fingerprints, np.ndarray]],
) -> Duplicates:
    """Duplicates among the images of some splits, given as (split, fingerprints, labels (n,)), in order."""
    places = [(split, i) for split, prints, _ in parts for i in range(len(prints))]
    labels = np.concatenate([labels for _, _, labels in parts])
    pixels = np.concatenate([prints.pixels for _, prints, _ in parts])
    files = None
    if all(prints.files is not None for _, prints, _ in parts):
        files = np.concatenate([prints.files for _, prints, _ in parts if prints.files is not None])

    def copies(members: np.ndarray) -> Copies:
        same = files is not None and bool((files[members] == files[members[0]]).all())
        return Copies([places[i] for i in members], labels[members].tolist(), same)

    numbers = picture_numbers(pixels)
    identical = [copies(members) for members in recurring(numbers)]
    thumbnails = np.concatenate([prints.thumbnails for _, prints, _ in parts])
    large = thumbnails.any(axis=(1, 2, 3))
    if not large.any():
        return Duplicates(identical, None)
    distinct = np.unique(numbers, return_index=True)[1]
    pairs = distinct[near_pairs(thumbnails[distinct])]
    pairs = np.sort(pairs, axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return Duplicates(identical, [copies(pair) for pair in pairs])


def picture_numbers(pixels: np.ndarray) -> np.ndarray:
    """int64 (n,): the same number for images whose hashes in ``pixels`` (n, 16) are the same."""
    keys = np.ascontiguousarray(pixels).view("V16").ravel()
    table: dict[bytes, int] = {}
    return np.array([table.setdefault(bytes(key), len(table)) for key in keys], dtype=np.int64)


def recurring(numbers: np.ndarray) -> list[np.ndarray]:
    """Positions of each number that occurs more than once, in the order of the first of them."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    found = [members for members in np.split(order, starts[1:]) if len(members) > 1]
    return sorted(found, key=lambda members: int(members[0]))


# --------------------------------------------------------------------------------- near


def near_pairs(thumbnails: np.ndarray) -> np.ndarray:
    """int64 (pairs, 2): positions of thumbnails (n, 8, 9, 3) that show nearly the same picture.

    Two hashes of 64 bits that differ in at most six agree in one of seven bands; only those that do
    are compared.
    """
    grey = thumbnails.astype(np.float32).mean(axis=3)
    bits = np.diff(grey, axis=2).reshape(len(grey), -1) > 0
    telling = np.flatnonzero(grey.std(axis=(1, 2)) >= LEAST_CONTRAST)
    hashes = np.packbits(bits, axis=1).view(np.uint64).ravel()
    found: set[tuple[int, int]] = set()
    for band in np.array_split(np.arange(64), MOST_BITS + 1):
        keys = np.zeros(len(telling), dtype=np.int64)
        for bit in band:
            keys = 2 * keys + bits[telling, bit]
        for first, second in _pairs_in(keys):
            first, second = telling[first], telling[second]
            close = np.bitwise_count(hashes[first] ^ hashes[second]) <= MOST_BITS
            first, second = first[close], second[close]
            off = np.abs(thumbnails[first].astype(np.int16) - thumbnails[second])
            same = off.mean(axis=(1, 2, 3)) <= MOST_LEVELS
            found.update(zip(first[same].tolist(), second[same].tolist(), strict=True))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _pairs_in(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions i < j of all pairs with equal keys, many at once; none of a key that most images share."""
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    waiting = 0
    for members in recurring(keys):
        if len(members) > _MOST_SHARING:
            continue
        i, j = np.triu_indices(len(members), 1)
        first.append(members[i])
        second.append(members[j])
        waiting += len(i)
        if waiting >= _PAIRS_AT_ONCE:
            yield np.concatenate(first), np.concatenate(second)
            first, second, waiting = [], [], 0
    if waiting:
        yield np.concatenate(first), np.concatenate(second)
