"""A filter of system calls: none that reaches into another process or opens a way out.

It comes on top of every rung. Where the submission shares its numbering of processes with others
(``alone`` is false) it also may signal nobody but itself, and change the owner of nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from . import kernel

# Names and numbers: x86_64, aarch64 (None where it has no such call).
_NEVER: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Memory that no limit counts.
    "memfd_create": (319, 279),
}
_NOT_BESIDE_OTHERS: dict[str, tuple[int | None, int | None]] = {
    "tkill": (200, 130),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    # Landlock does not know these, and files of the same user are near.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "truncate": (76, 45),
    "utimensat": (280, 88),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
}
# The first argument must be this process, or 0 where that means the same.
_OWN: dict[str, tuple[int, int]] = {
    "kill": (62, 129),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
}
_ZERO_IS_OWN = ("prlimit64", "sched_setaffinity")
_CLONE, _CLONE3, _FCNTL = (56, 220), 435, (72, 25)
_NEW_NAMESPACES = 0x7E020080  # all flags of clone that make a namespace
_OWNER_OF_SIGNALS = (8, 10, 15)  # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE, _ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def usable() -> bool:
    """Whether this module has the numbers of this machine's calls."""
    return kernel.LINUX and platform.machine() in _MACHINES


def filter_calls(alone: bool) -> None:
    """Filter the calls of this process, and of all that it starts."""
    program = filter_program(platform.machine(), alone, os.getpid())

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    found = Program(len(program) // 8, program)
    mode_filter = 2
    kernel.prctl(
        kernel.PR_SET_SECCOMP,
        mode_filter,
        ctypes.cast(ctypes.byref(found), ctypes.c_void_p).value or 0,
    )


def filter_program(machine: str, alone: bool, pid: int) -> bytes:
    """The filter as instructions of the kernel's own little machine, 8 bytes each."""
    which, architecture = _MACHINES[machine]
    lines = [
        _line(_LOAD, 4),
        _line(_EQUAL, architecture, 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, 0),
    ]
    if machine == "x86_64":
        # Calls of the other table, with 32-bit pointers: the same calls under other numbers.
        lines += [_line(_AT_LEAST, 0x40000000, 0, 1), _line(_RETURN, _ABSENT)]
    # The C library falls back to clone, whose flags can be read.
    lines += [_line(_EQUAL, _CLONE3, 0, 1), _line(_RETURN, _ABSENT)]
    for numbers in [*_NEVER.values(), *(() if alone else _NOT_BESIDE_OTHERS.values())]:
        number = numbers[which]
        if number is not None:
            lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _REFUSE)]
    test = [_line(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _line(_RETURN, _REFUSE)]
    lines += _for_call(_CLONE[which], 0, test)
    if not alone:
        for name, numbers in _OWN.items():
            zero = [_line(_EQUAL, 0, 2, 0)] if name in _ZERO_IS_OWN else []
            test = [*zero, _line(_EQUAL, pid, 1, 0), _line(_RETURN, _REFUSE)]
            lines += _for_call(numbers[which], 0, test)
        for command in _OWNER_OF_SIGNALS:
            test = [_line(_EQUAL, command, 0, 1), _line(_RETURN, _REFUSE)]
            lines += _for_call(_FCNTL[which], 1, test)
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _for_call(number: int, argument: int, test: list[bytes]) -> list[bytes]:
    """``test`` on the low half of an argument, for one call only; the number is loaded again after it."""
    inner = [_line(_LOAD, 16 + 8 * argument), *test, _line(_LOAD, 0)]
    return [_line(_EQUAL, number, 0, len(inner)), *inner]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
