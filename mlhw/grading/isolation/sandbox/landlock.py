"""Landlock: a process gives up the file system but for some folders, the network, and signals outwards.

Rights are by kernel: from ABI 4 no TCP, from ABI 6 no signal and no abstract socket outside. Before that
``seccomp`` keeps signals and sockets away.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

from . import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_READ = _EXECUTE | _READ_FILE
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    if not kernel.LINUX:
        return 0
    return max(0, int(kernel.libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), 1)))


def rules(readable: list[str], masks: list[str], folder: str) -> int:
    """A set of rules, as a descriptor: ``folder`` may be changed, ``readable`` read, but for ``masks``."""
    version = abi()
    every = (1 << 13) - 1  # all that the first version knows
    for since, right in ((2, 1 << 13), (3, 1 << 14), (5, 1 << 15)):
        every |= right if version >= since else 0
    network = 3 if version >= 4 else 0
    scoped = 3 if version >= 6 else 0
    handled = (ctypes.c_uint64 * 3)(every, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rule_set = kernel.syscall(_CREATE, handled, ctypes.c_size_t(size), 0)
    own = every & ~(_MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK)
    _allow(rule_set, folder, own)
    for device in _DEVICES:
        _allow(rule_set, device, _READ_FILE | _WRITE_FILE)
    for path in readable:
        _allow_but(rule_set, path, masks)
    return rule_set


def _allow_but(rule_set: int, path: str, masks: list[str]) -> None:
    """Reading below ``path``, but for masks: a rule holds for a whole tree, so what lies beside is named."""
    inner = [mask for mask in masks if (mask + "/").startswith(path.rstrip("/") + "/")]
    if path in inner:
        return
    if not inner:
        _allow(rule_set, path, _READ | (_READ_DIR if os.path.isdir(path) else 0))
        return
    _allow(rule_set, path, _READ_DIR)
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_symlink():
                _allow_but(rule_set, entry.path, inner)


def _allow(rule_set: int, path: str, rights: int) -> None:
    class Below(ctypes.Structure):
        _pack_ = 1
        _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]

    with contextlib.suppress(FileNotFoundError):
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            beneath = 1
            kernel.syscall(_ADD, rule_set, beneath, ctypes.byref(Below(rights, folder)), 0)
        finally:
            os.close(folder)


def hold_to(rule_set: int) -> None:
    """Hold this process, and all that it starts, to the rules; it can gain no rights any more."""
    kernel.syscall(_RESTRICT, rule_set, 0)
    os.close(rule_set)
