"""What Linux offers and Python does not: prctl, namespaces, mounts, capabilities, raw calls."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any

LINUX = sys.platform.startswith("linux")
libc: Any = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47


def checked(what: str, result: int) -> int:
    """``result``, or OSError with the name of the call where it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, a: int = 0, b: int = 0) -> None:
    arguments = [ctypes.c_ulong(n) for n in (a, b, 0, 0)]
    checked(f"prctl({option})", libc.prctl(option, *arguments))


def syscall(number: int, *arguments: Any) -> int:
    return checked(f"call {number}", libc.syscall(ctypes.c_long(number), *arguments))


def unshare(flags: int) -> None:
    checked("unshare", libc.unshare(flags))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    names = [text.encode() or None for text in (source, target, kind)]
    result = libc.mount(*names, ctypes.c_ulong(flags), data.encode() or None)
    checked(f"mount {target}", result)


def unmount(target: str) -> None:
    detach = 2
    checked(f"umount {target}", libc.umount2(target.encode(), detach))


def drop_bounding_set() -> None:
    if not LINUX:
        return
    for capability in range(64):
        with contextlib.suppress(OSError):  # numbers that this kernel lacks; no right to drop
            prctl(PR_CAPBSET_DROP, capability)


def drop_capabilities() -> None:
    """Every set empty, the bounding set too: no program that this process starts regains one."""
    drop_bounding_set()
    with contextlib.suppress(OSError):
        prctl(PR_CAP_AMBIENT, 4)  # clear all
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    checked("capset", libc.capset(header, (ctypes.c_uint32 * 6)()))
