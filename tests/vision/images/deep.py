"""PNG and TIFF files of more than 8 bits, written byte by byte: Pillow writes no 16-bit colours."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_SAMPLE_FORMAT = {"u": 1, "i": 2, "f": 3}


def png(values: np.ndarray, extra: bytes = b"") -> bytes:
    """A 16-bit PNG (ISO/IEC 15948) of (H, W) or (H, W, 2, 3 or 4)."""
    height, width = values.shape[:2]
    kind = _COLOUR_TYPE[values.shape[2] if values.ndim == 3 else 1]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = extra + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(values: np.ndarray, order: str = "<", *, deflated: bool = False) -> bytes:
    """A TIFF 6.0 of one strip, of any sample type, ``<`` or ``>`` in its byte order."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if deflated else data
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * values.dtype.itemsize] * channels),
        259: ("H", [8 if deflated else 1]),
        262: ("H", [2 if channels >= 3 else 1]),
        273: ("I", [0]),
        277: ("H", [channels]),
        278: ("I", [height]),
        279: ("I", [len(data)]),
        339: ("H", [_SAMPLE_FORMAT[values.dtype.kind]] * channels),
    }
    if channels == 4:
        tags[338] = ("H", [2])
    first = 8 + 2 + 12 * len(tags) + 4
    long = {
        tag: struct.pack(order + code * len(v), *v)
        for tag, (code, v) in sorted(tags.items())
        if struct.calcsize(code) * len(v) > 4
    }
    tags[273] = ("I", [first + sum(map(len, long.values()))])
    entries, at = b"", first
    for tag, (code, v) in sorted(tags.items()):
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[code], len(v))
        if tag in long:
            entries += struct.pack(order + "I", at)
            at += len(long[tag])
        else:
            entries += struct.pack(order + code * len(v), *v).ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + struct.pack(order + "I", 0) + b"".join(long.values()) + data
