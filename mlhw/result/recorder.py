"""What an experiment speaks to while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlhw.config.load import as_yaml
from mlhw.result.tables import Table
from mlhw.system.files import write_whole
from mlhw.system.interrupts import UNWINDING

if TYPE_CHECKING:
    from pathlib import Path

    from mlhw.config.model import ExperimentConfig
    from mlhw.result.result import Result
    from mlhw.system.ranks import ProcessGroup
    from mlhw.system.screen import Screen


Sink = Callable[[Sequence[Sequence[Any]]], None]


def is_logged(number: int) -> bool:
    """Whether the log has a line for this epoch: each of the first 1,000, of 10,000 every tenth, and so on.

    A run of ten million epochs has 4,600 such lines. Its tables have a row for every epoch.
    """
    step: int = 10 ** max(0, len(str(number)) - 3)
    return number % step == 0


class Recorder:
    """What an experiment speaks to while it runs. This one keeps all in memory and is silent.

    ``begin`` marks the line between checking input (errors before it exit 2 and leave no folder)
    and work; tables come after it. An experiment that can report what it has when it is stopped sets
    ``so_far`` to a function that gives this result. Files in ``unneeded`` are removed once the run has
    finished and all of it is in its folder. ``group`` are the processes that work on the run together; None
    where one does.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.log_lines: list[str] = []
        self.config: ExperimentConfig | None = None
        self.facts: dict[str, Any] = {}
        self.so_far: Callable[[], Result] | None = None
        self.unneeded: list[Path] = []
        self.group: ProcessGroup | None = None

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

    def log_nothing_saved(self) -> None:
        """Say of a run that goes on that it has nothing to go on from."""
        self.log("nothing was saved yet: the run starts from the beginning")

    def show(self, line: str) -> None:
        """A line for the screen alone, which the log has in another form."""

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
    def holding_interrupts(self, patience: float = UNWINDING) -> Iterator[None]:
        """Signals wait until the end of the block, so that it is never left half done.

        After ``patience`` seconds the process ends all the same, if it is a run of the command line.
        """
        yield

    def part(self, name: str, whole: Callable[[Any], ExperimentConfig]) -> PartRecorder:
        """The recorder of one of several runs that this one is made of, with a folder ``name`` in its own.

        This one begins with the first of them, with the configuration that ``whole`` makes of that one's.
        """
        return PartRecorder(self, name, whole)

    # For subclasses, and for parts.

    def appending(self, path: Path, table: Table) -> Sink | None:
        """What takes the rows that will be added to ``table``, and adds them to the file ``path``."""
        return None

    def close_tables(self, below: Path | None = None) -> None:
        """Close the tables' files: all, or those below a folder."""

    def _sink(self, table: Table) -> Sink | None:
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

    def show(self, line: str) -> None:
        self.screen.log(line)

    def warn(self, message: str) -> None:
        super().warn(message)
        self.screen.warn(message)

    def progress(self, done: float, total: float, what: str) -> None:
        self.screen.progress(done, total, what)


class PartRecorder(Recorder):
    """The recorder of one run of several; see ``Recorder.part``."""

    def __init__(self, of: Recorder, name: str, whole: Callable[[Any], ExperimentConfig]) -> None:
        super().__init__()
        self.of = of
        self.name = name
        self.whole = whole
        self.unneeded = of.unneeded
        self.group = of.group

    @property
    def folder(self) -> Path | None:
        return self.of.folder / self.name if self.of.folder else None

    @property
    def resumes(self) -> Path | None:
        folder = self.of.resumes / self.name if self.of.resumes else None
        return folder if folder is not None and (folder / "config.yaml").is_file() else None

    @property
    def lengthens(self) -> bool:
        return self.of.lengthens

    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        super().begin(config, **facts)
        if self.of.folder is None:
            self.of.begin(self.whole(config), **facts)
        self._write_config(config)

    def settle(self, config: ExperimentConfig) -> None:
        super().settle(config)
        self._write_config(config)

    def _write_config(self, config: ExperimentConfig) -> None:
        if self.folder is not None:
            self.folder.mkdir(exist_ok=True)
            write_whole(self.folder / "config.yaml", as_yaml(config))

    def log(self, message: str, *, screen: bool = True) -> None:
        self.of.log(message, screen=screen)

    def show(self, line: str) -> None:
        self.of.show(line)

    def warn(self, message: str) -> None:
        self.of.warn(f"{self.name}: {message}")

    def progress(self, done: float, total: float, what: str) -> None:
        self.of.progress(done, total, f"{self.name}: {what}")

    @contextmanager
    def holding_interrupts(self, patience: float = UNWINDING) -> Iterator[None]:
        with self.of.holding_interrupts(patience):
            yield

    def end(self, result: Result) -> None:
        """Write what the part has found, and close its tables."""
        if self.folder is not None:
            write_whole(self.folder / "result.json", json.dumps(result.as_dict(), indent=2) + "\n")
            self.of.close_tables(self.folder)

    def _sink(self, table: Table) -> Sink | None:
        if self.folder is None:
            return None
        return self.of.appending(self.folder / f"{table.name}.csv", table)
