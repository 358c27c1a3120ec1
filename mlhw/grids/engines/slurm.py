"""``--engine slurm[:KEY=VALUE,…]``: each point a job of an array, by submitit.

The jobs see the grid's folder, and say what came of their points in ``.slurm`` inside it, so that they are
collected also after a log-out: ``mlhw grid --resume GRID``. ``slurm:local`` starts the jobs on this machine.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mlhw.errors import ConfigError, RunError
from mlhw.grids.addresses import slurm_settings
from mlhw.grids.engines.cluster.spool import Spool, name_of, work_off
from mlhw.grids.engines.local import PROGRAM, program_of
from mlhw.grids.tasks import PointEnd, PointTask, Site, without_word
from mlhw.system.files import write_whole
from mlhw.system.provenance import usable_cpus
from mlhw.system.temporaries import process_exists
from mlhw.text.plain_files import read_plain

SPOOL = ".slurm"
_MINUTES = 60
_AT_ONCE = 256
_COMMAND_S = 30.0
_STOPPING = 8.0
_SETTLED_S = 15.0
"""Seconds that the end of a job which is gone may take to be seen here."""


def open_engine(argument: str | None, site: Site) -> SlurmEngine:
    """The engine for ``slurm``, ``slurm:KEY=VALUE,…`` and ``slurm:local,KEY=VALUE,…``."""
    settings = slurm_settings(argument)
    if find_spec("submitit") is None:
        raise ConfigError("--engine slurm: submitit is not installed; pip install 'mlhw[slurm]'")
    values = settings.values
    if settings.place == "local":
        at_once = values.get("at_once", max(1, usable_cpus() // site.threads))
        slots = min(at_once, site.points)
        return SlurmEngine(_Local(values), slots, at_once, program_of(site))
    missing = [name for name in ("sbatch", "squeue", "srun") if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"--engine slurm: there is no {missing[0]} here; start it on a login node of the cluster"
        )
    values = {"cpus": site.threads, **values}
    if site.device != "cpu":
        values.setdefault("gpus", 1)
    backend = _Slurm(values)
    try:
        backend.alive([])
    except RunError as error:
        raise ConfigError(*error.lines) from None
    slots = min(values.get("at_once", _AT_ONCE), site.points)
    return SlurmEngine(backend, slots, None, program_of(site))


class _Backend(Protocol):
    """What starts jobs, knows which live, and cancels them."""

    def start(self, spool: Spool, names: Sequence[str], program: tuple[str, ...]) -> list[str]: ...
    def alive(self, ids: Sequence[str]) -> set[str]: ...
    def cancel(self, ids: Sequence[str]) -> None: ...


class SlurmEngine:
    """See ``tasks.Engine``. ``at_once``: of jobs that are not to be started all together; None for any."""

    def __init__(
        self,
        backend: _Backend,
        slots: int,
        at_once: int | None,
        program: tuple[str, ...] = PROGRAM,
    ) -> None:
        self._backend = backend
        self._slots = slots
        self._at_once = at_once
        self._program = program
        self._spool: Spool | None = None
        self._jobs: dict[str, tuple[PointTask, str, float]] = {}
        self._waiting: deque[PointTask] = deque()
        self._told: list[str] = []
        self._died = False
        self._looked = time.monotonic()

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def working(self) -> frozenset[int]:
        here = [task for task, _, _ in self._jobs.values()]
        return frozenset(task.point for task in (*here, *self._waiting))

    def recovered(self, folder: Path) -> Sequence[PointEnd]:
        spool = self._spool = Spool(folder / SPOOL)
        ended = spool.ended()
        known = _ids(spool)
        tasks = {name: taken.task for name, taken in spool.at_work().items()}
        for name, task in spool.issued().items():
            if name in known or not spool.withdraw(name):
                tasks[name] = task
        alive = self._backend.alive([known[name] for name in tasks if name in known])
        for name, task in tasks.items():
            taken = spool.at_work().get(name)
            lives = known.get(name) in alive or (taken and _lives(taken.host, taken.pid))
            if lives and name not in ended:
                self._jobs[name] = (task, known.get(name, ""), time.time())
            elif name not in ended:
                spool.forget(name)
        self._told = list(ended)
        return list(ended.values())

    def submit(self, tasks: Sequence[PointTask]) -> None:
        self._waiting.extend(tasks)
        self._start()

    def ended(self, seconds: float) -> Sequence[PointEnd]:
        until = time.monotonic() + seconds
        for name in self._told:
            assert self._spool is not None
            self._spool.forget(name)
        self._told = []
        while True:
            found = self._collected()
            if found or time.monotonic() >= until:
                self._start()
                return found
            time.sleep(min(0.1, seconds))

    def drop(self) -> None:
        self._waiting.clear()
        if self._spool is None:
            return
        for name in list(self._jobs):
            if self._spool.withdraw(name):
                self._cancel([name])
                del self._jobs[name]
        self._cancel(list(self._jobs))
        until = time.monotonic() + _STOPPING
        while set(self._jobs) - set(self._spool.ended()) and time.monotonic() < until:
            time.sleep(0.1)

    def close(self) -> None:
        self.drop()
        if self._spool is not None and not self._died:
            self._spool.remove()

    def leave(self) -> None:
        """Go, and let what works work on: the user has logged out."""
        self._spool = None
        self._jobs.clear()

    # ------------------------------------------------------------------ jobs

    def _start(self) -> None:
        """Start jobs for what waits, as many as there is room for."""
        room = len(self._waiting) if self._at_once is None else self._at_once - len(self._jobs)
        some = [self._waiting[i] for i in range(min(room, len(self._waiting)))]
        if not some:
            return
        assert self._spool is not None
        self._spool.make()
        for task in some:
            self._spool.forget(name_of(task))
            self._spool.issue(task)
        names = [name_of(task) for task in some]
        ids = self._backend.start(self._spool, names, self._program)
        for task, name, job in zip(some, names, ids, strict=True):
            self._jobs[name] = (task, job, time.time())
            self._waiting.popleft()
        known = _ids(self._spool) | dict(zip(names, ids, strict=True))
        write_whole(self._spool.folder / "ids.json", json.dumps(known))

    def _collected(self) -> list[PointEnd]:
        if self._spool is None or not self._jobs:
            return []
        found = [(n, end) for n, end in self._spool.ended().items() if n in self._jobs]
        found += self._gone({name for name, _ in found})
        for name, _ in found:
            del self._jobs[name]
        self._told += [name for name, _ in found]
        return [end for _, end in found]

    def _gone(self, ended: set[str]) -> list[tuple[str, PointEnd]]:
        """The ends of those whose job is gone and has said nothing."""
        assert self._spool is not None
        if time.monotonic() - self._looked < self._backend_pace():
            return []
        self._looked = time.monotonic()
        ids = [job for name, (_, job, _) in self._jobs.items() if name not in ended]
        try:
            alive = self._backend.alive(ids)
        except RunError:
            return []  # it will answer again
        at_work, found = self._spool.at_work(), []
        for name, (task, job, since) in self._jobs.items():
            taken = at_work.get(name)
            fresh = time.time() - since < _SETTLED_S and taken is None
            lives = job in alive or fresh or (taken and _lives(taken.host, taken.pid))
            if name in ended or lives or (self._spool.ends / name).exists():
                continue
            self._died = True
            start = taken.since if taken else since
            found.append(
                (
                    name,
                    without_word(
                        task, started=start, seconds=time.time() - start,
                        host=taken.host if taken else "", worker=f"job {job}",
                        reason=f"job {job} is gone and has said nothing (its log: {self._spool.jobs})",
                    ),
                )
            )  # fmt: skip
        return found

    def _backend_pace(self) -> float:
        return 0.5 if isinstance(self._backend, _Local) else 20.0

    def _cancel(self, names: Sequence[str]) -> None:
        self._backend.cancel([self._jobs[name][1] for name in names if self._jobs[name][1]])


def _ids(spool: Spool) -> dict[str, str]:
    """The job of each try, as far as they were noted."""
    try:
        found = json.loads(read_plain(spool.folder / "ids.json", 16_000_000))
        return {str(name): str(job) for name, job in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _lives(host: str, pid: int) -> bool:
    return host == socket.gethostname() and process_exists(pid)


class _Slurm:
    """Jobs of SLURM's."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def start(self, spool: Spool, names: Sequence[str], program: tuple[str, ...]) -> list[str]:
        import submitit

        values = self._values
        executor = submitit.SlurmExecutor(spool.jobs, max_num_timeout=0)
        memory = values.get("mem_gb")
        chosen = {
            "job_name": "mlhw-grid",
            "time": values.get("time", _MINUTES),
            "cpus_per_task": values["cpus"],
            "gpus_per_node": values.get("gpus"),
            "mem": f"{math.ceil(memory * 1024)}MB" if memory else None,
            "array_parallelism": values.get("at_once", _AT_ONCE),
            # What dies is tried again in one place, by the grid.
            "additional_parameters": {"no_requeue": True},
            **{key: values.get(key) for key in ("partition", "account", "qos", "constraint")},
        }
        executor.update_parameters(
            **{key: value for key, value in chosen.items() if value is not None}
        )
        return _submitted(executor, spool, names, program)

    def alive(self, ids: Sequence[str]) -> set[str]:
        said = _output(
            "squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i"
        )
        return set(said.split()) & set(ids)

    def cancel(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), 500):
            try:
                _output("scancel", *ids[start : start + 500])
            except RunError:
                return


class _Local:
    """The same jobs as processes of this machine."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._minutes = values.get("time", 7 * 24 * 60)
        self._processes: dict[str, Any] = {}

    def start(self, spool: Spool, names: Sequence[str], program: tuple[str, ...]) -> list[str]:
        import submitit

        executor = submitit.LocalExecutor(spool.jobs, max_num_timeout=0)
        executor.update_parameters(timeout_min=self._minutes, signal_delay_s=10)
        return _submitted(executor, spool, names, program)

    def alive(self, ids: Sequence[str]) -> set[str]:
        return {job for job in ids if job.isdecimal() and _runs(int(job))}

    def cancel(self, ids: Sequence[str]) -> None:
        import signal

        for job in ids:
            if job.isdecimal() and _runs(int(job)):
                os.kill(int(job), signal.SIGTERM)


def _runs(pid: int) -> bool:
    """Whether a process works; one of ours that has ended and that nobody has waited for does not."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return process_exists(pid)


def _submitted(
    executor: Any, spool: Spool, names: Sequence[str], program: tuple[str, ...]
) -> list[str]:
    """Submit a job for each ticket; the ids in their order. Raises RunError."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"  # nothing in the current folder is imported
    try:
        jobs = executor.map_array(
            work_off, [str(spool.folder)] * len(names), names, [program] * len(names)
        )
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"--engine slurm: the jobs are not taken: {said}") from None
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
    return [str(job.job_id) for job in jobs]


def _output(*command: str) -> str:
    """What a command of SLURM's prints. Raises RunError where it fails, or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"--engine slurm: {command[0]} has not answered in {_COMMAND_S:.0f} s"
        ) from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RunError(f"--engine slurm: {command[0]}: {said}")
    return done.stdout
