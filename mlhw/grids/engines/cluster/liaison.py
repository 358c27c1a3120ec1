"""``python -m mlhw.grids.engines.cluster.liaison``: what is connected to Ray for a grid's driver.

It is a process of its own because Ray's library ends the one it is in when the cluster is gone, waits where
it cannot be interrupted, and takes over signals. It reads one request a line from stdin, and answers on a
pipe whose number is its argument, one JSON object a line. It may be killed at any moment: the desk, and all
that works, stay; the next one finds them by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhw.errors import FAILED, RunError, reason_of
from mlhw.grids import parcels
from mlhw.grids.engines.cluster import desk, probing
from mlhw.grids.materials import Material, files_of
from mlhw.grids.work import remove_point
from mlhw.runs.history import run_at
from mlhw.runs.verification import verified
from mlhw.system import temporaries

NAMESPACE = "mlhw"
_POLL_S = 2.0
_ASK_S = 60.0


class Liaison:
    """The connection, and what it knows of the grid: where folders go, and what was asked for."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._writing = threading.Lock()
        self._desk: Any = None
        self._folders: dict[int, str] = {}
        self._stocked: set[str] = set()
        self._fetched: set[tuple[int, int]] = set()

    def say(self, **answer: Any) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with self._writing:
            while data:
                data = data[os.write(self._answers, data) :]

    # ------------------------------------------------------------------ requests

    def open(self, request: Mapping[str, Any]) -> None:
        """Connect to a cluster; says how many points of so many CPUs and GPUs it takes at once."""
        import ray

        ray.init(
            address=request["address"],
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
        )
        self.say(slots=_slots(ray.nodes(), request["cpus"], request["gpus"]))

    def probe(self, request: Mapping[str, Any]) -> None:
        """Ask every node for its version of mlhw, and for the materials that it has not got."""
        self.say(probed=probing.answers(request["materials"]))

    def desk(self, request: Mapping[str, Any]) -> None:
        """Find the desk of this name, or set one up on this machine, which is as safe as the driver's is.

        Says the tasks that are at work there, or that there is no such desk and none is to be new.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        found = None
        with contextlib.suppress(ValueError):
            found = ray.get_actor(request["name"])
        if found is None and not request["new"]:
            self.say(tasks=None)
            return
        if found is None:
            here = ray.get_runtime_context().get_node_id()
            found = (
                ray.remote(desk.Desk)
                .options(
                    name=request["name"],
                    lifetime="detached",
                    num_cpus=0,
                    max_concurrency=1000,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
                )
                .remote(request["cpus"], request["gpus"], request["program"])
            )
        try:
            tasks = ray.get(found.tasks.remote(), timeout=_ASK_S)
        except ray.exceptions.RayActorError:
            self.say(tasks=None)
            return
        self._desk, self._stocked = found, set()
        self._fetched = {(point, attempt) for point, attempt in request["known"]}
        self._folders |= {task["point"]: task["folder"] for task in tasks}
        self.say(tasks=[task for task in tasks if not task["ended"]])
        threading.Thread(target=self._watch, args=(found,), daemon=True).start()

    def submit(self, request: Mapping[str, Any]) -> None:
        """Hand tasks to the desk; ``send`` are the materials that some node has not got."""
        import ray

        for one in request["send"]:
            if one["sha256"] not in self._stocked:
                ray.get(self._desk.stock.remote(one["sha256"], _bytes_of(Material(**one))))
                self._stocked.add(one["sha256"])
        for task, _ in request["tasks"]:
            self._folders[task["point"]] = task["folder"]
        ray.get(self._desk.submit.remote(request["tasks"]), timeout=_ASK_S)

    def forget(self, request: Mapping[str, Any]) -> None:
        """The driver knows what came of these tries."""
        import ray

        ray.get(self._desk.forget.remote(request["tries"]), timeout=_ASK_S)

    def drop(self, _request: Mapping[str, Any]) -> None:
        """Stop what works; the answer comes when it has ended."""
        import ray

        ray.get(self._desk.drop.remote(), timeout=_ASK_S)
        self.say(dropped=True)

    def close(self, _request: Mapping[str, Any]) -> None:
        """The grid is at its end: the desk goes."""
        import ray

        if self._desk is not None:
            ray.kill(self._desk)
        self.say(closed=True)

    # ------------------------------------------------------------------ what comes back

    def _watch(self, found: Any) -> None:
        """Pass on what a desk has, in a thread of its own, as long as it is there."""
        import ray

        while True:
            try:
                news = ray.get(found.news.remote(_POLL_S), timeout=_ASK_S)
            except Exception as error:
                self.say(lost=desk.first_line(error))
                return
            ended = []
            for said, refs in news["done"]:
                one = json.loads(said)
                try_ = (one["point"], one["attempt"])
                if try_ not in self._fetched:
                    ended.append(self._fetch(one, refs))
                    self._fetched.add(try_)
            self.say(begun=news["begun"], ended=ended)

    def _fetch(self, end: dict[str, Any], refs: Sequence[Any]) -> dict[str, Any]:
        """Put the folder of a try where it belongs, and return how the try ended."""
        import ray

        digest, end["archive"] = end.get("archive"), None
        if not refs:
            return end
        try:
            data = memoryview(ray.get(refs[0], timeout=600))
            _settle(data, digest, Path(self._folders[end["point"]]))
        except RunError as error:
            return end | {"status": "failed", "exit_code": FAILED, "reason": str(error)}
        except OSError as error:
            reason = f"{error.filename}: {reason_of(error)}"
            return end | {"status": "failed", "exit_code": FAILED, "reason": reason}
        except ray.exceptions.RayError:
            reason = "the machine that had its folder died"
            return end | {"status": "died", "exit_code": None, "reason": reason}
        return end


def _settle(data: memoryview, digest: str | None, folder: Path) -> None:
    """Unpack a run folder beside its place, check it, and put it there. Raises RunError or OSError."""
    temporaries.sweep(folder.parent)
    staging = temporaries.temporary_of(folder)
    temporaries.remove(staging)
    try:
        parcels.unpack_folder(data, digest or "", staging)
        found = verified(run_at(staging))
        if not found.sound:
            files = ", ".join([*found.named("changed"), *found.named("missing")][:5])
            raise RunError(f"its folder has not come home whole: {found.note or files}")
        remove_point(folder)
        staging.rename(folder)
    finally:
        temporaries.remove(staging)


def _bytes_of(one: Material) -> Any:
    """A material as an array of bytes, read from the disk as it is needed."""
    import numpy as np

    if not one.folder:
        return np.fromfile(one.path, np.uint8)
    with tempfile.TemporaryDirectory(prefix="mlhw-") as space:
        parcel = parcels.pack_folder(Path(one.path), Path(space, "parcel.zip"), files_of(one.path))
        return np.fromfile(parcel.path, np.uint8)


def _slots(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> int:
    """How many points work at once on these nodes."""
    total = 0
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            wanted = {"CPU": cpus, "GPU": gpus}
            parts = [has.get(kind, 0.0) // need for kind, need in wanted.items() if need]
            total += int(min(parts, default=1))
    return total


def answer_requests() -> None:
    """Answer the requests of stdin until it ends."""
    liaison = Liaison(int(sys.argv[1]))
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    for line in requests:
        request = json.loads(line)
        try:
            getattr(liaison, request["do"])(request)
        except Exception as error:
            liaison.say(
                failed=request["do"], kind=type(error).__name__, error=desk.first_line(error)
            )
    os._exit(0)  # Ray's own end would wait


if __name__ == "__main__":
    answer_requests()
