"""One image file to 8-bit RGB, the way a viewer shows it, or a reason why not.

Turned as its EXIF data say; CMYK, palette and grey images become RGB, pixels of more than 8 bits by a
scale that the caller gives; what is transparent is laid over white. Nothing is guessed: a file that
ends early is not completed with grey, and one that claims an enormous size is not decoded.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from mlhw.text.plain_files import open_descriptor
from mlhw.vision.images.depth import DeepImage, deep_image, is_deep
from mlhw.vision.images.plain_jpeg import decode_plain

if TYPE_CHECKING:
    from PIL import Image

    from mlhw.vision.networks.preprocessing import PixelScale

# A quarter of a gigabyte as RGB; also where Pillow begins to suspect a decompression bomb.
LARGEST_PIXELS = 89_478_485
SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff"}
    | {".webp"}
)
_MAY_BE_TURNED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
LARGEST_FILE = 1 << 30
_LOOKED_AT_FIRST = 1 << 25  # bytes; a larger file is looked at before it is read whole
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
        descriptor, size = open_descriptor(path)
        try:
            if size > LARGEST_FILE:
                raise UnreadableImageError("is larger than 1 GiB")
            if size > _LOOKED_AT_FIRST:
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    _refuse_other(file)
                os.lseek(descriptor, 0, os.SEEK_SET)
            content = os.read(descriptor, size + 1)
            while len(content) < size and (more := os.read(descriptor, size - len(content))):
                content += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableImageError(f"{UNREAD}: {error.strerror}") from error
    if not content:
        raise UnreadableImageError("is empty")
    return content


def _refuse_other(file: IO[bytes]) -> None:
    """Raise UnreadableImageError for a file that begins like no image, before all of it is read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            _require_size(image)
    except UnidentifiedImageError as error:
        raise UnreadableImageError("is not an image that can be read") from error
    except UnreadableImageError:
        raise
    except Exception:  # damaged: said by whoever decodes it
        pass


def _require_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > LARGEST_PIXELS:
        raise UnreadableImageError(_too_large(f"{width:,} × {height:,} pixels"))


def decode(content: bytes, scale: PixelScale) -> np.ndarray:
    """The first frame of an image file's ``content`` as uint8 (H, W, 3).

    Raises UnreadableImageError, also for pixels that ``scale`` does not take.
    """
    return eight_bit(decode_whole(content), scale)


def eight_bit(image: np.ndarray | DeepImage, scale: PixelScale) -> np.ndarray:
    """What ``decode_whole`` gave as uint8 (H, W, 3); raises UnreadableImageError as ``decode`` does."""
    if isinstance(image, DeepImage):
        if scale.span is None:
            raise UnreadableImageError(
                "has pixels of more than 8 bits, where the training images have 8, so their scale is "
                "unknown"
            )
        return image.rgb(scale.span)
    if not scale.eight_bit:
        raise UnreadableImageError(
            "has 8-bit pixels, where the training images have more bits, so their scale is unknown"
        )
    return image


def decode_whole(content: bytes) -> np.ndarray | DeepImage:
    """The first frame with all its bits: uint8 (H, W, 3), or what has more.

    Raises UnreadableImageError.
    """
    plain = decode_plain(content, LARGEST_PIXELS)
    if plain is not None:
        return plain
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            _require_size(image)
            if is_deep(image):
                return _deep(image, content)
            image.load()
            return _rgb(_upright(image))
    except UnidentifiedImageError as error:
        kinds = ""
        if content[:4] in (b"II*\0", b"MM\0*"):
            kinds = "; of TIFF, 8 and 16 bits, signed 32-bit integers and 32-bit floats can"
        raise UnreadableImageError(f"is not an image that can be read{kinds}") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(_too_large("too many pixels")) from error
    except UnreadableImageError:
        raise
    except NotImplementedError as error:
        raise UnreadableImageError(str(error) or "cannot be read in this form") from error
    # Damaged files upset decoders in any way there is, from SyntaxError to struct.error.
    except Exception as error:
        raise UnreadableImageError(f"is damaged or cut off ({_first_line(error)})") from error


def _deep(image: Image.Image, content: bytes) -> DeepImage:
    found = deep_image(image, content, _upright)
    if found.values.dtype.kind == "f" and not np.isfinite(found.values).all():
        raise UnreadableImageError("has pixels that are no numbers (NaN or infinite)")
    return found


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    if image.format in ("TIFF", "MPO") or any(key in image.info for key in _MAY_BE_TURNED):
        return ImageOps.exif_transpose(image)
    return image


def _rgb(image: Image.Image) -> np.ndarray:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _too_large(size: str) -> str:
    return f"is too large ({size}; at most {LARGEST_PIXELS:,} in all)"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
