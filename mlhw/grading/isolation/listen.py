"""Waiting for the answers of one submission, with its time, its prints and its folder in view."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from mlhw.grading.isolation.answers import Answers, Garbled
from mlhw.grading.isolation.job import Job, Replies
from mlhw.grading.isolation.warm import STARTUP, Broken, Warm

_LOOK = 0.25
"""Seconds between two looks at the folder."""


@dataclass
class Ends:
    """The reading ends of one job's pipes, and the folder that is to be watched, if any."""

    channel: int
    stdout: int
    stderr: int
    folder: str | None
    printed: dict[int, bytearray] = field(default_factory=dict)

    def close(self) -> None:
        for number in (self.channel, self.stdout, self.stderr):
            os.close(number)


def hear(job: Job, warm: Warm, ends: Ends, replies: Replies) -> dict[str, Any] | None:
    """Fill ``replies`` until the submission is done, ends, or breaks a limit.

    Returns how it ended where that was heard already. Raises Broken where the warm process is gone.
    """
    ends.printed = {ends.stdout: bytearray(), ends.stderr: bytearray()}
    answers = Answers(job, replies)
    clock = _Clock(job)
    with selectors.DefaultSelector() as selector:
        for number in (ends.channel, ends.stdout, ends.stderr, warm):
            selector.register(number, selectors.EVENT_READ)
            if isinstance(number, int):
                os.set_blocking(number, False)
        try:
            return _until_done(selector, warm, ends, answers, clock)
        except Garbled:
            replies.error = "the process sent something that is no answer"
            return None
        finally:
            replies.loading, replies.seconds = clock.times()


def _until_done(
    selector: selectors.BaseSelector, warm: Warm, ends: Ends, answers: Answers, clock: _Clock
) -> dict[str, Any] | None:
    replies, job = answers.replies, answers.job
    while True:
        clock.follow(answers)
        if answers.done:
            return None
        left = clock.left()
        if left <= 0:
            replies.timeout = answers.ready
            replies.error = None if answers.ready else "Python did not start in time"
            return None
        for key, _ in selector.select(min(left, _LOOK)):
            if key.fileobj is warm:
                ended = warm.heard(1.0)
                while _read(ends.channel, answers.take):
                    pass
                _close_with(answers, ended)
                return ended
            more = _read(
                key.fd, answers.take if key.fd == ends.channel else _keep(ends, key.fd, job)
            )
            if not more:
                selector.unregister(key.fileobj)
        if clock.look() and ends.folder is not None and used(ends.folder) > job.limits.disk:
            replies.error = f"more than {job.limits.disk >> 20} MiB were written"
            return None


def _read(number: int, take: Any) -> bool:
    """Hand on what is there; false at the end."""
    try:
        data = os.read(number, 1 << 16)
    except BlockingIOError:
        return False
    except OSError:
        return False
    if data:
        take(data)
    return bool(data)


def _keep(ends: Ends, number: int, job: Job) -> Any:
    kept = ends.printed[number]

    def take(data: bytes) -> None:
        kept.extend(data[: max(0, job.limits.output + 1 - len(kept))])

    return take


def drain(ends: Ends, job: Job, replies: Replies) -> None:
    """What was printed, as text; the rest of it is looked at only as far as it is kept."""
    words = []
    for number, kept in ends.printed.items():
        while len(kept) <= job.limits.output and _read(number, _keep(ends, number, job)):
            pass
        found = kept[: job.limits.output].decode("utf-8", "replace")
        words.append(found + ("\n…" if len(kept) > job.limits.output else ""))
    replies.stdout, replies.stderr = words


def _close_with(answers: Answers, ended: dict[str, Any] | None) -> None:
    if answers.done:
        return
    if ended is None:
        raise Broken("the process that watches over it was killed")
    if "failed" in ended:
        raise Broken(str(ended["failed"]))
    code = int(ended["code"])
    if code >= 0:
        answers.replies.error = f"the process ended itself (exit code {code})"
        return
    name = f"signal {-code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
    answers.replies.error = f"the process was killed by {name}"


class _Clock:
    """The time that is left: to start, to load the file, to answer."""

    def __init__(self, job: Job) -> None:
        self._limits = job.limits
        self._started = self._next = time.monotonic()
        self._deadline = self._started + STARTUP
        self._end = self._deadline
        self._ready: float | None = None
        self._loaded: float | None = None

    def follow(self, answers: Answers) -> None:
        now = time.monotonic()
        if answers.ready and self._ready is None:
            self._ready = now
            self._deadline = now + self._limits.import_seconds
            # Whatever a file says in the program's name, it gets no more than both times together.
            self._end = self._deadline + self._limits.seconds + 1
        if answers.wanted is not None:
            self._deadline, answers.wanted = min(now + answers.wanted, self._end), None
        if answers.loaded and self._loaded is None:
            self._loaded = now
            self._deadline = min(now + self._limits.seconds, self._end)

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def look(self) -> bool:
        """Whether it is time to look at the folder again."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _LOOK
        return True

    def times(self) -> tuple[float, float]:
        """Seconds of loading, and of the calls."""
        now = time.monotonic()
        if self._ready is None:
            return 0.0, 0.0
        if self._loaded is None:
            return now - self._ready, 0.0
        return self._loaded - self._ready, now - self._loaded


def used(folder: str) -> int:
    """Bytes that the files of a folder take; very many files, or very deep folders, are too much."""
    total, entries = 0, 0
    todo = [folder]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as found:
            for entry in found:
                entries += 1
                if entries > 10_000 or len(entry.path) > 3000:
                    return 1 << 62
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
