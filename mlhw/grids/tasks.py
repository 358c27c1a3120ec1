"""What a grid and its engine say to each other: two messages of plain values, and what an engine can do.

The messages are JSON, so that a pipe, a job's file or an object store carries them alike. An engine knows
nothing of points beyond ``PointTask.point``, and the code of a point nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

Status = Literal["finished", "failed", "interrupted", "timeout", "died"]
"""How a try ended. ``died``: the worker did, and the run with it; whoever started it may try again."""

Keep = Literal["none", "best", "all"]
"""Which checkpoints of a finished point stay."""


@dataclass(frozen=True)
class PointTask:
    """One try at a point: all that a worker needs.

    Attributes:
        point: its number, from 1.
        attempt: which try this is, from 1.
        experiment: as on the command line.
        config: the keys of its configuration as plain values, paths absolute.
        options: what else the run is told: fields of ``RunOptions``, such as ``check``.
        folder: the run folder, exactly; ``GRID/points/0001``.
        identity: the digest of what the point computes, for its record.
        keep: which checkpoints stay.
        timeout: seconds that the try may take; None for any.
        threads: of BLAS and torch, which read ``worker_environment`` when they are loaded.
        version: of mlhw where the grid is driven; a worker with another refuses.
    """

    point: int
    attempt: int
    experiment: str
    config: dict[str, Any]
    folder: str
    identity: str
    version: str
    options: dict[str, Any] = field(default_factory=dict)
    keep: Keep = "best"
    timeout: float | None = None
    threads: int = 1

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which ``from_json`` makes an equal task."""
        return asdict(self)


@dataclass(frozen=True)
class PointEnd:
    """What came of one try at a point.

    Attributes:
        point, attempt: of the task.
        status: see ``Status``.
        exit_code: of the run; None where it has none, as its worker died or its time was over.
        reason: in words, for one line; None for a run that finished.
        started: seconds since 1970, by the worker's clock.
        seconds: from there to the end.
        host, worker: where; ``worker`` tells those of one host apart.
        archive: for engines without a common file system, where the packed run folder is to be had; the
            engine unpacks it before it hands this on.
    """

    point: int
    attempt: int
    status: Status
    exit_code: int | None
    reason: str | None
    started: float
    seconds: float
    host: str
    worker: str
    archive: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which ``from_json`` makes an equal message."""
        return asdict(self)


Message = TypeVar("Message", PointTask, PointEnd)


def from_json(kind: type[Message], values: Mapping[str, Any]) -> Message:
    """The message that ``as_json`` took apart; keys of a later version are left out."""
    known = {one.name for one in fields(kind)}
    return kind(**{key: value for key, value in values.items() if key in known})


def without_word(
    task: PointTask, *, started: float, seconds: float, host: str, worker: str, reason: str
) -> PointEnd:
    """The end of a try whose worker is gone and has said nothing: its time was over, or it died.

    ``reason`` says how the worker ended, such as ``the worker was ended by SIGKILL``.
    """
    late = task.timeout is not None and seconds >= task.timeout
    return PointEnd(
        task.point,
        task.attempt,
        "timeout" if late else "died",
        None,
        time_over(task) if late else reason,
        started,
        seconds,
        host,
        worker,
    )


def to_be_tried_again(end: PointEnd, tries: int, retries: int) -> bool:
    """Whether, after so many tries, there is another: the worker is gone, and not by what it worked on.

    A signal that did not come from who drives has ended its worker, in good order.
    """
    return end.status in ("died", "interrupted") and tries <= retries


def time_over(task: PointTask) -> str:
    """The reason of a try that took too long."""
    return f"not finished within {task.timeout:g} s (--timeout)"


@dataclass(frozen=True)
class Site:
    """What an engine is told before it opens.

    Attributes:
        threads: of each point.
        device: of every point: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        points: how many there are at most, so that no more workers than these are started.
        version: of mlhw; an engine whose workers have another refuses.
        experiment, configs: of the points that are known, so that an engine whose workers have not got the
            data of one refuses.
        worker: the module that is a worker, each of whose processes serves tasks (``worker.serve_tasks``).
        model: of the tasks' configurations, where their experiment is none of the registry.
        command: what goes on with its ``--resume`` where the engine had to give up.
    """

    threads: int
    device: str
    points: int
    version: str
    experiment: str = ""
    configs: Sequence[dict[str, Any]] = ()
    worker: str = "mlhw.grids.worker"
    model: type[BaseModel] | None = None
    command: str = "grid"


class Engine(Protocol):
    """Works on tasks, several at once, until it is closed.

    One that ``stays`` works on when its driver is gone, and has ``leave``, which is the end of a driver whose
    user has logged out (SIGHUP): nothing is stopped, and another driver may collect what comes of it.

    An engine's module has ``open_engine(argument, site)``: ``argument`` is what stands behind its name
    (``4`` of ``local:4``, ``//host:10001`` of ``ray://host:10001``; None without). It raises ConfigError,
    one line with the remedy, where it is not installed, not reachable (within a time limit), or where
    ``argument`` makes no sense.
    """

    @property
    def slots(self) -> int:
        """How many points work at once."""

    def recovered(self, folder: Path) -> Sequence[PointEnd]:
        """What an earlier driver of the same grid has left to be collected; called once, before ``submit``.

        ``folder`` is the grid's. A point that still works there counts as submitted: its end comes through
        ``ended``, and its number is among ``working``.
        """

    @property
    def working(self) -> frozenset[int]:
        """The points that were submitted and have not ended."""

    def submit(self, tasks: Sequence[PointTask]) -> None:
        """Take these tasks over, to be begun in this order. Returns at once."""

    def ended(self, seconds: float) -> Sequence[PointEnd]:
        """Wait until a try has ended, at most so long, and return those that have; none if none has.

        Signals are held meanwhile, so that no end is lost; ``seconds`` is a fraction of one.
        """

    def drop(self) -> None:
        """Stop what works, in good order (a signal first), and return when it is gone; begin nothing."""

    def close(self) -> None:
        """Give everything back; what still works is dropped."""


def worker_environment(threads: int) -> dict[str, str]:
    """The variables of a worker that limit libraries to so many threads; they are read when these load."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
    return {
        f"{name}_THREADS" if "MAXIMUM" in name else f"{name}_NUM_THREADS": str(threads)
        for name in names
    }
