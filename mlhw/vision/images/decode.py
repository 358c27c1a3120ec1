"""One image file to 8-bit RGB, the way a viewer shows it, or a reason why not.

Turned as its EXIF data say; CMYK, 16-bit, palette and grey images become RGB; what is transparent is
laid over white. Nothing is guessed: a file that ends early is not completed with grey, and one that
claims an enormous size is not decoded.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# A quarter of a gigabyte as RGB; also where Pillow begins to suspect a decompression bomb.
LARGEST_PIXELS = 89_478_485
SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff"}
    | {".webp"}
)
_MAY_BE_TURNED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
LARGEST_FILE = 1 << 30
UNREAD = "cannot be read"


class UnreadableImageError(Exception):
    """An image cannot be used; the message says why and does not name the file."""


class _Quiet:
    """How many threads are inside ``quiet_pillow``, and what takes the filter away again."""

    lock = threading.Lock()
    inside = 0
    undo = ExitStack()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """No warnings from Pillow inside the block; ``decode`` raises an error for what matters in them.

    All threads share one list of warning filters. So the first thread to enter adds a filter, and the
    last to leave removes it.
    """
    with _Quiet.lock:
        if not _Quiet.inside:
            _Quiet.undo.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _Quiet.inside += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.inside -= 1
            if not _Quiet.inside:
                _Quiet.undo.close()


def read(path: Path) -> bytes:
    """The bytes of an image file. Raises UnreadableImageError."""
    try:
        with open(path, "rb") as file:
            # Asked for a size, Python sets that much aside; a gibibyte for each file is slow.
            size = min(os.fstat(file.fileno()).st_size, LARGEST_FILE)
            content = file.read(size + 1)
    except OSError as error:
        raise UnreadableImageError(f"{UNREAD}: {error.strerror}") from error
    if not content:
        raise UnreadableImageError("is empty")
    if len(content) > LARGEST_FILE:
        raise UnreadableImageError("is larger than 1 GiB")
    return content


def decode(content: bytes) -> np.ndarray:
    """The first frame of an image file's ``content`` as uint8 (H, W, 3).

    Raises UnreadableImageError.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > LARGEST_PIXELS:
                raise UnreadableImageError(_too_large(f"{width:,} × {height:,} pixels"))
            image.load()
            return _rgb(_upright(image))
    except UnidentifiedImageError as error:
        raise UnreadableImageError("is not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(_too_large("too many pixels")) from error
    except UnreadableImageError:
        raise
    # Damaged files upset decoders in any way there is, from SyntaxError to struct.error.
    except Exception as error:
        raise UnreadableImageError(f"is damaged or cut off ({_first_line(error)})") from error


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    if image.format in ("TIFF", "MPO") or any(key in image.info for key in _MAY_BE_TURNED):
        return ImageOps.exif_transpose(image)
    return image


def _rgb(image: Image.Image) -> np.ndarray:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if image.mode.startswith("I"):  # I;16 in its byte orders, and 32-bit integers
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise UnreadableImageError("has integer pixels beyond 16 bits, whose scale is unknown")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise UnreadableImageError("has floating-point pixels, whose scale is unknown")
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _too_large(size: str) -> str:
    return f"is too large ({size}; at most {LARGEST_PIXELS:,} in all)"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
