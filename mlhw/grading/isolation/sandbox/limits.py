"""Limits that hold on every rung: memory, processes, files, time, and no way to more rights."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Any

from . import kernel


def confine(job: dict[str, Any], in_use: int) -> None:
    """Limit this process for good; ``in_use`` is the address space that is taken already."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: job["file"],
        resource.RLIMIT_AS: in_use + job["memory"],
        resource.RLIMIT_CPU: int(2 * job["seconds"]) + 10,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_NPROC: job["in_use"] + job["processes"],
    }
    for kind, limit in limits.items():
        lower(kind, limit)
    if kernel.LINUX:
        lower(resource.RLIMIT_MSGQUEUE, 0)
        lower(resource.RLIMIT_SIGPENDING, 1024)
        lower(resource.RLIMIT_MEMLOCK, 0)
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    signal.alarm(int(job["seconds"]) + 60)  # should everybody else have gone


def lower(kind: int, limit: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # some systems have no such limit
        most = resource.getrlimit(kind)[1]
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(kind, (limit, limit))


def memory_in_use(proc: int | None) -> int:
    """Bytes of address space of this process; 0 where the system does not say.

    ``proc``: the folder ``/proc`` as a descriptor, where it cannot be seen.
    """
    path = "/proc/self/statm" if proc is None else "self/statm"
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY, dir_fd=proc)
        with open(number) as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    return 0


def tasks_of(uid: int) -> int:
    """Processes and threads of a user now; the limit on processes counts them all."""
    found = 0
    if not os.path.isdir("/proc/self"):
        return 4096
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == uid or owner(name) == uid:
                found += len(os.listdir(f"/proc/{name}/task"))
    return found


def owner(pid: str) -> int:
    """The real user of a process: its folder belongs to root where it may not be looked into."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("Uid:"))
    return int(line.split()[1])
