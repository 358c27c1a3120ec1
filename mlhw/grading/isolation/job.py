"""What is asked of one submission, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    ``seconds`` for all calls together, ``import_seconds`` before the first, ``memory`` in bytes beyond
    what Python and NumPy take, ``processes`` and threads at once, ``output`` bytes of stdout and of
    stderr that are kept, ``disk`` bytes in its folder, ``file`` bytes of one file.
    """

    seconds: float = 5.0
    import_seconds: float = 20.0
    memory: int = 2 << 30
    processes: int = 64
    output: int = 32 << 10
    disk: int = 64 << 20
    file: int = 16 << 20


@dataclass(frozen=True)
class Job:
    """One submission and the questions to it.

    ``files`` are its own files by their names relative to its folder, ``main`` is the one to be loaded.
    ``options`` go to the program that loads and calls it, as JSON. Each of ``calls`` is a list of arrays
    (sent as float64). Calls from number ``required`` on may fail. ``most``: numbers that one answer may
    hold. ``tag`` is the caller's own and goes nowhere.

    Raises
    ------
    ValueError
        If a name is absolute or leaves the folder, or ``main`` is none of the files.
    """

    files: Mapping[str, bytes]
    main: str
    calls: Sequence[Sequence[np.ndarray]]
    required: int
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    most: int = 100_000
    tag: Any = None

    def __post_init__(self) -> None:
        if self.main not in self.files:
            raise ValueError(f"{self.main!r} is none of the submission's files")
        for name in self.files:
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or ".." in parts or "\0" in name:
                raise ValueError(f"{name!r} is no name inside a folder")


@dataclass(frozen=True)
class Reply:
    """What one call returned: ``form`` as JSON and its arrays, None where they were too many to send.

    ``refused`` says why an optional call failed.
    """

    form: Any = None
    numbers: list[np.ndarray] | None = None
    refused: str | None = None


@dataclass
class Replies:
    """What came of a job: ``replies`` in the order of the calls, then perhaps an ``error`` or ``timeout``.

    ``phase`` says where time ran out, where the program had said so ("still importing, line 12").
    ``stdout`` and ``stderr`` are what the submission printed, bounded, for the teacher. ``loading`` and
    ``seconds`` are the times until the first call and of the calls. ``rung`` is what was active.
    """

    replies: list[Reply] = field(default_factory=list)
    error: str | None = None
    timeout: bool = False
    phase: str = ""
    notes: list[str] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    loading: float = 0.0
    seconds: float = 0.0
    rung: str = ""
