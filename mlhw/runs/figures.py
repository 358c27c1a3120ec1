"""The figures of a run, drawn by two processes: this one, and one that waits for them beside it.

Drawing is Python's alone, in one thread, and of many a run the longest part. The other process
(``drawing_process.py``) is started with the program, so that it has imported all when there is something
to draw. It begins with the last figure, this one with the first, until they meet; only this one writes files.
Nothing depends on the other: whatever is not in hand here when its turn has come is drawn here, so that
errors and warnings are the same with it and without.
"""

from __future__ import annotations

import atexit
import contextlib
import copyreg
import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result import plots
from mlhw.result.plots import Plot, Printed
from mlhw.runs import frames
from mlhw.runs.options import RunOptions
from mlhw.system import early
from mlhw.system.provenance import usable_cpus
from mlhw.system.torchrun import of_environment

PROGRAM = (sys.executable, "-P", "-m", "mlhw.runs.drawing_process")
"""``-P``: nothing in the current folder is imported, whatever it is called."""

FEWEST = 3
"""Figures that are worth the way to another process."""

MOST_BYTES = 100_000_000
"""What all figures of a run are made from may take on that way."""

_SENDING = 2.0  # seconds that all of it may take
_PATIENCE = 2.0  # seconds, and three times the longest figure so far, that one is waited for
_DYING = 1.0  # seconds that a killed process may take to be gone
_FEWEST_FILES, _FEWEST_PROCESSES = 64, 512  # a limit below these leaves none for this
_UNDRAWN = frozenset({"-h", "--help", "--no-plots", "--print-config"})


def draw_all(
    found: Sequence[Plot],
    folder: Path,
    progress: Callable[[float, float, str], None],
    second: SecondProcess | None = None,
) -> dict[str, Printed]:
    """Write the figures into ``folder`` in their order, and return what their files hold by their names."""
    pictures: dict[str, Printed] = {}
    if second is not None:
        second.take(found)
    longest = 0.0
    for done, plot in enumerate(found):
        progress(done, len(found), "figures")
        printed = None if second is None else second.drawn(done, _PATIENCE + 3 * longest)
        began = time.monotonic()
        if printed is None:
            printed = plots.save(plot, folder)
            longest = max(longest, time.monotonic() - began)
        else:
            plots.write_printed(plot.name, printed, folder)
        pictures[plot.name] = printed
    return pictures


class SecondProcess:
    """A process that draws beside this one, until the block ends; where there is none, nothing is drawn.

    ``name`` is the experiment whose figures it loads. What goes wrong with it ends it, and is said nowhere.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._received = frames.Received(0)

    def __enter__(self) -> SecondProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int | None:
        """Its number, as long as it is there."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, where that can be done."""
        with contextlib.suppress(OSError, ValueError, MemoryError, subprocess.SubprocessError):
            # In the group of this process, so that what kills the group kills it too.
            self._process = subprocess.Popen(
                [*PROGRAM, self.name, plots.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            for descriptor in self._ends(self._process):
                os.set_blocking(descriptor, False)
                frames.widen(descriptor)

    def take(self, found: Sequence[Plot]) -> None:
        """Hand it the figures; it begins with the last of them."""
        if self._process is None:
            return
        if len(found) < FEWEST:
            self.end()
            return
        self._received = frames.Received(len(found))
        try:
            channel = _Channel(self._ends(self._process)[0])
            _Pickler(channel).dump(list(found))
            channel.close()
        except Exception:  # what is not to be pickled says so in many ways
            self.end()

    def drawn(self, index: int, patience: float) -> Printed | None:
        """The figure with this number, if it is drawn, or will be within so many seconds; else None."""
        until = time.monotonic() + patience
        self._receive(0.0)
        while self._process is not None and self._received.is_coming(index):
            left = until - time.monotonic()
            if left <= 0:
                self.end()
            self._receive(left)
        return self._received.printed.pop(index, None)

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        process = self._process
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_DYING)
        self._process = None  # last: after a signal in between it is done again

    def _receive(self, seconds: float) -> None:
        """Take in what it says, waiting so long at most for a first word."""
        if self._process is None:
            return
        descriptor = self._ends(self._process)[1]
        try:
            _wait(descriptor, select.POLLIN, seconds)
            while True:
                piece = os.read(descriptor, frames.PIECE)
                if not piece:
                    raise EOFError
                self._received.add(piece)
        except BlockingIOError:
            return
        except (OSError, EOFError, ValueError, MemoryError):
            self.end()

    @staticmethod
    def _ends(process: subprocess.Popen[bytes]) -> tuple[int, int]:
        assert process.stdin is not None
        assert process.stdout is not None
        return process.stdin.fileno(), process.stdout.fileno()


_early: list[SecondProcess] = []


def start_early(name: str, words: Sequence[str]) -> None:
    """Start the process before all else is imported that the command with these words needs.

    A signal in the middle ends the program, and with it the process, whose stdin then ends.
    """
    if can_be_beside(name) and _UNDRAWN.isdisjoint(words):
        one = SecondProcess(name)
        one.start()
        _early.append(one)
        atexit.register(one.end)


def second_process(name: str, options: RunOptions) -> SecondProcess:
    """The process for a run of this experiment, the one that waits already or a new one.

    Must be called inside ``Interrupts.hold()``: a signal in the middle would leave it behind.
    """
    drawn = options.plots and options.place is None  # a point of a grid shares its machine
    while _early:
        one = _early.pop()
        if drawn and one.name == name:
            return one
        one.end()
    one = SecondProcess(name)
    if drawn and can_be_beside(name):
        one.start()
    return one


def can_be_beside(name: str) -> bool:
    """Whether this is the program, and another processor and all that the process takes is there."""
    return (
        os.name == "posix"
        and early.is_program()
        and usable_cpus() > 1
        and of_environment() is None
        and _has_room()
        and name in EXPERIMENTS
        and experiment(name).drawn_beside
    )


def _has_room() -> bool:
    """Whether no limit is so low that the run itself may need what this takes."""
    import resource

    wanted = ((resource.RLIMIT_NOFILE, _FEWEST_FILES), (resource.RLIMIT_NPROC, _FEWEST_PROCESSES))
    limits = [(resource.getrlimit(kind)[0], fewest) for kind, fewest in wanted]
    return all(limit in (resource.RLIM_INFINITY, -1) or limit > fewest for limit, fewest in limits)


def _wait(descriptor: int, event: int, seconds: float) -> bool:
    """Wait for a pipe so long at most; a signal is let through."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, seconds) * 1000))


class _Channel:
    """A file that a pickle is written to, and that goes through a pipe as it comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._until = time.monotonic() + _SENDING
        self.left = MOST_BYTES

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.left -= len(view)
        if self.left < 0:
            raise ValueError("too large")
        for start in range(0, len(view), frames.PIECE):
            part = view[start : start + frames.PIECE]
            self._send(frames.length(len(part)))
            self._send(part)
        return len(view)

    def close(self) -> None:
        """Nothing more comes."""
        self._send(frames.length(0))

    def _send(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                left = self._until - time.monotonic()
                if not _wait(self._descriptor, select.POLLOUT, left):
                    raise TimeoutError from None


class _Pickler(pickle.Pickler):
    """One that does not begin with an array that is too large, which it would copy first."""

    def __init__(self, channel: _Channel) -> None:
        super().__init__(channel, pickle.HIGHEST_PROTOCOL)
        numpy: Any = sys.modules.get("numpy")
        if numpy is None:
            return

        def reduced(array: Any) -> Any:
            if array.nbytes > channel.left:
                raise ValueError("too large")
            return array.__reduce_ex__(pickle.HIGHEST_PROTOCOL)

        self.dispatch_table = copyreg.dispatch_table | {numpy.ndarray: reduced}
