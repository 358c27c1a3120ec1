"""Files that only spare work: read back as they were written, or not at all.

Each begins with its digest. So one that a crash or a bad disk has changed is made anew, and none needs
to be flushed to the disk. Some are run as code, so one that another user has written, or can, is not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from mlhw.system.files import discard, whole
from mlhw.text.plain_files import open_plain

_DIGEST = hashlib.sha256().digest_size


def recall(path: Path) -> bytes | None:
    """What ``remember`` has written; None where it is not there any more, or not as it was."""
    try:
        with open_plain(path) as file:  # a pipe would never end
            if not _is_own(os.fstat(file.fileno())):
                return None
            digest, content = file.read(_DIGEST), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def _is_own(file: os.stat_result) -> bool:
    """Whether this user's file, which nobody else can write."""
    if not hasattr(os, "geteuid"):
        return True
    return file.st_uid == os.geteuid() and not file.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def remember(path: Path, content: bytes, *, most: int | None = None) -> None:
    """Write a file, whole or not at all; where it cannot be written, there is none, and no error.

    ``most`` is how many files its folder keeps: of more, what was written first goes.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the fsync of other files: one that a power failure cuts short is not as it was written.
        with whole(path, lasting=False) as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)
            file.write(hashlib.sha256(content).digest() + content)
        if most is not None:
            _keep_newest(path.parent, most)


def _keep_newest(folder: Path, most: int) -> None:
    """Also what a process that was killed has left half written goes by this."""
    ages = []
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):  # another process has just removed it
            if entry.is_file(follow_symlinks=False):
                ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[:-most]:
        discard(Path(path))
