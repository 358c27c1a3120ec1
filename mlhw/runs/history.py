"""Runs read back from their folders: which there are, how they ended, what they found."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, TypeGuard

from mlhw.errors import ConfigError, MlhwError, reason_of
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.claims import Claim
from mlhw.result.observations import Observation
from mlhw.system.digests import CONFIG
from mlhw.system.files import regular_text
from mlhw.system.temporaries import process_exists
from mlhw.text import yaml12
from mlhw.text.plain_files import read_plain
from mlhw.text.values import is_digits, is_number

GRID = "grid"
"""The name of the command whose runs have points, in place of an experiment's."""

TOGETHER = ("all", "grade")  # other commands that have runs and are no experiments
_MOST_TABLE = 1 << 30  # bytes of a table that is read back


@dataclass(frozen=True)
class Run:
    """One run folder. ``record`` is its ``run.json``; a file that cannot be read counts as empty.

    A run whose record cannot be read is damaged. Its other files may be whole.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def experiment(self) -> str:
        return self.text("experiment") or _experiment_in(self.name) or "?"

    def text(self, key: str) -> str:
        """A text of the record; empty where there is none."""
        value = self.record.get(key)
        return value if isinstance(value, str) else ""

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        value = self.record.get("seconds")
        return float(value) if is_number(value) else None

    @cached_property
    def status(self) -> str:
        """As recorded; ``crashed`` for a run recorded as running whose process is gone.

        ``damaged`` without a record that can be read, unless the run has only just begun.
        """
        status = self.text("status") or "?"
        if self.damage:
            # It has its folder and its log a moment before its record.
            return "running" if not self.has_record_file and self._alive() else "damaged"
        if status == "running" and self.record.get("host") == socket.gethostname():
            return "running" if self._alive() else "crashed"
        return status

    @property
    def has_record_file(self) -> bool:
        return (self.folder / "run.json").exists()

    @property
    def damage(self) -> str:
        """What is wrong with the record, for the end of a sentence; empty if nothing is."""
        return "" if self.record else _damage(self.folder / "run.json")

    def _alive(self) -> bool:
        """Whether a process still works on the run: it holds a lock on the log until it ends.

        Where the system has no locks, whether a process with the recorded number exists; the number may
        belong to another process by now.
        """
        try:
            import fcntl

            # Shared, so that two who ask at once do not take each other for that process.
            path = self.folder / "log.txt"
            if not path.is_file():
                return process_exists(self.record.get("pid"))
            with open(path, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
            return False
        except (ImportError, OSError):
            return process_exists(self.record.get("pid"))

    @cached_property
    def result(self) -> dict[str, Any]:
        """``result.json``: summary, claims, observations; empty if the run has none."""
        return _read_json(self.folder / "result.json")

    @property
    def claims(self) -> list[Claim]:
        """The claims of ``result.json``; an entry that is no claim is left out."""
        entries = _list(self.result.get("claims"))
        return [claim for entry in entries if (claim := Claim.from_dict(entry))]

    @property
    def observations(self) -> list[Observation]:
        """The observations of ``result.json``; none in a run of an older version."""
        entries = _list(self.result.get("observations"))
        return [seen for entry in entries if (seen := Observation.from_dict(entry))]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary of ``result.json``, empty if there is none."""
        summary = self.result.get("summary")
        return summary if isinstance(summary, dict) else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.yaml`` as plain values; empty if it cannot be read."""
        path = self.folder / "config.yaml"
        with contextlib.suppress(OSError, UnicodeDecodeError, MlhwError):
            value, _ = yaml12.parse(regular_text(path), str(path))
            if isinstance(value, dict):
                return value
        return {}

    @cached_property
    def parts(self) -> list[Run]:
        """The runs that a run of all experiments is made of; the record of a missing one is empty.

        They are looked for beside this folder by name, so that folders moved together find each other.
        """
        listed = self.summary.get("runs") if self.experiment == "all" else None
        named = [part.get("run") for part in _list(listed) if isinstance(part, dict)]
        folders = [self.folder.parent / Path(part).name for part in named if _is_text(part)]
        return [run_at(folder) for folder in folders]

    @cached_property
    def points(self) -> list[Run]:
        """The runs of a grid, in the order of their numbers; none of another run."""
        if self.experiment != GRID:
            return []
        return [run_at(path) for path in sorted(self.folder.glob("points/[0-9]*"), key=_number)]

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of ``NAME.csv``, cells as text; none if there is no such table.

        A run that died while writing may leave half a row, which ends in no line break; it is left out.
        """
        try:
            data = read_plain(self.folder / f"{name}.csv", _MOST_TABLE)
            torn = not data.endswith(b"\n")
            text = data.decode(errors="replace" if torn else "strict")
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
        except (OSError, UnicodeDecodeError, csv.Error):
            return []
        rows = rows[:-1] if torn else rows
        return [row for row in rows if None not in row and None not in row.values()]

    @property
    def tables(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.csv"))

    def headlines(self) -> dict[str, Any]:
        """The experiment's headline numbers, or words, the most important first."""
        try:
            found = self.told_headlines(self.summary)
        except Exception:
            # From another version, or somebody's hand. An experiment at fault was named when it ran.
            return {}
        shown = (str, int, float, NoneType)
        return {key: value for key, value in found.items() if isinstance(value, shown)}

    def told_headlines(self, summary: dict[str, Any]) -> dict[str, Any]:
        """What the experiment makes of a summary; what it raises is raised."""
        if summary and self.experiment == "all":
            statuses = [run["status"] for run in summary["runs"]]
            return {"experiments finished": f"{statuses.count('finished')} of {len(statuses)}"}
        if summary and self.experiment == GRID:
            found = {"points finished": f"{summary['finished']} of {summary['points']}"}
            if summary["ranked"]:
                found[summary["by"]["name"]] = summary["ranked"][0]["mean"]
            return found
        if summary and self.experiment in EXPERIMENTS:
            return experiment(self.experiment).headlines(summary)
        return dict(summary.get("headlines") or {})  # of a command that is no experiment


def _number(path: Path) -> tuple[int, str]:
    return int(path.name) if is_digits(path.name) else 0, path.name


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def all_runs(runs_dir: Path) -> list[Run]:
    """The runs below ``runs_dir``, newest first, damaged ones included.

    A folder that neither holds a record nor is named like a run is left out, a hidden one too.
    Raises ConfigError if the folder cannot be read.
    """
    try:
        folders = [path for path in runs_dir.iterdir() if not path.is_symlink() and path.is_dir()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:  # ValueError: a NUL
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{runs_dir}: {reason}") from None
    runs = [
        Run(path, record)
        for path in folders
        if not path.name.startswith(".")
        and ((record := _read_record(path)) or _NAME.match(path.name))
    ]
    return sorted(runs, key=_order, reverse=True)


def _order(run: Run) -> tuple[str, int, str]:
    """A key that sorts runs by the time in their names, then by the number behind equal times."""
    stem, _, last = run.name.rpartition("-")
    numbered = stem.endswith(run.experiment) and is_digits(last)
    return run.name[:15], int(last) if numbered else 1, run.name


def find(name: str, runs_dir: Path) -> Run:
    """The run that ``name`` means: a path, a folder's name, a unique beginning of one, or ``latest``.

    An experiment's name is its newest run; ``~1`` after it, or after ``latest``, the one before, and so
    on. Raises ConfigError if there is none or more than one.
    """
    # os.path finds no folder of a name that is too long, where pathlib raises.
    folders = [path for path in (Path(name), runs_dir / name) if name and os.path.isdir(path)]
    for path in folders:
        record = _read_record(path)
        # A link such as latest that leads to a damaged run means the newest whole one.
        if record or (_NAME.match(path.name) and not path.is_symlink()):
            return Run(_beside(path) if path.is_symlink() else path, record)
    try:
        return _named(name, runs_dir)
    except ConfigError:
        if folders:
            damage = _damage(folders[0] / "run.json")
            raise ConfigError(f"{folders[0]}: is no run folder ({damage})") from None
        raise


def _beside(link: Path) -> Path:
    """The folder that a link leads to, as it is reached from the link's own folder if it lies there."""
    target = link.resolve()
    beside = link.parent / target.name
    return beside if beside.resolve() == target else target


def _named(name: str, runs_dir: Path) -> Run:
    """The run of this name, ``latest`` and experiments' names included; raises ConfigError."""
    runs = all_runs(runs_dir)
    word, _, back = name.partition("~")
    if word in ("latest", *TOGETHER, GRID, *EXPERIMENTS) and (
        not back or (is_digits(back) and len(back) < 10)
    ):
        # Of damaged ones nothing is known; who means one names it.
        these = [run for run in runs if run.record and word in ("latest", run.experiment)]
        steps = int(back or 0)
        if word == "latest":
            # mlhw all points it to a run that began before those it holds.
            pointed = (runs_dir / "latest").resolve().name
            steps += next((i for i, run in enumerate(these) if run.name == pointed), 0)
        if steps < len(these):
            return these[steps]
        kind = "" if word == "latest" else f"{word} "
        raise ConfigError(f"no run '{name}' in {runs_dir}: it has {len(these)} {kind}runs")
    found = [run for run in runs if run.name.startswith(name)] if name else []
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(run.name for run in found[:4])
        raise ConfigError(f"'{name}' is the beginning of {len(found)} runs ({some} …)")
    from mlhw.text.words import hint, nearest

    near = nearest(name, [run.name for run in runs])
    raise ConfigError(f"no run '{name}' in {runs_dir}{hint(near)}")


def run_of(folder: Path, experiment: str) -> dict[str, Any]:
    """The record of the run of ``experiment`` in ``folder``. Raises ConfigError if it is none."""
    record = _read_record(folder)
    if not record:
        kind = "a damaged run" if _NAME.match(folder.name) else "no run folder"
        config = folder / CONFIG
        anew = f"; start anew: mlhw {experiment} -c {config}" if config.is_file() else ""
        raise ConfigError(f"--resume {folder}: is {kind} ({_damage(folder / 'run.json')}){anew}")
    found = record.get("experiment", "?")
    if found != experiment:
        raise ConfigError(
            f"--resume {folder}: is a run of {found}, not of {experiment}; "
            f"'{experiment}' is the newest of those"
        )
    return record


# 20261124-115632-lr-sweep, as ``new_folder.create_folder`` names them.
_NAME = re.compile(r"\d{8}-\d{6}-", re.ASCII)


def _experiment_in(name: str) -> str | None:
    """The experiment in a run folder's name."""
    rest = name[len(found[0]) :] if (found := _NAME.match(name)) else ""
    words = (*TOGETHER, GRID, *EXPERIMENTS)
    return next((word for word in words if f"{rest}-".startswith(f"{word}-")), None)


def _damage(record: Path) -> str:
    """Why a ``run.json`` gives no record."""
    try:
        value = json.loads(regular_text(record))
    except FileNotFoundError:
        return "it has no run.json"
    except OSError as error:
        return f"its run.json cannot be read: {reason_of(error)}"
    except (ValueError, RecursionError):
        return "its run.json is torn"
    if isinstance(value, dict) and value:
        return f"its run.json is no record: {_wrong_type(value)}"
    return "its run.json is empty" if value == {} else "its run.json is no record"


def run_at(folder: Path) -> Run:
    """The run in a folder; its record is empty where that cannot be read."""
    return Run(folder, _read_record(folder))


# What a record says that is read back; a key may be missing.
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "experiment": ((str,), "a text"),
    "status": ((str,), "a text"),
    "command": ((str,), "a text"),
    "started": ((str,), "a text"),
    "reason": ((str, NoneType), "a text or null"),
    "exit_code": ((int, NoneType), "a whole number or null"),
    "seconds": ((int, float, NoneType), "a number or null"),
    "digests": ((dict,), "a mapping"),
}


def _wrong_type(record: dict[str, Any]) -> str:
    """The first value of a record that is of another type than it has to be, in words; empty if none is."""
    for key, (types, words) in _TYPES.items():
        if key in record and not isinstance(record[key], types):
            return f"{key} is not {words}"
    digests = record.get("digests", {})
    return "" if all(map(_is_text, digests.values())) else "a digest is not a text"


def _read_record(folder: Path) -> dict[str, Any]:
    """``run.json``; empty if it cannot be read or is no record."""
    record = _read_json(folder / "run.json")
    return {} if _wrong_type(record) else record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(regular_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
