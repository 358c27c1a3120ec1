"""The run folder: exclusive creation, status, flushed tables, the log."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mlhw.config.load import as_yaml
from mlhw.config.model import ExperimentConfig
from mlhw.errors import Interrupted, MlhwError, UsageError, reason_of
from mlhw.result.recorder import Recorder, Sink
from mlhw.result.tables import Table, cell, csv_text
from mlhw.runs import leftovers
from mlhw.runs.new_folder import create_exactly, create_folder, point_latest
from mlhw.runs.options import RunOptions
from mlhw.runs.own_folder import require_no_links
from mlhw.runs.trackers import Careful
from mlhw.system import provenance, temporaries
from mlhw.system.digests import (
    BEFORE,
    CONFIG,
    digests_of,
    drop,
    file_sha256,
    sha256,
    with_own_digest,
)
from mlhw.system.files import in_place, naming, overwrite, write_whole
from mlhw.system.interrupts import UNWINDING, Interrupts
from mlhw.system.screen import Screen
from mlhw.text.values import bytes_text

MOST_LOG_BYTES = 16_000_000
"""Beyond it log.txt takes only how the run ends."""


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
        self._log_is_full = False
        self._lock_file: IO[str] | None = None
        self._record: dict[str, Any] = {}
        self._started = time.time()
        self._make_trackers = make_trackers
        self.trackers: list[Careful] = []
        self._seconds_before = 0.0
        if options.resume is not None:
            require_no_links(options.resume)
            self._lock_file = self._open_log(options.resume)
            leftovers.sweep_own(options.resume)

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
        environment = provenance.environment()  # asks git, for which no signal has to wait
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
                self._record.pop(leftovers.UNNEEDED, None)
                self._seconds_before = seconds if isinstance(seconds, (int, float)) else 0.0
            else:
                self._record = {"experiment": self.experiment}
            self._record |= {"status": "running", "exit_code": None, "reason": None}
            if self.options.resume is None:
                self._record["command"] = shlex.join(self.options.command)
                self._record["started"] = _timestamp(self._started)
            self._record |= {
                "ended": None,
                "seconds": None,
                "pid": os.getpid(),
                **environment,
                "device": self.facts.get("device", "cpu"),
                "threads": self.facts.get("threads", self._threads),
                "data_digest": self.facts.get("data_digest"),
            }
            if self.options.place is not None:
                self._record["identity"] = self.options.place.identity
            self._record.pop("processes", None)
            if self.group is not None:
                self._record["processes"] = self.group.world
            if self.options.resume is None:
                self._folder = self._make_folder(as_yaml(config))
            else:
                self._announce_config(as_yaml(config))
                # After the record: a run that dies in between is taken up again as it was.
                self._write_config(as_yaml(config))
            for line in self.log_lines:
                self._write_log(line)
            assert self._folder is not None
            if self.options.place is None:
                point_latest(self._folder)
        self.trackers = self._make_trackers(self)

    def _make_folder(self, config: str) -> Path:
        """Make the folder with all that a run needs to be seen, told alive and resumed."""

        def fill(folder: Path) -> None:
            self._folder, self._log_file = folder, self._open_log(folder)
            self._announce_config(config)
            self._write_config(config)
            if os.name == "nt":  # where no folder with an open file is renamed
                self._log_file.close()

        runs_dir, place = Path(self.options.runs_dir), self.options.place
        try:
            if place is not None:
                made = create_exactly(place.folder, fill)
            else:
                leftovers.sweep_newest(runs_dir)
                made = create_folder(runs_dir, self.experiment, self.options.name, fill)
        except BaseException:
            self._folder = self._log_file = None
            self.close()
            raise
        locked, self._log_file = self._log_file, None
        assert locked is not None
        self._log_file = self._open_log(made, locked)
        locked.close()
        self._files.remove(locked)
        return made

    @property
    def _threads(self) -> int:
        """How many a run without a word on it may use."""
        place = self.options.place
        return provenance.usable_cpus() if place is None else place.threads

    def settle(self, config: ExperimentConfig) -> None:
        super().settle(config)
        assert self._folder is not None
        with self.interrupts.hold():
            self._announce_config(as_yaml(config))
            self._write_config(as_yaml(config))

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
            with self.interrupts.hold(), naming(path, needs=len(text.getvalue())):
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
            self._write_log(text.rstrip("\n"), at_end=True)

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
            # A process that has run out of descriptors needs those of the tables for the record.
            self._close([file for file in self._files if file is not self._log_file])
            unneeded = self.unneeded if status == "finished" else []
            if unneeded and self._folder is not None:
                # Whoever finds them later knows that they were to go.
                names = [path.relative_to(self._folder).as_posix() for path in unneeded]
                self._record[leftovers.UNNEEDED] = names
            self._record_end(status, exit_code, reason)
            try:
                drop(unneeded)
            except OSError as error:
                self.warn(f"{error.filename}: cannot be removed: {reason_of(error)}")
        finally:
            self.close()

    def cut_short(self, error: Interrupted | MlhwError) -> None:
        """Record a run that does not end by itself; in another thread, just before the process ends."""
        if self._folder is None:
            return
        if self._log_file is not None:
            # Past the file's own buffer, which the main thread may be using.
            with contextlib.suppress(OSError, ValueError):
                os.write(self._log_file.fileno(), f"error: {error}\n".encode())
        self._record = dict(self._record)
        with contextlib.suppress(OSError):
            # There is no time to read what may be gigabytes.
            said = "; ".join(error.lines)
            self._record_end(cut_short_status(error), error.exit_code, said, digests=False)
        for left in temporaries.own_below(self._folder):
            temporaries.remove(left)

    def _record_end(
        self, status: str, exit_code: int, reason: str | None, *, digests: bool = True
    ) -> None:
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
        before = self._record.get("digests", {})
        if digests:
            self._record["digests"] = digests_of(self._folder)
        try:
            self._write_record()
        except OSError:
            # Without those of all files: where the disk is full, it fits into the place of the old one.
            self._record["digests"] = before
            if not overwrite(self._folder / "run.json", self._record_text()):
                raise

    def close(self) -> None:
        """Close the files; the lock on the folder goes with them."""
        self._close(self._files)

    def _close(self, files: Sequence[IO[str]]) -> None:
        for file in files:
            # One whose last rows could not be written tries again and fails again.
            with contextlib.suppress(OSError):
                file.close()

    def _open(self, path: Path, same: IO[str] | None = None) -> IO[str]:
        # The same file that is open already, lock included, under the name that it has now.
        again = in_place if same is None or same.closed else lambda *_: os.dup(same.fileno())
        # As in ``files.encoded``.
        file = open(  # noqa: SIM115 - kept open
            path, "a", encoding="utf-8", errors="backslashreplace", newline="", opener=again
        )
        self._files.append(file)
        return file

    def _open_log(self, folder: Path, same: IO[str] | None = None) -> IO[str]:
        try:
            file = self._open(folder / "log.txt", same)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {reason_of(error)}") from None
        if not temporaries.lock(file):
            file.close()
            raise UsageError(f"{folder}: another process is working on this run")
        return file

    def _write_log(self, line: str, *, at_end: bool = False) -> None:
        if self._log_file is None or (self._log_is_full and not at_end):
            return
        with self.interrupts.hold(), naming(self._log_file.name):
            if os.fstat(self._log_file.fileno()).st_size > MOST_LOG_BYTES and not at_end:
                self._log_is_full = True
                line = f"{bytes_text(MOST_LOG_BYTES)} are full: further lines are left out"
            self._log_file.write(line + "\n")
            self._log_file.flush()

    def _announce_config(self, text: str) -> None:
        """Record the digest that ``config.yaml`` will have, and the one it has: either may be found."""
        assert self._folder is not None
        digests = {CONFIG: sha256(text.encode())}
        with contextlib.suppress(OSError):
            digests[CONFIG + BEFORE] = file_sha256(self._folder / CONFIG)
        self._record["digests"] = digests
        self._write_record()

    def _write_config(self, text: str) -> None:
        assert self._folder is not None
        if self._record["digests"].get(CONFIG + BEFORE) != sha256(text.encode()):
            write_whole(self._folder / CONFIG, text)

    def _write_record(self) -> None:
        assert self._folder is not None
        write_whole(self._folder / "run.json", self._record_text())

    def _record_text(self) -> str:
        return json.dumps(with_own_digest(self._record), indent=2) + "\n"


def cut_short_status(error: Interrupted | MlhwError) -> str:
    """What becomes of a run that such an error ends."""
    return "interrupted" if isinstance(error, Interrupted) else "failed"


def _timestamp(seconds: float) -> str:
    """Local time with its offset, ``2026-11-24T11:56:32+01:00``."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
