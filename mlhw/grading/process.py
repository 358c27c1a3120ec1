"""Somebody's file in a process of its own: limits on time, memory and what it may send.

The process returns numbers and nothing else; what it prints is thrown away, and what it sends is
parsed as JSON and raw floats. It is killed when it has answered or time is up, with its children; on
Linux also with those that have left its process group. It ends as well when this process is killed: it
sees the end of a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MEMORY = 2 << 30
"""Bytes that the process may use beyond what Python and NumPy take."""

CLEARING = 5.0
"""Seconds that the process may take to end what it started before its group is killed."""

STARTUP = 60.0
"""Seconds that Python and NumPy may take to load; the time limit counts from then on."""


@dataclass(frozen=True)
class Reply:
    """What one call returned. ``numbers`` are the arrays, or None where they were too many to send.

    ``deltas`` counts how many of the last ``shapes`` are deltas, None without any. ``refused`` says
    why an optional call failed.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    deltas: int | None = None
    numbers: list[np.ndarray] | None = None
    refused: str | None = None

    def reversed(self) -> Reply:
        """The same with the gradients in the opposite order."""
        count = len(self.shapes) - (self.deltas or 0)

        def turned(parts: list[Any]) -> list[Any]:
            return [*parts[:count][::-1], *parts[count:]]

        numbers = None if self.numbers is None else turned(self.numbers)
        return replace(self, shapes=turned(self.shapes), numbers=numbers)


@dataclass
class Replies:
    """How a process ended: ``replies`` in the order of the calls, an ``error`` or a ``timeout``."""

    replies: list[Reply] = field(default_factory=list)
    error: str | None = None
    timeout: bool = False
    seconds: float = 0.0


def call_in_process(
    path: Path,
    function: str,
    calls: Sequence[Sequence[np.ndarray]],
    *,
    required: int,
    time_limit: float,
    labels: bool = False,
) -> Replies:
    """Call ``function`` of the file with each of ``calls``: the weights, then x and t.

    Calls from number ``required`` on may fail. ``labels``: t is an integer, or an array of such.
    Never raises for what the file does.
    """
    most = 4 * max(sum(array.size for array in call) for call in calls) + 1000
    request = {
        "path": os.path.abspath(path),  # the process has a folder of its own
        "function": function,
        "calls": [[array.shape for array in call] for call in calls],
        "required": required,
        "memory": MEMORY,
        "seconds": time_limit,
        "most": most,
        "labels": labels,
    }
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as inputs:
        inputs.write(json.dumps(request).encode() + b"\n")
        for call in calls:
            for array in call:
                inputs.write(array.astype(float).tobytes())
        inputs.seek(0)
        with _Process(inputs, folder) as process:
            return listen(process, len(calls), most, time_limit)


class _Process:
    """The child with the reading end of its channel; leaving ends it and all that it started."""

    def __init__(self, inputs: IO[bytes], folder: str) -> None:
        self._inputs, self._folder = inputs, folder

    def __enter__(self) -> _Process:
        self.channel, theirs = os.pipe()
        lifeline, self._ours = os.pipe()
        try:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-B",
                    str(Path(__file__).with_name("child.py")),
                    str(theirs),
                    str(lifeline),
                ],
                stdin=self._inputs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd=self._folder,
                pass_fds=[theirs, lifeline],
                start_new_session=True,
            )
        except BaseException:
            # Also a signal's, for a process that had been started already: the pipe's end ends it.
            os.close(self._ours)
            os.close(self.channel)
            raise
        finally:
            os.close(theirs)
            os.close(lifeline)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform == "linux":
            # Not Popen.terminate: it would first take notice of a child that has ended.
            os.kill(self._child.pid, signal.SIGTERM)
            deadline = time.monotonic() + CLEARING
            while not self.ended and time.monotonic() < deadline:
                time.sleep(0.002)
        # Before the child is waited for: its number, and so its group's, cannot be used anew yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        os.close(self.channel)
        os.close(self._ours)

    def read(self, seconds: float) -> bytes | None:
        """What came within ``seconds``: b"" at the end, None if nothing came."""
        ready, _, _ = select.select([self.channel], [], [], seconds)
        return os.read(self.channel, 1 << 16) if ready else None

    @property
    def ended(self) -> bool:
        found = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def how_it_ended(self) -> str:
        """A sentence for a process that ended without having said so."""
        found = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        assert found is not None
        if found.si_code == os.CLD_EXITED:
            return f"the process ended itself (exit code {found.si_status})"
        return f"the process was killed by {signal.Signals(found.si_status).name}"


class _Garbled(Exception):
    """What came is not in the protocol: the file wrote into the channel itself."""


def listen(process: _Process, calls: int, most: int, time_limit: float) -> Replies:
    returned = Replies()
    buffer = bytearray()
    ready = False
    started = time.monotonic()
    deadline = started + STARTUP
    cap = 8 * most * (calls + 1) + (1 << 20)
    received = 0
    try:
        while True:
            for message, numbers in _messages(buffer, most):
                if "ready" in message and not ready:
                    ready = True
                    started = time.monotonic()
                    deadline = started + time_limit
                elif "error" in message:
                    line = f" (line {int(message['line'])})" if message.get("line") else ""
                    returned.error = _said(message["error"]) + line
                    return returned
                elif "done" in message:
                    return returned
                else:
                    returned.replies.append(_reply(message, numbers))
            left = deadline - time.monotonic()
            if left <= 0:
                returned.timeout = ready
                returned.error = None if ready else "Python did not start in time"
                return returned
            data = process.read(min(left, 0.05))
            received += len(data or b"")
            if not data and process.ended:
                returned.error = returned.error or process.how_it_ended()
                return returned
            if data == b"":
                time.sleep(0.01)  # closed by the file itself, which goes on
            if received > cap or len(returned.replies) > calls:
                raise _Garbled
            buffer += data or b""
    except (_Garbled, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        returned.error = "the process sent something that is no answer"
        return returned
    finally:
        returned.seconds = time.monotonic() - started


def _messages(buffer: bytearray, most: int) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """The whole messages at the front of ``buffer``, taken off it."""
    import numpy as np

    found = []
    while (end := buffer.find(b"\n")) >= 0:
        message = json.loads(buffer[:end])
        if not isinstance(message, dict):
            raise _Garbled
        shapes: list[list[int]] = []
        if message.get("sent"):
            shapes = [*message["gradients"], *(message["deltas"] or [])]
        sizes = [int(np.prod(shape, dtype=object)) for shape in shapes]
        if any(size < 0 for size in sizes) or sum(sizes) > most:
            raise _Garbled
        if len(buffer) < end + 1 + 8 * sum(sizes):
            break
        position, numbers = end + 1, []
        for shape, size in zip(shapes, sizes, strict=True):
            part = bytes(buffer[position : position + 8 * size])
            numbers.append(np.frombuffer(part).reshape(shape))
            position += 8 * size
        del buffer[:position]
        found.append((message, numbers))
    return found


def _said(value: Any) -> str:
    """A text of the process's, which can be written down: JSON may hold halves of characters."""
    return str(value)[:600].encode("utf-8", "backslashreplace").decode()


def _reply(message: dict[str, Any], numbers: list[np.ndarray]) -> Reply:
    if "refused" in message:
        return Reply(refused=_said(message["refused"]))
    deltas = message["deltas"]
    return Reply(
        shapes=[tuple(map(int, s)) for s in [*message["gradients"], *(deltas or [])]],
        deltas=None if deltas is None else len(deltas),
        numbers=numbers if message["sent"] else None,
    )
