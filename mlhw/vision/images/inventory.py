"""What is told of a data set before it is learnt: where its images are from, and which are there twice."""

from __future__ import annotations

from collections.abc import Iterator

from mlhw.errors import DataError
from mlhw.result.recorder import Recorder
from mlhw.text.words import quantity
from mlhw.vision.images.datasets import ImageSplits
from mlhw.vision.images.duplicates import Copies
from mlhw.vision.names import OnLeak

_MOST_CLASSES = 12  # whose counts fit on a line of the screen
_MOST_SHOWN = 3
_MOST_LISTED = 200


def tell_origins(splits: ImageSplits, recorder: Recorder) -> None:
    """One line for each split in the log: how many images, from where, how many of each class."""
    for split, part in splits.parts.items():
        counts = splits.counts(split)
        each = ", ".join(f"{name} {n:,}" for name, n in zip(splits.classes, counts, strict=True))
        head = f"{split}: {len(part):,} images, {splits.origins.get(split, splits.name)}"
        few = len(counts) <= _MOST_CLASSES
        if not few:
            recorder.log(f"{head}: {len(counts)} classes of {min(counts):,} to {max(counts):,}")
        recorder.log(f"{head}: {each}", screen=few)
        lacking = [name for name, n in zip(splits.classes, counts, strict=True) if not n]
        if lacking:
            more = f" and {len(lacking) - _MOST_SHOWN} more" if len(lacking) > _MOST_SHOWN else ""
            recorder.warn(f"{split} has no image of {', '.join(lacking[:_MOST_SHOWN])}{more}")


def tell_duplicates(splits: ImageSplits, on_leak: OnLeak, recorder: Recorder) -> None:
    """Warn of pictures in two splits or in two classes, and log what else is there twice.

    Raises DataError for them under ``on_leak="fail"``.
    """
    faults = [*_leaks(splits), *_contradictions(splits), *_divided_groups(splits)]
    found = splits.duplicates
    if faults and on_leak == "fail":
        raise DataError(*faults, "data.on_leak: warn goes on all the same")
    for line in faults:
        recorder.warn(line)
    harmless = [c for c in found.identical if not (c.leaks or c.contradicts)]
    if harmless:
        count = sum(len(c.places) - 1 for c in harmless)
        recorder.log(f"{quantity(count, 'copy', 'copies')} of images in the same split and class")
    lists = named_copies(splits)
    for text in lists["identical"]:
        recorder.log(f"identical: {text}", screen=False)
    if found.near:
        across, two = sum(c.leaks for c in found.near), sum(c.contradicts for c in found.near)
        recorder.log(
            f"{quantity(len(found.near), 'pair')} of images that look nearly the same, {across} across "
            f"splits, {two} in two classes: {'; '.join(lists['nearly the same'][:_MOST_SHOWN])}"
        )
        for text in lists["nearly the same"]:
            recorder.log(f"nearly the same: {text}", screen=False)


def named_copies(splits: ImageSplits) -> dict[str, list[str]]:
    """The names of what is there twice, at most ``_MOST_LISTED`` of a kind, those across splits first."""
    found = splits.duplicates
    kinds = (("identical", found.identical, " = "), ("nearly the same", found.near or (), " ~ "))
    return {
        kind: [
            _shown(splits, copies, sign)
            for copies in sorted(group, key=lambda c: not c.leaks)[:_MOST_LISTED]
        ]
        for kind, group, sign in kinds
    }


def _leaks(splits: ImageSplits) -> Iterator[str]:
    """A line for each later split with images that an earlier one has too."""
    for split, leaked in splits.duplicates.summary()["leaked"].items():
        if not leaked:
            continue
        copies = [
            c
            for c in splits.duplicates.leaks
            if c.places[0][0] != split and any(s == split for s, _ in c.places)
        ]
        bytewise = sum(c.same_file for c in copies)
        files = f", {bytewise} byte for byte" if bytewise else ""
        yield (
            f"{leaked} of {len(splits.parts[split])} {split} images are in "
            f"{' and '.join(dict.fromkeys(c.places[0][0] for c in copies))} too, pixel for pixel{files}: "
            f"{'; '.join(_shown(splits, c, ' = ') for c in copies[:_MOST_SHOWN])}"
        )


def _contradictions(splits: ImageSplits) -> Iterator[str]:
    pictures = splits.duplicates.contradictions
    if pictures:
        shown = "; ".join(_shown(splits, c, " = ", classes=True) for c in pictures[:_MOST_SHOWN])
        yield f"{quantity(len(pictures), 'picture')} in more than one class: {shown}"


def _divided_groups(splits: ImageSplits) -> Iterator[str]:
    if splits.divided:
        yield f"data.group: {quantity(splits.divided, 'group')} with images in more than one split"


def _shown(splits: ImageSplits, copies: Copies, sign: str, *, classes: bool = False) -> str:
    """The names of some copies, each with its split, or with its class."""
    names = []
    for (split, i), label in zip(copies.places, copies.labels, strict=True):
        what = splits.classes[label] if classes else split
        names.append(f"{splits.parts[split].names[i]} ({what})")
    more = [f"… {len(names) - 4} more"] if len(names) > 4 else []
    return sign.join([*names[:4], *more])
