"""``mlhw runs verify RUN…``: are the files of runs still what they were when the runs ended?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.help import examples
from mlhw.commands.options import Json, RunsDir, complete_run
from mlhw.errors import FAILED, FINISHED, ConfigError
from mlhw.runs.history import all_runs, find
from mlhw.runs.verification import Verified, verified
from mlhw.text.words import printable, quantity

VERIFY: dict[str, Any] = {
    "short_help": "Are the files still what they were?",
    "epilog": examples(
        ("mlhw runs verify", "the newest run"),
        ("mlhw runs verify --all --json", "every run, for a script"),
    ),
}


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="one run or more; by default the newest",
            autocompletion=complete_run,
        ),
    ] = None,
    runs_dir: RunsDir = "runs",
    every: Annotated[bool, typer.Option("--all", help="every run")] = False,
    as_object: Json = False,
) -> int:
    """Compare every file of runs with its digest: which are whole, changed, missing or unknown.

    Files get their digests when a run ends; one that came later, or of an older version, is unknown. With a
    run of 'all' come those that it is made of, with a grid its points. Exit codes: 0 nothing is changed or
    missing; 1 something is, or a run.json cannot be read; 2 no such run.
    """
    if every and names:
        raise ConfigError("verify: give either runs or --all")
    folder = Path(runs_dir)
    asked = all_runs(folder) if every else [find(name, folder) for name in names or ["latest"]]
    runs = {run.folder.resolve(): run for one in asked for run in (one, *one.parts, *one.points)}
    found = [verified(run) for run in runs.values()]
    if as_object:
        print(json.dumps([_object(one) for one in found], indent=2, ensure_ascii=False))
    elif not found:
        print(f"no runs in {runs_dir}")
    else:
        points = {run.folder.resolve() for one in asked for run in one.points}
        whole = 0
        for one in found:
            if one.run.folder.resolve() in points and one.sound and not one.named("unknown"):
                whole += 1
            else:
                print("\n".join(map(printable, _lines(one))), flush=True)
        if points:
            print(f"{quantity(whole, 'point')} of {len(points):,} with nothing but whole files")
    return FINISHED if all(one.sound for one in found) else FAILED


def _lines(one: Verified) -> list[str]:
    """A line for the run, and one for each file that is not whole."""
    counts = {state: len(one.named(state)) for state in ("whole", "changed", "missing", "unknown")}
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no files"
    note = f" ({one.note})" if one.note else ""
    lines = [f"{one.run.folder}: {words}{note}"]
    for state in ("changed", "missing", "unknown"):
        if state != "unknown" or not one.note:
            lines += [f"  {state:<8} {name}" for name in one.named(state)]
    return lines


def _object(one: Verified) -> dict[str, Any]:
    return {
        "run": one.run.name,
        "status": one.run.status,
        "sound": one.sound,
        "note": one.note or None,
        "files": one.files,
    }
