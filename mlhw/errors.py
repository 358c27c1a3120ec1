"""Every failure of mlhw on one screen, each with the exit code that it ends a command with.

    MlhwError
    ├── UsageError          2   found before work began
    │   ├── ConfigError         an option, a key or a value of the configuration
    │   └── DataError           a data file that cannot be used
    └── RunError            1   came up after work began (NaN, memory, disk, late data errors)
    Interrupted           130   Ctrl-C; 143 for SIGTERM, 129 for SIGHUP

A run that finishes with a failing claim is no error; it exits 3 (see ``execute.py``).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

FINISHED = 0
FAILED = 1
USAGE = 2
CLAIM_FAILS = 3


class MlhwError(Exception):
    """Base of all errors that mlhw reports in plain lines, never as a traceback.

    ``lines`` are sentences for the person who has to act: where, what is wrong, what would be right.
    """

    exit_code = FAILED

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class UsageError(MlhwError):
    """What was asked for cannot be done; found before work began."""

    exit_code = USAGE


class ConfigError(UsageError):
    """Options, keys or values of the configuration are wrong; one line for each."""


class DataError(UsageError):
    """A data set is missing, unreadable or unfit; lines begin with ``FILE:LINE:`` where one is to blame."""


class RunError(MlhwError):
    """The run failed after work had begun."""

    exit_code = FAILED


class Interrupted(BaseException):
    """A signal asked the run to stop; what was finished is kept.

    Like KeyboardInterrupt it is no Exception, so that code which catches every error of a damaged file
    does not take a Ctrl-C for one.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        self.signum = signum
        self.exit_code = 128 + signum
        name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
        self.lines = (f"interrupted by {name}",)
        super().__init__(*self.lines)


def reason_of(error: OSError) -> str:
    """What the system says of an error, for the end of a sentence: ``permission denied``.

    Of a full disk also what ``files.tell_room`` has found: ``no space left on device (needs 94.3 MB, 12
    MB free)``.
    """
    room = getattr(error, "room", None)
    return (error.strerror or str(error)).lower() + (f" ({room})" if room else "")


_WORST_FIRST = (130, 143, 129, FAILED, USAGE, CLAIM_FAILS, FINISHED)


def worst(codes: Sequence[int]) -> int:
    """The worst of several exit codes: 130, 143 or 129, then 1 and unknown ones, 2, 3, 0."""
    return min(
        codes,
        key=lambda c: _WORST_FIRST.index(c if c in _WORST_FIRST else FAILED),
        default=FINISHED,
    )
