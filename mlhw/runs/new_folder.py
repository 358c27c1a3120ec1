"""A new run's folder: its name, its appearance as a whole, and the link ``latest`` to it."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from mlhw.errors import ConfigError, UsageError, reason_of
from mlhw.system import temporaries
from mlhw.system.files import point, sync

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def check_name(name: str | None) -> None:
    """Raise ConfigError for a ``--name`` that is no plain part of a file name."""
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name: must be letters, digits, '.', '_' or '-', at most 80 (got {name[:60]!r})"
        )


def create_folder(
    runs_dir: Path, experiment: str, name: str | None, fill: Callable[[Path], None] = lambda _: None
) -> Path:
    """Make ``runs_dir/20261124-115632-lr-sweep[-NAME]``; ``-2``, ``-3`` … where that exists already.

    ``fill`` puts files into it, and it appears with them at once: it is put together under a hidden name.
    It has its log from the start: no folder that is renamed replaces one with a file in it, so runs that
    start at the same moment never share one.

    Raises
    ------
    UsageError
        The runs folder cannot be made or written.
    OSError
        From ``fill``; there is no folder then.
    """
    stem = time.strftime("%Y%m%d-%H%M%S-") + experiment + (f"-{name}" if name else "")
    return _filled(runs_dir / stem, fill, _renamed, "; choose another with --runs-dir")


def create_exactly(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The same for a folder of this very name, which is not there yet.

    Raises
    ------
    UsageError
        The folder around it cannot be made or written, or it is there already.
    OSError
        From ``fill``; there is no folder then.
    """
    return _filled(folder, fill, _renamed_exactly, "")


def _filled(
    folder: Path, fill: Callable[[Path], None], rename: Callable[[Path, Path], Path], remedy: str
) -> Path:
    """A folder put together under a hidden name, then renamed by ``rename`` to ``folder`` or one near it."""
    runs_dir = folder.parent
    staging = temporaries.temporary_of(folder)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        temporaries.remove(staging)  # of a killed process with the same number
        staging.mkdir()
        (staging / temporaries.LOCK_FILE).touch()
    except OSError as error:
        reason = reason_of(error)
        raise UsageError(
            f"the runs folder {runs_dir} cannot be written: {reason}{remedy}"
        ) from None
    try:
        fill(staging)
        return rename(staging, folder)
    except BaseException as error:
        temporaries.remove(staging)
        if isinstance(error, OSError) and error.filename is not None:
            error.filename = str(error.filename).replace(str(staging), str(folder))
        raise


def _renamed_exactly(staging: Path, folder: Path) -> Path:
    """Give a folder this name; raises UsageError where something has it."""
    if os.path.lexists(folder):
        raise UsageError(f"{folder}: is there already")
    staging.rename(folder)
    sync(folder.parent)
    return folder


def _renamed(staging: Path, first: Path) -> Path:
    """Give a folder the first free name of ``first``, ``first-2``, ``first-3`` …"""
    number, folder = 1, first
    while True:
        if not os.path.lexists(folder):
            try:
                staging.rename(folder)
            except OSError:
                if not os.path.lexists(folder):  # or somebody was faster
                    raise
            else:
                sync(folder.parent)
                return folder
        number += 1
        folder = first.with_name(f"{first.name}-{number}")


def point_latest(folder: Path) -> None:
    """Make ``runs/latest`` a relative link to ``folder``; nothing happens where links cannot be made."""
    with contextlib.suppress(OSError):
        point(folder.parent / "latest", folder.name)
