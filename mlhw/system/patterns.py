"""What a pattern such as ``photos/**/*.jpg`` matches, each file once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator

_ANY_DEPTH = "**"


def matches(pattern: str) -> list[str]:
    """The paths that Python's ``glob`` finds, sorted; ``**`` enters each folder once.

    Folders that are links are entered too. Of a link to a folder above it, Python's own makes paths
    until the system refuses them, and of two such links, more than anybody can wait for.
    """
    places = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    if not any_depth(pattern):
        return sorted(glob.glob(pattern))
    return sorted(once(filter(None, _expanded(places))))


def any_depth(pattern: str) -> bool:
    """Whether ``**`` is a part of a pattern."""
    return _ANY_DEPTH in pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)


def once(paths: Iterable[str]) -> list[str]:
    """Of several ways to a file through linked folders the shortest; of a link to a file itself both."""
    found: dict[tuple[str, str], str] = {}
    real: dict[str, str] = {}
    for path in sorted({*paths}, key=lambda path: (path.count(os.sep), path)):
        folder, name = (path, "") if os.path.isdir(path) else os.path.split(path)
        if folder not in real:
            real[folder] = os.path.realpath(folder)
        found.setdefault((real[folder], name), path)
    return list(found.values())


def _expanded(places: list[str]) -> Iterator[str]:
    if _ANY_DEPTH not in places:
        yield from glob.glob(os.sep.join(places))
        return
    at = places.index(_ANY_DEPTH)
    rest = places[at + 1 :]
    while rest[:1] == [_ANY_DEPTH]:
        rest = rest[1:]
    # With what follows the empty name a folder's path ends with a separator, which is none of a file.
    for start in glob.glob(os.sep.join([*places[:at], ""])) if at else [""]:
        for folder in _folders(start):
            if rest:
                yield from _expanded(
                    [*os.path.join(glob.escape(folder), "").split(os.sep)[:-1], *rest]
                )
            else:
                yield folder
                inside = glob.glob(os.path.join(glob.escape(folder), "*"))
                yield from (path for path in inside if not os.path.isdir(path))


def _folders(start: str) -> Iterator[str]:
    """A folder and those below it that are not hidden, each once."""
    seen = set()
    for place, below, _ in os.walk(start or os.curdir, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        # Without the folder where nothing is before the pattern: ``a.jpg``, not ``./a.jpg``.
        yield place if start else os.path.relpath(place) if place != os.curdir else ""
