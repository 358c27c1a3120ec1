"""``--engine local[:N]``: N processes on this machine, each one task after the other.

A process that dies takes one try with it and nothing else: another is started in its place. Each has a
session of its own, so that a terminal's Ctrl-C comes to it once, from here; if this process is killed, the
end of its stdin stops it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlhw.errors import ConfigError
from mlhw.grids.tasks import PointEnd, PointTask, Site, from_json, without_word, worker_environment
from mlhw.grids.work import GRACE
from mlhw.grids.worker import BEGAN
from mlhw.system.provenance import usable_cpus
from mlhw.text.values import is_digits

PROGRAM = (sys.executable, "-P", "-m", "mlhw.grids.worker")
"""What a worker is; ``-P``: nothing in the current folder is imported, whatever it is called."""

MOST = 1024
_STOPPING = 8.0
"""Seconds from a signal to the end of a worker in good order; then it is killed."""


def open_engine(argument: str | None, site: Site) -> LocalEngine:
    """The engine for ``local`` or ``local:N``.

    Without N there are as many workers as the usable cores carry at ``site.threads`` each, and one where
    the points share an accelerator.
    """
    if argument is None:
        slots = usable_cpus() // site.threads if site.device == "cpu" else 1
    else:
        known = is_digits(argument) and len(argument) < 6
        slots = int(argument) if known else 0
        if not 1 <= slots <= MOST:
            raise ConfigError(
                f"--engine local:{argument}: must be local, or local:N with 1 to {MOST:,} workers"
            )
    return LocalEngine(max(1, min(slots, site.points)), site.threads, program_of(site))


def program_of(site: Site, python: str = sys.executable) -> tuple[str, ...]:
    """What a worker of this site is."""
    return PROGRAM if site.worker == Site.worker else (python, *PROGRAM[1:-1], site.worker)


@dataclass(eq=False)
class _Worker:
    """A process, the task that it works on, and since when; None until it has loaded what that needs."""

    process: subprocess.Popen[bytes]
    task: PointTask | None = None
    since: float | None = None
    rest: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        return f"process {self.process.pid}"


class LocalEngine:
    """See ``tasks.Engine``."""

    def __init__(self, slots: int, threads: int, program: Sequence[str]) -> None:
        self._slots = slots
        self._program = program
        self._environment = {**os.environ, **worker_environment(threads)}
        self._waiting: deque[PointTask] = deque()
        self._workers: list[_Worker] = []
        self._ended: deque[PointEnd] = deque()
        self._selector = selectors.DefaultSelector()

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def working(self) -> frozenset[int]:
        at_work = [worker.task for worker in self._workers if worker.task is not None]
        return frozenset(task.point for task in (*at_work, *self._waiting))

    def recovered(self, folder: Path) -> Sequence[PointEnd]:
        """Nothing: the workers of a driver that was killed end with it."""
        return ()

    def submit(self, tasks: Sequence[PointTask]) -> None:
        self._waiting.extend(tasks)
        self._hand_out()

    def ended(self, seconds: float) -> Sequence[PointEnd]:
        until = time.monotonic() + seconds
        while not self._ended:
            self._hand_out()
            left = until - time.monotonic()
            self._listen(max(0.0, min(left, self._next_look())))
            self._kill_stuck()
            if left <= 0:
                break
        self._hand_out()
        found = list(self._ended)
        self._ended.clear()
        return found

    def drop(self) -> None:
        self._waiting.clear()
        busy = [worker for worker in self._workers if worker.task is not None]
        for worker in self._workers:
            self._signal(worker, signal.SIGTERM)
        until = time.monotonic() + _STOPPING
        while any(worker in self._workers for worker in busy) and time.monotonic() < until:
            self._listen(0.1)
        for worker in list(self._workers):
            self._signal(worker, signal.SIGKILL)
            self._bury(worker)

    def close(self) -> None:
        self.drop()
        self._selector.close()

    # ------------------------------------------------------------------ workers

    def _hand_out(self) -> None:
        """Give waiting tasks to workers that have none, and start new ones as long as there is room."""
        for worker in [one for one in self._workers if one.task is None]:
            if worker.process.poll() is not None:  # killed between two tasks
                self._bury(worker)
        while self._waiting:
            idle = next((one for one in self._workers if one.task is None), None)
            if idle is None:
                if len(self._workers) >= self._slots:
                    return
                idle = self._start()
            # It is the worker's before it is out of the queue: a signal in between loses none.
            idle.task, idle.since = self._waiting[0], None
            self._waiting.popleft()
            line = json.dumps(idle.task.as_json()) + "\n"
            assert idle.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its end is heard of next
                idle.process.stdin.write(line.encode())
                idle.process.stdin.flush()

    def _start(self) -> _Worker:
        process = subprocess.Popen(
            self._program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=self._environment,
        )
        worker = _Worker(process)
        assert process.stdout is not None
        self._workers.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _listen(self, seconds: float) -> None:
        """Take in what workers say, for so long at most."""
        for key, _ in self._selector.select(seconds):
            self._take_in(key)

    def _take_in(self, key: selectors.SelectorKey) -> None:
        worker: _Worker = key.data
        piece = os.read(key.fd, 65536)
        if not piece:
            self._bury(worker)
            return
        *lines, worker.rest = (worker.rest + piece).split(b"\n")
        for values in map(json.loads, lines):
            if BEGAN in values:
                worker.since = time.time()
            else:
                self._ended.append(from_json(PointEnd, values))
                worker.task = None

    def _bury(self, worker: _Worker) -> None:
        """A worker has ended; the try that it was at has too."""
        assert worker.process.stdout is not None
        assert worker.process.stdin is not None
        self._selector.unregister(worker.process.stdout)
        self._workers.remove(worker)
        worker.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        code = worker.process.wait()
        if worker.task is not None:
            now = time.time()
            since = now if worker.since is None else worker.since
            self._ended.append(
                without_word(
                    worker.task,
                    started=since,
                    seconds=now - since,
                    host=socket.gethostname(),
                    worker=worker.name,
                    reason=f"the worker {_end(code)}",
                )
            )

    def _kill_stuck(self) -> None:
        """A worker that neither a signal nor its own clock has ended when its time was over."""
        for worker in self._workers:
            if worker.task is not None and time.time() > self._limit(worker):
                self._signal(worker, signal.SIGKILL)

    def _next_look(self) -> float:
        """Seconds until a worker may have to be killed."""
        limits = [self._limit(worker) for worker in self._workers if worker.task is not None]
        return max(0.1, min((limit - time.time() for limit in limits), default=3600.0))

    @staticmethod
    def _limit(worker: _Worker) -> float:
        timeout = worker.task.timeout if worker.task is not None else None
        if timeout is None or worker.since is None:
            return float("inf")
        return worker.since + timeout + 2 * GRACE

    @staticmethod
    def _signal(worker: _Worker, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signum)


def _end(code: int) -> str:
    """How a process ended, behind its name."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
