"""Every way in which a file may be damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.tally import LONG

FLIPS = 100 if LONG else 3


def damages(data: bytes, seed: str, flips: int = FLIPS) -> Iterator[tuple[str, bytes]]:
    """Every damage of a file with its name; ``seed`` draws the bits that are flipped."""
    draw = random.Random(seed)
    for length in sorted({0, 1, len(data) // 2, len(data) - 1}):
        yield f"cut to {length} bytes", data[:length]
    yield "garbage", draw.randbytes(len(data))
    yield "a web page", b"<!doctype html><html><title>404</title>not found</html>\n"
    for _ in range(flips):
        bit = draw.randrange(8 * len(data))
        yield f"bit {bit} flipped", flipped(data, bit)


def flipped(data: bytes, bit: int) -> bytes:
    found = bytearray(data)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


@contextmanager
def holding(path: Path, data: bytes) -> Iterator[None]:
    """``path`` with other bytes, until the end of the block."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)
