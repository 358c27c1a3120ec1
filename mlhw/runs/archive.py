"""Run folders in one zip file, to be mailed or handed in."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mlhw.errors import ConfigError, RunError, reason_of
from mlhw.runs.history import Run
from mlhw.system.files import whole

# The same files make the same bytes: every entry has the format's first date and plain permissions.
_DATE = (1980, 1, 1, 0, 0, 0)
_PERMISSIONS = (stat.S_IFREG | 0o644) << 16


def with_parts(runs: Sequence[Run]) -> list[Run]:
    """The runs, each once, and those that a run of all experiments is made of.

    Raises ConfigError for one that still runs, and for two different folders of one name.
    """
    found: dict[Path, Run] = {}
    for run in (one for asked in runs for one in (asked, *asked.parts)):
        if run.folder.is_dir():
            found.setdefault(run.folder.resolve(), run)
    names: dict[str, Path] = {}
    for run in found.values():
        if run.status == "running":
            raise ConfigError(f"{run.folder}: still runs; export it when it has ended")
        other = names.setdefault(run.name, run.folder)
        if other != run.folder:
            raise ConfigError(
                f"{run.folder} and {other}: have one name; export them into a file each"
            )
    return list(found.values())


def pack(runs: Sequence[Run], path: Path) -> int:
    """Write the runs' folders into the new zip file ``path``; returns how many files went in.

    Each run is a folder of its own name. Links and hidden files are left out: a link could lead out of
    the folder.

    Raises
    ------
    ConfigError
        ``path`` exists, or lies in no folder.
    RunError
        A file cannot be read or written.
    """
    if os.path.lexists(path):
        raise ConfigError(f"{path}: is there already and stays as it is; give another name")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: no such folder")
    try:
        files = [
            (file, f"{run.name}/{file.relative_to(run.folder).as_posix()}")
            for run in sorted(runs, key=lambda run: run.name)
            for file in sorted(_files(run.folder))
        ]
        for file, name in files:
            _check_name(file, name)
        with whole(path) as target, zipfile.ZipFile(target, "w") as archive:
            for file, name in files:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = (
                    3  # Unix, on whatever system: it gives the permissions their meaning
                )
                entry.external_attr = _PERMISSIONS
                entry.file_size = file.stat().st_size  # or a file of more than 2 GB would not fit
                with file.open("rb") as source, archive.open(entry, "w") as sink:
                    while part := source.read(1 << 20):
                        sink.write(part)
    except OSError as error:
        raise RunError(f"{error.filename or path}: {reason_of(error)}") from None
    return len(files)


def _check_name(file: Path, name: str) -> None:
    """Raise ConfigError for a name that other systems could not unpack, or into another folder."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{file}: its name is not UTF-8, which a zip file needs; rename it"
        ) from None
    if "\\" in name:
        raise ConfigError(f"{file}: its name holds a backslash, a folder elsewhere; rename it")


def _files(folder: Path) -> list[Path]:
    """The plain files of a folder and of those in it, hidden ones and links left out."""
    found = []
    for parent, folders, names in os.walk(folder, onerror=_raise):  # which follows no links
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and stat.S_ISREG(path.lstat().st_mode):
                found.append(path)
    return found


def _raise(error: OSError) -> None:
    raise error
