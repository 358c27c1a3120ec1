"""``mlhw runs clean``: old runs, and what killed processes have left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import RunsDir
from mlhw.config.whole_numbers import whole_number
from mlhw.errors import FINISHED, RunError, reason_of
from mlhw.runs import leftovers
from mlhw.runs.history import Run, all_runs
from mlhw.runs.trackers import event_folder
from mlhw.system import temporaries
from mlhw.system.digests import drop
from mlhw.text import yaml12
from mlhw.text.words import one_line

CLEAN: dict[str, Any] = {
    "name": "clean",
    "cls": Command,
    "short_help": "Delete leftovers, and all but the newest runs.",
    "epilog": examples(
        ("mlhw runs clean", "delete what killed processes have left, and no run"),
        ("mlhw runs clean --keep 20 --dry-run", "what would go"),
        ("mlhw runs clean --keep 20", "delete it"),
    ),
}


def _count(text: str) -> int:
    """A whole number from 0 as typed; ``1e3`` is one."""
    value = whole_number(yaml12.parse_scalar(text))
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise typer.BadParameter(f"must be a whole number, at least 0 (got {text})")
    return value


def clean(
    keep: Annotated[
        int | None,
        typer.Option("--keep", metavar="N", parser=_count, help="how many to keep; all without it"),
    ] = None,
    runs_dir: RunsDir = "runs",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> int:
    """Delete all but the newest N runs, and what killed processes have left; what still runs stays.

    A damaged run does not count as one of N; it goes if it is older than all that stay.
    """
    runs = [] if keep is None else _beyond(all_runs(Path(runs_dir)), keep)
    old = [run.folder for run in runs if run.status != "running"]
    rests = leftovers.in_runs(Path(runs_dir))
    rests = [path for path in rests if not any(one in (path, *path.parents) for one in old)]
    for path in (*rests, *old):
        print(one_line(f"{'would delete' if dry_run else 'deleted'} {path}"))
        if not dry_run:
            _delete(path)
    _mend_latest(Path(runs_dir), dry_run)
    if not old and not rests:
        print("nothing to delete")
    return FINISHED


def _beyond(runs: list[Run], keep: int) -> list[Run]:
    """The runs, newest first, that are older than the newest ``keep`` whole ones."""
    whole = [place for place, run in enumerate(runs) if not run.damage]
    if len(whole) <= keep and keep:
        return []
    return runs[whole[keep - 1] + 1 :] if keep else runs


def _delete(path: Path) -> None:
    """Delete a run folder or a leftover.

    A run is renamed first, so that a half deleted one is not taken for a run.
    """
    try:
        if temporaries.is_temporary(path.name):
            temporaries.remove(path)
            return
        if path.is_file():
            drop([path])
            return
        if not path.name.startswith(leftovers.DELETED):
            shutil.rmtree(event_folder(path), ignore_errors=True)
            path = path.rename(path.with_name(f"{leftovers.DELETED}{path.name}"))
        shutil.rmtree(path)
    except OSError as error:
        raise RunError(f"{path}: {reason_of(error)}") from None


def _mend_latest(runs_dir: Path, dry_run: bool) -> None:
    latest = runs_dir / "latest"
    if not dry_run and latest.is_symlink() and not latest.exists():
        latest.unlink()
