"""``python -P -m mlhw.runs.drawing_process NAME FILE``: draws figures for a run, beside it.

It loads what the experiment's figures need, takes them from stdin, and gives back on stdout the bytes of
their files, the last figure first (``frames.py``). It writes no file, and says nothing: a figure that warns,
prints or fails is left to the run. At the end of stdin, which comes too when the run is killed, it ends.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlhw.runs import frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.result.plots import Plot, Printed

_CHANGES = frozenset(
    f"os.{name}"
    for name in ("mkdir", "rename", "remove", "rmdir", "symlink", "link", "truncate", "utime")
)
_FOLDERS = (".cache", ".config", "matplotlib")
"""Without folders of its own, which the run would make too, matplotlib does not work."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def draw_for_run(name: str, file: str) -> None:
    """Draw what comes, for the experiment ``name`` of the mlhw whose ``plots.py`` is this file."""
    # A terminal's Ctrl-C is for the run, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, answers = _own_streams()
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, asked), daemon=True).start()
    # Here, for until it listens the process would outlive its run.
    from mlhw.result import plots

    if os.path.realpath(plots.__file__) != os.path.realpath(file):
        return  # another version than that of the run
    sys.addaudithook(_refuse)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    _load(name)
    _draw(pickle.loads(asked.get()), answers)


def _own_streams() -> tuple[int, int]:
    """The two ends for messages; what others read from or write to the standard streams is nothing."""
    source, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return source, answers


def _listen(source: int, asked: queue.SimpleQueue[bytes]) -> None:
    """Read the figures, then wait for the end, whatever the main thread is at."""
    pieces = []
    while (count := frames.length_of(_exactly(source, frames.LENGTH))) > 0:
        pieces.append(_exactly(source, count))
    asked.put(b"".join(pieces))
    pieces.clear()
    _exactly(source, 1)


def _exactly(source: int, count: int) -> bytes:
    """So many bytes; at the end of the pipe the process ends."""
    found = bytearray()
    while len(found) < count:
        piece = os.read(source, count - len(found))
        if not piece:
            os._exit(0)
        found += piece
    return bytes(found)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no file is made or changed, such as the list of fonts, which the run keeps."""
    if event == "os.mkdir" and os.path.basename(os.fspath(arguments[0])) in _FOLDERS:
        return
    changes = event in _CHANGES or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
    )
    if changes:
        raise PermissionError(f"{event} in a process that only draws")


def _load(name: str) -> None:
    """Import all that drawing needs, and what matplotlib looks up once, before there is something to draw."""
    from mlhw.experiments.registry import experiment
    from mlhw.result.plots import Plot

    _ = experiment(name).figures
    _printed(Plot("first", "", "", "", _first))


def _first() -> Figure:
    from mlhw.result import plots

    figure = plots.new_figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], [1, 2], label=r"$\eta$")
    axes.set(xlabel="x", yscale="log")
    axes.legend()
    return figure


def _draw(found: Sequence[Plot], answers: int) -> None:
    """Give back the figures from the last to the first, each as soon as the pipe takes it."""
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    giving = threading.Thread(target=_give, args=(waiting, answers))
    giving.start()
    for index in reversed(range(len(found))):
        waiting.put(frames.beginning(index))
        waiting.put(frames.ending(index, _printed(found[index])))
    waiting.put(None)
    giving.join()


def _give(waiting: queue.SimpleQueue[bytes | None], answers: int) -> None:
    """Write in a thread: the run reads when it has drawn a figure, and until then the pipe may be full."""
    while (frame := waiting.get()) is not None:
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(answers, view) :]
            except OSError:
                os._exit(0)


def _printed(plot: Plot) -> Printed | None:
    """The figure; None where the run would have something to say beside it, or to raise."""
    from mlhw.result import plots

    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            printed = plots.printed(plot)
    except Exception:
        return None
    return None if warned or said.getvalue() else printed


if __name__ == "__main__":
    try:
        draw_for_run(*sys.argv[1:3])
    finally:
        os._exit(0)  # no farewells: the run has what it asked for
