"""Files that are written whole or not at all, and errors that say which file they are about."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlhw.errors import ConfigError, reason_of
from mlhw.system import temporaries
from mlhw.text.plain_files import read_plain
from mlhw.text.values import bytes_text


@contextmanager
def whole(path: Path, *, lasting: bool = True, alone: bool = True) -> Iterator[IO[bytes]]:
    """A new file in the same folder, which takes the place of ``path`` when the block ends.

    So ``path`` is the old file or the whole new one at any moment, also after a power failure unless
    ``lasting`` is False. An exception in the block, or a disk that is full, leaves ``path`` as it was
    and removes the new file; an OSError about the new file names ``path``. What a process that was killed
    here has left is removed first, unless it is one of thousands and not ``alone``: that looks through the
    whole folder.
    """
    if alone:
        temporaries.sweep_of(path)
    temporary = temporaries.temporary_of(path)
    try:
        with temporaries.opened(temporary) as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
            if os.name == "nt":  # where no open file is renamed
                file.close()
            os.replace(temporary, path)
    except BaseException as error:
        discard(temporary)
        if isinstance(error, OSError):
            if error.filename == str(temporary):
                error.filename = str(path)  # the one that somebody has asked for
            tell_room(error, path)
        raise
    if lasting:
        sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all; an OSError names ``path``."""
    data = encoded(content) if isinstance(content, str) else content
    with naming(path, needs=len(data)), whole(path) as file:
        file.write(data)


def encoded(text: str) -> bytes:
    """UTF-8. The bytes of a file name that is not UTF-8 are written out, ``\\udcff``, as on the screen."""
    return text.encode("utf-8", "backslashreplace")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet: whole, or not at all. Raises OSError or ValueError."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    temporaries.sweep_of(path)
    temporary = temporaries.temporary_of(path)
    try:
        with naming(path), temporaries.opened(temporary) as file:
            file.write(content)
            file.flush()
            try:
                os.link(temporary, path)  # which replaces nothing
            except FileExistsError:
                raise
            except OSError:  # the file system has no second names
                _write_exclusively(path, content)
    finally:
        discard(temporary)


def _write_exclusively(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            discard(path)
            raise


MOST_TEXT = 64 << 20
"""Bytes that a text of a run folder may have; beyond them it is none that a run wrote."""


def regular_text(path: Path) -> str:
    """The UTF-8 text of a plain file of at most ``MOST_TEXT`` bytes. Raises OSError as ``read_plain``."""
    return read_plain(path, MOST_TEXT).decode("utf-8")


def point(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``, instead of what it led to before.

    Raises OSError where links cannot be made, or ``link`` is something that a link cannot replace.
    """
    temporaries.sweep_of(link)
    temporary = temporaries.temporary_of(link)
    discard(temporary)  # left by a process that was killed here and had the same number
    temporary.symlink_to(target)
    try:
        os.replace(temporary, link)
    except OSError:
        discard(temporary)
        raise


def discard(path: Path) -> None:
    """Remove a file if it is there; where it cannot be removed, nothing is raised.

    It is called while another error is on its way, which is the one to be reported.
    """
    with contextlib.suppress(OSError):
        path.unlink()


def cache_folder(name: str) -> Path:
    """``$XDG_CACHE_HOME/mlhw/NAME``, by default ``~/.cache/mlhw/NAME``; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "mlhw" / name


def in_place(path: str, flags: int) -> int:
    """An opener for files that are written where they are: a plain file, which has no other name.

    A folder that came from somebody else may have a link there, and what is written would land where that
    leads. Raises OSError.
    """
    if os.path.lexists(path):
        _require_own(os.lstat(path), path)
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        _require_own(os.fstat(descriptor), path)  # another may have its place by now
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_own(status: os.stat_result, path: str) -> None:
    name = os.path.basename(path)
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
        what = (
            "is a link"
            if stat.S_ISLNK(status.st_mode)
            else "has another name elsewhere (a hard link)"
        )
        remedy = "what is written would land there too; remove it, or put a copy in its place"
        raise OSError(errno.ELOOP, f"{name} {what}, and {remedy}", path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"{name} is no plain file", path)


def overwrite(path: Path, text: str) -> bool:
    """Write over a file in place, where a full disk has no room for a second one.

    Done only if ``text`` fits into the blocks that the file has already, so that the disk cannot
    be full in the middle, nor beyond what files may be long; returns False if it does not fit or the
    file cannot be written.
    """
    data = encoded(text)
    try:
        with open(path, "r+b", buffering=0, opener=in_place) as file:
            if len(data) > min(os.fstat(file.fileno()).st_blocks * 512, _longest_file()):
                return False
            file.write(data)
            file.truncate()
    except (OSError, AttributeError):  # Windows counts no blocks
        return False
    return True


def _longest_file() -> float:
    """Bytes that a file of this process may have: a write beyond them is cut there."""
    try:
        import resource
    except ImportError:
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def check_writable(option: str, path: str) -> None:
    """Raise ConfigError if ``write_to`` could not write this file, which ``option`` names."""
    try:
        if path == "":
            raise FileNotFoundError(errno.ENOENT, "the name of a file is missing")
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        target = os.path.realpath(path)
        if os.path.isfile(path) or not os.path.exists(path):
            with contextlib.suppress(FileNotFoundError):
                os.lstat(
                    target
                )  # raises for a name that is too long; that of the file beside it is not
            # As write_whole will: beside it, also where it is there already.
            probe = temporaries.temporary_of(Path(target))
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT))
            probe.unlink()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {reason_of(error)}") from None


def write_to(path: str, content: bytes) -> None:
    """Write a file that a user has named on the command line.

    A plain file is written whole; where ``path`` is a link, it is the file that the link leads to.
    A pipe, a device and the file that stdout goes to are opened and written, not replaced.
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
def naming(path: str | Path, *, needs: int | None = None) -> Iterator[None]:
    """An OSError from inside the block gets the file name ``path``, and on a full disk the room there.

    The system's errors about a file that is already open name none. ``needs`` is how many bytes are to
    be written.
    """
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        tell_room(error, Path(path), needs)
        raise


def tell_room(error: OSError, path: Path, needs: int | None = None) -> None:
    """Let ``reason_of`` say of a full disk how much room is needed, where that is known, and there is."""
    if error.errno != errno.ENOSPC or (needs is None and hasattr(error, "room")):
        return
    with contextlib.suppress(OSError, AttributeError):  # Windows, or a disk that is gone
        state = os.statvfs(path.parent)
        told = [f"needs {bytes_text(needs)}"] if needs else []
        free = f"{bytes_text(state.f_bavail * state.f_frsize)} free"
        # A disk of many small files has room and no more names.
        told += [free, "no more files fit"] if state.f_files and not state.f_favail else [free]
        error.room = ", ".join(told)  # type: ignore[attr-defined]
