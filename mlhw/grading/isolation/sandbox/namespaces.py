"""User, mount, PID, network, IPC and host-name namespaces: a machine with nothing on it.

The submission sees Python's and the system's libraries, read-only, four devices and an empty folder. No
``/proc`` is there: nothing to be read, and nothing that a container might forbid to mount.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Callable
from typing import Any, NoReturn

from . import kernel, other_uid

BOX = "/box"
"""The submission's folder."""

INSIDE = 65534
"""The user that it is there: nobody."""

_NEW_NS, _NEW_UTS, _NEW_IPC = 0x20000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
DEVICES = ("null", "zero", "full", "random", "urandom")


def possible() -> bool:
    """Whether this module has the numbers of this machine's calls."""
    return platform.machine() in _PIVOT_ROOT


def enter(config: dict[str, Any], job: dict[str, Any]) -> int:
    """Make the namespaces; the next process that is forked is the first in them.

    Returns the folder ``/proc`` of outside as a descriptor, which is to be closed.
    """
    proc: int | None = config["proc"]
    built = proc is not None  # by bubblewrap: only a folder of its own is lacking
    if proc is None:
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    kinds = _NEW_NS | _NEW_PID | _NEW_NET | _NEW_IPC | _NEW_UTS
    owner = INSIDE
    if built and job["uid"] is not None:
        other_uid.become(job["uid"])
    if built or job["uid"] is None:
        uid, gid = os.getuid(), os.getgid()
        _dumpable(True)
        kernel.unshare(kinds | _NEW_USER)
        _map_user(proc, uid, gid)
    else:
        # As root the folders are put in place first: another user may not be able to walk to them.
        owner = job["uid"]
        kernel.unshare(kinds)
    if built:
        _mount_box("", owner, job["disk"])
    else:
        _build(config, owner, job["disk"])
    return proc


def first_process(
    proc: int, uid: int | None, work: Callable[[], NoReturn], status: int
) -> NoReturn:
    """Process 1: start the submission, collect what ends, and say how the submission ended.

    When it ends itself the kernel kills all others of the namespace.
    """
    if uid is not None:
        other_uid.become(uid)
        _dumpable(True)  # or this user could not open its own /proc/self/uid_map
        kernel.unshare(_NEW_USER)
        _map_user(proc, uid, uid)
    os.close(proc)
    _dumpable(False)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    worker = os.fork()
    if not worker:
        work()
    for number in range(3, 256):
        if number != status:
            try:
                os.close(number)
            except OSError:
                continue
    while True:
        ended, how = os.waitpid(-1, 0)
        if ended == worker:
            code = os.waitstatus_to_exitcode(how)
            os.write(status, b'{"code": %d}\n' % code)
            os._exit(0)


def own_user_namespace() -> None:
    """One in which no user has a number, where the kernel lets everybody make one."""
    with contextlib.suppress(OSError):
        kernel.unshare(_NEW_USER)


def _dumpable(yes: bool) -> None:
    kernel.prctl(kernel.PR_SET_DUMPABLE, int(yes))


def _map_user(proc: int, uid: int, gid: int) -> None:
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE} {uid} 1"),
        ("gid_map", f"{INSIDE} {gid} 1"),
    ):
        number = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        os.write(number, line.encode())
        os.close(number)


def _build(config: dict[str, Any], owner: int, disk: int) -> None:
    """The new root, in ``config["stage"]``, an empty folder; and change to it."""
    kernel.mount("", "/", "", _REC | _PRIVATE)
    root = config["stage"]
    kernel.mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=4m,mode=755")
    for path in config["readable"]:
        _bind(path, root + path)
        _read_only(root + path)
    for link, target in config["links"].items():
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        if not os.path.lexists(root + link):
            os.symlink(target, root + link)
    for path in config["masks"]:
        if os.path.isdir(root + path):
            kernel.mount(
                "tmpfs", root + path, "tmpfs", _NOSUID | _NODEV | _RDONLY, "size=4k,mode=755"
            )
    for name in DEVICES:
        _bind(f"/dev/{name}", f"{root}/dev/{name}")
    os.mkdir(root + BOX)
    _mount_box(root, owner, disk)
    if not os.path.lexists(root + "/tmp"):
        os.symlink(BOX, root + "/tmp")
    os.chdir(root)
    kernel.syscall(_PIVOT_ROOT[platform.machine()], b".", b".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.mount("", "/", "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _mount_box(root: str, owner: int, disk: int) -> None:
    data = f"size={disk},nr_inodes=10000,mode=700,uid={owner},gid={owner}"
    kernel.mount("tmpfs", root + BOX, "tmpfs", _NOSUID | _NODEV, data)


def _bind(path: str, target: str) -> None:
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    kernel.mount(path, target, "", _BIND | _REC)


def _read_only(target: str) -> None:
    """With all that is mounted below; the older call reaches only the folder's own file system."""
    attributes = (ctypes.c_uint64 * 4)(_RDONLY | _NOSUID | _NODEV, 0, 0, 0)
    here, recursive = ctypes.c_int(-100), ctypes.c_uint(0x8000)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    try:
        kernel.syscall(_MOUNT_SETATTR, here, target.encode(), recursive, attributes, size)
    except OSError:
        kernel.mount("", target, "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
