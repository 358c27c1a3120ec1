"""Files of which an end is known: opened only where they are plain ones, read only up to a limit."""

from __future__ import annotations

import codecs
import errno
import io
import os
import stat
from pathlib import Path

_READ_NOT_WAITING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_plain(path: str | Path) -> io.BufferedReader:
    """A plain file, opened for reading in binary.

    Raises OSError for anything else: a device has no end, and a pipe that nobody writes into is waited
    for without end.
    """
    return os.fdopen(open_descriptor(path)[0], "rb")


def open_descriptor(path: str | Path) -> tuple[int, int]:
    """A plain file's descriptor, opened for reading and to be closed by whoever asked; and its size.

    Raises OSError as ``open_plain``.
    """
    mode = os.stat(path).st_mode  # before it is opened, which to some devices is a command
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _require_plain(mode, path)
    descriptor = os.open(path, _READ_NOT_WAITING)
    try:
        status = os.fstat(descriptor)
        _require_plain(status.st_mode, path)  # another may have its place by now
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def read_plain(path: str | Path, most: int) -> bytes:
    """The bytes of a plain file; one that is larger than ``most`` is not read.

    Raises OSError as ``open_plain``, and for a file of more than ``most`` bytes.
    """
    too_large = OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise too_large
        # Asked for a size, Python sets that much aside.
        content = file.read(size + 1)
        if len(content) > size:  # it grew, or is one of /proc, whose size is said to be 0
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise too_large
    return content


def is_utf16(content: bytes) -> bool:
    """Whether the beginning of a text has the mark of UTF-16, or lines of letters with a NUL each."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    # Names of one letter between NULs, as of find -print0, have no line ends.
    start = content[:4096]
    ends = (b"\n\0", start[1::2]), (b"\0\n", start[::2])
    return any(end in start and 2 * half.count(0) > len(half) for end, half in ends)


def _require_plain(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
