"""sha256 of what is written, to tell later whether it is still that.

A run's record has the digests of its files; those of checkpoints are in a ``manifest.json`` beside them.
A model's file is *sealed*: it has a digest of itself inside. A cache file ends with one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from mlhw.system.files import regular_text, write_whole
from mlhw.text.plain_files import open_plain

MANIFEST_FORMAT = 1
RECORD_FORMAT = 2
"""Of run.json; one without has no digests."""
RECORD, LOG, MANIFEST = "run.json", "log.txt", "manifest.json"
CONFIG = "config.yaml"
COMING, BEFORE = " (coming)", " (before)"
"""Behind a file's name, while it is written: the digest that it will have, and the one that it had."""

PASSING = ".pt"
"""Of states to go on from, which a finished run may remove after its end is recorded."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a plain file's bytes. Raises OSError, for anything but a plain file too."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------- run folders


def files_in(folder: Path) -> Iterator[str]:
    """The plain files of a run folder that have digests, or could, by their paths in it, in order.

    Hidden files, links, the record (it has its own digest inside) and the log (it grows when a run goes on)
    are left out, and so are folders with a record of their own, as the points of a grid have them.
    """
    for parent, folders, names in os.walk(folder):
        if RECORD in names and Path(parent) != Path(folder):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            try:
                plain = stat.S_ISREG(path.lstat().st_mode)
            except OSError:
                continue
            if plain and not name.startswith("."):
                inside = path.relative_to(folder).as_posix()
                if inside not in (RECORD, LOG):
                    yield inside


def digests_of(folder: Path) -> dict[str, str]:
    """The digests that a run's record keeps: of every file that stays; what cannot be read is left out.

    Those of checkpoints are not computed again: whoever wrote them has put them into the manifest.
    """
    found = {}
    for name in files_in(folder):
        path = folder / name
        if path.suffix == PASSING or path.name == MANIFEST:
            continue
        try:
            found[name] = _listed(path) or file_sha256(path)
        except OSError:
            continue
    return found


def _listed(path: Path) -> str | None:
    """The digest in the manifest beside a file; None where a save has not come to its end."""
    entries = manifest_entries(path.parent)
    if f"{path.name}{COMING}" in entries:
        return None
    entry = entries.get(path.name, {})
    digest = entry.get("sha256")
    fits = entry.get("bytes") == path.stat().st_size
    return digest if fits and isinstance(digest, str) else None


def manifest_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """What ``manifest.json`` says of each file; empty where it cannot be read."""
    return _manifest(folder)[0]


def manifest_holds(folder: Path) -> bool | None:
    """Whether ``manifest.json`` is what it was when it was written; None for one without a digest."""
    entries, digest = _manifest(folder)
    return (
        None if entries and digest is None else bool(entries) and digest == entries_sha256(entries)
    )


def write_manifest(folder: Path, entries: Mapping[str, Any]) -> None:
    """Write ``manifest.json`` with what it is to say of each file."""
    files = dict(sorted(entries.items()))
    manifest = {"format": MANIFEST_FORMAT, "files": files, "sha256": entries_sha256(files)}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def drop(paths: Iterable[Path]) -> None:
    """Remove files, where they are there, and what the manifests beside them say of them. Raises OSError."""
    folders: dict[Path, set[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, set()).add(path.name)
        path.unlink(missing_ok=True)
    for folder, names in folders.items():
        entries = manifest_entries(folder)
        if names & entries.keys():
            write_manifest(folder, {n: one for n, one in entries.items() if n not in names})


def entries_sha256(entries: dict[str, dict[str, Any]]) -> str:
    """The digest of what a manifest says, which it holds too."""
    return sha256(json.dumps(entries, sort_keys=True).encode())


def _manifest(folder: Path) -> tuple[dict[str, dict[str, Any]], Any]:
    """The entries and their digest; none where it cannot be read."""
    try:
        found = json.loads(regular_text(folder / MANIFEST))
        entries = {str(name): dict(entry) for name, entry in found["files"].items()}
        return entries, found.get("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, None


def with_own_digest(record: dict[str, Any]) -> dict[str, Any]:
    """A run's record with a digest of all that it says."""
    digests = {name: value for name, value in digests_in(record).items() if name != RECORD}
    record = record | {"format": RECORD_FORMAT, "digests": digests}
    return record | {"digests": {**digests, RECORD: _record_sha256(record)}}


def is_as_signed(record: dict[str, Any]) -> bool:
    """Whether a record says what it was written with; True too for one of before there were digests."""
    found = dict(digests_in(record))
    own = found.pop(RECORD, None)
    if own is None:  # a flipped bit in the word "digests" makes no old record of a new one
        return "format" not in record
    return bool(own == _record_sha256(record | {"digests": found}))


def _record_sha256(record: dict[str, Any]) -> str:
    return sha256(json.dumps(record, sort_keys=True).encode())


def digests_in(record: dict[str, Any]) -> dict[str, Any]:
    """The digests that a run's record holds; empty if it has none."""
    found = record.get("digests")
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------- sealed files

UNSEALED = "0" * 64
"""What is written under the key ``sha256`` before the rest is known."""

_SEAL = re.compile(rb"sha256[^0-9a-f]{1,6}([0-9a-f]{64})(?![0-9a-f])")


def sealed(data: bytes) -> bytes:
    """``data`` with the digest of itself in the place of ``UNSEALED``, which counts as zeros in it."""
    start, end = next(p.span(1) for p in _SEAL.finditer(data) if p[1] == UNSEALED.encode())
    return b"".join((data[:start], sha256(data).encode(), data[end:]))


def seal_holds(data: bytes) -> bool:
    """Whether a digest inside is that of the rest; False too where there is none."""
    return any(p[1].decode() == _sha256_around(data, *p.span(1)) for p in _SEAL.finditer(data))


def seal_broken(data: bytes) -> bool:
    """Whether there is a digest inside, and not that of the rest."""
    return _SEAL.search(data) is not None and not seal_holds(data)


def _sha256_around(data: bytes, start: int, end: int) -> str:
    view = memoryview(data)
    hasher = hashlib.sha256(view[:start])
    hasher.update(UNSEALED.encode())
    hasher.update(view[end:])
    return hasher.hexdigest()


# ------------------------------------------------------------------------------------- cache files

TAIL = hashlib.sha256().digest_size
"""Bytes of the digest at the end of a cache file."""


class Summed:
    """Writes on to ``file`` and sums up what it writes; ``end`` adds the digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hasher = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hasher.update(data)
        return self._file.write(data)

    def end(self) -> None:
        """Write the digest of all that was written, as the last 32 bytes."""
        self._file.write(self._hasher.digest())


def tail_holds(path: Path) -> bool:
    """Whether a plain file ends with the digest of all before. Raises OSError."""
    hasher = hashlib.sha256()
    with open_plain(path) as file:
        left = os.fstat(file.fileno()).st_size - TAIL
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            hasher.update(part)
            left -= len(part)
        return left == 0 and file.read() == hasher.digest()
