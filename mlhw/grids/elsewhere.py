"""A try at a point on a machine with other disks: scratch space, data by digest, and the run folder packed.

What the run has written names the paths of home, not those of the scratch space, so that ``mlhw rerun`` and
the report work where the folder goes.
"""

from __future__ import annotations

import contextlib
import getpass
import html
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlhw.errors import FAILED, USAGE, MlhwError, RunError
from mlhw.grids import parcels
from mlhw.grids.materials import Material, is_here, material
from mlhw.grids.parcels import Parcel, TooLarge
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.system import temporaries
from mlhw.system.digests import (
    CONFIG,
    LOG,
    RECORD,
    digests_in,
    file_sha256,
    files_in,
    with_own_digest,
)
from mlhw.system.files import write_whole
from mlhw.text import yaml12

_SMALL = 16_000_000
_UNUSED_S = 7 * 86_400.0
"""Seconds after which data that were sent and are not used any more go from a machine."""

_ESCAPED: dict[str, Callable[[str], str]] = {
    ".json": lambda text: json.dumps(text)[1:-1],
    ".html": html.escape,
    ".csv": str,
    ".txt": str,
}

Send = Callable[[str], memoryview]
"""The bytes of a material, by its digest: of a file as they are, of a folder as a parcel."""


def scratch_root() -> Path:
    """Where this user's points are worked on, on this machine."""
    return Path(tempfile.gettempdir(), f"mlhw-grid-{getpass.getuser()}")


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A new folder of this process's own; gone after the block, or when the next begins after a kill."""
    root = scratch_root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporaries.sweep(root)
    folder = temporaries.temporary_of(root / name)
    temporaries.remove(folder)
    folder.mkdir()
    try:
        with open(folder / temporaries.LOCK_FILE, "w") as lock:
            temporaries.lock(lock)
            yield folder
    finally:
        temporaries.remove(folder)


def work_elsewhere(
    task: PointTask,
    wanted: Sequence[Material],
    send: Send,
    run: Callable[[PointTask], PointEnd],
    space: Path,
) -> tuple[PointEnd, Parcel | None]:
    """Work on a point in the folder ``space``, and pack what it has written, if it has begun a folder.

    ``wanted`` are the point's materials, as they are at home; ``send`` has those that are not here; ``run``
    is ``work.work``, in whatever process. A folder that is too large to come home is a failed point, of which
    the record, the log and the small files come.
    """
    started = time.time()
    try:
        moved = {one.path: found for one in wanted if (found := _had(one, send)) != one.path}
    except MlhwError as error:
        return _refused(task, started, "; ".join(error.lines)), None
    folder = space / f"{task.point:04d}"
    there = replace(task, folder=str(folder), config=_moved(task.config, moved))
    ended = run(there)
    if not (folder / RECORD).is_file() or ended.status in ("died", "interrupted"):
        return ended, None
    home = {str(folder): task.folder, **{found: path for path, found in moved.items()}}
    _relabel(folder, home)
    try:
        return ended, parcels.pack(folder, space / "parcel.zip")
    except TooLarge as error:
        ended = replace(ended, status="failed", exit_code=FAILED, reason=str(error))
        return ended, parcels.pack(folder, space / "parcel.zip", _small_part(folder, str(error)))


def _small_part(folder: Path, reason: str) -> list[str]:
    """Make a folder's record that of a failed run without its large files, and return what is left."""
    small = [name for name in files_in(folder) if (folder / name).stat().st_size <= _SMALL]
    small = [name for name in small if name.endswith((".yaml", ".csv", ".json", ".html"))]
    record = json.loads((folder / RECORD).read_text("utf-8"))
    record |= {"status": "failed", "exit_code": FAILED, "reason": reason}
    record["digests"] = {k: v for k, v in digests_in(record).items() if k in small}
    write_whole(folder / RECORD, json.dumps(with_own_digest(record), indent=2) + "\n")
    return [*small, RECORD, LOG]


def _refused(task: PointTask, started: float, reason: str) -> PointEnd:
    return PointEnd(
        task.point, task.attempt, "failed", USAGE, reason, started, time.time() - started,
        os.uname().nodename, f"process {os.getpid()}",
    )  # fmt: skip


# ------------------------------------------------------------------------------------- data


def _had(wanted: Material, send: Send) -> str:
    """Where a material lies on this machine; fetched once if it is not at its own path."""
    if is_here(wanted):
        return wanted.path
    root = scratch_root() / "data"
    _drop_unused(root)
    place = root / wanted.sha256 / Path(wanted.path).name
    if not place.exists() or not _is(wanted, place):
        _fetch(wanted, send, place)
    os.utime(place.parent)
    return str(place)


def _is(wanted: Material, place: Path) -> bool:
    found = material(str(place))
    return (found.sha256, found.bytes, found.folder) == (wanted.sha256, wanted.bytes, wanted.folder)


def _fetch(wanted: Material, send: Send, place: Path) -> None:
    data = send(wanted.sha256)
    place.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = temporaries.temporary_of(place.parent)
    temporaries.remove(staging)
    staging.mkdir()
    try:
        made = staging / place.name
        if wanted.folder:
            parcels.unpack(data, None, made)
        else:
            made.write_bytes(data)
        if not _is(wanted, made):
            raise RunError(f"{wanted.path}: has not come here as it is at home")
        shutil.rmtree(place.parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster
            staging.rename(place.parent)
    finally:
        temporaries.remove(staging)


def _drop_unused(root: Path) -> None:
    """Remove data that nobody has asked for within a week."""
    with contextlib.suppress(OSError):
        for entry in root.iterdir():
            if time.time() - entry.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(entry, ignore_errors=True)


def _moved(value: Any, moved: Mapping[str, str]) -> Any:
    """The same values with paths of here in the place of those of home."""
    if isinstance(value, Mapping):
        return {key: _moved(item, moved) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, moved) for item in value]
    if isinstance(value, str):
        for path, found in moved.items():
            value = value.replace(path, found)
    return value


# ------------------------------------------------------------------------------------- the record


def _relabel(folder: Path, home: Mapping[str, str]) -> None:
    """Put the paths of home into what a run has written, and the new digests into its record."""
    changed = []
    for path in sorted(folder.rglob("*")):
        escaped = _ESCAPED.get(path.suffix)
        if escaped is None or path.name == RECORD or not path.is_file() or path.is_symlink():
            continue
        before = path.read_bytes()
        after = before
        for old, new in home.items():
            after = after.replace(
                escaped(old).encode(), escaped(new).encode("utf-8", "backslashreplace")
            )
        if after != before:
            write_whole(path, after)
            changed.append(path)
    if _relabel_config(folder / CONFIG, home):
        changed.append(folder / CONFIG)
    record = _moved(json.loads((folder / RECORD).read_text("utf-8")), home)
    digests = digests_in(record)
    for path in changed:
        inside = path.relative_to(folder).as_posix()
        if inside in digests:
            digests[inside] = file_sha256(path)
    write_whole(folder / RECORD, json.dumps(with_own_digest(record), indent=2) + "\n")


def _relabel_config(path: Path, home: Mapping[str, str]) -> bool:
    """The same for ``config.yaml``, value by value: a path may need quotes there."""
    values, _ = yaml12.parse(path.read_text("utf-8"), str(path))
    there = _moved(values, home)
    if there == values:
        return False
    write_whole(path, yaml12.dump(there))
    return True
