"""Which images train, which validate and which test: as the data set says, and otherwise cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlhw.errors import ConfigError, DataError
from mlhw.vision.images.duplicates import picture_numbers
from mlhw.vision.images.grouped import folded, grouped
from mlhw.vision.images.image_sets import ImageSet, ImageSource
from mlhw.vision.images.splits import DEFAULT_SHARE, Amount, Cut, Shares, stratified


@dataclass(frozen=True)
class LabelledImages:
    """All images of a data set, before they are split: (n,) labels and names, K class names.

    ``groups``, int64 (n,), has one number for the images that no split may divide; None without any.
    """

    source: ImageSource
    labels: np.ndarray
    names: list[str]
    classes: list[str]
    groups: np.ndarray | None = None

    def subset(self, indices: np.ndarray) -> ImageSet:
        names = [self.names[i] for i in indices]
        return ImageSet(self.source, indices, self.labels[indices], names, self.classes)


def cut_images(
    spec: str,
    images: LabelledImages,
    shares: Shares,
    *,
    own: Mapping[str, np.ndarray] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, np.ndarray]:
    """Positions of the images of ``train``, ``val`` and ``test``, the last of them maybe none.

    Those in ``own`` stay what they are; the others are cut out of ``own["train"]``. Without ``own``
    every image may go anywhere. Images with the same pixels are not cut apart.

    Raises ConfigError or DataError where that cannot be done.
    """
    labels, classes = images.labels, images.classes
    if len(classes) < 2:
        raise DataError(f"{spec}: at least two classes are needed, there are {len(classes)}")
    own = {"train": np.arange(len(labels))} if own is None else own
    is_whole = "val" not in own and "test" not in own
    val, test = shares.val, shares.test
    if shares.fold is not None and "val" in own:
        raise own_split(spec, "val", len(own["val"]), key="data.folds")
    if val is None:
        val = 0 if "val" in own else DEFAULT_SHARE
    elif "val" not in own and shares.fold is None:
        val = positive(val)
    cut_test: Amount = (DEFAULT_SHARE if is_whole else 0) if test is None else test
    pool = own["train"]
    names = [images.names[i] for i in pool]
    pictures = picture_numbers(images.source.fingerprints().pixels[pool])
    groups = None if images.groups is None else _joined(images.groups[pool], pictures)
    divided = groups if groups is not None and len(np.unique(groups)) < len(groups) else None
    if shares.fold is not None:
        cut = folded(
            *(labels[pool], names, classes),
            fold=shares.fold,
            test=cut_test,
            seed=shares.seed,
            groups=divided,
        )
    elif divided is not None:
        cut = grouped(
            *(labels[pool], names, classes, divided), val=val, test=cut_test, seed=shares.seed
        )
    else:
        cut = stratified(labels[pool], names, classes, val=val, test=cut_test, seed=shares.seed)
    if divided is None:
        cut, moved = _together(cut, pictures, labels[pool], names)
        if moved:
            log(
                f"{moved} images go where others with the same pixels are, so that no split divides them"
            )
    parts = {"train": pool[cut.train], "val": pool[cut.val], "test": pool[cut.test]}
    parts |= {split: own[split] for split in ("val", "test") if split in own}
    if test == 0:
        parts["test"] = parts["test"][:0]
    if not len(parts["val"]):
        raise DataError(f"{spec}: there is no validation image")
    return parts


def _joined(groups: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Groups that are one where they have a picture in common, int64 (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(groups.max()) + 1
    nodes = count + int(pictures.max()) + 1
    ones = np.ones(len(groups), dtype=np.int8)
    edges = coo_array((ones, (groups, count + pictures)), shape=(nodes, nodes))
    found: np.ndarray = connected_components(edges, directed=False)[1].astype(np.int64)
    return np.asarray(found[groups])


def _together(
    cut: Cut, pictures: np.ndarray, labels: np.ndarray, names: list[str]
) -> tuple[Cut, int]:
    """The cut with copies of a picture in one part, and how many images that has moved.

    They go where the first of them by name is, unless that leaves a part without a class.
    """
    part = np.zeros(len(pictures), dtype=np.int64)
    part[cut.val], part[cut.test] = 1, 2
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    first = np.empty(pictures.max() + 1, dtype=np.int64)
    first[pictures[order[::-1]]] = order[::-1]
    moved = part[first[pictures]]
    for p in range(3):
        kinds, left = np.unique(labels[part == p]), labels[moved == p]
        for k in np.setdiff1d(kinds, left):
            moved[(part == p) & (labels == k)] = p  # rather a copy apart than a class unseen
    new = Cut(*(np.flatnonzero(moved == p) for p in range(3)))
    return new, int((moved != part).sum())


# --------------------------------------------------------------------------------- errors


def positive(val: Amount) -> Amount:
    """``val``. Raises ConfigError for 0."""
    if val == 0:
        raise no_validation()
    return val


def no_validation() -> ConfigError:
    return ConfigError("data.val: must be above 0; the best epoch is chosen by validation images")


def own_split(spec: str, what: str, count: int, *, key: str = "") -> ConfigError:
    """The error for an amount of a split that the data set has."""
    out = ", or set it to 0 to leave them out" if what == "test" else ""
    return ConfigError(
        f"{key or f'data.{what}'}: {spec} has its own {what} split of {count:,} images; omit this{out}"
    )
