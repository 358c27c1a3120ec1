"""Files that are there whole or not at all, and errors that say which file they are about."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlhw.errors import ConfigError, reason_of


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power failure."""
    data = content.encode() if isinstance(content, str) else content
    temporary = _beside(path)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        discard(temporary)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(path: Path) -> None:
    """Remove what is left of a file; that it cannot be removed hides nothing that went wrong before."""
    with contextlib.suppress(OSError):
        path.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def overwrite(path: Path, text: str) -> bool:
    """Write over a file where a full disk has room for no second one; False if that cannot be done.

    Only within the blocks that the file has already, so that the disk cannot end in the middle.
    """
    data = text.encode()
    try:
        with open(path, "r+b", buffering=0) as file:
            if len(data) > os.fstat(file.fileno()).st_blocks * 512:
                return False
            file.write(data)
            file.truncate()
    except (OSError, AttributeError):  # Windows counts no blocks
        return False
    return True


def check_writable(option: str, path: str) -> None:
    """Raise ConfigError if ``write_to`` could not write this file, which ``option`` names."""
    try:
        if path == "":
            raise FileNotFoundError(errno.ENOENT, "the name of a file is missing")
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        target = os.path.realpath(path)
        if os.path.isfile(path) or not os.path.exists(path):
            # As write_whole will: beside it, also where it is there already.
            probe = _beside(Path(target))
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT))
            probe.unlink()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {reason_of(error)}") from None


def write_to(path: str, content: bytes) -> None:
    """Write a file that somebody has named: whole, unless it is a pipe, a device or stdout's file.

    Those are written through, and of a link the file that it leads to: nothing takes their place.
    """
    with naming(path):
        status = os.stat(path) if os.path.exists(path) else None
        if status is not None and os.path.samestat(status, os.fstat(1)):
            # /dev/stdout, say. Opened again, its end would be somewhere else.
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        elif status is not None and not stat.S_ISREG(status.st_mode):
            with open(path, "wb") as file:
                file.write(content)
        else:
            write_whole(Path(os.path.realpath(path)), content)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """What the system says of a file that is open already names no file; here it does."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
