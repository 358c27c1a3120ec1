"""The process above a submission: it confines it, waits for it, and clears away what it started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from . import hurdle, kernel, landlock, limits, namespaces, other_uid, seccomp, worker


@dataclass(frozen=True)
class Handed:
    """Descriptors of one job: where its questions stand, where its answers and its prints go."""

    request: int
    channel: int
    stdout: int
    stderr: int

    def close(self) -> None:
        for number in (self.request, self.channel, self.stdout, self.stderr):
            os.close(number)


@dataclass(frozen=True)
class Errand:
    """A job as the warm process got it, with what it was told at its start and the loaded program."""

    job: dict[str, Any]
    config: dict[str, Any]
    program: dict[str, Any]
    handed: Handed

    @property
    def uid(self) -> int | None:
        """The user that the submission becomes; None where it stays the one that it is."""
        uid: int | None = self.job["uid"]
        return uid

    @property
    def rung(self) -> str:
        rung: str = self.config["rung"]
        return rung


def watch_over(errand: Errand, lifeline: int, status: int) -> NoReturn:
    """Run the submission and say on ``status`` how it ended; end everything when ``lifeline`` closes."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    if kernel.LINUX:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    in_use = limits.memory_in_use(errand.config["proc"])
    proc = -1
    if errand.rung == "namespaces":
        proc = namespaces.enter(errand.config, errand.job)
    child = os.fork()
    if not child:
        signal.set_wakeup_fd(-1)
        for number in (lifeline, woken, wake):
            os.close(number)
        with _failures_said(status):
            if errand.rung == "namespaces":
                uid = (
                    errand.uid if errand.config["proc"] is None else None
                )  # else it is that already
                namespaces.first_process(proc, uid, lambda: _work(errand, in_use, status), status)
            _work(errand, in_use, status)
        os._exit(1)
    errand.handed.close()
    ended, how = 0, 0
    while True:
        ready, _, _ = select.select([woken, lifeline], [], [])
        if lifeline in ready:
            break
        os.read(woken, 512)
        ended, how = os.waitpid(child, os.WNOHANG)
        if ended:
            break
    if not ended:
        os.kill(child, signal.SIGKILL)
        how = os.waitpid(child, 0)[1]
    _clear_away(errand, child)
    tell(status, code=os.waitstatus_to_exitcode(how))
    os._exit(0)


def _clear_away(errand: Errand, child: int) -> None:
    """End what the submission has started and left."""
    if errand.rung == "namespaces":
        return  # the first process took all others of its namespace along
    if errand.uid is not None:
        other_uid.end_all_of(errand.uid)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    other_uid.end_all_below()


def tell(status: int, **message: Any) -> None:
    os.write(status, json.dumps(message).encode() + b"\n")


@contextlib.contextmanager
def _failures_said(status: int) -> Any:
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            tell(status, failed=f"{type(error).__name__}: {error}"[:500])
        os._exit(1)


def _work(errand: Errand, in_use: int, status: int) -> NoReturn:
    """In the process of the submission: confine it and answer."""
    inside = errand.rung == "namespaces"
    kept: list[int] = []
    folder = namespaces.BOX if inside else errand.job["folder"]
    rules = None
    if errand.rung == "landlock":
        rules = landlock.rules(errand.config["readable"], errand.config["masks"], folder)
    if errand.uid is not None and not inside:
        kept = other_uid.become_with_libraries(errand.uid)
        if errand.rung == "bubblewrap":
            namespaces.own_user_namespace()
    handed = errand.handed
    worker.settle(folder, (handed.stdout, handed.stderr))
    open_still = [
        status,
        handed.request,
        handed.channel,
        *kept,
        *([] if rules is None else [rules]),
    ]
    close_all_but(open_still)
    limits.confine(errand.job, in_use)
    if rules is not None:
        landlock.hold_to(rules)
    if kernel.LINUX and errand.config["seccomp"]:
        seccomp.filter_calls(alone=inside)
    sys.path[:] = [path for path in sys.path if path not in errand.config["dropped"]]
    if errand.rung in ("uid", "limits"):
        hurdle.put_up(errand.config["hidden"], folder, "mlhw")
    os.close(status)
    worker.answer_all(handed.request, handed.channel, folder, errand.program)
    os._exit(0)  # nothing is run that it left for its end


def close_all_but(numbers: list[int]) -> None:
    start = 3
    for number in sorted(numbers):
        os.closerange(start, number)
        start = number + 1
    os.closerange(start, 1 << 16)
