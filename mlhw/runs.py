"""The run folder: exclusive creation, status, whole files, flushed tables, the log."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mlhw import config as configuration
from mlhw import provenance
from mlhw.config import ExperimentConfig
from mlhw.errors import ConfigError, UsageError
from mlhw.interrupts import Interrupts
from mlhw.result import Recorder, Table
from mlhw.screen import Screen

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def check_name(name: str | None) -> None:
    """Raise ConfigError for a ``--name`` that is no plain part of a file name."""
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name: must be letters, digits, '.', '_' or '-', at most 80 (got {name[:60]!r})"
        )


def create_folder(runs_dir: Path, experiment: str, name: str | None) -> Path:
    """Make ``runs_dir/20261124-115632-lr-sweep[-NAME]``; ``-2``, ``-3`` … where that exists already.

    ``mkdir`` itself decides who gets a name, so runs that start at the same moment never share one.

    Raises
    ------
    UsageError
        The runs folder cannot be made or written.
    """
    stem = time.strftime("%Y%m%d-%H%M%S-") + experiment + (f"-{name}" if name else "")
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = runs_dir / (stem if number == 1 else f"{stem}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"the runs folder {runs_dir} cannot be written: {reason}; choose another with --runs-dir"
        ) from None


def point_latest(folder: Path) -> None:
    """``runs/latest`` as a relative link to ``folder``; where links cannot be made, nothing."""
    temporary = folder.parent / f".latest.{os.getpid()}.{folder.name}"
    with contextlib.suppress(OSError):
        temporary.symlink_to(folder.name)
        try:
            os.replace(temporary, folder.parent / "latest")
        except OSError:
            temporary.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power failure."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cell(value: Any) -> Any:
    """A value as a CSV file holds it: floats by ``repr``, so that reading gives the same bits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return float.__repr__(value)
    # A bare carriage return, in a file's name say, would end the row for many readers.
    return value.replace("\r", " ") if isinstance(value, str) else value


def csv_text(table: Table) -> str:
    """A whole table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([cell(value) for value in row] for row in table.rows)
    return text.getvalue()


class FolderRecorder(Recorder):
    """A recorder that makes the run folder at ``begin`` and writes everything to it as it comes."""

    def __init__(
        self,
        experiment: str,
        config: ExperimentConfig,
        *,
        runs_dir: Path,
        name: str | None,
        command: Sequence[str],
        screen: Screen,
        interrupts: Interrupts,
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.config = config
        self.screen = screen
        self.interrupts = interrupts
        self._runs_dir = runs_dir
        self._name = name
        self._command = list(command)
        self._folder: Path | None = None
        self._files: list[IO[str]] = []
        self._log_file: IO[str] | None = None
        self._record: dict[str, Any] = {}
        self._started = time.time()

    # ------------------------------------------------------------------ what an experiment calls

    @property
    def folder(self) -> Path | None:
        return self._folder

    @property
    def stop_requested(self) -> bool:
        return self.interrupts.pending is not None

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        with self.interrupts.hold():
            yield

    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        super().begin(config, **facts)
        if self._folder is not None:
            return
        with self.interrupts.hold():
            self._folder = create_folder(self._runs_dir, self.experiment, self._name)
            self._record = {
                "experiment": self.experiment,
                "status": "running",
                "exit_code": None,
                "reason": None,
                "command": shlex.join(self._command),
                "started": _timestamp(self._started),
                "ended": None,
                "seconds": None,
                "pid": os.getpid(),
                **provenance.environment(),
                "device": self.facts.get("device", "cpu"),
                "threads": self.facts.get("threads", provenance.usable_cpus()),
                "data_digest": self.facts.get("data_digest"),
            }
            self._write_record()
            write_whole(self._folder / "config.yaml", configuration.as_yaml(config))
            self._log_file = self._open("log.txt")
            for line in self.log_lines:
                self._log_file.write(line + "\n")
            self._log_file.flush()
            point_latest(self._folder)

    def log(self, message: str, *, screen: bool = True) -> None:
        super().log(message)
        self._write_log(message)
        self.screen.log(message, detail=not screen)

    def warn(self, message: str) -> None:
        super().warn(message)
        self._write_log(f"warning: {message}")
        self.screen.warn(message)

    def progress(self, done: float, total: float, what: str) -> None:
        self.screen.progress(done, total, what)

    def _sink(
        self, name: str, columns: Sequence[str]
    ) -> Callable[[Sequence[Sequence[Any]]], None] | None:
        if self._folder is None:
            raise RuntimeError("recorder.begin comes before the first table")
        file = self._open(f"{name}.csv")
        # To a string first: the file gets whole rows in one write, whatever their number.
        file.write(",".join(columns) + "\n")
        file.flush()

        def write(rows: Sequence[Sequence[Any]]) -> None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                [cell(value) for value in row] for row in rows
            )
            with self.interrupts.hold():
                file.write(text.getvalue())
                file.flush()

        return write

    # ------------------------------------------------------------------ what execute calls

    def log_traceback(self, text: str) -> None:
        """A traceback goes to the log file alone."""
        self._write_log(text.rstrip("\n"))

    def finish(self, status: str, exit_code: int, reason: str | None) -> None:
        """Close the files and record how the run ended."""
        if self._folder is None:
            return
        for file in self._files:
            file.close()
        ended = time.time()
        self._record.update(
            status=status,
            exit_code=exit_code,
            reason=reason,
            ended=_timestamp(ended),
            seconds=round(ended - self._started, 3),
        )
        self._write_record()

    def _open(self, name: str) -> IO[str]:
        assert self._folder is not None
        file = open(self._folder / name, "a", encoding="utf-8", newline="")  # noqa: SIM115 - kept open
        self._files.append(file)
        return file

    def _write_log(self, line: str) -> None:
        if self._log_file is not None:
            with self.interrupts.hold():
                self._log_file.write(line + "\n")
                self._log_file.flush()

    def _write_record(self) -> None:
        assert self._folder is not None
        write_whole(self._folder / "run.json", json.dumps(self._record, indent=2) + "\n")


def _timestamp(seconds: float) -> str:
    """Local time with its offset, ``2026-11-24T11:56:32+01:00``."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
