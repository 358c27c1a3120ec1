"""A run folder as one file, to come home from a machine with other disks, and the folder out of it again.

A parcel is a zip file of plain files that are stored, not compressed: what it unpacks to is as large as it
is. Whoever takes one in knows its digest from elsewhere, and believes no name and no size in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlhw.errors import RunError, reason_of
from mlhw.system.digests import LOG, RECORD, files_in
from mlhw.text.plain_files import open_plain
from mlhw.text.values import bytes_text

MOST_BYTES = 2_000_000_000
"""Of a parcel: what the memory that a cluster shares can be trusted with."""
MOST_FILES = 100_000

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that the format knows: the same files make the same bytes
_PIECE = 1 << 20


class TooLarge(RunError):
    """A run folder that is too large to travel."""


@dataclass(frozen=True)
class Parcel:
    """A packed folder: where it lies, how long it is, and its digest."""

    path: Path
    bytes: int
    sha256: str


def pack(folder: Path, target: Path, names: Sequence[str] = (), most: int = MOST_BYTES) -> Parcel:
    """Put files of a folder into the new file ``target``.

    They are ``names``, by their paths in it, by default all of a run folder but links and hidden files.

    Raises
    ------
    TooLarge
        The files have more than ``most`` bytes; nothing was written.
    RunError
        A file cannot be read or written.
    """
    try:
        names = names or [
            *files_in(folder),
            *(name for name in (RECORD, LOG) if (folder / name).is_file()),
        ]
        size = sum((folder / name).stat().st_size for name in names)
        if size > most:
            raise TooLarge(
                f"the run's folder has {bytes_text(size)}, and {bytes_text(most)} can come home; "
                "keep fewer checkpoints (--keep none)"
            )
        with open(target, "xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name in names:
                    _add(archive, folder / name, name)
            file.flush()
        with open(target, "rb") as packed:
            digest = hashlib.file_digest(packed, "sha256").hexdigest()
        return Parcel(target, target.stat().st_size, digest)
    except OSError as error:
        raise RunError(f"{error.filename or target}: {reason_of(error)}") from None


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    with open_plain(path) as source:
        entry.file_size = os.fstat(source.fileno()).st_size
        with archive.open(entry, "w") as sink:
            while part := source.read(_PIECE):
                sink.write(part)


def unpack(data: memoryview, sha256: str | None, folder: Path) -> None:
    """Write the files of a parcel into the new folder ``folder``, which the caller takes away on an error.

    Nothing is written outside of it, and no link, whatever the parcel says. ``sha256`` is the parcel's
    digest; None where the caller compares what it has unpacked.

    Raises
    ------
    RunError
        These are not the bytes that were packed, or they hold something that no run folder has.
    OSError
        A file cannot be written.
    """
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RunError("the run's folder has not come home as it was packed: its digest is another")
    try:
        with zipfile.ZipFile(io.BufferedReader(_Bytes(data), _PIECE)) as archive:
            members = list(_checked(archive))
            folder.mkdir()
            for member in members:
                target = folder.joinpath(*PurePosixPath(member.filename).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "xb") as sink:
                    while part := source.read(_PIECE):
                        sink.write(part)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"the run's folder cannot be unpacked: {error}") from None


def _checked(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """The members, each of which a run folder may have; raises RunError for any other."""
    members = archive.infolist()
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
        raise RunError("the run's folder has more in it than a run writes")
    seen: set[str] = set()
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG) and member.compress_type == zipfile.ZIP_STORED
        if not plain or not _is_inside(name) or name in seen or member.file_size < 0:
            raise RunError(f"the run's folder holds what no run writes: {name[:100]!r}")
        seen.add(name)
        yield member


def _is_inside(name: str) -> bool:
    """Whether a name leads to a plain file in the folder, on every system, and to nothing hidden."""
    parts = name.split("/")
    return not any(part == "" or part.startswith(".") or set(part) & set("\\:\0") for part in parts)


class _Bytes(io.RawIOBase):
    """A file over bytes that are not copied: they may be gigabytes of shared memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = data.cast("B")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        if start + offset < 0:
            raise ValueError("before the start")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
