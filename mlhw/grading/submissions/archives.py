"""Files in folders, ``.zip`` and ``.tar``: read, never unpacked, with bounds on their number and size."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mlhw.errors import reason_of
from mlhw.grading.submissions.names import is_archive
from mlhw.text.plain_files import read_plain

MOST_FILES = 200_000
"""So many names are looked at in all that was handed in."""
MOST_ARCHIVE = 4 << 30
"""Bytes of an archive on the disk; one within another may have ``MOST_INNER``."""
MOST_INNER = 64 << 20
MOST_FILE = 32 << 20
"""Bytes of one file: a notebook with its pictures."""
DEEPEST = 2
"""Archives in archives are opened so often."""

# What systems and editors leave beside somebody's files.
_LITTER = {"__MACOSX", "__pycache__", "node_modules", "site-packages", "Thumbs.db", "desktop.ini"}


@dataclass
class Member:
    """One file: its path in parts, and its bytes, or ``problem``, why it cannot be had."""

    parts: tuple[str, ...]
    content: bytes = b""
    problem: str = ""


@dataclass
class Counted:
    """How many names were seen, over all archives and folders, and what is to be said about some."""

    files: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self) -> bool:
        """One more; False where there are too many."""
        self.files += 1
        return self.files <= MOST_FILES


def wanted(parts: tuple[str, ...]) -> bool:
    """Whether a path may be somebody's work: not hidden, not a system's or editor's litter."""
    return not any(part.startswith((".", "~$")) or part in _LITTER for part in parts)


def members_of(path: Path, counted: Counted) -> Iterator[Member]:
    """Every file below a folder or in an archive, in order of their names, links and devices left out.

    Raises OSError for a folder that cannot be read, and for an archive that is none.
    """
    if path.is_dir():
        yield from _below(path, counted)
    elif is_archive(path.name):
        if path.stat().st_size > MOST_ARCHIVE:
            raise OSError(0, f"it is larger than {MOST_ARCHIVE >> 30} GB")
        with open(path, "rb") as file:
            yield from _unpacked(file, path.name, (), counted, 1)
    else:
        yield Member((path.name,), *_read(path))


def _below(folder: Path, counted: Counted) -> Iterator[Member]:
    closed: list[Member] = []

    def refuse(error: OSError) -> None:
        if str(error.filename) == str(folder):
            raise error
        counted.notes.append(f"{error.filename}: left out: {reason_of(error)}")
        parts = Path(error.filename).relative_to(folder).parts
        closed.append(Member((*parts, "…"), problem=f"{parts[-1]}: {reason_of(error)}"))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(n for n in folders if wanted((n,)))
        above = Path(parent).relative_to(folder).parts
        for name in sorted(names):
            if not wanted((name,)):
                continue
            if not counted.add():
                return
            path = Path(parent, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                why = "left out: it is a link or no plain file"
                counted.notes.append(f"{path}: {why}")
                if above:  # its student has handed something in
                    yield Member((*above, name), problem=f"{name}: {why}")
                continue
            if not is_archive(name):
                yield Member((*above, name), *_read(path))
                continue
            try:
                with open(path, "rb") as file:
                    yield from _unpacked(file, name, (*above, name), counted, 1)
            except OSError as error:
                yield Member((*above, name), problem=f"{name}: {reason_of(error)}")
    yield from closed


def _read(path: Path) -> tuple[bytes, str]:
    try:
        return read_plain(path, MOST_FILE), ""
    except OSError as error:
        return b"", f"{path.name}: cannot be read: {reason_of(error)}"


def _unpacked(
    file: IO[bytes],
    name: str,
    below: tuple[str, ...],
    counted: Counted,
    depth: int,
) -> Iterator[Member]:
    """The files of an archive, their paths behind ``below``; a folder around them all is taken off."""
    try:
        found = list(_entries(file, name, counted))
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise OSError(0, f"is no archive that can be read: {words[:120]}") from None
    if below and not found:
        yield Member(below, problem=f"{name}: holds no files")
    for member in _without_wrapper(found) if not below else found:
        inner = member.parts[-1]
        parts = (*below, *member.parts)
        if is_archive(inner) and depth < DEEPEST and not member.problem:
            try:
                # In the archive of a class it stands for a student's folder, as it does beside others.
                yield from _unpacked(io.BytesIO(member.content), inner, parts, counted, depth + 1)
            except OSError as error:
                yield Member(parts, problem=f"{inner}: {reason_of(error)}")
        else:
            yield Member(parts, member.content, member.problem)


def _entries(file: IO[bytes], name: str, counted: Counted) -> Iterator[Member]:
    if name.lower().endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                link = stat.S_ISLNK(info.external_attr >> 16)
                parts = _parts(info.filename, name, counted, link=link)
                if info.is_dir() or not parts:
                    continue
                if not counted.add():
                    return
                most = MOST_INNER if is_archive(parts[-1]) else MOST_FILE
                if info.flag_bits & 1:
                    yield Member(parts, problem=f"{parts[-1]}: is locked by a password")
                    continue
                with archive.open(info) as entry:
                    yield _bounded(parts, entry.read(most + 1), most)
        return
    with tarfile.open(fileobj=file) as tar:
        for one in tar:
            parts = _parts(one.name, name, counted, link=one.issym() or one.islnk())
            if not one.isreg() or not parts:
                continue
            if not counted.add():
                return
            most = MOST_INNER if is_archive(parts[-1]) else MOST_FILE
            content = tar.extractfile(one)
            yield _bounded(parts, content.read(most + 1) if content else b"", most)


def _bounded(parts: tuple[str, ...], content: bytes, most: int) -> Member:
    if len(content) > most:
        return Member(parts, problem=f"{parts[-1]}: is larger than {most >> 20} MB")
    return Member(parts, content)


def _parts(path: str, archive: str, counted: Counted, *, link: bool) -> tuple[str, ...]:
    """A path in an archive in parts; none where it leads out of it, or is not wanted."""
    parts = tuple(p for p in path.replace("\\", "/").split("/") if p not in ("", "."))
    if not parts or not wanted(tuple(p for p in parts if p != "..")):
        return ()
    if link or ".." in parts or path.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":"):
        why = "is a link" if link else "leads out of the archive"
        counted.notes.append(f"{archive}: {path}: left out: {why}")
        return ()
    return parts


def _without_wrapper(found: list[Member]) -> list[Member]:
    """Without the one folder that everything lies in, where several folders lie in that."""
    while (
        found
        and all(len(member.parts) > 2 for member in found)
        and len({member.parts[0] for member in found}) == 1
        and len({member.parts[1] for member in found}) > 1
    ):
        for member in found:
            member.parts = member.parts[1:]
    return found
