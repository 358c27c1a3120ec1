"""stdin, stdout and stderr that end no command: a reader who leaves, a full disk, a closed stream.

What a command finds does not depend on who listens. So a stream that fails takes what else is printed
to nowhere, and whether that is an error is decided once, at the end.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class Output(io.RawIOBase):
    """Bytes for another stream; after its first ``error`` they go nowhere."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int | None:
        if self.error is None:
            try:
                written: int | None = self._raw.write(data)
                return written
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


def guard() -> None:
    """Put such streams in the place of the program's own."""
    for descriptor in range(3):
        # A closed one (``mlhw … >&-``) would be given to the next file that is opened.
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 - open to the end
    sys.stdout = guarded(sys.stdout)
    sys.stderr = guarded(sys.stderr)


def guarded(stream: Any) -> Any:
    """``stream`` as one that does not fail, neither for an encoding that lacks a character."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(Output(getattr(stream.buffer, "raw", stream.buffer))),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def lost() -> OSError | None:
    """What kept something on stdout from being printed; a reader who has left wanted no more."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, Output) else None
    return None if isinstance(error, BrokenPipeError) else error
