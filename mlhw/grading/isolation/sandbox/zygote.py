"""The warm process: it holds Python, NumPy and the program, and forks once for each submission.

Whoever started it holds the other end of the socket ``control``; when that closes, all of it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import types
from typing import Any

from . import kernel
from .keeper import Errand, Handed, tell, watch_over


def serve() -> None:
    folder, number = sys.argv[1:3]
    sys.path.remove(folder)
    control = socket.socket(fileno=int(number))
    config = _line(control)[0]
    assert config is not None
    sys.path += [path for path in config["libraries"] if path not in sys.path]
    for name in ("numpy", "random", "ctypes", "typing", "traceback", "__future__"):
        __import__(name)
    if kernel.LINUX:
        # What is forked from here is none of a neighbour's business, even of the same user.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    module = sys.modules["program"] = types.ModuleType("program")
    program = vars(module)
    exec(compile(config["program"], "<program>", "exec"), program)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _send(control, ready=True)
    while True:
        job, descriptors = _line(control)
        if job is None:
            return
        if "job" not in job:
            continue  # a word to end what had ended already
        ended = _one(control, job["job"], config, program, Handed(*descriptors))
        if ended is None:
            return
        _send(control, **ended)
        if config["once"]:
            return


def _one(
    control: socket.socket,
    job: dict[str, Any],
    config: dict[str, Any],
    program: dict[str, Any],
    handed: Handed,
) -> dict[str, Any] | None:
    """Run one submission; how it ended, or None where nobody waits for that any more."""
    lifeline, ours = os.pipe()
    heard, status = os.pipe()
    keeper = os.fork()
    if not keeper:
        try:
            control.close()
            os.close(ours)
            os.close(heard)
            watch_over(Errand(job, config, program, handed), lifeline, status)
        except BaseException as error:
            with contextlib.suppress(OSError):
                tell(status, failed=f"{type(error).__name__}: {error}"[:500])
        os._exit(1)
    handed.close()
    os.close(lifeline)
    os.close(status)
    alone = False
    waiting: list[Any] = [control, heard]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if control in ready:
            # A word to stop, or the end: both close the lifeline.
            alone = not control.recv(1 << 12)
            os.close(ours)
            waiting.remove(control)
        if heard in ready:
            break
    words = b""
    while data := os.read(heard, 1 << 12):
        words += data
    os.close(heard)
    if control in waiting:
        os.close(ours)
    os.waitpid(keeper, 0)
    if alone:
        return None
    first = words.split(b"\n")[0]
    ended: dict[str, Any] = json.loads(first) if first else {"failed": "its keeper was killed"}
    return ended


def _line(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A line of JSON and the descriptors that came with it; None at the end."""
    words, descriptors = b"", []
    while not words.endswith(b"\n"):
        data, more, _, _ = socket.recv_fds(control, 1 << 16, 8)
        descriptors += more
        if not data:
            return None, descriptors
        words += data
    return json.loads(words.split(b"\n")[-2]), descriptors


def _send(control: socket.socket, **message: Any) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")
