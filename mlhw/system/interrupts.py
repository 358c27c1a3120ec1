"""Ctrl-C, SIGTERM and SIGHUP: stop within half a second, but never in the middle of a write.

A signal raises ``Interrupted`` in the main thread at once. Inside ``hold()`` it waits for the end of
the block. A second signal ends the process on the spot; a second SIGHUP does not, since a terminal
that is closed often sends more than one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mlhw.errors import Interrupted

# Windows has no SIGHUP.
_HANGUP = getattr(signal, "SIGHUP", None)


class Interrupts:
    """Handlers for the time of one run; what was installed before is put back.

    ``pending`` is the signal that came and has not yet been raised.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._held = 0
        self._signalled = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._handle)
        # nohup has it ignored.
        if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
            self._before[_HANGUP] = signal.signal(_HANGUP, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._signalled:
            if signum == _HANGUP:
                return
            os._exit(128 + signum)
        self._signalled = True
        self.pending = signum
        if not self._held:
            self.raise_pending()

    def raise_pending(self) -> None:
        """Raise ``Interrupted`` if a signal is waiting."""
        if self.pending is not None:
            signum, self.pending = self.pending, None
            raise Interrupted(signum)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep signals waiting until the block is done; of nested blocks, until the outermost is."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if not self._held:
            self.raise_pending()

    @contextmanager
    def released(self) -> Iterator[None]:
        """A block inside ``hold`` in which signals act at once again, also one that has been waiting."""
        held, self._held = self._held, 0
        try:
            self.raise_pending()
            yield
        finally:
            self._held = held
