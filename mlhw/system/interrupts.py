"""Ctrl-C, SIGTERM and SIGHUP: stop within half a second, never in the middle of a write, never unheard.

A signal raises ``Interrupted`` in the main thread, once; inside ``hold()`` at the end of the block. Code
that Python runs for others may swallow it: callbacks from C, ``__del__``, drawing in C++. So the request
stands until ``acknowledge()``: each line, row and report of progress raises it again, unless it is on its
way already. A second thread (``watcher.py``) gives the main thread ``PROMPT`` seconds, and ``UNWINDING``
while the exception is on its way or the block of a ``hold()`` goes on; then it says how the work ended and
ends the process. A second signal does so at once; a second SIGHUP does not, since a terminal that is
closed often sends more than one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Literal

from mlhw.errors import Interrupted
from mlhw.system import early
from mlhw.system.early import HANGUP
from mlhw.system.pipes import inherited_pipe
from mlhw.system.watcher import Watcher

PROMPT = 0.3
"""Seconds after a signal until the main thread must have taken notice."""

UNWINDING = 5.0
"""Seconds that cleaning up, or the block of a ``hold()``, may take after a signal."""

_ARRIVED = 0.1  # seconds that an exception needs from where it is raised to where it is caught
_IMPATIENT = 0.2  # seconds that a second signal waits for the end of a write

LIFELINE = "MLHW_LIFELINE"
"""Environment variable with the number of a pipe whose other end only the starting process has."""


class Interrupts:
    """Handlers for the time of one piece of work; what was installed before is put back.

    One within another takes the signals until it is left.

    ``last_words`` is called in another thread before it ends the process for the main thread, and may know a
    better exit code. Without
    ``repeats_end`` a second signal changes nothing: of several processes each gets those of all.
    """

    def __init__(self, *, repeats_end: bool = True) -> None:
        self.repeats_end = repeats_end
        self.last_words: Callable[[Interrupted], int | None] = early.last_words
        self._signum: int | None = None  # as the main thread knows it
        self._seen = 0  # the same, as the watcher does
        self._raised: float | None = None
        self._arrived = 0.0
        self._state: Literal["working", "acknowledged", "ended"] = "working"
        self._code: int | None = None
        self._held = 0
        self._patience = [UNWINDING]
        # Held wherever the process must not be ended in the middle.
        self._writing = threading.Lock()
        self._before: dict[int, Any] = {}
        self._hook: Any = None
        self._watcher: Watcher | None = None

    # ------------------------------------------------------------------ for the time of the work

    def __enter__(self) -> Interrupts:
        raise_pending()  # what the work that this one is a part of has swallowed
        self._enter_hold()
        early.ended(None)
        if threading.current_thread() is threading.main_thread():
            self._install()
        self._leave_hold()
        if self._signum is not None:
            self._remove()
            raise Interrupted(self._signum)
        _active.append(self)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        """Raises Interrupted for a signal that something has swallowed, whatever else was raised."""
        self._enter_hold()
        _active.remove(self)
        swallowed = self._signum is not None and self._state == "working"
        if swallowed and not isinstance(error, Interrupted):
            self._remove()
            raise self._interrupted() from error
        self._state = "acknowledged" if self._state == "working" else self._state
        self._leave_hold()
        self._remove()

    def _install(self) -> None:
        signals = [signal.SIGINT, signal.SIGTERM]
        # nohup has it ignored.
        if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
            signals.append(HANGUP)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        if os.name == "posix":
            try:
                self._watcher = Watcher(
                    signals, inherited_pipe(LIFELINE), self._first, self._again, self._look
                )
            except (OSError, RuntimeError):
                # No thread, or no pipe, can be had: the handler does what it can.
                self._watcher = None
        for signum in signals:
            self._before[signum] = signal.signal(signum, self._handle)

    def _remove(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._hook is not None:
            sys.unraisablehook, self._hook = self._hook, None

    def _unraisable(self, unraisable: Any) -> None:
        """Say nothing of an ``Interrupted`` that was thrown away: it comes again."""
        if not isinstance(unraisable.exc_value, Interrupted):
            self._hook(unraisable)

    # ------------------------------------------------------------------ in the main thread

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is None:
            self._signum, self._arrived = signum, time.monotonic()
            self.raise_pending()
        elif self._watcher is None and signum != HANGUP and self.repeats_end:
            self._end_process(signum)

    def raise_pending(self) -> None:
        """Raise ``Interrupted`` if a signal has come, nothing holds it and it is not on its way already.

        Does nothing in other threads than the main one.
        """
        if (
            self._signum is not None
            and self._state == "working"
            and not self._held
            and threading.current_thread() is threading.main_thread()
            and not _has_interrupted(sys.exception())
        ):
            if self._raised is None:
                self._raised = time.monotonic()
            raise Interrupted(self._signum)

    def ending(self, error: Exception | Interrupted) -> Exception | Interrupted:
        """What ended the work: ``error``, or the signal that came before it and that it may be due to."""
        if self._signum is None or isinstance(error, Interrupted):
            return error
        return self._interrupted()

    def acknowledge(self) -> None:
        """The work has stopped, or what is left of it is in good hands: nothing is raised any more."""
        self._enter_hold()
        self._state = "acknowledged"
        self._leave_hold()

    def ended(self, code: int) -> None:
        """How the work ended is recorded and said; a signal changes the exit code no more.

        Nor in what this work is a part of.
        """
        for one in {self, *_active}:
            one._enter_hold()
            one._state, one._code = "ended", code
            one._leave_hold()
        early.ended(code)

    def _interrupted(self) -> Interrupted:
        assert self._signum is not None
        return Interrupted(self._signum)

    # ------------------------------------------------------------------ blocks

    @contextmanager
    def hold(self, patience: float = UNWINDING) -> Iterator[None]:
        """Keep signals waiting until the block is done; of nested blocks, until the outermost is.

        ``patience`` are the seconds after a signal that the block may take.
        """
        self._enter_hold()
        self._patience.append(max(patience, self._patience[-1]))
        try:
            yield
        finally:
            self._patience.pop()
            self._leave_hold()
        self.raise_pending()

    @contextmanager
    def released(self) -> Iterator[None]:
        """A block inside ``hold`` in which signals act at once again, also one that has been waiting."""
        held, patience = self._held, self._patience
        if held:
            self._writing.release()
        try:
            self._held, self._patience = 0, [UNWINDING]
            self.raise_pending()
            yield
        finally:
            self._held, self._patience = held, patience
            if held:
                self._writing.acquire()

    def _enter_hold(self) -> None:
        self._held += 1
        if self._held == 1:
            self._writing.acquire()

    def _leave_hold(self) -> None:
        if self._held == 1:
            self._writing.release()
        self._held -= 1

    # ------------------------------------------------------------------ in the watcher's thread

    def _first(self, signum: int) -> None:
        self._arrived = time.monotonic()
        self._seen = signum

    def _again(self, signum: int) -> None:
        if signum == HANGUP or not self.repeats_end:
            return
        # A row is not torn where that costs no time.
        self._writing.acquire(timeout=_IMPATIENT)
        self._end_process(signum)

    def _look(self, waited: float) -> bool:
        """End the process if the main thread has had its time; False once it has taken notice."""
        if self._state != "working":
            return False
        raised = max(0.0, (self._raised or self._arrived) - self._arrived)
        held = self._held
        if held:
            limit = raised + self._patience[-1]
        elif _has_interrupted(_exception_of_main()):
            limit = raised + UNWINDING
        else:
            limit = max(PROMPT, raised + _ARRIVED)
        if waited < limit:
            return True
        # Where the main thread writes, the end waits, unless that takes too long; then it can begin none.
        free = self._writing.acquire(blocking=False)
        if self._state == "working" and (free or held):
            self._end_process(self._seen)
        if free:
            self._writing.release()
        return True

    def _end_process(self, signum: int) -> None:
        if self._state == "ended" and self._code is not None:
            os._exit(self._code)
        code: int | None = None
        try:
            code = self.last_words(Interrupted(signum))
        finally:
            os._exit(128 + signum if code is None else code)


_active: list[Interrupts] = []


def raise_pending() -> None:
    """Raise ``Interrupted`` in the main thread if a signal has come that something has swallowed."""
    if _active:
        _active[-1].raise_pending()


def _has_interrupted(error: BaseException | None) -> bool:
    """Whether ``Interrupted`` is what is being handled, or one of the reasons for that."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        if isinstance(error, Interrupted):
            return True
        seen.add(id(error))
        waiting += [error.__context__, error.__cause__]
    return False


def _exception_of_main() -> BaseException | None:
    """The exception that the main thread is handling."""
    found: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)
    # In Python 3.11 a triple, as ``sys.exc_info()`` has it.
    error: BaseException | None = found[1] if isinstance(found, tuple) else found
    return error
