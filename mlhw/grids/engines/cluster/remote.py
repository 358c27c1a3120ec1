"""What a worker of Ray's calls: one try at a point, in a process of its own, in scratch space."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mlhw.errors import RunError
from mlhw.grids.elsewhere import scratch, work_elsewhere
from mlhw.grids.engines.local import PROGRAM, LocalEngine
from mlhw.grids.materials import Material, is_here
from mlhw.grids.tasks import PointEnd, PointTask, from_json
from mlhw.grids.work import installed_version
from mlhw.text.values import bytes_text

# The process that works, for the tries that follow: its libraries are loaded.
_kept: dict[tuple[int, str, tuple[str, ...]], LocalEngine] = {}


def attempt(
    values: Mapping[str, Any],
    wanted: Sequence[Mapping[str, Any]],
    stock: Mapping[str, Any],
    desk: Any,
    program: Sequence[str] | None,
) -> tuple[str, Any]:
    """Work on a task; returns how it ended as JSON, and the packed run folder as an array of bytes, or None.

    ``stock`` has references to materials, by digest; they are fetched only where they are not at their
    path. ``desk`` is told that the try has begun. ``program`` is the process that works, if it is not the
    usual one; an empty word in it is this machine's Python. Cancelled, it stops the run in good order.
    """
    import numpy as np
    import ray

    task = from_json(PointTask, values)
    desk.began.remote(task.point, task.attempt)
    materials = [Material(**one) for one in wanted]

    def send(digest: str) -> memoryview:
        one = next(one for one in materials if one.sha256 == digest)
        if digest not in stock:
            size = bytes_text(one.bytes)
            raise RunError(
                f"{socket.gethostname()}: {one.path} ({size}) is not there; copy it there"
            )
        return memoryview(ray.get(stock[digest]))

    with scratch(f"{task.point:04d}") as space:
        ended, parcel = work_elsewhere(task, materials, send, partial(_work, program), space)
        found = ended.as_json()
        if parcel is None:
            return json.dumps(found), None
        found["archive"] = parcel.sha256
        # Still there when its name is gone; it is copied into shared memory from the disk.
        return json.dumps(found), np.memmap(parcel.path, np.uint8, "r")


def _work(program: Sequence[str] | None, task: PointTask) -> PointEnd:
    command = tuple(word or sys.executable for word in program or PROGRAM)
    kind = (task.threads, os.environ.get("CUDA_VISIBLE_DEVICES", ""), command)
    engine = _kept.pop(kind, None)
    for other in _kept.values():
        other.close()
    _kept.clear()
    engine = engine or LocalEngine(1, task.threads, command)
    try:
        engine.submit([task])
        while not (found := engine.ended(0.5)):
            pass
    except BaseException as error:  # cancelled
        engine.drop()
        engine.close()
        if not isinstance(error, KeyboardInterrupt):
            raise
        return PointEnd(
            task.point, task.attempt, "interrupted", None, "stopped", time.time(), 0.0,
            socket.gethostname(), f"process {os.getpid()}",
        )  # fmt: skip
    _kept[kind] = engine
    return found[0]


def look_for(wanted: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The version of mlhw here, and the digests of the materials that are not at their path."""
    return installed_version(), [one["sha256"] for one in wanted if not is_here(Material(**one))]


def guarded_look() -> Callable[[Sequence[Mapping[str, Any]]], tuple[str | None, list[str]]]:
    """``look_for`` as a function that also works, and says None, where there is no mlhw.

    Being made here, it travels as code and not as a name to be imported.
    """

    def guarded(wanted: Any) -> Any:
        try:
            from mlhw.grids.engines.cluster import remote
        except ImportError:
            return None, []
        return remote.look_for(wanted)

    return guarded
