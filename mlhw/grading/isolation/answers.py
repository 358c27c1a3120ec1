"""Reading what a submission's process sends: anything may come, and nothing but numbers is believed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlhw.grading.isolation.job import Job, Replies, Reply

if TYPE_CHECKING:
    import numpy as np

_LINE = 200_000
"""Bytes that one line of JSON may have: forms are small, arrays do not go this way."""

_ARRAYS = 10_000
_DIMENSIONS = 8
_NOTES = 20
_TEXT = 600


class Garbled(Exception):
    """What came is not in the protocol: the file wrote into the channel itself."""


@dataclass
class Answers:
    """The messages of one job, put together from pieces.

    ``ready`` when Python is at work in the sandbox, ``loaded`` when the file is, ``done`` at the end.
    ``wanted`` is a time that the program asked for, in seconds from now, once.
    """

    job: Job
    replies: Replies
    ready: bool = False
    loaded: bool = False
    done: bool = False
    wanted: float | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _received: int = 0
    _searched: int = 0

    def take(self, data: bytes) -> None:
        """Raises Garbled for what is no message, or more than there can be."""
        self._received += len(data)
        if self._received > 8 * self.job.most * (len(self.job.calls) + 1) + (4 << 20):
            raise Garbled
        self._buffer += data
        while not self.done and self._message():
            pass

    def _message(self) -> bool:
        """Take one whole message off the front, if there is one."""
        end = self._buffer.find(b"\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > _LINE and not self._searched:
            raise Garbled
        if end < 0:
            return False
        message = _parsed(bytes(self._buffer[:end]))
        shapes = _shapes(message, self.job.most)
        size = 8 * sum(math.prod(shape) for shape in shapes)
        if len(self._buffer) < end + 1 + size:
            self._searched = end  # not to be searched again for each piece of a large answer
            return False
        self._searched = 0
        numbers = bytes(self._buffer[end + 1 : end + 1 + size])
        del self._buffer[: end + 1 + size]
        self._understand(message, shapes, numbers)
        return True

    def _understand(
        self, message: dict[str, Any], shapes: list[tuple[int, ...]], numbers: bytes
    ) -> None:
        found = self.replies
        if "error" in message:
            found.error, self.done = writable_text(message["error"]), True
        elif "done" in message:
            self.done = True
        elif "ready" in message:
            self.ready = True
        elif "loaded" in message:
            self.loaded = True
        elif "note" in message:
            found.notes += [writable_text(message["note"])] if len(found.notes) < _NOTES else []
        elif "phase" in message:
            found.phase = writable_text(message["phase"])
            self.wanted = _seconds(message.get("seconds"))
        elif len(found.replies) == len(self.job.calls):
            raise Garbled
        elif "refused" in message:
            found.replies.append(Reply(refused=writable_text(message["refused"])))
        elif "shapes" in message:
            sent = message["shapes"] is not None
            arrays = _arrays(numbers, shapes) if sent else None
            found.replies.append(Reply(message.get("form"), arrays))
        else:
            raise Garbled


def writable_text(value: Any) -> str:
    """A text of the process's, which can be written down: JSON may hold halves of characters."""
    return str(value)[:_TEXT].encode("utf-8", "backslashreplace").decode()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Garbled from None
    if not isinstance(message, dict):
        raise Garbled
    return message


def _shapes(message: dict[str, Any], most: int) -> list[tuple[int, ...]]:
    shapes = message.get("shapes")
    if shapes is None:
        return []
    if not isinstance(shapes, list) or len(shapes) > _ARRAYS:
        raise Garbled
    for shape in shapes:
        if not isinstance(shape, list) or len(shape) > _DIMENSIONS:
            raise Garbled
        # bool is a kind of int; a size of 10**4000 would be one too.
        if not all(type(size) is int and 0 <= size <= most for size in shape):
            raise Garbled
    found = [tuple(shape) for shape in shapes]
    if sum(math.prod(shape) for shape in found) > most:
        raise Garbled
    return found


def _arrays(data: bytes, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    import numpy as np

    arrays, position = [], 0
    for shape in shapes:
        size = math.prod(shape)
        part = data[position : position + 8 * size]
        # A copy: one that can be written to.
        arrays.append(np.frombuffer(part, dtype=np.float64).reshape(shape).copy())
        position += 8 * size
    return arrays


def _seconds(value: Any) -> float | None:
    if type(value) not in (int, float):
        raise Garbled
    try:
        seconds = float(value)
    except OverflowError:
        raise Garbled from None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
