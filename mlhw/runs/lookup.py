"""The run that a command is to work with, by its name, its folder, or a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlhw.errors import ConfigError
from mlhw.runs.history import Run, all_runs, find, run_of


def locate(name: str, runs_dir: Path, *, trained: bool = False) -> Path:
    """The folder of the run that ``name`` means, or the file or other folder of this path.

    Raises ConfigError if there is none, or if it has to have ``trained`` a network and is a run without one.
    """
    exists = os.path.lexists(name)
    try:
        if exists and not os.path.isdir(name):
            return Path(name)
        run = find(name, runs_dir)
    except ConfigError:
        if not exists:
            raise
        return Path(name)
    if trained and run.record and not _has_network(run) and not any(_trained_parts(run)):
        newest = next((each for each in all_runs(runs_dir) if _has_network(each)), None)
        way = f"the newest with one is {newest.name}" if newest else "mlhw finetune trains one"
        raise ConfigError(f"{run.folder}: is a run of {run.experiment} without a network; {way}")
    return run.folder


def _has_network(run: Run) -> bool:
    return (run.folder / "checkpoints").is_dir()


def _trained_parts(run: Run) -> Iterator[Path]:
    """Of a run that is made of several, their networks: whoever needs one says which there are."""
    return run.folder.glob("*/checkpoints")


def unfinished(folder: Path, experiment: str, *, longer: str = "") -> Path:
    """``folder``, if it holds a run of ``experiment`` that has not finished.

    ``longer`` is the option that lets a finished one go on, for the message. Raises ConfigError otherwise.
    """
    if run_of(folder, experiment).get("status") == "finished":
        more = f"{longer} N makes it longer, and " if longer else ""
        raise ConfigError(
            f"--resume {folder}: is finished; {more}mlhw {experiment} -c {folder / 'config.yaml'} runs it "
            "again"
        )
    return folder
