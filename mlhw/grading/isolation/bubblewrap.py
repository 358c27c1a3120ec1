"""The command that puts a process into a bubblewrap: everything unshared, nothing there but libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import PurePosixPath

from mlhw.grading.isolation.places import Visible
from mlhw.grading.isolation.sandbox.namespaces import BOX, DEVICES
from mlhw.grading.isolation.warm import CODE as OURS

CODE = "/run/code"
"""Where the programs of ``sandbox`` are seen inside."""


def program() -> str | None:
    return shutil.which("bwrap")


def wrapper(places: Visible, disk: int) -> list[str]:
    """``bwrap`` with its options; the command that runs inside follows."""
    found = program()
    assert found is not None
    words = [found, "--unshare-all", "--new-session", "--hostname", "box", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        # The folders are put in place as root; each submission then becomes another user inside, with a
        # user namespace of its own. For that these rights are needed, and it keeps none of them.
        words = [word for word in words if word != "--unshare-all"]
        words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        for right in ("SETUID", "SETGID", "SETPCAP", "KILL"):
            words += ["--cap-add", f"CAP_{right}"]
    else:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    for path in _parents([*places.readable, *places.links, f"{CODE}/sandbox", "/dev/null"]):
        words += ["--perms", "0755", "--dir", path]  # by itself it makes them for one user alone
    for path in places.readable:
        words += ["--ro-bind", path, path]
    for link, target in places.links.items():
        words += ["--symlink", target, link]
    for path in places.masks:
        words += ["--tmpfs", path, "--remount-ro", path]
    words += ["--ro-bind", str(OURS / "sandbox"), f"{CODE}/sandbox"]
    for name in DEVICES:
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    words += ["--size", str(disk)] if _knows_size(found) else []
    words += ["--perms", "1777", "--tmpfs", BOX]
    if not any(path.startswith("/tmp/") for path in (*places.readable, *places.links)):
        words += ["--symlink", BOX, "/tmp"]
    return [*words, "--remount-ro", "/", "--chdir", BOX, "--"]


def _parents(paths: list[str]) -> list[str]:
    found = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(found - {"/"})


@cache
def _knows_size(found: str) -> bool:
    said = subprocess.run([found, "--help"], capture_output=True, text=True, check=False)
    return "--size" in said.stdout
