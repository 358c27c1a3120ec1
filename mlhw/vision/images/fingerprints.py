"""What two copies of one picture have in common: a hash of the file, a hash of the pixels, a thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

NO_THUMBNAIL = np.zeros((8, 9, 3), dtype=np.uint8)
"""In place of a thumbnail. Of 8 rows of 9 pixels, 8 × 8 differences between neighbours are 64 bits."""

SMALLEST_SIDE = 32
"""Of smaller images a thumbnail of 8 × 9 is all but the image, and different ones look alike."""


@dataclass(frozen=True)
class Fingerprints:
    """Of n images.

    Attributes:
        pixels: uint8 (n, 16), BLAKE2b of size and pixels; all 0 for what is no image.
        thumbnails: uint8 (n, 8, 9, 3), the image shrunk; all 0 where a side is below ``SMALLEST_SIDE``.
        files: uint8 (n, 32), sha256 of the files; None for images that come from none.
    """

    pixels: np.ndarray
    thumbnails: np.ndarray
    files: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def of(self, indices: np.ndarray) -> Fingerprints:
        """Those at ``indices``."""
        files = None if self.files is None else self.files[indices]
        return Fingerprints(self.pixels[indices], self.thumbnails[indices], files)


def fingerprint(image: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Hash of the pixels, 16 bytes, and thumbnail (8, 9, 3), of an 8-bit image (H, W, 3) or (H, W)."""
    from PIL import Image

    hasher = hashlib.blake2b(repr(image.shape[:2]).encode(), digest_size=16)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    hasher.update(np.ascontiguousarray(image).data)
    if min(image.shape[:2]) < SMALLEST_SIDE:
        return hasher.digest(), NO_THUMBNAIL
    rows, columns = NO_THUMBNAIL.shape[:2]
    small = Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX)
    return hasher.digest(), np.asarray(small)


def fingerprints_of(images: Iterable[np.ndarray], count: int) -> Fingerprints:
    """Fingerprints of ``count`` images in memory."""
    pixels = np.empty((count, 16), dtype=np.uint8)
    thumbnails = np.empty((count, *NO_THUMBNAIL.shape), dtype=np.uint8)
    for i, image in enumerate(images):
        digest, thumbnails[i] = fingerprint(image)
        pixels[i] = np.frombuffer(digest, dtype=np.uint8)
    return Fingerprints(pixels, thumbnails)
