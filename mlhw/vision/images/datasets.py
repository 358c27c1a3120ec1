"""Images and labels by name, split into train, val and test: ``load_images("digits", …)``.

===================================  ===========================================================
``digits``                           scikit-learn's 1,797 handwritten digits, 8 × 8
``cifar10``, ``cifar100``            32 × 32 in colour, under ``data/``
``mnist``, ``fashion-mnist``         28 × 28, under ``data/``
``folder:PATH``                      ``train/CLASS/*``, ``val/CLASS/*``, ``test/CLASS/*``; or
                                     ``train/`` alone; or ``CLASS/*``
``csv:PATH``                         ``file_name,label`` with paths relative to the file
===================================  ===========================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlhw.errors import ConfigError, DataError
from mlhw.result.recorder import Recorder
from mlhw.text.words import hint, nearest
from mlhw.vision.images import archives, file_images
from mlhw.vision.images.folders import Listing, list_csv, list_folder, refuse
from mlhw.vision.images.image_sets import ArraySource, ImageSet, ImageSource, ListSource, as_pixels
from mlhw.vision.images.splits import DEFAULT_SHARE, Amount, Shares, stratified
from mlhw.vision.names import CIFAR, DATA_SETS, MNIST, OWN_DATA, OnError
from mlhw.vision.networks.preprocessing import EIGHT_BIT, PixelScale

if TYPE_CHECKING:
    from torch.utils.data import Dataset

_MOST_SKIPPED = 0.01


@dataclass(frozen=True)
class ImageSplits:
    """A data set.

    Attributes:
        name: the specification, as given.
        classes: class names; a label is a position in this list.
        train, val: never empty; train has every class.
        test: None if there is none.
        digest: sha256 over the splits' digests and the class names.
        skipped: (name, reason) of the images left out under ``on_error="skip"``.
        pixels: how those of more than 8 bits are scaled, once ``scales.scale_pixels`` has fixed it.
    """

    name: str
    classes: list[str]
    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    digest: str
    skipped: list[tuple[str, str]] = field(default_factory=list)
    pixels: PixelScale = EIGHT_BIT


def load_images(
    spec: str,
    *,
    data_dir: Path | str = "data",
    val: Amount | None = None,
    test: Amount | None = None,
    seed: int = 0,
    on_error: OnError = "fail",
    download: bool = False,
    resident: bool | None = None,
    recorder: Recorder | None = None,
) -> ImageSplits:
    """The data set that ``spec`` names, every image checked.

    Args:
        spec: a name of the table at the top.
        data_dir: where cifar10, cifar100, mnist and fashion-mnist are kept, laid out as torchvision
            does.
        val, test: a count (1 or more) or a fraction (below 1) of the images to set aside; None for
            the data set's own split, or 15 % where it has none (no test images are cut out of a
            folder that has ``val/``); ``test=0`` for no test split.
        seed: of the splits. Which split an image falls in depends on the seed, its class and its
            name, not on the order of files or rows.
        on_error: ``fail`` on an unreadable image, or ``skip`` up to 1 % of them.
        download: fetch what is missing under ``data_dir``.
        resident: keep decoded files in memory; None does where they have one size and fit in 2 GiB.
        recorder: logs downloads and the files left out, and shows the progress of reading and
            downloading; None for neither.

    Raises:
        ConfigError: no such data set, or splits that cannot be cut.
        DataError: what is missing, unreadable or contradictory, one line for each file.
    """
    recorder = recorder or Recorder()
    shares = Shares(val, test, seed)
    kind, colon, place = spec.partition(":")
    if colon and f"{kind}:" in OWN_DATA and place:
        path = Path(place).expanduser()
        listing = list_folder(path, recorder.log) if kind == "folder" else list_csv(path)
        return _from_files(
            spec, listing, shares, on_error=on_error, resident=resident, recorder=recorder
        )
    if spec == "digits":
        return _digits(shares)
    fetching = archives.Fetching(Path(data_dir), download, recorder)
    if spec in CIFAR:
        return _from_arrays(spec, archives.cifar(spec, fetching), shares)
    if spec in MNIST:
        return _from_arrays(spec, archives.mnist(spec, fetching), shares)
    raise _unknown(spec)


def from_dataset(
    dataset: Dataset[tuple[object, int]],
    *,
    val: Amount | None = None,
    test: Amount | None = None,
    classes: list[str] | None = None,
    name: str = "dataset",
    seed: int = 0,
) -> ImageSplits:
    """The same from a map-style ``torch.utils.data.Dataset`` of (image, label).

    Args:
        dataset: images as Pillow images, 8-bit arrays (H, W, 3) or (H, W), or 8-bit tensors
            (3, H, W); labels as integers 0 … K − 1. Its ``classes`` attribute gives the class names
            where ``classes`` is None.
        val, test, seed: as in ``load_images``.
        name: what messages call it.

    Every image is taken once and kept, so that a data set with random transforms is one fixed data
    set here. Floats from 0 to 1, as ``ToTensor`` makes them, are read as 8-bit values.

    Raises DataError for anything that is no such sample, with its index.
    """
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise DataError(f"{name}: a data set needs a length and indices") from error
    pixels, labels = [], np.empty(count, dtype=np.int64)
    for i in range(count):
        image, label = dataset[i]
        pixels.append(as_pixels(image, f"{name}: sample {i}"))
        labels[i] = int(label)
    known = classes if classes is not None else getattr(dataset, "classes", None)
    if count and (labels.min() < 0 or (known is not None and labels.max() >= len(known))):
        raise DataError(f"{name}: has labels beyond 0 … {len(known or []) - 1}")
    if known is None:
        known = [str(k) for k in range(int(labels.max()) + 1)] if count else []
    uniform = len({image.shape for image in pixels}) == 1
    source: ImageSource = ArraySource(np.stack(pixels)) if uniform else ListSource(pixels)
    images = _Labelled(source, labels, _numbers(count), [str(c) for c in known])
    return _cut(name, images, Shares(val, test, seed))


@dataclass(frozen=True)
class _Labelled:
    """All images of a data set, before they are split: (n,) labels and names, K class names."""

    source: ImageSource
    labels: np.ndarray
    names: list[str]
    classes: list[str]

    def subset(self, indices: np.ndarray) -> ImageSet:
        names = [self.names[i] for i in indices]
        return ImageSet(self.source, indices, self.labels[indices], names, self.classes)


# --------------------------------------------------------------------------------- from where


def _digits(shares: Shares) -> ImageSplits:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 grey levels, 0 … 16
    labels = digits.target.astype(np.int64)
    images = _Labelled(ArraySource(pixels), labels, _numbers(len(labels)), _numbers(10))
    return _cut("digits", images, shares)


def _from_arrays(spec: str, arrays: archives.Arrays, shares: Shares) -> ImageSplits:
    if shares.test:
        raise _own_split(spec, "test", len(arrays.test))
    count, classes = len(arrays.train), arrays.classes
    images = _Labelled(ArraySource(arrays.train), arrays.train_labels, _numbers(count), classes)
    cut = stratified(
        images.labels,
        images.names,
        classes,
        val=_some(DEFAULT_SHARE if shares.val is None else shares.val),
        test=0,
        seed=shares.seed,
    )
    own_test = None
    if shares.test is None:
        names = _numbers(len(arrays.test))
        testing = _Labelled(ArraySource(arrays.test), arrays.test_labels, names, classes)
        own_test = testing.subset(np.arange(len(arrays.test)))
    return _splits(spec, classes, images.subset(cut.train), images.subset(cut.val), own_test)


def _from_files(
    spec: str,
    listing: Listing,
    shares: Shares,
    *,
    on_error: OnError,
    resident: bool | None,
    recorder: Recorder,
) -> ImageSplits:
    for what, amount in (("val", shares.val), ("test", shares.test)):
        if what in listing.splits and amount:
            raise _own_split(spec, what, len(listing.splits[what]))
    if shares.val == 0 and "val" in listing.splits:
        raise _no_validation()
    samples = [sample for part in listing.splits.values() for sample in part]
    paths = [sample.path for sample in samples]
    most = int(_MOST_SKIPPED * len(paths)) if on_error == "skip" else len(paths)
    found = file_images.survey(
        paths, resident=resident, most_unreadable=most, progress=recorder.progress
    )
    lines = [f"{paths[i]}: {reason}" for i, reason in sorted(found.unreadable.items())]
    if on_error == "fail":
        refuse(lines)
    elif len(lines) > most:
        refuse(
            [
                f"{spec}: more than {_MOST_SKIPPED:.0%} of {len(paths):,} images cannot be read",
                *lines,
            ]
        )
    elif lines:
        recorder.log(f"skipping {len(lines)} of {len(paths):,} images that cannot be read")
        for line in lines:
            recorder.log(line)
    images = _Labelled(
        file_images.file_source(paths, found, resident=resident),
        np.array([listing.classes.index(sample.label) for sample in samples], dtype=np.int64),
        [sample.name for sample in samples],
        listing.classes,
    )
    usable = np.array([i not in found.unreadable for i in range(len(paths))])
    ends = np.cumsum([0, *(len(part) for part in listing.splits.values())])
    own = {
        split: np.flatnonzero(usable[start:end]) + start
        for split, start, end in zip(listing.splits, ends[:-1], ends[1:], strict=True)
    }
    missing = set(range(len(listing.classes))) - set(images.labels[own["train"]].tolist())
    refuse([f"{spec}: no image of class {listing.classes[k]!r} is left" for k in sorted(missing)])
    skipped = [(images.names[i], reason) for i, reason in sorted(found.unreadable.items())]
    return _cut(spec, images, shares, own=own, skipped=skipped)


# --------------------------------------------------------------------------------- splits


def _cut(
    spec: str,
    images: _Labelled,
    shares: Shares,
    *,
    own: dict[str, np.ndarray] | None = None,
    skipped: list[tuple[str, str]] | None = None,
) -> ImageSplits:
    """The splits in ``own`` (positions), and those that are not in it cut out of ``own["train"]``.

    Without ``own`` every image may go anywhere.
    """
    labels, classes = images.labels, images.classes
    if len(classes) < 2:
        raise DataError(f"{spec}: at least two classes are needed, there are {len(classes)}")
    own = {"train": np.arange(len(labels))} if own is None else own
    is_whole = "val" not in own and "test" not in own
    val, test = shares.val, shares.test
    if val is None:
        val = 0 if "val" in own else DEFAULT_SHARE
    elif "val" not in own:
        val = _some(val)
    cut_test: Amount = (DEFAULT_SHARE if is_whole else 0) if test is None else test
    pool = own["train"]
    names = [images.names[i] for i in pool]
    cut = stratified(labels[pool], names, classes, val=val, test=cut_test, seed=shares.seed)
    parts = {"train": pool[cut.train], "val": pool[cut.val], "test": pool[cut.test]}
    parts |= {split: own[split] for split in ("val", "test") if split in own}
    if test == 0:
        parts["test"] = parts["test"][:0]
    if not len(parts["val"]):
        raise DataError(f"{spec}: there is no validation image")
    train, val_set, test_set = (images.subset(parts[part]) for part in ("train", "val", "test"))
    return _splits(spec, classes, train, val_set, test_set if len(test_set) else None, skipped)


def _splits(
    spec: str,
    classes: list[str],
    train: ImageSet,
    val: ImageSet,
    test: ImageSet | None,
    skipped: list[tuple[str, str]] | None = None,
) -> ImageSplits:
    parts = [train.digest, val.digest, test.digest if test else "", *classes]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return ImageSplits(spec, classes, train, val, test, digest, skipped or [])


def _numbers(count: int) -> list[str]:
    """Names for images, or classes, that have none."""
    return [str(i) for i in range(count)]


def _some(val: Amount) -> Amount:
    if val == 0:
        raise _no_validation()
    return val


def _no_validation() -> ConfigError:
    return ConfigError("data.val: must be above 0; the best epoch is chosen by validation images")


def _own_split(spec: str, what: str, count: int) -> ConfigError:
    out = ", or set it to 0 to leave them out" if what == "test" else ""
    return ConfigError(
        f"data.{what}: {spec} has its own {what} split of {count:,} images; omit this{out}"
    )


def _unknown(spec: str) -> ConfigError:
    near = nearest(spec, DATA_SETS)
    path = Path(spec)
    if path.is_dir():
        near = f"folder:{spec}"
    elif path.suffix.lower() == ".csv":
        near = f"csv:{spec}"
    return ConfigError(
        f"data.name: unknown data set {spec!r}{hint(near)} (known: {', '.join(DATA_SETS)}, folder:PATH, "
        "csv:PATH)"
    )
