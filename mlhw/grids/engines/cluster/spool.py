"""A folder through which a driver and the jobs of a batch system speak, on a file system that both see.

A *ticket* is a task that a job may take; taking it is one rename, so that no two jobs ever work on one, nor
a job on one that has been withdrawn. What came of it is an *end*. Whoever drives the grid later reads the
same files.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from mlhw.grids.engines.local import PROGRAM, LocalEngine
from mlhw.grids.tasks import PointEnd, PointTask, from_json
from mlhw.system.files import discard, write_whole
from mlhw.text.plain_files import read_plain

_NAME = re.compile(r"[0-9]{4,9}-[0-9]{1,9}")
_MOST = 16_000_000


def name_of(task: PointTask) -> str:
    """The name of a try in a spool: ``0003-1``."""
    return f"{task.point:04d}-{task.attempt}"


@dataclass(frozen=True)
class Taken:
    """A ticket that a job has taken: its task, the job's process, and when."""

    task: PointTask
    host: str
    pid: int
    since: float


class Spool:
    """The folder; all of its files are written whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tickets, self.taken, self.ends, self.jobs = (
            folder / name for name in ("tickets", "taken", "ends", "jobs")
        )

    def make(self) -> None:
        for folder in (self.tickets, self.taken, self.ends, self.jobs):
            folder.mkdir(parents=True, exist_ok=True)

    def issue(self, task: PointTask) -> None:
        write_whole(self.tickets / name_of(task), json.dumps(task.as_json()))

    def withdraw(self, name: str) -> bool:
        """Take a ticket back; False if a job was faster."""
        try:
            (self.tickets / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def take(self, name: str) -> PointTask | None:
        """For a job: the task of a ticket, which is its own from now on; None if there is none any more."""
        try:
            os.rename(self.tickets / name, self.taken / name)
        except FileNotFoundError:
            return None
        task = from_json(PointTask, _read(self.taken / name))
        mine = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
        write_whole(self.taken / name, json.dumps({"task": task.as_json(), **mine}))
        return task

    def end(self, name: str, end: PointEnd) -> None:
        write_whole(self.ends / name, json.dumps(end.as_json()))

    def issued(self) -> dict[str, PointTask]:
        return {name: from_json(PointTask, values) for name, values in _all(self.tickets).items()}

    def at_work(self) -> dict[str, Taken]:
        """What has been taken and has not ended."""
        found = {}
        for name, values in _all(self.taken).items():
            if not (self.ends / name).exists():
                mine = values if "task" in values else {"task": values}
                since = mine.get("since", time.time())
                task = from_json(PointTask, mine["task"])
                found[name] = Taken(task, mine.get("host", ""), mine.get("pid", 0), since)
        return found

    def ended(self) -> dict[str, PointEnd]:
        return {name: from_json(PointEnd, values) for name, values in _all(self.ends).items()}

    def forget(self, name: str) -> None:
        """All of a try goes; its end last, so that none is ever at work that has ended."""
        discard(self.tickets / name)
        discard(self.taken / name)
        discard(self.ends / name)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _all(folder: Path) -> dict[str, Any]:
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):
            if _NAME.fullmatch(name):
                with contextlib.suppress(OSError, ValueError):  # it has just gone
                    found[name] = _read(folder / name)
    return found


def _read(path: Path) -> Any:
    return json.loads(read_plain(path, _MOST))


# ------------------------------------------------------------------------------------- in a job


def work_off(folder: str, name: str, program: tuple[str, ...] = PROGRAM) -> None:
    """What a job does: one task, in a process of its own, whose environment limits its threads."""
    spool = Spool(Path(folder))
    started = time.time()
    told: list[int] = []

    def stop(signum: int, _frame: FrameType | None) -> None:
        told.append(signum)

    # Its time is over (SIGUSR2, some seconds before), or somebody has cancelled it.
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(signum, stop)
    task = spool.take(name)
    if task is None:
        return
    engine = LocalEngine(1, task.threads, program)
    engine.submit([task])
    ends: list[PointEnd] = []
    while not ends and not told:
        ends += engine.ended(0.2)
    if told:
        engine.drop()
        ends += engine.ended(0)
        late = told[0] == signal.SIGUSR2
        end = PointEnd(
            task.point, task.attempt, "timeout" if late else "interrupted", None,
            "the job's time was over" if late else "the job was cancelled", started,
            time.time() - started, socket.gethostname(), f"process {os.getpid()}",
        )  # fmt: skip
        ends = [one for one in ends if one.status == "finished"] or [end]
    spool.end(name, ends[0])
    engine.close()
