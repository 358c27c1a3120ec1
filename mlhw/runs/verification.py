"""Are a run's files still what they were when it ended? By the digests in its record and its manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlhw.errors import ConfigError
from mlhw.runs.history import Run, run_at
from mlhw.system.digests import (
    BEFORE,
    CONFIG,
    MANIFEST,
    RECORD,
    digests_in,
    file_sha256,
    files_in,
    is_as_signed,
    manifest_entries,
    manifest_holds,
)
from mlhw.system.screen import Screen

State = Literal["whole", "changed", "missing", "unknown"]
NEVER_ENDED = ("running", "crashed")
_FROM_THE_START = {CONFIG, CONFIG + BEFORE, RECORD}

# Who reads them checks them, by the manifest beside them.
_CHECKPOINTS = "checkpoints"
# What a user may take away without harm to any number: figures, reports, models for other programs.
_READ = (".csv", ".json", ".yaml")
_MOST_NAMED = 5


@dataclass(frozen=True)
class Verified:
    """A run's files, each with what has become of it.

    ``whole`` and ``changed`` are those with a digest, ``missing`` is one that has a digest and is not there,
    ``unknown`` one that has none: it came later, the run has not ended, or is of before runs had digests.
    """

    run: Run
    files: dict[str, State]

    def named(self, state: State) -> list[str]:
        return [name for name, found in self.files.items() if found == state]

    @property
    def sound(self) -> bool:
        """Nothing is changed or missing, and the record can be read."""
        return not (self.run.damage or self.named("changed") or self.named("missing"))

    @property
    def note(self) -> str:
        """Why there are no digests; empty where there are."""
        if self.run.damage:
            return self.run.damage
        if not digests_in(self.run.record) and is_as_signed(self.run.record):
            return "made before runs had digests" if self.run.record else ""
        if self.run.status in NEVER_ENDED:
            return f"{self.run.status}; files get their digests when a run ends"
        if self.named("unknown") and not set(digests_in(self.run.record)) - _FROM_THE_START:
            return "it ended without time or room for digests"
        return ""


def verified(run: Run, wanted: Callable[[str], bool] = lambda name: True) -> Verified:
    """Compare the files of a run whose names are ``wanted`` with their digests."""
    kept = digests_in(run.record)
    names = {name.removesuffix(BEFORE): None for name in kept}
    names |= {} if is_as_signed(run.record) else {RECORD: None}
    names |= dict.fromkeys(files_in(run.folder))
    return Verified(run, {name: _state(run, name, kept) for name in sorted(names) if wanted(name)})


def _state(run: Run, name: str, kept: dict[str, str]) -> State:
    if name == RECORD:
        return "whole" if is_as_signed(run.record) else "changed"
    path = run.folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "changed"  # no run has written that into its record
    known = {kept[key] for key in (name, name + BEFORE) if key in kept}
    if path.name == MANIFEST:
        holds = manifest_holds(path.parent)
        return "unknown" if holds is None else "whole" if holds else "changed"
    if not known and (entries := manifest_entries(path.parent)):
        known = {str(entry.get("sha256")) for entry in entries.values()}
    try:
        if not known:
            return "unknown"
        return "whole" if file_sha256(path) in known else "changed"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, ValueError):  # ValueError: a NUL
        return "changed"


# ------------------------------------------------------------------------------------- said


def changes(runs: Iterable[Run]) -> list[str]:
    """A line for each run, and each that it is made of, whose files are not those it had when it ended.

    One too for a run whose record cannot be read. Checkpoints are left to those who read them.
    """
    lines = []
    every = {run.folder: run for asked in runs for run in (asked, *asked.parts)}
    for run in every.values():
        if run.damage and run.folder.is_dir():
            lines.append(
                f"{run.folder}: {run.damage}, so nothing tells whether its files are whole"
            )
        if found := changed_files(run):
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            lines.append(
                f"{run.folder}: {', '.join(found[:_MOST_NAMED])}{more} changed since the run ended "
                f"(mlhw runs verify {run.name})"
            )
    return lines


def warn_of_changes(runs: Iterable[Run]) -> None:
    """Say on stderr which files of these runs are no longer what they were."""
    for line in changes(runs):
        Screen().warn(line)


def changed_files(run: Run) -> list[str]:
    """The files of a run that has ended which are no longer what they were, or are gone and had numbers."""
    found = verified(run, lambda name: _CHECKPOINTS not in Path(name).parts)
    gone = [name for name in found.named("missing") if name.endswith(_READ)]
    return [*found.named("changed"), *(f"{name} (gone)" for name in gone)]


def has_its_numbers(run: Run) -> bool:
    """Whether its record and all files with numbers that have a digest are as they were when it ended."""
    return verified(
        run, lambda name: name.endswith(_READ) and _CHECKPOINTS not in Path(name).parts
    ).sound


def config_changed(path: Path) -> str:
    """The words for a configuration that is no longer the one its run has written; empty if it is.

    Empty too for a file that is in no run folder, or of a run that had no digests.
    """
    whole = path.absolute()
    for folder in (whole.parent, whole.parent.parent):
        run = run_at(folder)
        kept = digests_in(run.record)
        name = whole.relative_to(folder).as_posix()
        if name in kept:
            changed = _state(run, name, kept) == "changed"
            return f"{path}: has changed since its run wrote it" if changed else ""
    return ""


def require_own_config(folder: Path, instead: str) -> None:
    """Raise ConfigError if the configuration of a run, or of a part of it, is not the one that it wrote.

    ``instead`` is what can be done, for the end of the line.
    """
    if not (folder / CONFIG).exists():
        raise ConfigError(f"{folder / CONFIG}: is gone, and says what the run is; put it back")
    for path in (folder / CONFIG, *sorted(folder.glob(f"*/{CONFIG}"))):
        if words := config_changed(path):
            raise ConfigError(f"{words}, so it is not the run's; put it back, or {instead}")
