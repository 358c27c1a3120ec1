"""The filter of system calls and Landlock's rules, as the kernel reads them."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mlhw.grading.isolation.sandbox import landlock, seccomp

PID = 4711
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
X86, ARM = ("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)


def outcome(machine: tuple[str, int], alone: bool, number: int, *arguments: int) -> int:
    """What the filter answers, worked out by the rules of classic BPF."""
    program = seccomp.filter_program(machine[0], alone, PID)
    data = struct.pack("=IIQ6Q", number, machine[1], 0, *arguments, *[0] * (6 - len(arguments)))
    lines = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    while True:
        code, if_true, if_false, k = lines[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, k)[0]
        elif code == 0x06:
            return int(k)
        else:
            true = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            at += if_true if true else if_false


def test_calls_that_reach_out_are_refused_on_both_processors() -> None:
    for machine, ptrace, socket, read in ((X86, 101, 41, 0), (ARM, 117, 198, 63)):
        for alone in (True, False):
            assert outcome(machine, alone, ptrace) == EPERM
            assert outcome(machine, alone, socket, 2, 1, 0) == EPERM
            assert outcome(machine, alone, read) == ALLOW
            assert outcome(machine, alone, 435) == ENOSYS  # clone3


def test_signals_and_limits_go_to_oneself_only_where_others_are_near() -> None:
    for machine, kill, tgkill, prlimit in ((X86, 62, 234, 302), (ARM, 129, 131, 261)):
        for number in (kill, tgkill):
            assert outcome(machine, False, number, PID, 9) == ALLOW
            for other in (1, PID + 1, 0, (1 << 64) - 1):
                assert outcome(machine, False, number, other, 9) == EPERM
            assert outcome(machine, True, number, 1, 9) == ALLOW
        assert outcome(machine, False, prlimit, 0) == ALLOW
        assert outcome(machine, False, prlimit, PID) == ALLOW
        assert outcome(machine, False, prlimit, 1) == EPERM


def test_threads_are_started_and_namespaces_are_not() -> None:
    for machine, clone in ((X86, 56), (ARM, 220)):
        assert outcome(machine, True, clone, 0x3D0F00) == ALLOW  # as pthread_create does
        assert outcome(machine, True, clone, 0x10000000) == EPERM
        assert outcome(machine, True, clone, 0x20000) == EPERM


def test_signals_by_way_of_a_file_are_refused() -> None:
    assert outcome(X86, False, 72, 3, 8) == EPERM
    assert outcome(X86, False, 72, 3, 1) == ALLOW
    assert outcome(X86, True, 72, 3, 8) == ALLOW


def test_the_tables_of_another_processor_are_no_way_round() -> None:
    assert outcome(("x86_64", 0x40000003), False, 37) == KILL  # kill, of 32 bits
    assert outcome(X86, False, 0x40000000 + 62, 1, 9) == ENOSYS


# In a process of its own: it cannot be undone.
HELD = """
import os, sys
from pathlib import Path
from mlhw.grading.isolation.sandbox import kernel, landlock

def works(act):
    try:
        act()
    except PermissionError:
        return False
    return True

root = Path(sys.argv[1])
folders = [root / name for name in ("lib", "lib/ours", "secret", "own")]
for version in range(1, landlock.abi() + 1):
    child = os.fork()
    if child:
        print(version, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    landlock.abi = lambda: version
    rules = landlock.rules([str(folders[0])], [str(folders[1])], str(folders[3]))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.hold_to(rules)
    read = [works((folder / "file").read_text) for folder in folders]
    written = [works(lambda: (folder / "new").write_text("x")) for folder in folders]
    right = [True, False, False, True], [False, False, False, True]
    os._exit(0 if (read, written) == right else 1)
"""


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
def test_landlock_holds_with_the_rights_of_each_version(tmp_path: Path) -> None:
    for name in ("lib/ours", "secret", "own"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lib", "lib/ours", "secret", "own"):
        (tmp_path / name / "file").write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", HELD, tmp_path], capture_output=True, text=True, check=True
    )
    wanted = [f"{version} 0" for version in range(1, landlock.abi() + 1)]
    assert done.stdout.splitlines() == wanted
