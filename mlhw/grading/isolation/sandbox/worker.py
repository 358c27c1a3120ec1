"""The process of one submission: confined already, it loads the files, calls, and sends the answers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
from typing import Any


def answer_all(request: int, channel: int, folder: str, program: dict[str, Any]) -> None:
    """Answer what stands in ``request``: a line of JSON, the files, and the arrays as raw float64.

    Messages go to ``channel``, each a line of JSON and, for a result, its arrays.
    """
    import numpy as np

    lock = threading.Lock()

    def send(message: dict[str, Any], arrays: list[Any] | None = None) -> None:
        data = b"".join([array.tobytes() for array in arrays or []])
        left = memoryview(json.dumps(message).encode() + b"\n" + data)
        with lock:
            while left:
                left = left[os.write(channel, left) :]

    with open(request, "rb") as file:
        asked = json.loads(file.readline())
        for name, size in asked["files"]:
            _write(os.path.join(folder, name), file.read(size))
        calls = [
            [np.frombuffer(file.read(8 * math.prod(s))).reshape(s).copy() for s in shapes]
            for shapes in asked["calls"]
        ]
    send({"ready": True})
    try:
        answer = program["prepare"](os.path.join(folder, asked["main"]), asked["options"], send)
        send({"loaded": True})
        for number, arrays in enumerate(calls):
            try:
                form, found = answer(arrays)
            except Exception as error:
                if number < asked["required"]:
                    raise
                # A function for one input need not take a batch.
                send({"refused": program["describe"](error)["error"]})
                continue
            if found is None or sum(array.size for array in found) > asked["most"]:
                send({"form": form, "shapes": None})
            else:
                send({"form": form, "shapes": [array.shape for array in found]}, found)
        last = {"done": True}
    except BaseException as error:
        last = program["describe"](error)
    flush()  # before the last message, after which this process may be gone at any moment
    send(last)


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def settle(folder: str, output: tuple[int, int]) -> None:
    """A session, folder, streams and environment of its own, and every signal as at a start."""
    with contextlib.suppress(OSError):
        os.setsid()
    for kind in (signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM):
        signal.signal(kind, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    for stream, number in zip(output, (1, 2), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    # Libraries start no threads, draw into no window, and look for their settings here.
    os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="Agg", HOME=folder, TMPDIR=folder)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    sys.stdin = os.fdopen(0, closefd=False)
    # What is checked is their derivation, not ours.
    sys.modules["mlhw"] = None  # type: ignore[assignment]


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
