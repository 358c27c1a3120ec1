"""An experiment in a process of its own: its answer, its lines on the screen, its progress.

One that fails, or dies, takes nothing with it. What the process says on stderr is passed on line by
line, and how far it is comes through a pipe (``screen.PROGRESS_PIPE``), so that one screen shows
everything. It has a session of its own, so that a terminal's signals come to it once, from here: those
that stop a run, and those that suspend and resume it. Should this process be killed, the end of a pipe
(``interrupts.LIFELINE``) stops the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from mlhw.errors import FAILED, Interrupted
from mlhw.result.result import Part
from mlhw.runs.options import COMMAND
from mlhw.system.interrupts import LIFELINE, Interrupts
from mlhw.system.screen import PROGRESS_PIPE, Screen


def run_one(
    name: str,
    arguments: Sequence[str],
    screen: Screen,
    interrupts: Interrupts,
    title: str | None = None,
    typed: Sequence[str] = (),
) -> tuple[Part, Interrupted | None]:
    """Run one experiment in a process of its own.

    A signal is passed on to the process; when that has ended, the signal is returned beside what the
    process found. Must be called inside ``interrupts.hold()``: signals are let through only while the
    process works, so neither a signal nor an answer is lost. ``title`` stands before each progress bar.
    ``typed`` are the words by which a person would start the same, for the run's records.
    """
    # -P: nothing in the current folder is imported, whatever it is called.
    command = [sys.executable, "-P", "-m", "mlhw", name, "--json", *arguments]
    title = title or name
    started = time.monotonic()
    pipe, theirs = os.pipe()
    lifeline, ours = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(theirs, lifeline),
            start_new_session=True,
            env={
                **os.environ,
                PROGRESS_PIPE: str(theirs),
                LIFELINE: str(lifeline),
                COMMAND: shlex.join(typed),
            },
        )
    except OSError:
        os.close(pipe)
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        os.close(lifeline)
    screen.progress(0, None, title)
    output: list[bytes] = []
    # Signals come to the main thread; the other one reads on until the process closes its ends.
    relay = threading.Thread(
        target=_relay, args=(process, pipe, output, screen, title), daemon=True
    )
    relay.start()
    interrupted: Interrupted | None = None
    with _suspended_together(process):
        while True:
            try:
                with interrupts.released():
                    process.wait()
                break
            except Interrupted as error:
                interrupted = error
                # From here on it is the process that has to end in time.
                interrupts.acknowledge()
                process.send_signal(error.signum)
    os.close(ours)
    # A process of the process's own may outlive it and hold them open.
    relay.join(timeout=5)
    screen.close()
    try:
        found = json.loads(b"".join(output))
    except ValueError:
        found = {"error": [_death(process.returncode)]}
    if process.returncode > 128 and "status" not in found:
        found["status"] = "interrupted"  # before its run had begun
    code = process.returncode if process.returncode >= 0 else FAILED
    return Part(name, code, found, time.monotonic() - started), interrupted


@contextmanager
def _suspended_together(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-Z and ``fg`` act on the process too, which no terminal reaches."""
    if not hasattr(signal, "SIGTSTP") or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def send(signum: int) -> None:
        # Its group: what it has started stops with it. Nobody has waited for it yet, so the number is its.
        with contextlib.suppress(OSError):
            if process.returncode is None:
                os.killpg(process.pid, signum)

    def suspend(signum: int, _frame: FrameType | None) -> None:
        # Not SIGTSTP, which a process in a session without a terminal never gets.
        send(signal.SIGSTOP)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on, at once where nobody could wake it.
        signal.signal(signal.SIGTSTP, suspend)
        send(signal.SIGCONT)

    def resume(_signum: int, _frame: FrameType | None) -> None:
        send(signal.SIGCONT)

    # An ignored one stays ignored.
    before = {
        signum: signal.signal(signum, handler)
        for signum, handler in ((signal.SIGTSTP, suspend), (signal.SIGCONT, resume))
        if signal.getsignal(signum) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _death(code: int) -> str:
    if code < 0:
        try:
            return f"the process was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"the process was ended by signal {-code}"
    return f"the process ended with exit code {code} and said nothing"


def _relay(
    process: subprocess.Popen[bytes], pipe: int, output: list[bytes], screen: Screen, title: str
) -> None:
    """Collect the process's stdout, and show its stderr and its progress on the screen."""
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = process.stdout.fileno(), process.stderr.fileno()

    def progress(line: str) -> None:
        done, total, what = line.split("\t", 2)
        screen.progress(float(done), float(total), f"{title}: {what}")

    takers = {stderr: screen.line, pipe: progress}
    rests = dict.fromkeys(takers, b"")
    with selectors.DefaultSelector() as selector:
        for source in (stdout, stderr, pipe):
            selector.register(source, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                piece = os.read(key.fd, 65536)
                if not piece:
                    selector.unregister(key.fd)
                if key.fd == stdout:
                    output.append(piece)
                    continue
                *lines, rests[key.fd] = (rests[key.fd] + piece).split(b"\n")
                if not piece and rests[key.fd]:
                    lines = [rests[key.fd]]
                for line in lines:
                    # Whatever becomes of the screen: the process waits for this to be read.
                    with contextlib.suppress(OSError, ValueError):
                        takers[key.fd](line.decode(errors="replace"))
    process.stdout.close()
    process.stderr.close()
    os.close(pipe)
