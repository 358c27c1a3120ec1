"""Names and arrays as bytes between processes: nothing in them is ever run."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np


def packed(name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """A name, and arrays with names of their own."""
    content = io.BytesIO()
    _write(content, name)
    for key, array in arrays.items():
        _write(content, key)
        np.lib.format.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
    return content.getvalue()


def unpacked(content: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """What ``packed`` was given."""
    stream = io.BytesIO(content)
    name = _read(stream)
    arrays = {}
    while key := _read(stream):
        arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
    return name, arrays


def _write(stream: io.BytesIO, text: str) -> None:
    coded = text.encode()
    stream.write(len(coded).to_bytes(2, "little") + coded)


def _read(stream: io.BytesIO) -> str:
    length = int.from_bytes(stream.read(2), "little")
    return stream.read(length).decode()
