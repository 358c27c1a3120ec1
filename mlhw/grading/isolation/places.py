"""Which folders a submission may read, and which of those are covered."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")


@dataclass(frozen=True)
class Visible:
    """``readable`` are real paths, none inside another; ``links`` lead to them; ``masks`` are those of
    ``hidden`` that lie in them.
    """

    readable: list[str]
    links: dict[str, str]
    masks: list[str]
    hidden: list[str]


def visible(hidden: Iterable[Path] = ()) -> Visible:
    """Python's and the system's libraries, without mlhw and without what is ``hidden``."""
    paths = sysconfig.get_paths()
    wanted = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # Not all of a prefix: somebody's environment may stand in the folder in which everything lies.
    for prefix in (sys.prefix, sys.base_prefix):
        wanted += [os.path.join(prefix, name) for name in ("lib", "lib64", "pyvenv.cfg")]
    wanted += [*libraries(), sys.executable, *_SYSTEM]
    links: dict[str, str] = {}
    found: set[str] = set()
    for path in wanted:
        real, passed = _followed(path)
        if os.path.exists(real):
            found.add(real)
            links.update(passed)
    readable = sorted(p for p in found if not any(_inside(p, other) for other in found - {p}))
    covered = sorted({os.path.realpath(path) for path in (*our_folders(), *hidden)})
    masks = [m for m in covered if any(_inside(m, path) for path in readable)]
    links = {link: target for link, target in links.items() if not _any_inside(link, readable)}
    return Visible(readable, links, masks, covered)


def libraries() -> list[str]:
    """The folders of installed packages that this Python finds.

    A Python that was started with ``-I`` does not find a user's own, nor those that PYTHONPATH names.
    """
    import numpy

    names = ("site-packages", "dist-packages")
    found = [path for path in sys.path if path.rstrip("/").endswith(names)]
    return list(dict.fromkeys([*found, str(Path(numpy.__file__).parents[1])]))


def our_folders() -> list[Path]:
    """The folders of the package mlhw: this one, and each that Python would find."""
    found = [Path(__file__).parents[2], *(Path(path, "mlhw") for path in sys.path)]
    return [folder for folder in dict.fromkeys(found) if (folder / "grading").is_dir()]


def ways_to_us() -> list[str]:
    """Entries of the path on which Python searches modules that are there for mlhw only."""
    roots = [str(folder.parent) for folder in our_folders()]
    return [root for root in roots if not root.endswith(("site-packages", "dist-packages"))]


def _followed(path: str) -> tuple[str, dict[str, str]]:
    """A path without symbolic links, and the links that were passed, with where they lead."""
    passed: dict[str, str] = {}
    parts, done = Path(path).parts[1:], "/"
    todo = list(parts)
    while todo and len(passed) < 40:
        step = os.path.join(done, todo.pop(0))
        if os.path.islink(step):
            target = os.path.normpath(os.path.join(done, os.readlink(step)))
            passed[step] = target
            todo, done = [*Path(target).parts[1:], *todo], "/"
        else:
            done = step
    return done, passed


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _any_inside(path: str, folders: list[str]) -> bool:
    return any(_inside(path, folder) for folder in folders)
