"""``python -P -m mlhw.grids.worker``: a process of the local engine, one task after the other.

A line of JSON on stdin is a task; on stdout a line says that it is begun, ``{"began": 3}``, and another how
it ended. At the end of stdin, which comes too when the process that writes it is killed, this one stops what
it does and ends. What libraries print goes nowhere.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from mlhw.grids.tasks import PointEnd, PointTask, from_json
from mlhw.grids.work import work

BEGAN = "began"
"""The key of the line that says which point is begun, once everything that it needs is loaded."""


def serve_tasks(do: Callable[[PointTask], PointEnd] = work) -> None:
    """Work off the tasks of stdin by ``do``, until it ends."""
    tasks, ends = _own_streams()
    waiting: queue.SimpleQueue[PointTask | None] = queue.SimpleQueue()
    busy = threading.Event()
    reader = threading.Thread(target=_read, args=(tasks, waiting, busy), daemon=True)
    reader.start()
    while (task := waiting.get()) is not None:
        try:
            _say(ends, {BEGAN: task.point})
            busy.set()
            ended = do(task)
            busy.clear()
            _say(ends, ended.as_json())
        except BrokenPipeError:
            break
        if ended.status == "interrupted":
            break  # a signal is meant for the process
    sys.stdout.flush()
    os._exit(0)  # a library's thread may hold up the usual end


def _say(ends: IO[str], values: dict[str, Any]) -> None:
    ends.write(json.dumps(values) + "\n")
    ends.flush()


def _own_streams() -> tuple[IO[str], IO[str]]:
    """The two ends for messages; what others read from or write to the standard streams is nothing."""
    # A copy for each, that no child gets.
    tasks, ends = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return open(tasks, encoding="utf-8"), open(ends, "w", encoding="utf-8")


def _read(
    tasks: IO[str], waiting: queue.SimpleQueue[PointTask | None], busy: threading.Event
) -> None:
    for line in tasks:
        waiting.put(from_json(PointTask, json.loads(line)))
    waiting.put(None)
    if busy.is_set():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


if __name__ == "__main__":
    serve_tasks()
