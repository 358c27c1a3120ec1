"""The program where something is scarce: ``python limited.py JSON ARGUMENT…``.

Keys of the JSON: ``limits`` (rlimits by name), ``user`` (a number: whose process it is once all has been
imported), ``tmpfs`` (a folder, and the size of the disk that is mounted there), ``read_only`` (a folder),
``kept`` (where that disk's files are copied to at the end: mounts are the process's own). Exits as the
program does, with 77 where a mount is not allowed.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
NOT_ALLOWED = 77


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stderr=subprocess.DEVNULL)


def own_mounts(asked: dict[str, Any]) -> None:
    """A namespace of its own with what was asked for. Raises OSError or CalledProcessError."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    if "tmpfs" in asked:
        folder, size = asked["tmpfs"]
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    if "read_only" in asked:
        mount("--bind", asked["read_only"], asked["read_only"])
        mount("-o", "remount,bind,ro", asked["read_only"])


def as_user(user: int, arguments: list[str]) -> None:
    """Become somebody else, with the modules in memory that this one may not be allowed to read."""
    from mlhw.commands.main import main as program

    null = os.open(os.devnull, os.O_WRONLY)
    kept = os.dup(1)
    os.dup2(null, 1)
    # A cache of its own: a loop that is found compiled imports less than one that has to be.
    before, folder = os.environ.get("XDG_CACHE_HOME"), tempfile.mkdtemp()
    os.environ["XDG_CACHE_HOME"] = folder
    if program([*arguments, "--runs-dir", f"first-{os.getpid()}"]) != 0:
        sys.exit("the program does not run at all")
    sys.stdout.flush()
    shutil.rmtree(folder)
    os.environ.pop("XDG_CACHE_HOME")
    if before is not None:
        os.environ["XDG_CACHE_HOME"] = before
    os.dup2(kept, 1)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def main() -> int:
    asked, arguments = json.loads(sys.argv[1]), sys.argv[2:]
    if "tmpfs" in asked or "read_only" in asked:
        try:
            own_mounts(asked)
        except (OSError, AttributeError, subprocess.CalledProcessError):
            return NOT_ALLOWED
    if "user" in asked:
        as_user(asked["user"], arguments)
        from mlhw.commands.main import main as program

        return program(arguments)

    def prepare() -> None:
        for name, value in asked.get("limits", {}).items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    command = [str(Path(sys.executable).parent / "mlhw"), *arguments]
    code = subprocess.run(command, preexec_fn=prepare).returncode
    if "kept" in asked:
        shutil.copytree(asked["tmpfs"][0], asked["kept"], symlinks=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
