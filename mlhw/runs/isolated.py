"""An experiment in a process of its own: its answer, its lines on the screen, its progress.

One that fails, or dies, takes nothing with it. What the process says on stderr is passed on line by
line, and how far it is comes through a pipe (``screen.PROGRESS_PIPE``), so that one screen shows
everything.
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
from collections.abc import Sequence

from mlhw.errors import FAILED, Interrupted
from mlhw.result.result import Part
from mlhw.runs.options import COMMAND
from mlhw.system.interrupts import Interrupts
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
    command = [sys.executable, "-m", "mlhw", name, "--json", *arguments]
    title = title or name
    started = time.monotonic()
    pipe, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(theirs,),
            env={**os.environ, PROGRESS_PIPE: str(theirs), COMMAND: shlex.join(typed)},
        )
    except OSError:
        os.close(pipe)
        raise
    finally:
        os.close(theirs)
    screen.progress(0, None, title)
    output: list[bytes] = []
    # Signals come to the main thread; the other one reads on until the process closes its ends.
    relay = threading.Thread(
        target=_relay, args=(process, pipe, output, screen, title), daemon=True
    )
    relay.start()
    interrupted: Interrupted | None = None
    while True:
        try:
            with interrupts.released():
                process.wait()
            break
        except Interrupted as error:
            interrupted = error
            # Ctrl-C on a terminal reaches the process by itself; a second one would end it at once.
            if error.signum != signal.SIGINT or not sys.stdin.isatty():
                process.send_signal(error.signum)
    # A process of the process's own may outlive it and hold them open.
    relay.join(timeout=5)
    screen.close()
    try:
        found = json.loads(b"".join(output))
    except ValueError:
        found = {"error": [_death(process.returncode)]}
    code = process.returncode if process.returncode >= 0 else FAILED
    return Part(name, code, found, time.monotonic() - started), interrupted


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
