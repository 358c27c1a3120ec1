"""How pixels of more than 8 bits are scaled: by the range of the training images alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.errors import DataError
from mlhw.vision.networks.preprocessing import PixelScale, Span

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.images.datasets import ImageSplits
    from mlhw.vision.images.image_sets import ImageSet

# Of a range of which most pixels use less, fewer than 16 of 256 levels would be left.
LEAST_USED = 1 / 16


def scale_pixels(
    splits: ImageSplits, recorder: Recorder, given: PixelScale | Span | None = None
) -> PixelScale:
    """Fix, for all splits, how pixels become 8-bit ones, and give it for the model's file.

    Args:
        splits: as loaded.
        recorder: is told the range, and warned where it is far wider than what most pixels use.
        given: a saved model's scale, which must fit; or the values of black and white; None takes the
            least and the greatest value of the training images.

    Raises DataError for images of 8 bits beside deeper ones unless black and white are given, for
    training images that all have the same value, and for images that a model's scale does not take.
    """
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    sets = {name: images for name, images in parts.items() if images is not None and len(images)}
    deep = {name: ~np.isnan(images.limits[:, 0]) for name, images in sets.items()}
    if isinstance(given, PixelScale):
        for images in sets.values():
            use_models_scale(splits.name, images, given)
        scale = given
    elif not any(flags.any() for flags in deep.values()):
        if given is not None:
            recorder.warn("data.pixel_range: changes nothing, as all images have 8 bits")
        scale = PixelScale()
    else:
        eight_bit = not all(flags.all() for flags in deep.values())
        if given is None and eight_bit:
            raise DataError(_mixed(splits.name, sets, deep))
        scale = PixelScale(given or _range_of(splits.name, splits.train), eight_bit)
    for images in sets.values():
        images.use_scale(scale)
    if scale.span is not None:
        _report(sets, scale.span, recorder, is_given=given is not None)
    return scale


def _range_of(name: str, train: ImageSet) -> Span:
    low, high = float(np.nanmin(train.limits[:, 0])), float(np.nanmax(train.limits[:, 1]))
    if low == high:
        raise DataError(
            f"{name}: every pixel of the training images is {low:g}: there is nothing to learn from"
        )
    return low, high


def _report(sets: dict[str, ImageSet], span: Span, recorder: Recorder, *, is_given: bool) -> None:
    low, high = span
    beyond, others = 0, 0
    for name, images in sets.items():
        if name != "train" or is_given:
            beyond += int(((images.limits[:, 0] < low) | (images.limits[:, 1] > high)).sum())
            others += len(images)
    whose = "as given" if is_given else "the range of the training images"
    recorder.log(
        f"pixels of more than 8 bits: {low:g} … {high:g}, {whose}, become 0 … 255; "
        f"{beyond} of {others} {'images' if is_given else 'other images'} go beyond and are clipped"
    )
    limits = sets["train"].limits
    used = limits[~np.isnan(limits[:, 0])]
    if not len(used):
        return
    inner = float(np.median(used[:, 2])), float(np.median(used[:, 3]))
    if inner[1] - inner[0] < LEAST_USED * (high - low):
        recorder.warn(
            f"most pixels lie between {inner[0]:g} and {inner[1]:g}, a small part of {low:g} … {high:g}, "
            "so the images have next to no contrast left; --pixel-range LOW,HIGH sets the values of "
            "black and white"
        )


def use_models_scale(name: str, images: ImageSet, scale: PixelScale) -> None:
    """Have ``images`` read as those that a model was trained on.

    Raises DataError, beginning with the data set's ``name``, for a depth that the model has not seen.
    """
    deep = ~np.isnan(images.limits[:, 0])
    wrong = deep if scale.span is None else ~deep
    if wrong.any() and (scale.span is None or not scale.eight_bit):
        first = images.names[int(np.argmax(wrong))]
        has, trained = ("more than 8 bits", "8") if scale.span is None else ("8 bits", "more")
        raise DataError(
            f"{name}: {first} has pixels of {has}, the model was trained on ones of {trained}, so their "
            "scale is unknown"
        )
    images.use_scale(scale)


def beyond_words(images: ImageSet, scale: PixelScale) -> str | None:
    """Words about images with pixels beyond a model's range; None without such."""
    if scale.span is None:
        return None
    low, high = scale.span
    beyond = int(((images.limits[:, 0] < low) | (images.limits[:, 1] > high)).sum())
    return (
        f"{beyond} of {len(images)} images have pixels beyond {low:g} … {high:g}, the range of the "
        "training images, which are clipped"
        if beyond
        else None
    )


def _mixed(name: str, sets: dict[str, ImageSet], deep: dict[str, np.ndarray]) -> str:
    count = sum(int(flags.sum()) for flags in deep.values())
    total = sum(len(flags) for flags in deep.values())
    examples = []
    for wanted in (True, False):
        part = next(part for part, flags in deep.items() if (flags == wanted).any())
        examples.append(sets[part].names[int(np.argmax(deep[part] == wanted))])
    return (
        f"{name}: {count} of {total} images have pixels of more than 8 bits ({examples[0]}), the others "
        f"8 ({examples[1]}), and no file says how their scales compare; save all at one depth, or give "
        "the deeper ones' black and white: --pixel-range 0,65535 where they use all 16 bits"
    )
