"""Where the kernel keeps nothing away: Python itself refuses what is hidden, and changes nothing outside.

A hurdle and no wall: it stops what is written in Python, not what reaches the C library past it. It is
used on the two weakest rungs only. A hook of this kind cannot be taken away by the program that it watches.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

_STARTS = ("os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn")
_PATHS = ("open", "os.", "shutil.", "glob.", "sqlite3.connect")
_CHANGES = (
    "os.chflags os.chmod os.chown os.link os.mkdir os.remove os.removexattr os.rename os.rmdir "
    "os.setxattr os.symlink os.truncate os.utime shutil. sqlite3.connect"
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LIBRARY = (
    "open creat fopen freopen system popen exec posix_spawn syscall fork vfork clone link symlink "
    "unlink rename truncate remove chmod mkdir kill prlimit connect send ptrace process_vm"
)


def put_up(hidden: list[str], folder: str, package: str) -> None:
    """From now on nothing in ``hidden`` folders can be opened, nothing outside ``folder`` be changed.

    Nor can other programs be started, or ``package`` be imported.
    """
    sys.addaudithook(_hook(hidden, folder, package))


def _hook(hidden: list[str], folder: str, package: str) -> Callable[[str, tuple[Any, ...]], None]:
    # Its own names for what it needs: those in modules may be replaced by the file that it watches.
    realpath, fspath, decode = os.path.realpath, os.fspath, os.fsdecode
    changes, library = tuple(_CHANGES.split()), tuple(_LIBRARY.split())
    above = {path.rpartition("/")[0] for path in hidden}
    trees = tuple(path + "/" for path in hidden)
    own = (realpath(folder) + "/", "/dev/null/")

    def place(value: Any) -> str | None:
        if not isinstance(value, (str, bytes, os.PathLike)):
            return None
        try:
            return str(realpath(decode(fspath(value)))) + "/"
        except (ValueError, OSError, TypeError):
            return trees[0]

    def path_refused(event: str, arguments: tuple[Any, ...]) -> bool:
        writes = event.startswith(changes)
        if event == "open" and len(arguments) == 3 and isinstance(arguments[2], int):
            writes = bool(arguments[2] & _WRITES)
            arguments = arguments[:1]
        for path in filter(None, map(place, arguments)):
            # What lies above them is not opened as a folder from which one goes on; to list it is no harm.
            if path.startswith(trees) or (event == "open" and path[:-1] in above):
                return True
            if writes and not path.startswith(own):
                return True
        return False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            if str(arguments[0]).partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}")
        elif event.startswith(_STARTS):
            raise PermissionError(f"{event} is not allowed here")
        elif event == "ctypes.dlsym":
            if str(arguments[1]).lstrip("_").startswith(library):
                raise PermissionError(f"{arguments[1]} is not allowed here")
        elif event.startswith(_PATHS) and path_refused(event, arguments):
            raise PermissionError(f"{event}: not allowed here")

    return hook
