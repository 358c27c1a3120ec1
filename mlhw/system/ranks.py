"""Several processes that work on one run, as ``torchrun`` starts them.

    found = of_environment()
    with together(found) as group:
        parts = group.gather(my_part)  # bytes of each process, in the order of their ranks

Nobody waits for a process that is gone: each wait looks at what is known of the others (``news.py``), and
ends with ``Interrupted`` where a signal has stopped one of them, with RunError where one has failed or died.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlhw.errors import (
    FAILED,
    USAGE,
    Interrupted,
    MlhwError,
    RunError,
    UsageError,
)
from mlhw.system.news import Centre, Event, News, Outpost
from mlhw.system.torchrun import Ranks, of_environment

__all__ = ["CalledOffError", "ProcessGroup", "Ranks", "call_off", "of_environment", "together"]

if TYPE_CHECKING:
    import torch
    from torch.distributed import Work

JOINING = 300.0
"""Seconds within which all processes must have come together."""

LONGEST_WAIT = 3600.0
"""Seconds that a process waits for another that is there but does not come: to read its images, say."""

_LOOK = 0.05  # seconds between two looks at the news
_NOTICED = 1.0  # seconds within which whatever waits has looked
_LATE = 2.0  # seconds that news may come after the end of a connection that they explain
_PLACE, _GONE = "mlhw news", "mlhw gone"  # keys of the store in which the processes find each other
_CALLING_OFF = 10.0  # seconds that process 0 takes to tell that it will not come
LEAVING = 60.0
"""Seconds that a process which has to end waits for process 0 to record that."""


class ProcessGroup:
    """The processes that have come together. What travels must be called for by all, in the same order.

    It does so over gloo; with ``nccl``, what is added up on GPUs over NCCL.
    """

    def __init__(self, ranks: Ranks, news: News, working: threading.Event, nccl: bool) -> None:
        self.ranks = ranks
        self.nccl = nccl
        self.news = news
        self._working = working

    @property
    def rank(self) -> int:
        return self.ranks.rank

    @property
    def world(self) -> int:
        return self.ranks.world

    @property
    def leads(self) -> bool:
        return self.ranks.leads

    # ------------------------------------------------------------------ what travels

    def gather(self, data: bytes) -> list[bytes]:
        """``data`` of every process, at every process, in the order of their ranks."""
        import torch
        from torch import distributed

        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        own = torch.tensor([len(data)], dtype=torch.int64)
        self.wait(distributed.all_gather(sizes, own, async_op=True))
        longest = max(int(size) for size in sizes)
        if not longest:
            return [b""] * self.world
        # All of one length: gloo wants it so.
        parts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.world)]
        padded = torch.frombuffer(bytearray(data.ljust(longest, b"\0")), dtype=torch.uint8)
        self.wait(distributed.all_gather(parts, padded, async_op=True))
        return [
            part.numpy().tobytes()[: int(size)] for part, size in zip(parts, sizes, strict=True)
        ]

    def broadcast(self, data: bytes | None, source: int = 0) -> bytes:
        """``data`` of the process ``source``, at every process."""
        import torch
        from torch import distributed

        own = data or b""
        size = torch.tensor([len(own)], dtype=torch.int64)
        self.wait(distributed.broadcast(size, source, async_op=True))
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.rank == source and own:
            content = torch.frombuffer(bytearray(own), dtype=torch.uint8)
        if len(content):
            self.wait(distributed.broadcast(content, source, async_op=True))
        return own if self.rank == source else content.numpy().tobytes()

    def barrier(self) -> None:
        """Wait until all are here."""
        import torch
        from torch import distributed

        self.wait(distributed.all_reduce(torch.zeros(1), async_op=True))

    def begin_sum(self, tensor: torch.Tensor) -> Work:
        """Begin to add up ``tensor`` over all processes, in place; ``end_sum`` waits for it."""
        from torch import distributed

        return distributed.all_reduce(tensor, async_op=True)  # type: ignore[no-any-return]

    def end_sum(self, work: Work, tensor: torch.Tensor) -> None:
        """Wait until ``tensor`` is added up; with NCCL, let the device wait for it, and not this process."""
        if self.nccl and tensor.is_cuda:
            work.wait()
        else:
            self.wait(work)

    def spread(self, tensor: torch.Tensor, source: int) -> None:
        """Fill ``tensor`` at every process with what the process ``source`` has in it."""
        from torch import distributed

        if tensor.numel():
            self.wait(distributed.broadcast(tensor, source, async_op=True))

    def wait(self, work: Work | None) -> None:
        """Wait until work over gloo is done.

        Raises:
            Interrupted: a signal has come to one of the processes.
            UsageError: one of them cannot use what it has been given.
            RunError: one of them has failed or died, or does not come for ``LONGEST_WAIT`` seconds.
        """
        if work is None:
            return
        until = time.monotonic() + LONGEST_WAIT
        while not work.is_completed():
            self.look()
            if time.monotonic() > until:
                raise RunError(f"another process does not come for {LONGEST_WAIT / 60:.0f} minutes")
            with contextlib.suppress(RuntimeError):  # time is up, or what follows raises it again
                work.wait(timedelta(seconds=_LOOK))
        try:
            work.wait()
        except RuntimeError as error:
            # A connection ends a moment before or after it is known whose.
            ended = time.monotonic() + _LATE
            while time.monotonic() < ended:
                self.look()
                time.sleep(_LOOK / 5)
            said = str(error).splitlines()[0]
            raise RunError(f"the processes have lost each other: {said}") from error

    # ------------------------------------------------------------------ what happens to others

    def look(self) -> None:
        """Raise what another process has to tell, if there is anything."""
        if self.news.first is not None:
            self._working.clear()
            raise _told(self.news.first, self.world)

    def reason(self, error: Exception | Interrupted) -> Exception | Interrupted:
        """What ended the work of all: ``error``, or what happened to another process before.

        Where one dies, torchrun sends SIGTERM to the others; so that is not the reason.
        """
        terminated = isinstance(error, Interrupted) and error.signum == signal.SIGTERM
        if terminated and self.news.first is None:
            time.sleep(_LOOK)  # the news may be on its way
        first = self.news.first
        if first is None:
            return error
        same = isinstance(error, Interrupted) and (first.kind, first.code) == ("stop", error.signum)
        return _told(first, self.world) if terminated or same else error

    def leave(self, error: BaseException) -> None:
        """This process cannot go on: let the others know why, unless they know that already.

        What fails everywhere for one reason is told by process 0.
        """
        if self.leads:
            self._working.clear()
        elif not isinstance(error, Interrupted):
            until = time.monotonic() + _LATE
            while self.news.first is None and time.monotonic() < until:
                time.sleep(_LOOK)
            if self.news.first is not None:
                return
        self.news.tell(self._as_event(error))

    def _as_event(self, error: BaseException) -> Event:
        if isinstance(error, Interrupted):
            return Event("stop", self.rank, error.signum)
        said = getattr(error, "lines", None) or (
            " ".join(f"{type(error).__name__}: {error}".split()),
        )
        code = error.exit_code if isinstance(error, MlhwError) else FAILED
        return Event("failed", self.rank, code, tuple(said))

    def end(self, code: int) -> None:
        """Process 0 has recorded how the run ended: the others may go, with its exit code."""
        self.news.tell(Event("end", self.rank, code))

    def wait_end(self, seconds: float | None = None) -> int | None:
        """Wait for ``end`` in process 0, and give its exit code; None where it has gone, or time is up."""
        self._working.clear()
        until = None if seconds is None else time.monotonic() + seconds
        while not self.news.ended.wait(_LOOK):
            if until is not None and time.monotonic() > until:
                return None
        return self.news.code


def _told(event: Event, world: int) -> MlhwError | Interrupted:
    """What another process has to tell, as what it means here."""
    if event.kind == "stop":
        found = Interrupted(event.code)
        found.lines = (f"{found.lines[0]}, which came to process {event.rank} of {world}",)
        return found
    who = f"process {event.rank} of {world}"
    if event.kind == "failed":
        kind = UsageError if event.code == USAGE else RunError
        return kind(*(f"{who}: {line}" for line in event.lines))
    place = f" ({', '.join(event.lines)})" if event.lines else ""
    return RunError(f"{who}{place} has died; what was saved is kept")


@contextmanager
def together(ranks: Ranks) -> Iterator[ProcessGroup]:
    """The processes, once all are there; at the end they part.

    What is told of another process is raised by whatever waits, and the main thread gets the signal that
    came to the other, else SIGTERM, so that it stops in the middle of long work too.

    Raises:
        UsageError: not all processes have come within ``JOINING`` seconds.
        CalledOffError: process 0 has ended before.
    """
    import torch
    from torch import distributed
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.rendezvous import rendezvous

    main = threading.main_thread().ident or 0
    working = threading.Event()
    working.set()
    _joined.append(True)

    def heard(event: Event) -> None:
        if event.kind == "stop":
            interrupt(event.code)
        else:
            # Whatever waits for the others finds out by itself, and may take its time to save.
            timer = threading.Timer(_NOTICED, interrupt, [signal.SIGTERM])
            timer.daemon = True
            timer.start()

    def interrupt(signum: int) -> None:
        if working.is_set():
            _signal_main(main, signum)

    # NCCL wants a GPU for each process.
    nccl = torch.cuda.device_count() >= ranks.local_world and distributed.is_nccl_available()
    try:
        limit = timedelta(seconds=JOINING)
        store, _, _ = next(rendezvous("env://", timeout=limit))
        news = _connected(ranks, store, heard)
        init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=distributed.PrefixStore("mlhw", store),  # type: ignore[attr-defined]
            rank=ranks.rank,
            world_size=ranks.world,
            timeout=timedelta(seconds=LONGEST_WAIT),
        )
    except (RuntimeError, OSError) as error:  # torch's own errors of networks are RuntimeErrors
        said = " ".join(str(error).splitlines()[:1])
        raise UsageError(
            f"process {ranks.rank} of {ranks.world}: the others are not reached at {ranks.address}:"
            f"{ranks.port} within {JOINING:.0f} seconds: {said}"
        ) from None
    group = ProcessGroup(ranks, news, working, nccl)
    try:
        yield group
    except BaseException as error:
        group.leave(error)
        if group.leads:  # with nothing to record any more
            group.end(getattr(error, "exit_code", FAILED))
        raise
    finally:
        working.clear()
        with contextlib.suppress(RuntimeError):
            destroy_process_group()
        news.close()


class CalledOffError(Exception):
    """Process 0 has ended with ``code`` before the work began."""

    def __init__(self, code: int) -> None:
        super().__init__(f"process 0 has ended with exit code {code}")
        self.code = code


def call_off(ranks: Ranks, code: int) -> None:
    """Process 0 will not come, and the others need not wait for it; nothing happens after ``together``."""
    if _joined:
        return
    from torch.distributed.rendezvous import rendezvous

    until = time.monotonic() + _CALLING_OFF
    with contextlib.suppress(RuntimeError, OSError):
        store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=_CALLING_OFF)))
        store.set(_PLACE, json.dumps({"gone": code}))
        while store.add(_GONE, 0) < ranks.world - 1 and time.monotonic() < until:
            time.sleep(_LOOK)


_joined: list[bool] = []


def _signal_main(main: int, signum: int) -> None:
    """Send a signal to the main thread; where the system has none for threads, Python makes as if."""
    if not hasattr(signal, "pthread_kill"):
        _thread.interrupt_main(signal.Signals(signum))
        return
    with contextlib.suppress(OSError):
        signal.pthread_kill(main, signum)


def _connected(ranks: Ranks, store: Any, heard: Callable[[Event], None]) -> News:
    """This process's end of the connections, once all have theirs. Raises OSError."""
    if not ranks.leads:
        place = json.loads(store.get(_PLACE))
        if "gone" in place:
            store.add(_GONE, 1)
            raise CalledOffError(place["gone"])
        return Outpost(ranks.rank, ranks.address, place["port"], place["token"], JOINING, heard)
    centre = Centre(ranks.world, heard)
    store.set(_PLACE, json.dumps({"port": centre.port, "token": centre.token}))
    if not centre.complete.wait(JOINING):
        raise OSError(f"not all of the other {ranks.world - 1} have come")
    return centre
