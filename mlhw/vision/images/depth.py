"""Pixels of more than 8 bits, read whole: 16-bit grey and colour, 32-bit integers, floats.

What their values mean no file says: 260 of 65,535 may be the brightest there is. So they are kept as
they are until the range of the training images is known, and scaled by it then.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from mlhw.vision.networks.preprocessing import PixelScale, Span

# Between these two lie the values of all but two pixels in a thousand.
INNER = (0.1, 99.9)
_SAMPLE_FORMAT = 339  # TIFF's tag: 1 unsigned, 2 signed, 3 floating point
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class DeepImage:
    """An image whose pixels have more than 8 bits.

    Attributes:
        values: (H, W) or (H, W, 3), integers or floats.
        opacity: (H, W) from 0 to 1; None where nothing is transparent.
    """

    values: np.ndarray
    opacity: np.ndarray | None = None

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Least and greatest value, and the two that all but 2 in 1,000 lie between (``INNER``).

        Of what is not transparent, unless all is.
        """
        seen = self.values if self.opacity is None else self.values[self.opacity > 0]
        seen = seen if seen.size else self.values
        inner = np.percentile(seen, INNER, method="nearest")
        return float(seen.min()), float(seen.max()), float(inner[0]), float(inner[1])

    @property
    def own_span(self) -> Span:
        """Its least and greatest value, or what is a little more where all are the same."""
        low, high, *_ = self.limits
        return low, max(high, float(np.nextafter(low, np.inf)))

    def beyond(self, span: Span) -> float:
        """The share of the pixels that lie outside ``span`` and are clipped."""
        outside: np.ndarray = (self.values < span[0]) | (self.values > span[1])
        outside = np.asarray(outside.any(2)) if outside.ndim == 3 else outside
        if self.opacity is not None:
            outside &= self.opacity > 0
        return float(outside.mean())

    def rgb(self, span: Span) -> np.ndarray:
        """uint8 (H, W, 3): 0 at the lower end of ``span``, 255 at the upper one, clipped beyond."""
        low, high = span
        shares = (np.clip(self.values.astype(np.float64), low, high) - low) / (high - low)
        if shares.ndim == 2:
            shares = np.repeat(shares[..., None], 3, axis=2)
        if self.opacity is not None:  # laid over white
            shares = 1 - self.opacity[..., None] * (1 - shares)
        return np.rint(255 * shares).astype(np.uint8)


def clipped_share(image: np.ndarray | DeepImage, scale: PixelScale) -> float:
    """The share of an image's pixels that ``scale`` clips."""
    return image.beyond(scale.span) if isinstance(image, DeepImage) and scale.span else 0.0


def is_deep(image: Image.Image) -> bool:
    """Has this opened image more than 8 bits a pixel? To be asked before its pixels are loaded."""
    return image.mode.startswith(("I", "F")) or _halves(image) is not None


def deep_image(
    image: Image.Image, content: bytes, upright: Callable[[Image.Image], Image.Image]
) -> DeepImage:
    """The pixels of an opened image that ``is_deep``, turned by ``upright``.

    Raises NotImplementedError, which says why, for a form that cannot be read whole.
    """
    clear = image.info.get("transparency")
    if _halves(image) is None:
        image.load()
        values = np.asarray(upright(image))
        tags = getattr(image, "tag_v2", {})
        if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (2,))[0] == 1:
            values = values.view(np.uint32)
        return DeepImage(values, _but(values, clear) if isinstance(clear, int) else None)
    values = _both_halves(image, content, upright)
    channels = values.shape[2]
    if channels in (2, 4):
        opacity = values[..., -1] / 0xFFFF
        values = values[..., 0] if channels == 2 else values[..., :3]
        return DeepImage(values, None if (opacity == 1).all() else opacity)
    return DeepImage(values, _but(values, clear) if isinstance(clear, tuple) else None)


def _but(values: np.ndarray, clear: int | tuple[int, ...]) -> np.ndarray:
    """Opacity 0 where ``values`` are the transparent colour, else 1."""
    same = values == np.asarray(clear)
    return np.asarray(1.0 - (same.all(2) if same.ndim == 3 else same))


# Pillow keeps one byte of a 16-bit colour, which depends on the byte order that it is told. Told the
# other one, it keeps the other byte.


def _halves(image: Image.Image) -> str | None:
    """Pillow's name for the layout of 16-bit colours in this file; None where it has none."""
    for tile in getattr(image, "tile", []):
        layout = tile.args if isinstance(tile.args, str) else (tile.args or [None])[0]
        if isinstance(layout, str) and ";16" in layout and not layout.startswith("I"):
            return layout
    return None


def _both_halves(
    image: Image.Image, content: bytes, upright: Callable[[Image.Image], Image.Image]
) -> np.ndarray:
    """uint16 (H, W, 2, 3 or 4): of grey and opacity, of colours, of colours and opacity."""
    from PIL import Image, ImageFile

    layout = _halves(image)
    assert layout is not None
    name = layout.partition(";")[0]
    if name not in ("RGB", "RGBA", "LA") or len(getattr(image, "tile", [])) != 1:
        raise NotImplementedError(
            f"has 16-bit {name} pixels, which cannot be read whole; save it as RGB"
        )
    with Image.open(io.BytesIO(content)) as other:
        assert isinstance(other, ImageFile.ImageFile)  # as it has tiles
        tile = other.tile[0]
        wanted = "RGBA" if name == "LA" else layout[:-1] + _OTHER_BYTE[layout[-1]]
        arguments = (wanted, *tile.args[1:]) if isinstance(tile.args, tuple) else wanted
        other.tile = [tile._replace(args=arguments)]
        other.load()
        rest = np.asarray(upright(other)).astype(np.uint16)
    if name == "LA":  # the four bytes of grey and opacity, as they lie in the file
        return rest[..., 0::2] << 8 | rest[..., 1::2]
    image.load()
    return np.asarray(upright(image)).astype(np.uint16) << 8 | rest
