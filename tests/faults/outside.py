"""What a process does to files, by what Python tells its audit hooks."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_MADE = re.compile(r"os\.mkdir '(/[^']*/(?:tmp|mlhw-grading-)\w{8})'")
_TEMPORARY = {os.path.realpath(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp")}


def touched(
    event: str, args: tuple[Any, ...], folder: str, places: tuple[str, ...]
) -> Iterator[str]:
    """The lines to report: files that are made, changed or removed elsewhere, and programs that are started.

    Names are relative to ``folder``; ``places`` are the beginnings of real paths that are nobody's business.
    """
    if event == "open":
        path, _, flags = args
        paths = [path] if isinstance(flags, int) and flags & _WRITES else []
    elif event in ("os.rename", "os.link"):
        paths = [args[0], args[1]]
    elif event == "os.symlink":
        paths = [args[1]]
    elif event in _CHANGES:
        paths = [args[0]]
    elif event in ("os.system", "os.exec", "os.posix_spawn"):
        yield f"{event} {args[0]!r}"[:300]
        return
    else:
        return
    for path in paths:
        if isinstance(path, (str, bytes, os.PathLike)):
            real = os.path.realpath(os.path.join(folder, os.fsdecode(path)))
            # In a folder that is opened to be written, tempfile makes a file without a name.
            nameless = event == "open" and os.path.isdir(real)
            if not real.startswith(places) and not nameless:
                yield f"{event} {real!r}"[:300]


def lasting(lines: list[str]) -> list[str]:
    """The lines but those of the program's own temporary folders: made by it meanwhile, and gone by now."""
    own = {
        made[1]
        for line in lines
        if (made := _MADE.fullmatch(line))
        and os.path.dirname(made[1]) in _TEMPORARY
        and not os.path.lexists(made[1])
    }
    return [
        line for line in lines if not any(re.search(rf"'{re.escape(o)}[/']", line) for o in own)
    ]


_watched: list[tuple[str, tuple[str, ...], list[str]]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for folder, places, lines in _watched:
        lines += touched(event, args, folder, places)


@cache
def _install() -> None:
    """Once: there is no way to take a hook away."""
    sys.addaudithook(_hook)


@contextmanager
def nothing_outside(folder: Path, *others: Path) -> Iterator[None]:
    """Fail if this process changes files elsewhere than in ``folder`` and ``others`` until the block ends."""
    _install()
    places = (*(os.path.realpath(place) for place in (folder, *others)), "/dev/", "/proc/self/")
    lines: list[str] = []
    _watched.append((str(folder), places, lines))
    try:
        yield
    finally:
        _watched.pop()
    # What Python keeps of modules that are imported meanwhile is its own.
    assert not [line for line in lines if "__pycache__" not in line], lines[:3]
