"""stdin, stdout and stderr that end no command: a reader who leaves, a full disk, a closed stream.

A stream that fails must not stop a run whose results land in files anyway. So after its first error a
stream swallows everything else, and ``lost`` tells at the end of the program whether that was an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class Output(io.RawIOBase):
    """Passes bytes on to another stream, and swallows them after that stream's first ``error``."""

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
    """Replace stdin, stdout and stderr by streams that do not fail."""
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
    """A text stream over ``stream`` that fails neither when it is written nor for want of a character."""
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


def reader_left() -> bool:
    """Whether nobody reads stdout any more, as behind ``| head``."""
    return isinstance(_output_error(), BrokenPipeError)


def lost() -> OSError | None:
    """The error that kept text from stdout, None if all was printed or the reader had closed the pipe."""
    sys.stdout.flush()
    error = _output_error()
    return None if isinstance(error, BrokenPipeError) else error


def _output_error() -> OSError | None:
    """The first error of the guarded stdout."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, Output) else None
