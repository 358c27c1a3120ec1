"""A thread that sees signals whatever the main thread is in, and ends the process if it must.

Python calls a handler in the main thread, between two steps of the interpreter: not while C code works,
and an exception that it raises inside a callback from C, ``__del__`` or a weak reference's callback is
thrown away. The thread is woken by the system itself (``signal.set_wakeup_fd``).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Collection

TICK = 0.02
"""Seconds between two looks at the main thread."""

TWICE = 0.05
"""Seconds within which a signal that comes again is the same one: ``timeout`` sends it to a process and
to its group."""


class Watcher:
    """Tells of signals, of the end of the process that holds the other end of a pipe, and of time.

    ``lifeline`` is the reading end of such a pipe: at its end the main thread is sent SIGTERM. The three
    functions are called in the watcher's thread: ``first`` with the first signal, ``again`` with each
    later one, and from the first on ``look`` every ``TICK``, with the seconds since then; it returns
    whether to go on looking. On a machine that is too busy to let the thread run, these seconds are longer.
    """

    def __init__(
        self,
        signals: Collection[int],
        lifeline: int | None,
        first: Callable[[int], None],
        again: Callable[[int], None],
        look: Callable[[float], bool],
    ) -> None:
        self._signals = signals
        self._lifeline = lifeline
        self._first, self._again, self._look = first, again, look
        self._main = threading.main_thread().ident or 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._thread = threading.Thread(target=self._watch, name="mlhw signals", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            os.close(self._read)
            os.close(self._write)
            raise
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def close(self) -> None:
        """Stop, and put back what was woken by signals before."""
        signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _watch(self) -> None:
        came: list[tuple[int, float]] = []
        waited, looking = 0.0, False
        sources = [self._read] if self._lifeline is None else [self._read, self._lifeline]
        while True:
            before = time.monotonic()
            ready = select.select(sources, [], [], TICK if looking else None)[0]
            if self._read in ready:
                got = self._signals_read()
                if got is None:
                    return
                for signum in got:
                    now = time.monotonic()
                    if not came:
                        looking = True
                        self._first(signum)
                    elif signum != came[-1][0] or now - came[-1][1] > TWICE:
                        self._again(signum)
                    came.append((signum, now))
            if self._lifeline in ready:
                sources = [self._read]
                # To the main thread, which may be waiting inside a system call.
                with contextlib.suppress(OSError):
                    signal.pthread_kill(self._main, signal.SIGTERM)
            if looking:
                waited += min(time.monotonic() - before, 2 * TICK)
                looking = self._look(waited)

    def _signals_read(self) -> list[int] | None:
        """The signals of ours that came; None at the end."""
        try:
            data = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        return [signum for signum in data if signum in self._signals] if data else None
