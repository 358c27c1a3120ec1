"""A drawn figure as the bytes of a PNG or an SVG file, smaller and sooner than matplotlib's own."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

_LEVEL = 6
_LARGE = 100_000  # bytes: above them the other way to write a PNG is tried too
_INCHES = 1 / 0.0254  # in a metre
# What has places, and no words of a user's, whose "<" is written as "&lt;".
_DRAWN = re.compile(rb"<(?:use|path) [^>]*>")
_PLACES = re.compile(rb' (?:d|x|y)="[^"]*"')
_TOO_FINE = re.compile(rb"(\.\d\d)\d+")  # a hundredth of a point is finer than a screen
# The number of a collection and of a shape in it, which no two shapes share, and a hash.
_SHAPE = re.compile(rb"\b(C[0-9a-f]+_[0-9a-f]+)_[0-9a-f]{10}\b")
_USE_INDENT = re.compile(rb"^ +(?=<use )", re.MULTILINE)


def printed_png(figure: Figure) -> bytes:
    """A PNG with every pixel as matplotlib draws it."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    if (pixels[..., 3] == 255).all():
        pixels = np.ascontiguousarray(pixels[..., :3])
    content = _unfiltered(pixels, figure.dpi)
    return (
        min(content, _filtered(pixels, figure.dpi), key=len) if len(content) > _LARGE else content
    )


def _unfiltered(pixels: np.ndarray, dpi: float) -> bytes:
    """A PNG of pixels (H, W, 3 or 4) as they are.

    Lines, letters and dots come again byte by byte, which differences between neighbours, PNG's
    filters, would hide from the compressor: a tenth to a fifth is saved, in bytes and in time.
    """
    import numpy as np

    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # each begins with "no filter"
    rows[:, 1:] = pixels.reshape(height, -1)
    density = round(dpi * _INCHES)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", density, density, 1)),
        (b"IDAT", zlib.compress(rows.data, _LEVEL)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _filtered(pixels: np.ndarray, dpi: float) -> bytes:
    """A PNG by differences between neighbours, which suits fields of colour."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", dpi=(dpi, dpi), compress_level=_LEVEL)
    return file.getvalue()


def printed_svg(figure: Figure) -> bytes:
    """An SVG without a date, its places to a hundredth of a point, dots that belong together in one group."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    canvas = FigureCanvasSVG(figure)
    canvas.print_svg(file, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return _DRAWN.sub(_shorter, _USE_INDENT.sub(b"", _grouped(file.getvalue())))


def _shorter(element: re.Match[bytes]) -> bytes:
    named = _SHAPE.sub(rb"\1", element[0])
    return _PLACES.sub(lambda places: _TOO_FINE.sub(rb"\1", places[0]), named)


def _grouped(svg: bytes) -> bytes:
    """Neighbouring groups that are clipped alike as one: matplotlib gives every dot its own."""
    kept: list[bytes] = []
    opened = b""
    for line in svg.splitlines(keepends=True):
        words = line.lstrip(b" ")
        if words.startswith(b"<g"):
            indent = line[: len(line) - len(words)]
            if (
                line == opened
                and words.startswith(b"<g clip-path=")
                and kept[-1] == indent + b"</g>\n"
                and kept[-2].endswith(b"/>\n")
            ):
                kept.pop()
                continue
            opened = line
        kept.append(line)
    return b"".join(kept)
