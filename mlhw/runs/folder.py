"""The run folder: exclusive creation, status, flushed tables, the log."""

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

from mlhw.config.load import as_yaml
from mlhw.config.model import ExperimentConfig
from mlhw.errors import ConfigError, Interrupted, UsageError, reason_of
from mlhw.result.recorder import Recorder, Sink
from mlhw.result.tables import Table, cell, csv_text
from mlhw.runs.options import RunOptions
from mlhw.runs.trackers import Careful
from mlhw.system import provenance
from mlhw.system.files import discard, naming, overwrite, point, write_whole
from mlhw.system.interrupts import UNWINDING, Interrupts
from mlhw.system.screen import Screen

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
        reason = reason_of(error)
        raise UsageError(
            f"the runs folder {runs_dir} cannot be written: {reason}; choose another with --runs-dir"
        ) from None


def point_latest(folder: Path) -> None:
    """Make ``runs/latest`` a relative link to ``folder``; nothing happens where links cannot be made."""
    with contextlib.suppress(OSError):
        point(folder.parent / "latest", folder.name)


def _lock(file: IO[str]) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has it.

    Where the system or the file system has no such locks, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class FolderRecorder(Recorder):
    """A recorder that makes the run folder at ``begin`` and writes everything to it as it comes.

    The folder of a run that goes on (``options.resume``) is locked from the start, so that no two
    processes write to one folder.
    """

    def __init__(
        self,
        experiment: str,
        config: ExperimentConfig,
        options: RunOptions,
        screen: Screen,
        interrupts: Interrupts,
        make_trackers: Callable[[FolderRecorder], list[Careful]] = lambda _: [],
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.config = config
        self.options = options
        self.screen = screen
        self.interrupts = interrupts
        self._folder: Path | None = None
        self._files: list[IO[str]] = []
        self._log_file: IO[str] | None = None
        self._lock_file: IO[str] | None = None
        self._record: dict[str, Any] = {}
        self._started = time.time()
        self._make_trackers = make_trackers
        self.trackers: list[Careful] = []
        self._seconds_before = 0.0
        if options.resume is not None:
            self._lock_file = self._open_log(options.resume)

    # ------------------------------------------------------------------ what an experiment calls

    @property
    def folder(self) -> Path | None:
        return self._folder

    @property
    def resumes(self) -> Path | None:
        return self.options.resume

    @property
    def lengthens(self) -> bool:
        return self.options.longer

    @contextmanager
    def holding_interrupts(self, patience: float = UNWINDING) -> Iterator[None]:
        with self.interrupts.hold(patience):
            yield

    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        super().begin(config, **facts)
        if self._folder is not None:
            return
        with self.interrupts.hold():
            if self.options.resume is not None:
                self._folder, self._log_file = self.options.resume, self._lock_file
                self._record = json.loads((self._folder / "run.json").read_text(encoding="utf-8"))
                # Somebody may have had the file in an editor.
                before, seconds = self._record.get("resumed"), self._record.get("seconds")
                self._record["resumed"] = [
                    *(before if isinstance(before, list) else []),
                    _timestamp(self._started),
                ]
                self._seconds_before = seconds if isinstance(seconds, (int, float)) else 0.0
            else:
                self._record = {"experiment": self.experiment}
                self._folder = create_folder(
                    Path(self.options.runs_dir), self.experiment, self.options.name
                )
                self._log_file = self._open_log(self._folder)
            self._record |= {"status": "running", "exit_code": None, "reason": None}
            if self.options.resume is None:
                self._record["command"] = shlex.join(self.options.command)
                self._record["started"] = _timestamp(self._started)
            self._record |= {
                "ended": None,
                "seconds": None,
                "pid": os.getpid(),
                **provenance.environment(),
                "device": self.facts.get("device", "cpu"),
                "threads": self.facts.get("threads", provenance.usable_cpus()),
                "data_digest": self.facts.get("data_digest"),
            }
            self._write_record()
            # After the record: a run that dies in between is taken up again as it was.
            self._write_config(as_yaml(config))
            for line in self.log_lines:
                self._write_log(line)
            point_latest(self._folder)
        self.trackers = self._make_trackers(self)

    def settle(self, config: ExperimentConfig) -> None:
        super().settle(config)
        assert self._folder is not None
        with self.interrupts.hold():
            write_whole(self._folder / "config.yaml", as_yaml(config))

    def log(self, message: str, *, screen: bool = True) -> None:
        super().log(message)
        self._write_log(message)
        self.screen.log(message, detail=not screen)

    def show(self, line: str) -> None:
        self.screen.log(line)

    def warn(self, message: str) -> None:
        super().warn(message)
        self._write_log(f"warning: {message}")
        self.screen.warn(message)

    def progress(self, done: float, total: float, what: str) -> None:
        self.screen.progress(done, total, what)

    def _sink(self, table: Table) -> Sink | None:
        if self._folder is None:
            raise RuntimeError("recorder.begin comes before the first table")
        add = self.appending(self._folder / f"{table.name}.csv", table)

        def write(rows: Sequence[Sequence[Any]]) -> None:
            add(rows)
            for tracker in self.trackers:
                tracker.rows(table, rows)

        return write

    def appending(self, path: Path, table: Table) -> Sink:
        # Whole, so that an interrupted run that goes on keeps its rows at any moment.
        write_whole(path, csv_text(table))
        file = self._open(path)

        def write(rows: Sequence[Sequence[Any]]) -> None:
            # To a string first: the file gets whole rows in one write, whatever their number.
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                [cell(value) for value in row] for row in rows
            )
            with self.interrupts.hold(), naming(path):
                file.write(text.getvalue())
                file.flush()

        return write

    # ------------------------------------------------------------------ what execute calls

    @property
    def environment(self) -> dict[str, Any]:
        """Where and with what the run is made, for its report."""
        kept = (
            "started",
            "host",
            "platform",
            "device",
            "threads",
            "versions",
            "git",
            "data_digest",
        )
        return {key: self._record[key] for key in kept if self._record.get(key) is not None}

    def log_traceback(self, text: str) -> None:
        """Write a traceback into the log file alone; it is lost if the file cannot be written."""
        with contextlib.suppress(OSError):
            self._write_log(text.rstrip("\n"))

    def close_tables(self, below: Path | None = None) -> None:
        """Close the tables' files. Raises OSError if the last rows of one cannot be written."""
        for file in list(self._files):
            if file is self._log_file or (below and below not in Path(file.name).parents):
                continue
            with naming(file.name):
                file.close()
            self._files.remove(file)

    def finish(self, status: str, exit_code: int, reason: str | None) -> None:
        """Record how the run ended, then close the files, also if the record cannot be written.

        The lock is given up last, so that nobody finds an unlocked run whose record says "running".
        """
        try:
            self._record_end(status, exit_code, reason)
            for function in self.at_end if status == "finished" else ():
                try:
                    function()
                except OSError as error:
                    self.warn(f"{error.filename}: cannot be removed: {reason_of(error)}")
        finally:
            self.close()

    def cut_short(self, error: Interrupted) -> None:
        """Record a run that does not end by itself; in another thread, just before the process ends."""
        if self._folder is None:
            return
        if self._log_file is not None:
            # Past the file's own buffer, which the main thread may be using.
            with contextlib.suppress(OSError, ValueError):
                os.write(self._log_file.fileno(), f"error: {error}\n".encode())
        self._record = dict(self._record)
        with contextlib.suppress(OSError):
            self._record_end("interrupted", error.exit_code, str(error))
        for left in self._folder.rglob(f".*.{os.getpid()}.tmp"):
            discard(left)

    def _record_end(self, status: str, exit_code: int, reason: str | None) -> None:
        if self._folder is None:
            return
        ended = time.time()
        self._record.update(
            status=status,
            exit_code=exit_code,
            reason=reason,
            ended=_timestamp(ended),
            seconds=round(self._seconds_before + ended - self._started, 3),
        )
        try:
            self._write_record()
        except OSError:
            if not overwrite(self._folder / "run.json", self._record_text()):
                raise

    def close(self) -> None:
        """Close the files; the lock on the folder goes with them."""
        for file in self._files:
            # One whose last rows could not be written tries again and fails again.
            with contextlib.suppress(OSError):
                file.close()

    def _open(self, path: Path) -> IO[str]:
        file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 - kept open
        self._files.append(file)
        return file

    def _open_log(self, folder: Path) -> IO[str]:
        try:
            file = self._open(folder / "log.txt")
        except OSError as error:
            reason = reason_of(error)
            raise UsageError(f"{folder} cannot be written: {reason}") from None
        if not _lock(file):
            file.close()
            raise UsageError(f"{folder}: another process is working on this run")
        return file

    def _write_log(self, line: str) -> None:
        if self._log_file is not None:
            with self.interrupts.hold(), naming(self._log_file.name):
                self._log_file.write(line + "\n")
                self._log_file.flush()

    def _write_config(self, text: str) -> None:
        assert self._folder is not None
        path = self._folder / "config.yaml"
        if self.options.resume is None or path.read_text(encoding="utf-8") != text:
            write_whole(path, text)

    def _write_record(self) -> None:
        assert self._folder is not None
        write_whole(self._folder / "run.json", self._record_text())

    def _record_text(self) -> str:
        return json.dumps(self._record, indent=2) + "\n"


def _timestamp(seconds: float) -> str:
    """Local time with its offset, ``2026-11-24T11:56:32+01:00``."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
