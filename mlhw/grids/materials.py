"""What a point reads beside its configuration: data and weights, told by digests and not by places.

A worker elsewhere has them at the same path, or gets them by digest. They travel as bytes: nothing that is
read here is ever unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlhw.config.model import InputFile, leaves
from mlhw.grids import parcels
from mlhw.system.digests import file_sha256, sha256

MOST_BYTES = parcels.MOST_BYTES
"""What is sent. Of a folder with more, names and sizes are compared, not every byte."""


@dataclass(frozen=True)
class Material:
    """A file or a folder that a configuration names: where it lies here, its size, its digest."""

    path: str
    sha256: str
    bytes: int
    folder: bool

    @property
    def can_be_sent(self) -> bool:
        return self.bytes <= MOST_BYTES


def materials(model: type[BaseModel], config: Mapping[str, Any]) -> list[Material]:
    """The files and folders that the values of a configuration name, those that are there, each once.

    What is missing is left to whoever reads it, who says so best. Raises OSError for one that cannot be read.
    """
    found: dict[str, Material] = {}
    for path in _paths(model, config):
        if path not in found and os.path.exists(path):
            found[path] = material(path)
    return list(found.values())


def material(path: str) -> Material:
    """What lies at a path now. Raises OSError."""
    if not os.path.isdir(path):
        status = os.stat(path)
        return Material(path, _file_digest(path, *_stamp(status)), status.st_size, folder=False)
    files = files_of(path)
    size = sum(os.stat(os.path.join(path, name)).st_size for name in files)
    lines = []
    for name in files:
        inside = os.path.join(path, name)
        status = os.stat(inside)
        digest = _file_digest(inside, *_stamp(status)) if size <= MOST_BYTES else ""
        lines.append(f"{name}\t{status.st_size}\t{digest}\n")
    listing = "".join(lines).encode("utf-8", "surrogateescape")
    return Material(path, sha256(listing), size, folder=True)


def is_here(wanted: Material) -> bool:
    """Whether the same lies at the same path on this machine."""
    try:
        return os.path.exists(wanted.path) and material(wanted.path) == wanted
    except OSError:
        return False


def _paths(model: type[BaseModel], config: Mapping[str, Any]) -> Iterator[str]:
    values = {leaf.path: _held(config, leaf.path) for leaf in leaves(model)}
    for leaf in leaves(model):
        mark = leaf.marked(InputFile)
        if mark is None:
            continue
        mark = mark() if isinstance(mark, type) else mark
        value = values[leaf.path]
        items = list(value.values()) if isinstance(value, Mapping) else value
        for item in (
            items if isinstance(items, Sequence) and not isinstance(items, str) else [items]
        ):
            if isinstance(item, str) and (path := mark.parts(item)[1]):
                yield _existing(path)
                if item.startswith("csv:") and not values.get(("data", "image_root")):
                    yield os.path.dirname(path)  # where relative names begin


def _existing(path: str) -> str:
    """A path without ``:FUNCTION`` behind it."""
    return path if os.path.exists(path) else path.rpartition(":")[0] or path


def _held(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def files_of(folder: str) -> list[str]:
    """Files below a folder, hidden ones left out, by their paths in it with ``/``, in order."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.isfile(path):
                found.append(os.path.relpath(path, folder).replace(os.sep, "/"))
    return sorted(found)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=200_000)
def _file_digest(path: str, _size: int, _time: int, _inode: int) -> str:
    """A file's digest, computed once for as long as it is not touched."""
    return file_sha256(Path(path))
