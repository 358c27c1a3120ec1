"""What a run and the process that draws beside it say to each other through two pipes.

There: a pickle in pieces, each behind its length, and a length of 0. Back: for each figure that it is begun,
then its two files behind their lengths and a checksum; no bytes where it is not to be had there.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlhw.result.plots import Printed

PIECE = 1 << 20
"""So many bytes of a pickle go at once."""

_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">4sIIII")  # word, figure, bytes of the PNG and of the SVG, their checksum
_BEGUN, _DRAWN = b"beg:", b"fig:"
_MOST = 1 << 30  # bytes of a file: more is no figure


def widen(descriptor: int) -> None:
    """Let a pipe hold a figure, where the system allows it: its writer then waits less often."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIECE)


def length(count: int) -> bytes:
    """What stands before a piece of ``count`` bytes."""
    return _LENGTH.pack(count)


def length_of(content: bytes) -> int:
    """How many bytes come behind these."""
    return int(_LENGTH.unpack(content)[0])


LENGTH = _LENGTH.size


def beginning(index: int) -> bytes:
    """The word that a figure is begun."""
    return _HEAD.pack(_BEGUN, index, 0, 0, 0)


def ending(index: int, printed: Printed | None) -> bytes:
    """A figure's files; None: it is not to be had."""
    png, svg = printed or (b"", b"")
    content = png + svg
    return _HEAD.pack(_DRAWN, index, len(png), len(svg), zlib.crc32(content)) + content


class Received:
    """What has come back for ``count`` figures; ``printed`` are those that are here whole."""

    def __init__(self, count: int) -> None:
        self.printed: dict[int, Printed] = {}
        self._count = count
        self._begun: int | None = None
        self._rest = bytearray()

    def is_coming(self, index: int) -> bool:
        """Whether a figure is being drawn there, or what is on its way may be about it."""
        return self._begun == index or bool(self._rest)

    def add(self, piece: bytes) -> None:
        """Take in what has come. Raises ValueError for anything else than that."""
        # The process that draws has to listen before it loads this.
        from mlhw.result.plots import Printed

        self._rest += piece
        while len(self._rest) >= _HEAD.size:
            word, index, png, svg, checksum = _HEAD.unpack_from(self._rest)
            expected = self._begun if word == _DRAWN else index
            known = word == _DRAWN or (word == _BEGUN and self._begun is None and png + svg == 0)
            if not known or index != expected or index >= self._count or png + svg > _MOST:
                raise ValueError("no frame")
            end = _HEAD.size + png + svg
            if len(self._rest) < end:
                return
            content = bytes(self._rest[_HEAD.size : end])
            del self._rest[:end]
            if word == _BEGUN:
                self._begun = index
                continue
            if zlib.crc32(content) != checksum:
                raise ValueError("not as it was sent")
            self._begun = None
            if png and svg:
                self.printed[index] = Printed(content[:png], content[png:])
