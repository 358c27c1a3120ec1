"""What killed processes have left in the runs folder, and who takes it away when.

A run that goes on takes away what is in its own folder, a new one what lies in the runs folder itself and in
the newest runs, ``mlhw runs clean`` all of it. States that a finished run was to remove count too. What a
living process has, also on another machine, stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from mlhw.runs.inlined import size_text
from mlhw.system import temporaries
from mlhw.system.digests import PASSING, RECORD, drop, is_as_signed
from mlhw.system.files import regular_text

DELETED = ".deleted-"
"""A run folder that is being deleted has this before its name."""

UNNEEDED = "unneeded"
"""Key of a finished run's record: the files that it removes after that, by their paths in its folder."""

_RUN = re.compile(r"\d{8}-\d{6}-", re.ASCII)
# A start looks through so many runs: a save of the last ones may have been cut off, and a folder of
# thousands must not slow it down.
_NEWEST = 32
_MINUTE_S = 60.0


def sweep_own(run: Path) -> None:
    """Remove what is left in the folder of a run whose lock the caller has."""
    for path in temporaries.leftovers_below(run, owned=True):
        temporaries.remove(path)


def sweep_newest(runs_dir: Path) -> None:
    """Remove what is left in the runs folder itself and in the newest runs."""
    temporaries.sweep(runs_dir)
    try:
        names = [name for name in os.listdir(runs_dir) if _RUN.match(name)]
    except OSError:
        return
    for name in sorted(names, reverse=True)[:_NEWEST]:
        for path in temporaries.leftovers_below(runs_dir / name):
            temporaries.remove(path)
        with contextlib.suppress(OSError):
            drop(unneeded_in(runs_dir / name))


def in_runs(runs_dir: Path) -> list[Path]:
    """All that is left below the runs folder.

    That is temporaries, half deleted runs, runs that never began, and what finished ones do not need.
    """
    try:
        folders = [path for path in sorted(runs_dir.iterdir()) if path.is_dir()]
    except OSError:
        return []
    whole = [path for path in folders if path.name.startswith(DELETED) or _never_began(path)]
    found = temporaries.leftovers_below(runs_dir)
    for folder in folders:
        found += unneeded_in(folder)
    return [*whole, *(path for path in found if not any(one in path.parents for one in whole))]


def unneeded_in(run: Path) -> list[Path]:
    """What a finished run was to remove, and did not come to."""
    if not _RUN.match(run.name) or temporaries.is_locked(run):
        return []
    try:
        record = json.loads(regular_text(run / RECORD))
        ended = record["status"] == "finished" and is_as_signed(record)
        names = record[UNNEEDED] if ended else []
        paths = [run / str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    # Nothing but states of this run, whatever somebody has written there.
    return [
        path
        for path in paths
        if path.suffix == PASSING
        and path.is_file()
        and path.resolve().is_relative_to(run.resolve())
        and not path.is_symlink()
    ]


def leftovers_in_words(paths: Sequence[Path]) -> str:
    """``3 leftovers of killed processes, 1.2 MB``"""
    size = size_text(sum(temporaries.bytes_in(path) for path in paths))
    plural = "" if len(paths) == 1 else "s"
    return f"{len(paths)} leftover{plural} of killed processes, {size}"


def _never_began(folder: Path) -> bool:
    """Whether a run has a folder and nothing in it, as earlier versions left one that was killed at once."""
    if not _RUN.match(folder.name) or folder.is_symlink():
        return False
    try:
        held = [name for name in os.listdir(folder) if not temporaries.is_temporary(name)]
        log = folder / temporaries.LOCK_FILE
        if held not in ([], [log.name]) or (held and log.stat().st_size):
            return False
        return time.time() - folder.stat().st_mtime > _MINUTE_S and not temporaries.is_locked(
            folder
        )
    except OSError:
        return False
