"""Names for what is not yet whole, and what a process that was killed has left under them.

A temporary lies beside what it will become, under a hidden name that tells host and process. It is locked
while its process lives, so that what no living process has can be told and taken away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

try:
    import fcntl

    _LOCKS = True
except ImportError:  # Windows
    _LOCKS = False

# .last.pt.h1a2b3c.4711.tmp; earlier versions left out the host. Another thread than the main one adds -N.
_NAME = re.compile(
    r"\.(?P<of>.+?)(?:\.h(?P<host>[0-9a-f]{6}))?\.(?P<pid>[0-9]{1,10})(?:-[0-9]+)?\.tmp", re.DOTALL
)
# The folder of a run has its lock here.
LOCK_FILE = "log.txt"
_DAY_S = 86_400.0
# File systems take 255 bytes; host, process and ending need some 25.
_LONGEST = 220


def temporary_of(path: Path) -> Path:
    """The name for this thread's temporary of ``path``, in the same folder."""
    main = threading.current_thread() is threading.main_thread()
    thread = "" if main else f"-{threading.get_native_id()}"
    return path.with_name(f".{_word(path.name)}.h{_host()}.{os.getpid()}{thread}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is a temporary of some process."""
    return _NAME.fullmatch(name) is not None


@contextlib.contextmanager
def opened(temporary: Path) -> Iterator[IO[bytes]]:
    """The new file of this name, locked until the block ends, where there are locks."""
    while True:
        try:
            # New: a link of this name, which somebody has made, would lead elsewhere.
            file = open(temporary, "xb")  # noqa: SIM115 - closed below
        except FileExistsError:  # of a process that was killed and had the same number
            temporary.unlink(missing_ok=True)
            continue
        lock(file)
        # Between the two lines above somebody may have taken it for a leftover.
        if not _LOCKS or os.fstat(file.fileno()).st_nlink:
            break
        file.close()
    with file:
        yield file


def lock(file: IO[Any]) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has it.

    Where the system or the file system has no such locks, nothing is locked.
    """
    if not _LOCKS:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def process_exists(pid: Any) -> bool:
    """Whether some process of this machine has this number."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


# ------------------------------------------------------------------------------------- what is left


def leftovers(folder: Path, *, owned: bool = False) -> list[Path]:
    """The temporaries in a folder, not in those below, that certainly belong to no living process.

    That is one that nobody has locked, and whose process is gone: it was of this machine, and no process
    has its number; or it has not been touched for a day.

    Args:
        folder: one that cannot be read has none.
        owned: the caller has the lock of this folder's run, so that what nobody has locked is enough.
    """
    return [path for path in _among(folder, ".") if _is_left(path, owned=owned)]


def leftovers_below(folder: Path, *, owned: bool = False) -> list[Path]:
    """The same in a folder and all those below, without what lies in such a temporary."""
    found = []
    for place, folders, files in os.walk(folder):
        names = [name for name in (*folders, *files) if is_temporary(name)]
        paths = [Path(place, name) for name in sorted(names)]
        found += [path for path in paths if _is_left(path, owned=owned)]
        folders[:] = sorted(name for name in folders if not is_temporary(name))
    return found


def own_below(folder: Path) -> list[Path]:
    """The temporaries of this process's main thread in a folder and all those below."""
    mine = f".h{_host()}.{os.getpid()}.tmp"
    return [path for path in folder.rglob(f".*{mine}") if is_temporary(path.name)]


def sweep(folder: Path) -> None:
    """Remove ``leftovers``; what cannot be removed stays."""
    for path in leftovers(folder):
        remove(path)


def sweep_of(path: Path) -> None:
    """Remove those that were to become this file; of names without a host, which may be others', none."""
    word = _word(path.name)
    for one in _among(path.parent, f".{word}.h"):
        told = _NAME.fullmatch(one.name)
        if told and told["host"] and told["of"] == word and _is_left(one, owned=False):
            remove(one)


def remove(path: Path) -> None:
    """Remove a temporary, file or folder, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def bytes_in(path: Path) -> int:
    """How many bytes a file, or all files below a folder, have."""
    total = 0
    with contextlib.suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        total += sum(bytes_in(inner) for inner in path.iterdir())
    return total


def _among(folder: Path, start: str) -> list[Path]:
    """The temporaries in a folder whose names begin so."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(start)]
    except (OSError, ValueError):  # ValueError: a NUL
        return []
    return [folder / name for name in sorted(names) if is_temporary(name)]


def _is_left(path: Path, *, owned: bool) -> bool:
    told = _NAME.fullmatch(path.name)
    assert told is not None
    try:
        status = path.lstat()
    except OSError:
        return False
    if is_locked(path):
        return False
    if owned or time.time() - status.st_mtime > _DAY_S:
        return True
    return told["host"] in (None, _host()) and not process_exists(int(told["pid"]))


def is_locked(path: Path) -> bool:
    """Whether a living process has a file, or a folder by its log; True also where that cannot be told.

    Links and pipes cannot be locked.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            path = path / LOCK_FILE
            mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            return False
        with open(path, "rb") as file:
            return not lock(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _word(name: str) -> str:
    """A file's name, or what stands for one that leaves no room for more."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST else hashlib.sha256(encoded).hexdigest()


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
