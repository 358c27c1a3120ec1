"""Another user: a number that nobody has, so that no file and no process is its own but its folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time

from . import kernel

# High, so that a file which closes 3 to 99 does not take its own libraries away.
_FIRST = 200


def become(uid: int) -> None:
    """Become a user, its group and no other; no program that is started regains a right of root's."""
    kernel.drop_bounding_set()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def become_with_libraries(uid: int) -> list[int]:
    """Become ``uid`` and keep Python's folders open where only the present user may walk to them.

    Returns the descriptors through which they are reached (``/root/.local/…`` is closed to others, and a
    module that is imported later could not be found).
    """
    kept: dict[str, int] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            found = os.open(folder, getattr(os, "O_PATH", 0) | os.O_DIRECTORY)
            kept[folder] = fcntl.fcntl(found, fcntl.F_DUPFD, _FIRST)
            os.close(found)
    become(uid)
    for folder in list(kept):
        if os.access(folder, os.R_OK | os.X_OK):
            os.close(kept.pop(folder))
    if kept:
        _look_there({folder: f"/proc/self/fd/{number}" for folder, number in kept.items()})
    return list(kept.values())


def _look_there(moved: dict[str, str]) -> None:
    def place(path: str) -> str:
        for folder, instead in moved.items():
            if path == folder or path.startswith(folder + "/"):
                return instead + path[len(folder) :]
        return path

    sys.path[:] = [place(path) for path in sys.path]
    for module in list(sys.modules.values()):
        paths = getattr(module, "__path__", None)
        if isinstance(paths, list):
            paths[:] = [place(path) for path in paths]
    sys.path_importer_cache.clear()


def end_all_of(uid: int) -> None:
    """Kill every process of a user at once, as that user: none can fork away from it."""
    child = os.fork()
    if not child:
        try:
            become(uid)
            os.kill(-1, signal.SIGKILL)  # all that this user may kill, but not itself
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def end_all_below() -> None:
    """Kill all children of this process, and theirs: it is a subreaper, so it inherits every orphan.

    They are stopped first, until none is found that still runs: a bomb of forks has a limit on its
    processes, and what is stopped counts.
    """
    stopped: set[int] = set()
    for _ in range(200):
        new = _below() - stopped
        if not new:
            break
        for process in new:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGSTOP)
        stopped |= new
    for process in _below() | stopped:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    reap()


def reap(seconds: float = 3.0) -> None:
    """Wait for the children that have been killed."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.001)


def _below() -> set[int]:
    """All processes below this one that have not ended."""
    parents = {}
    if not os.path.isdir("/proc/self"):
        return set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The name of a program, in brackets, may hold anything.
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                parents[int(name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}
