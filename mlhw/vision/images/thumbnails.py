"""Small pictures of images, as bytes for a page: many in one file, so each has to be small."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SMALLEST, LARGEST = (
    48,
    192,
)  # sides of a thumbnail that is still of use, and of one that shows enough
PIXELS = 40_000_000  # of all thumbnails together: as WebP about 10 MB of photographs
LOSSLESS = 16  # sides up to which every pixel counts, and costs less than the coding of blocks
QUALITY = 80
EFFORT = 2  # of 6: the last three save 3 % of the bytes and take twice the time


def thumbnail_side(count: int) -> int:
    """The longer side of each of ``count`` thumbnails, in pixels: smaller where there are more."""
    return max(SMALLEST, min(LARGEST, math.isqrt(PIXELS // max(count, 1))))


def thumbnail(image: np.ndarray, side: int) -> bytes:
    """An 8-bit RGB image (H, W, 3) as WebP, its longer side at most ``side``; none is enlarged."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    if max(picture.size) <= LOSSLESS:
        picture.save(file, "WEBP", lossless=True, method=0)
    else:
        picture.save(file, "WEBP", quality=QUALITY, method=EFFORT)
    return file.getvalue()
