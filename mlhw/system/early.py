"""Signals while nothing can be lost: before the work has begun, and after it has ended.

While modules are imported and arguments are read, a signal ends the program at once with one line and
the documented exit code. Once a command has ended, a signal ends the program with that command's own.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from mlhw.errors import Interrupted

# Windows has no SIGHUP.
HANGUP = getattr(signal, "SIGHUP", None)

_code: int | None = None


def is_program() -> bool:
    """Whether this process is the command ``mlhw``, and not one that imports it."""
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    return name.split(".")[0] == "mlhw" or (os.path.basename(folder), name) == (
        "mlhw",
        "__main__.py",
    )


def install() -> None:
    """Handle the signals from now on; nothing happens outside the main thread."""
    with contextlib.suppress(ValueError):
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, _end)
        # nohup has it ignored.
        if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
            signal.signal(HANGUP, _end)


def hurry() -> None:
    """Spare the imports what takes time and finds nothing, until ``arrived``.

    What they make stays, so there is no garbage to look for; and pydantic looks through all installed
    packages for plugins, which no command has a use for, nor has a process that one starts.
    """
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def arrived() -> None:
    """The command is there: garbage is looked for from now on, in what comes up from now on."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def ended(code: int | None) -> None:
    """The command has ended, and what it has to say is said: a signal changes its exit code no more.

    None: another piece of work begins.
    """
    global _code
    _code = code


def _end(signum: int, _frame: FrameType | None) -> None:
    # Nothing is raised: whatever Python runs at the moment might swallow it.
    if _code is None:
        last_words(Interrupted(signum))
    os._exit(128 + signum if _code is None else _code)


def is_silent() -> bool:
    """Whether this is one of several processes that work together, and not the first of them."""
    rank, world = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    known = rank.isdecimal() and world.isdecimal() and "MASTER_ADDR" in os.environ
    return known and 0 < int(rank) < int(world)


def last_words(error: Interrupted) -> int | None:
    """A line on stderr, and with ``--json`` one object on stdout, composed by hand."""
    if is_silent():
        return None
    say_errors(error.lines)
    if "--json" in sys.argv:
        say(1, f'{{"error": ["{error.lines[0]}"]}}\n')
    return None


def say_errors(lines: Sequence[str]) -> None:
    """Lines on stderr, past Python's own stream, which may be in the middle of something."""
    # A bar of progress hides the cursor.
    cursor = "\r\033[2K\033[?25h" if os.isatty(2) and os.environ.get("TERM") != "dumb" else ""
    say(2, cursor + "".join(f"error: {line}\n" for line in lines))


def say(descriptor: int, text: str) -> None:
    """Write a short text; it is dropped where it would have to wait for a reader."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, text.encode(errors="backslashreplace"))
