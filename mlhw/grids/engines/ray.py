"""``--engine ray[://HOST:PORT][,KEY=VALUE…]``: points on the nodes of a Ray cluster.

The cluster is one that runs already; this machine is a node of it. Everything that is said to Ray goes
through a process of its own (``cluster/liaison.py``). What works, and what has ended and is not fetched yet,
is kept by the cluster (``cluster/desk.py``): this process may be killed, and another takes up where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlhw.errors import ConfigError, RunError
from mlhw.experiments.registry import experiment
from mlhw.grids.addresses import Settings, amount, split
from mlhw.grids.engines.cluster.connection import CONNECT_S, Connection, Gone
from mlhw.grids.engines.local import PROGRAM, program_of
from mlhw.grids.materials import Material, materials
from mlhw.grids.tasks import PointEnd, PointTask, Site, from_json, without_word
from mlhw.system.files import discard, write_whole
from mlhw.text.plain_files import read_plain
from mlhw.text.values import is_digits

DESK = ".ray.json"
"""In a grid's folder, while a cluster works on it or has results for it: the name of its desk."""

_REACH_S = 5.0
_PROBE_S = 180.0
_ANSWER_S = 60.0
_STOPPING = 9.0
_MOST_LOSSES = 5


def open_engine(argument: str | None, site: Site) -> RayEngine:
    """The engine for ``ray``, ``ray://HOST:PORT``, and with ``,num_cpus=2,num_gpus=0.5`` behind.

    A point takes as many CPUs as it has threads, and a GPU where its device is one, unless said otherwise.
    """
    settings = split("ray", argument, {"num_cpus": amount, "num_gpus": amount})
    if find_spec("ray") is None:
        raise ConfigError("--engine ray: Ray is not installed; pip install 'mlhw[ray]'")
    address = _address(settings)
    cpus = settings.values.get("num_cpus", float(site.threads))
    gpus = settings.values.get("num_gpus", 0.0 if site.device == "cpu" else 1.0)
    if ":" in site.device:
        raise ConfigError(
            f"--engine ray: a worker sees only the GPUs that it is lent; not {site.device}, but cuda"
        )
    program = program_of(site, python="")
    own = None if program == PROGRAM else program
    engine = RayEngine(address, cpus, gpus, site.points, own)
    try:
        engine.open(site)
    except BaseException:
        engine.leave()
        raise
    return engine


def _address(settings: Settings) -> str:
    """Ray's own word for where the cluster is; raises ConfigError for one that nothing answers at."""
    address = settings.place.removeprefix("//") or os.environ.get("RAY_ADDRESS", "auto")
    if address == "auto":
        return address
    host, _, port = address.rpartition(":")
    if not host or not is_digits(port) or int(port) > 65535 or "/" in address:
        raise ConfigError(
            f"--engine ray://{address}: must be ray://HOST:PORT, such as ray://10.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else str(error.strerror or error)
        raise ConfigError(
            f"--engine ray://{address}: not reachable: {reason.lower()}; is the cluster up (ray status)?"
        ) from None
    return address


class RayEngine:
    """See ``tasks.Engine``."""

    def __init__(
        self,
        address: str,
        cpus: float,
        gpus: float,
        points: int,
        program: Sequence[str] | None = None,
    ) -> None:
        self._address = address
        self._needs = {"cpus": cpus, "gpus": gpus}
        self._points = points
        self._program = program
        self._site: Site | None = None
        self._slots = 1
        self._name: str | None = None
        self._folder: Path | None = None
        self._tasks: dict[int, PointTask] = {}
        self._begun: dict[int, float] = {}
        self._ended: deque[PointEnd] = deque()
        self._told: list[PointEnd] = []
        self._known: set[tuple[int, int]] = set()
        self._seen: set[str] = set()
        self._send: dict[str, Material] = {}
        self._losses = 0
        self._news = 0
        self._connection: Connection | None = None

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def working(self) -> frozenset[int]:
        return frozenset(self._tasks)

    # ------------------------------------------------------------------ the engine

    def open(self, site: Site) -> None:
        """Connect, and look for mlhw and the points' data on every node. Raises ConfigError."""
        self._site = site
        try:
            self._connect()
            nodes = self._ask("probed", _PROBE_S, do="probe", materials=[])
            if lines := self._differences(nodes, site.version):
                raise ConfigError(*lines)
            self._find_missing(site.experiment, site.configs)
        except Gone as error:
            raise ConfigError(f"{self._words}: {error}") from None

    def recovered(self, folder: Path) -> Sequence[PointEnd]:
        self._folder = folder
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._name = str(json.loads(read_plain(folder / DESK, 1000))["desk"])
        if self._name is not None and not self._sit_down(self._name, new=False):
            self._name = None
        if self._name is not None:
            self._hear(until=time.monotonic() + _ANSWER_S, news=True)
        return self._take()

    def submit(self, tasks: Sequence[PointTask]) -> None:
        if not tasks:
            return
        self._find_missing(tasks[0].experiment, [task.config for task in tasks])
        for task in tasks:
            self._tasks[task.point] = task
        if self._name is None:
            self._new_desk()
        self._hand_over(tasks)

    def ended(self, seconds: float) -> Sequence[PointEnd]:
        if self._told:
            tries = [(end.point, end.attempt) for end in self._told]
            self._say(do="forget", tries=tries)
            self._told = []
        if not self._ended:
            self._hear(until=time.monotonic() + seconds)
        return self._take()

    def drop(self) -> None:
        if self._name is None or not self._tasks:
            return
        until = time.monotonic() + _STOPPING
        self._say(do="drop")
        heard: list[PointEnd] = []
        while self._tasks and time.monotonic() < until:
            self._hear(until=min(until, time.monotonic() + 0.5))
            heard += self._ended
            self._ended.clear()  # with an end in it nothing more is heard
        self._ended.extend(heard)
        self._tasks.clear()

    def close(self) -> None:
        """Also the desk goes, with what it has."""
        self.drop()
        if self._name is not None:
            with contextlib.suppress(Gone):
                self._ask("closed", _STOPPING, do="close")
                if self._folder is not None:
                    discard(self._folder / DESK)
        self.leave()

    def leave(self) -> None:
        """Go, and let what works work on: the user has logged out."""
        self._name = None
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.kill()
            self._connection = None

    # ------------------------------------------------------------------ data

    def _find_missing(self, name: str, configs: Sequence[Mapping[str, Any]]) -> None:
        """Find out which materials some node has not got, to be sent; raises ConfigError if one cannot be."""
        found = {one.path: one for config in configs for one in self._materials(name, config)}
        new = {path: one for path, one in found.items() if path not in self._seen}
        if not new:
            return
        self._seen |= set(new)
        nodes = self._ask(
            "probed", _PROBE_S, do="probe", materials=[asdict(one) for one in new.values()]
        )
        missing = {digest: node["host"] for node in nodes for digest in node.get("missing", ())}
        lines = [
            f"{self._words}: {missing[one.sha256]} has not got {one.path}, and it is too large to be sent"
            "; copy it there"
            for one in new.values()
            if one.sha256 in missing and not one.can_be_sent
        ]
        if lines:
            raise ConfigError(*lines)
        self._send |= {path: one for path, one in new.items() if one.sha256 in missing}

    def _materials(self, name: str, config: Mapping[str, Any]) -> list[Material]:
        model = None if self._site is None else self._site.model
        if model is None and not name:
            return []
        try:
            return materials(model or experiment(name).Config, config)
        except OSError as error:
            raise RunError(f"{error.filename}: cannot be read: {error.strerror}") from None

    # ------------------------------------------------------------------ the desk

    def _new_desk(self) -> None:
        name = f"grid-{secrets.token_hex(8)}"
        if self._folder is not None:  # before it is there: a desk is never without its name
            write_whole(self._folder / DESK, json.dumps({"desk": name}) + "\n")
        self._name = name
        self._sit_down(name, new=True)

    def _sit_down(self, name: str, *, new: bool) -> bool:
        """Go to a desk, or set up a new one; False if there is none of this name."""
        try:
            tasks = self._ask(
                "tasks",
                CONNECT_S,
                do="desk",
                name=name,
                new=new,
                known=list(self._known),
                program=self._program,
                **self._needs,
            )
        except Gone as error:
            raise RunError(f"{self._words}: {error}; {self._later}") from None
        for task in tasks or ():
            self._tasks.setdefault(task["point"], from_json(PointTask, task))
        return tasks is not None

    def _hand_over(self, tasks: Sequence[PointTask]) -> None:
        for start in range(0, len(tasks), 100):
            some = tasks[start : start + 100]
            wanted = [
                [asdict(one) for one in self._materials(task.experiment, task.config)]
                for task in some
            ]
            pairs = [(task.as_json(), has) for task, has in zip(some, wanted, strict=True)]
            self._say(do="submit", tasks=pairs, send=[asdict(one) for one in self._send.values()])

    def _lost(self) -> None:
        """The machine with the desk is gone: what had begun has died, the rest is handed out anew."""
        self._losses += 1
        self._name = None
        for point, since in self._begun.items():
            if task := self._tasks.pop(point, None):
                self._ended.append(
                    without_word(
                        task, started=since, seconds=time.time() - since, host="", worker="",
                        reason="the machine that keeps the results died",
                    )
                )  # fmt: skip
        self._begun.clear()
        if self._tasks:
            if self._losses > _MOST_LOSSES:
                raise RunError(f"{self._words}: lost again and again; {self._later}")
            self._new_desk()
            self._hand_over(list(self._tasks.values()))

    # ------------------------------------------------------------------ the liaison

    @property
    def _words(self) -> str:
        return "--engine ray" if self._address == "auto" else f"--engine ray://{self._address}"

    @property
    def _later(self) -> str:
        command = "grid" if self._site is None else self._site.command
        return f"when it is back: mlhw {command} --resume {self._folder}"

    def _connect(self) -> None:
        """Start a liaison and connect it. Raises Gone with the reason, ConfigError where no point fits."""
        self._connection = Connection()
        slots = self._ask("slots", CONNECT_S, do="open", address=self._address, **self._needs)
        if slots < 1:
            need = ", ".join(f"{value:g} {kind}" for kind, value in self._needs.items() if value)
            raise ConfigError(f"{self._words}: no node of the cluster has {need} for a point")
        self._slots = max(1, min(slots, self._points))

    def _reconnect(self) -> None:
        """A liaison has ended that nobody ended; the next one goes on at the same desk."""
        self._hang_up()
        self._losses += 1
        if self._losses > _MOST_LOSSES:
            raise RunError(f"{self._words}: the cluster is gone; {self._later}")
        try:
            self._connect()
        except (Gone, ConfigError) as error:
            raise RunError(f"{self._words}: {error}; {self._later}") from None
        if self._name is None:
            return
        if self._sit_down(self._name, new=False):
            self._hand_over(list(self._tasks.values()))  # what the last one may not have heard
        else:
            self._lost()

    def _ask(self, answer: str, seconds: float, **request: Any) -> Any:
        assert self._connection is not None
        return self._connection.ask(answer, seconds, self._take_in, **request)

    def _say(self, **request: Any) -> None:
        if self._connection is not None:
            self._connection.say(**request)

    def _hear(self, until: float, *, news: bool = False) -> None:
        """Take in what is said, until something has ended, or, with ``news``, the desk has reported."""
        before = self._news
        while not self._ended and not (news and self._news > before):
            assert self._connection is not None
            said = self._connection.hear(until)
            if said is not None:
                self._take_in(said)
            elif self._connection.ended:
                self._reconnect()
            if time.monotonic() >= until:
                return

    def _take_in(self, said: Mapping[str, Any]) -> None:
        if "lost" in said:
            self._lost()
        elif "failed" in said:
            self._reconnect()  # the next one asks the desk anew
        elif "ended" in said:
            self._news += 1
            self._losses = 0 if said["begun"] else self._losses
            for point in said["begun"]:
                self._begun.setdefault(point, time.time())
            for end in said["ended"]:
                self._losses = 0
                self._begun.pop(end["point"], None)
                self._tasks.pop(end["point"], None)
                self._known.add((end["point"], end["attempt"]))
                self._ended.append(from_json(PointEnd, end))

    def _take(self) -> list[PointEnd]:
        found = []
        while self._ended:
            found.append(self._ended.popleft())
        self._told += found
        return found

    def _differences(self, nodes: Sequence[Mapping[str, Any]], version: str) -> list[str]:
        """A line for each node whose workers cannot do what this mlhw would."""
        lines = []
        for node in nodes:
            where = f"{self._words}: {node['host']}"
            if "error" in node:
                lines.append(f"{where} cannot work: {node['error']}")
            elif node["version"] is None:
                lines.append(f"{where} has no mlhw; there: pip install mlhw=={version}")
            elif node["version"] != version:
                lines.append(
                    f"{where} has mlhw {node['version']}, this is {version}; "
                    f"there: pip install mlhw=={version}"
                )
        return list(dict.fromkeys(lines))
