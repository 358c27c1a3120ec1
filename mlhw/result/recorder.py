"""What an experiment speaks to while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlhw.result.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

    from mlhw.config.model import ExperimentConfig
    from mlhw.result.result import Result
    from mlhw.system.screen import Screen


class Recorder:
    """What an experiment speaks to while it runs. This one keeps all in memory and is silent.

    ``begin`` marks the line between checking input (errors before it exit 2 and leave no folder)
    and work; tables come after it. An experiment that can report what it has when it is stopped sets
    ``so_far`` to a function that gives this result. What is in ``at_end`` is called once the run has
    finished and all of it is in its folder, for files that nobody needs any more.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.log_lines: list[str] = []
        self.config: ExperimentConfig | None = None
        self.facts: dict[str, Any] = {}
        self.so_far: Callable[[], Result] | None = None
        self.at_end: list[Callable[[], None]] = []

    # What an experiment calls.

    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        """All input is read and checked; ``config`` has everything resolved that was ``auto``.

        ``facts`` go into ``run.json``: ``data_digest``, ``device``, ``threads``.
        """
        self.config = config
        self.facts.update(facts)

    def settle(self, config: ExperimentConfig) -> None:
        """``config`` has resolved what could not be told before the work; a rerun takes it from there."""
        self.config = config

    def log(self, message: str, *, screen: bool = True) -> None:
        """A line for the log; ``screen=False`` keeps it from the screen unless ``--verbose``."""
        self.log_lines.append(message)

    def warn(self, message: str) -> None:
        """A line that is shown even with ``--quiet``."""
        self.log_lines.append(f"warning: {message}")

    def table(
        self,
        name: str,
        columns: Sequence[str] | Mapping[str, str],
        kept: Iterable[Sequence[Any]] = (),
    ) -> Table:
        """A new table, written to ``NAME.csv`` where there is a run folder.

        ``columns`` are names, or a mapping of names to what they mean, which the report explains.
        ``kept`` are the rows of a run that goes on; any other row of the file is dropped.
        """
        table = Table(name, columns)
        table.extend(kept)
        table.sink = self._sink(table)
        self.tables[name] = table
        return table

    def progress(self, done: float, total: float, what: str) -> None:
        """How far the work is; shown on a terminal only."""

    @property
    def folder(self) -> Path | None:
        """The run folder, for experiments that keep more than tables; None without one."""
        return None

    @property
    def resumes(self) -> Path | None:
        """The folder of the run that goes on, also before ``begin``; None for a new run."""
        return None

    @property
    def lengthens(self) -> bool:
        """Whether the run that goes on had finished and is to be longer."""
        return False

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        """Signals wait until the end of the block, so that it is never left half done."""
        yield

    # For subclasses.

    def _sink(self, table: Table) -> Callable[[Sequence[Sequence[Any]]], None] | None:
        """What takes the rows that will be added to ``table``."""
        return None


class SpokenRecorder(Recorder):
    """One that shows lines and progress on the screen and writes no file."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    def log(self, message: str, *, screen: bool = True) -> None:
        super().log(message)
        self.screen.log(message, detail=not screen)

    def warn(self, message: str) -> None:
        super().warn(message)
        self.screen.warn(message)

    def progress(self, done: float, total: float, what: str) -> None:
        self.screen.progress(done, total, what)
