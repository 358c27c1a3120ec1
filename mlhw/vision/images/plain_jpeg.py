"""JPEG files of the plain kind straight into an array, where that gives the very pixels Pillow gives.

Pillow opens a file, makes an image of four bytes a pixel and copies it twice on its way into NumPy.
simplejpeg has the same libjpeg-turbo write into the array at once. It is asked for what both read alike:
8 bits, grey or three channels, baseline or progressive, nothing in the header that turns the picture or
holds a second one, and not one warning on the way. Pillow has everything else, and so every error
message; it has all where simplejpeg is not installed, or the two libraries differ on a few samples.
"""

from __future__ import annotations

import functools
import io
import itertools
from typing import Any

import numpy as np

_START = b"\xff\xd8\xff"
_SCAN, _APP0, _APP2, _APP14 = 0xDA, 0xE0, 0xE2, 0xEE
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, each with Huffman's codes
_TABLES = (0xC4, 0xDB, 0xDD, 0xFE)  # Huffman's and quantisation tables, restarts; a comment
_CHANNELS = (1, 3)
_MOST_SEGMENTS = 4096  # a profile of colours has up to 255, and few files have more than 30


def plain_size(content: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG file that Pillow and simplejpeg read alike; None for any other file.

    Only the header is looked at, up to the first scan.
    """
    if not content.startswith(_START):
        return None
    size, at, end = None, 2, len(content)
    for _ in range(_MOST_SEGMENTS):
        if at + 4 > end or content[at] != 0xFF:
            return None
        marker = content[at + 1]
        length = content[at + 2] << 8 | content[at + 3]
        start, at = at + 4, at + 2 + length
        if marker in _TABLES:
            continue
        if marker == _SCAN:
            return size
        if marker in _FRAMES:
            if size is not None or start + 6 > end or content[start] != 8:
                return None
            channels = content[start + 5]
            if channels not in _CHANNELS or length != 8 + 3 * channels:
                return None
            size = (
                content[start + 1] << 8 | content[start + 2],
                content[start + 3] << 8 | content[start + 4],
            )
            if not all(size):
                return None
        elif not _harmless(marker, content, start, length):
            return None
    return None


def _harmless(marker: int, content: bytes, start: int, length: int) -> bool:
    """Is this segment of an application one that no reader makes anything of?

    JFIF's own, a profile of colours, and Adobe's, which says how colours are stored.
    """
    if marker == _APP0:
        return length >= 16 and content.startswith(b"JFIF\0", start)
    if marker == _APP2:
        return length >= 18 and content.startswith(b"ICC_PROFILE\0", start)
    return marker == _APP14 and length == 14 and content.startswith(b"Adobe", start)


def decode_plain(content: bytes, most_pixels: int) -> np.ndarray | None:
    """uint8 (H, W, 3) of a plain JPEG file, grey in three equal channels.

    None for what Pillow has to look at: other files, damaged ones, and those of more than
    ``most_pixels``.
    """
    size = plain_size(content)
    if size is None or size[0] * size[1] > most_pixels:
        return None
    simplejpeg = equal_decoder()
    return None if simplejpeg is None else _decoded(simplejpeg, content)


def _decoded(simplejpeg: Any, content: bytes) -> np.ndarray | None:
    try:  # strict, as it is by default: a warning is an error
        image: np.ndarray = simplejpeg.decode_jpeg(content, "RGB")
    except (ValueError, MemoryError):
        return None
    return image


@functools.cache
def equal_decoder() -> Any:
    """The module simplejpeg; None where it is missing or gives other pixels than Pillow."""
    try:
        import simplejpeg
    except (ImportError, ValueError):  # the latter where it was built for another NumPy
        return None
    return simplejpeg if all(agrees(simplejpeg, sample) for sample in samples()) else None


def agrees(simplejpeg: Any, content: bytes) -> bool:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB"))
    found = _decoded(simplejpeg, content)
    return found is not None and np.array_equal(found, expected)


def samples() -> list[bytes]:
    """Small files of every kind that is given to simplejpeg.

    Their sides are no multiples of a block, and their edges and noise ask something of the inverse
    cosine transform, of the colours' interpolation and of what is clipped.
    """
    from PIL import Image

    height, width = 27, 45
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise[:, : width // 2] //= 8
    noise[: height // 2] |= 192
    picture = Image.fromarray(noise)
    files = []
    for sampling, progressive, quality in itertools.product((0, 1, 2), (False, True), (30, 95)):
        file = io.BytesIO()
        picture.save(file, "JPEG", subsampling=sampling, progressive=progressive, quality=quality)
        files.append(file.getvalue())
    for progressive in (False, True):
        file = io.BytesIO()
        picture.convert("L").save(file, "JPEG", progressive=progressive)
        files.append(file.getvalue())
    return files
