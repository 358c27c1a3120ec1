"""Where numbers come from: versions, machine, git commit. Nothing here imports what it names."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "torch", "torchvision", "matplotlib")


def own_version() -> str | None:
    """mlhw's; None where it is not installed."""
    return package_version("mlhw")


def version_line() -> str:
    """What ``mlhw --version`` prints."""
    return (
        f"mlhw {own_version()}, Python {platform.python_version()}, "
        f"torch {package_version('torch') or 'not installed'}"
    )


def environment() -> dict[str, Any]:
    """Versions, host, platform and git state, for ``run.json``."""
    versions: dict[str, str | None] = {
        "mlhw": package_version("mlhw"),
        "python": platform.python_version(),
    }
    versions.update({name: package_version(name) for name in _PACKAGES})
    return {
        "host": socket.gethostname(),
        "platform": f"{sys.platform} {platform.machine()}",
        "versions": versions,
        "git": dict(_own_state()),
    }


@cache
def _own_state() -> dict[str, Any]:
    """That of mlhw itself, which a process has loaded once however many runs it makes."""
    return git_state(Path(__file__).parents[1])


def usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def package_version(name: str) -> str | None:
    """A package's, without importing it; None where it is not installed."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    # To parse all that is said of a package for one line of it takes most of ten milliseconds.
    line = re.search(r"^Version:\s*(\S+)", found.read_text("METADATA") or "", re.MULTILINE)
    return line[1] if line else found.version


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the checkout that ``folder`` is tracked in; None where unknown.

    A package in a virtual environment inside somebody's repository is no part of that repository,
    so its own folder has to be tracked.
    """
    unknown: dict[str, Any] = {"commit": None, "dirty": None}

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                # Without the lock that git may take to note what it has seen: a kill would leave it.
                ["git", "--no-optional-locks", "-C", str(folder), *arguments],
                capture_output=True,
                text=True,
                timeout=5,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    if not git("ls-files", "--error-unmatch", "__init__.py"):
        return unknown
    status = git("status", "--porcelain=v2", "--branch")
    if status is None:
        return unknown
    commit, dirty = None, False
    for line in status.splitlines():
        if line.startswith("# branch.oid "):
            commit = line.split()[-1]
        elif not line.startswith("#"):
            dirty = True
    return {"commit": None if commit == "(initial)" else commit, "dirty": dirty}
