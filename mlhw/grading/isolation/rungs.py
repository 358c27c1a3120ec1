"""The ladder of isolation: which rungs there are, and which of them a trial proves on this machine."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from mlhw.errors import UsageError
from mlhw.grading.isolation import bubblewrap
from mlhw.grading.isolation.job import Job, Limits
from mlhw.grading.isolation.runner import Runner
from mlhw.grading.isolation.sandbox import kernel, landlock, namespaces

Isolation = Literal["auto", "bubblewrap", "namespaces", "landlock", "uid", "limits"]
RUNGS: tuple[str, ...] = get_args(Isolation)[1:]
"""From the strongest to the weakest."""

WORDS = {
    "bubblewrap": "each submission in a bubblewrap of its own",
    "namespaces": "each submission in namespaces of its own",
    "landlock": "Landlock",
    "uid": "another user",
    "limits": "limits on time, memory, files and processes only",
}


def chosen_rung(wanted: str) -> str:
    """The rung that ``wanted`` names, or with "auto" the strongest that a trial proves.

    Raises
    ------
    UsageError
        Where this machine does not offer the rung, with the reason.
    """
    if wanted != "auto":
        reason = why_no_rung(wanted)
        if reason:
            offered = next((rung for rung in RUNGS if not why_no_rung(rung)), None)
            hint = f"; {offered} is to be had" if offered else ""
            raise UsageError(f"--isolation {wanted}: not on this machine: {reason}{hint}")
        return wanted
    reasons = []
    for rung in RUNGS:
        reason = why_no_rung(rung)
        if not reason:
            return rung
        reasons.append(f"{rung}: {reason}")
    raise UsageError(f"--isolation auto: no rung works on this machine: {'; '.join(reasons)}")


TRIED: dict[str, str] = {}
"""What the trials of this process have shown: why a rung is not offered, empty where it is."""


def why_no_rung(rung: str) -> str:
    """Why this machine does not offer a rung; empty where it does, as a trial has shown."""
    if rung not in TRIED:
        TRIED[rung] = _MISSING[rung]() or _trial(rung)
    return TRIED[rung]


def rung_in_words(rung: str) -> str:
    """The rung in words: what was active."""
    words = WORDS[rung]
    if rung == "landlock":
        words += f" (version {landlock.abi()})"
    if os.geteuid() == 0 and rung in ("landlock", "limits"):
        words += ", as another user"
    return words


def _no_bubblewrap() -> str:
    if not kernel.LINUX:
        return "it needs Linux"
    return "" if bubblewrap.program() else "the program bwrap is not installed"


def _no_namespaces() -> str:
    if not kernel.LINUX:
        return "it needs Linux"
    return (
        ""
        if namespaces.possible()
        else "the numbers of this processor's system calls are not known"
    )


def _no_landlock() -> str:
    return "" if landlock.abi() else "this kernel has no Landlock"


def _no_uid() -> str:
    return "" if os.geteuid() == 0 else "only root can become another user"


_MISSING: dict[str, Callable[[], str]] = {
    "bubblewrap": _no_bubblewrap,
    "namespaces": _no_namespaces,
    "landlock": _no_landlock,
    "uid": _no_uid,
    "limits": lambda: "",
}


# ------------------------------------------------------------------------------------- the trial

_REACHED = ("files", "signals", "network", "root", "numbers of processes")
KEPT = {
    "bubblewrap": {"files", "signals", "network", "root", "numbers of processes"},
    "namespaces": {"files", "signals", "network", "root", "numbers of processes"},
    "landlock": {"files", "signals", "network", "root"},
    "uid": {"files", "signals", "root"},
    "limits": {"root"},
}

_TRIAL = """
import os

def reached(act):
    try:
        return float(act() is not False)
    except OSError:
        return 0.0

def connect(port):
    import socket
    socket.create_connection(("127.0.0.1", port), 1).close()

def backprop(weights, x, t):
    import colorsys, wave, numpy.polynomial  # what is imported late must be found
    judge, port = int(t[0]), int(t[1])
    return [[
        reached(lambda: open(CANARY).close()),
        reached(lambda: os.kill(judge, 0)),
        reached(lambda: connect(port)),
        reached(lambda: os.getuid() and os.setuid(0)),
        reached(lambda: os.getpgid(judge)),
    ]]
"""


def _trial(rung: str) -> str:
    """Try the rung with a file that tries to get out; why it will not do, or an empty text."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        canary = Path(folder) / "canary"
        canary.write_text("x", encoding="utf-8")
        source = f"CANARY = {str(canary)!r}\n{_TRIAL}"
        call = [np.ones(1), np.ones(1), np.array([os.getpid(), listening.getsockname()[1]])]
        job = Job({"trial.py": source.encode()}, "trial.py", [call], 1, limits=Limits(20, 20))
        try:
            with Runner(rung) as runner:
                replies = runner.run(job)
        except OSError as error:
            return str(error)
    if replies.error or replies.timeout or not replies.replies:
        return replies.error or "a trial did not answer"
    numbers = replies.replies[0].numbers
    assert numbers
    flags = zip(_REACHED, numbers[0].ravel(), strict=True)
    open_still = [name for name, flag in flags if flag and name in KEPT[rung]]
    return f"a trial could still reach: {', '.join(open_still)}" if open_still else ""
