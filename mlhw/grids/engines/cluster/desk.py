"""The desk of a grid on a Ray cluster: it hands tries out, and keeps what came of them until that is fetched.

It is a detached actor with a name, so that it and all that works outlive the process that drives the grid.
Tries are not repeated here: whoever drives does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mlhw.errors import FAILED
from mlhw.grids.engines.cluster.remote import attempt

_FORGOTTEN_S = 14 * 86_400.0
"""Seconds that results wait for somebody to fetch them."""
_STOPPING = 7.0
"""Seconds that tries have to end in good order when they are dropped."""


class Desk:
    """The actor. Points are told apart by their numbers: of each, one try at a time is here."""

    def __init__(self, cpus: float, gpus: float, program: Sequence[str] | None) -> None:
        import ray

        self._attempt = ray.remote(attempt).options(
            num_returns=2, num_cpus=cpus, num_gpus=gpus, max_retries=0
        )
        self._program = program
        self._me: Any = None
        self._asked = time.monotonic()
        self._waiting_for_nobody: asyncio.Task[None] | None = None
        self._stock: dict[str, Any] = {}
        self._tries: dict[int, tuple[dict[str, Any], Any]] = {}
        self._begun: set[int] = set()
        self._done: dict[int, tuple[dict[str, Any], str, list[Any]]] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def stock(self, digest: str, data: Any) -> None:
        """Keep a material for those who have not got it."""
        import ray

        self._stock[digest] = ray.put(data)

    async def submit(self, tasks: Sequence[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
        """Hand tasks out, each with its materials; a point that is at work here is left alone."""
        import ray

        self._me = self._me or ray.get_runtime_context().current_actor
        self._waiting_for_nobody = self._waiting_for_nobody or asyncio.create_task(self._close_up())
        for task, wanted in tasks:
            point = task["point"]
            if point in self._tries:
                continue
            self._done.pop(point, None)
            stock = {one["sha256"]: self._stock.get(one["sha256"]) for one in wanted}
            had = {digest: ref for digest, ref in stock.items() if ref is not None}
            refs = self._attempt.remote(task, wanted, had, self._me, self._program)
            self._tries[point] = (task, refs[0])
            following = asyncio.create_task(self._follow(task, refs))
            self._following.add(following)
            following.add_done_callback(self._following.discard)

    async def began(self, point: int, _attempt: int) -> None:
        """A worker has taken a point up."""
        self._begun.add(point)
        self._news.set()

    async def news(self, seconds: float) -> dict[str, Any]:
        """What is at work and what is done; waits up to so long for something to be done.

        ``done`` has for each point its end as JSON, and a list with the reference to its parcel, if it has
        one. It is said again until ``forget``.
        """
        self._asked = time.monotonic()
        self._news.clear()
        if not self._done:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)
        return {
            "working": sorted(self._tries),
            "begun": sorted(self._begun & set(self._tries)),
            "done": [(said, parcels) for _, said, parcels in self._done.values()],
        }

    async def tasks(self) -> list[dict[str, Any]]:
        """The tasks that are at work or done, each with ``ended``."""
        working = [task | {"ended": False} for task, _ in self._tries.values()]
        return working + [task | {"ended": True} for task, _, _ in self._done.values()]

    async def forget(self, tries: Sequence[tuple[int, int]]) -> None:
        """These, each a point and an attempt, have been fetched."""
        for point, attempt_ in tries:
            if point in self._done and self._done[point][0]["attempt"] == attempt_:
                del self._done[point]

    async def drop(self) -> None:
        """Stop all tries, in good order as far as they can; what is done stays."""
        import ray

        for _, ref in list(self._tries.values()):
            ray.cancel(ref, force=False)
        until = time.monotonic() + _STOPPING
        while self._tries and time.monotonic() < until:
            await asyncio.sleep(0.05)
        for _, ref in list(self._tries.values()):
            with contextlib.suppress(Exception):
                ray.cancel(ref, force=True)

    async def _close_up(self) -> None:
        """Go when nobody has asked for long: a driver that never comes back leaves nothing for ever."""
        import ray

        while time.monotonic() - self._asked < _FORGOTTEN_S or self._tries:
            await asyncio.sleep(600)
        ray.actor.exit_actor()

    async def _follow(self, task: dict[str, Any], refs: Sequence[Any]) -> None:
        """Wait for the end of a try, and bring its parcel here: its own machine may be gone tomorrow."""
        import ray

        started, point, parcels = time.time(), task["point"], []
        try:
            said = await refs[0]
            data = await refs[1]
            if data is not None:
                parcels = [ray.put(data)]
            del data
        except Exception as error:
            said = json.dumps(_end(task, started, error))
        self._done[point] = (task, said, parcels)
        self._begun.discard(point)
        del self._tries[point]
        self._news.set()


def _end(task: Mapping[str, Any], started: float, error: Exception) -> dict[str, Any]:
    """The end of a try of which Ray says no more than an exception."""
    from ray import exceptions as ray_errors

    gone = (
        ray_errors.WorkerCrashedError,
        ray_errors.NodeDiedError,
        ray_errors.OutOfMemoryError,
        ray_errors.ObjectLostError,
        ray_errors.LocalRayletDiedError,
    )
    code: int | None = FAILED
    status, reason = "failed", f"Ray: {first_line(error)}"
    if isinstance(error, ray_errors.TaskCancelledError):
        status, code, reason = "interrupted", None, "stopped"
    elif isinstance(error, gone):
        status, code, reason = "died", None, _WORDS.get(type(error).__name__, reason)
    return {
        "point": task["point"],
        "attempt": task["attempt"],
        "status": status,
        "exit_code": code,
        "reason": reason,
        "started": started,
        "seconds": time.time() - started,
        "host": "",
        "worker": "",
    }


_WORDS = {
    "WorkerCrashedError": "the worker died",
    "NodeDiedError": "the worker's machine died",
    "OutOfMemoryError": "the worker was killed as its machine ran out of memory",
}


def first_line(error: Exception) -> str:
    """What an exception of Ray's says, which may be many lines: the last, as in a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
