"""``mlhw runs``: list, show, compare, run again, hand on, clean."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.help import Command, Group, examples
from mlhw.commands.options import Json, NoPlots, RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig
from mlhw.config.whole_numbers import whole_number
from mlhw.errors import CLAIM_FAILS, FINISHED, ConfigError, RunError, reason_of, worst
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.claims import verdicts_line
from mlhw.result.findings import finding_lines
from mlhw.runs.archive import pack, with_parts
from mlhw.runs.compare import (
    as_csv,
    as_json,
    as_markdown,
    as_text,
    compare,
    differences,
    shown,
)
from mlhw.runs.entry import entry_of
from mlhw.runs.execute import execute
from mlhw.runs.history import Run, all_runs, find
from mlhw.runs.inlined import size_text
from mlhw.runs.options import RunOptions
from mlhw.runs.overlay import overlays, refuse_existing, write_overlays
from mlhw.runs.trackers import event_folder
from mlhw.system.screen import print_fitting, table_width
from mlhw.text import yaml12
from mlhw.text.values import flat, number_text, to_json
from mlhw.text.words import pairs, printable, text_table

app = typer.Typer(
    cls=Group,
    help="List, show, compare, run again, export and clean up runs.",
    invoke_without_command=True,
    **PLAIN,
)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.callback()
def help_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="a path, a folder's name or a unique beginning of one, 'latest', or an experiment's name "
        "for its newest run; 'latest~1' is the one before",
        autocompletion=complete_run,
    ),
]


@app.command(
    "list",
    cls=Command,
    short_help="Every run, newest first.",
    epilog=examples(
        ("mlhw runs list", "those in runs/"),
        ("mlhw runs list --json | jq '.[0].run'", "the newest one's folder, for a script"),
    ),
)
def list_runs(runs_dir: RunsDir = "runs", as_object: Json = False) -> int:
    """Every run, newest first: of its claims how many hold, fail and are not applicable."""
    runs = all_runs(Path(runs_dir))
    if as_object:
        print(json.dumps([entry_of(run) for run in runs], indent=2, ensure_ascii=False))
        return FINISHED
    if not runs:
        print(f"no runs in {runs_dir}")
        return FINISHED
    header = ["run", "experiment", "status", "hold", "fail", "n/a", "seconds", "headline"]
    table = []
    for run in runs:
        entry = entry_of(run)
        counts = [str(entry["claims"][key]) for key in ("holds", "fails", "not_applicable")]
        headline = next(iter(entry["headlines"].items()), None)
        seconds = entry["seconds"]
        table.append(
            [
                run.name,
                run.experiment,
                run.status,
                *(counts if run.claims else "---"),
                "-" if seconds is None else f"{seconds:.1f}",
                "-" if headline is None else f"{headline[0]} {number_text(headline[1])}",
            ]
        )
    print("\n".join(text_table(header, table, width=table_width())))
    return FINISHED


@app.command(
    "show",
    cls=Command,
    short_help="What one run was asked and found.",
    epilog=examples(
        ("mlhw runs show latest", "the newest run"),
        ("mlhw runs show lr-sweep~1 --verbose", "the one before the newest lr-sweep, with ids"),
    ),
)
def show_run(
    name: RunName,
    runs_dir: RunsDir = "runs",
    as_object: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="claims with their ids and numbers")
    ] = False,
) -> int:
    """One run: how it went, what it found, what it was asked."""
    run = find(name, Path(runs_dir))
    if as_object:
        found = {"run": str(run.folder), "name": run.name, **run.record, "status": run.status}
        print(
            json.dumps(
                to_json(found | {"result": run.result or None, "config": run.config}), indent=2
            )
        )
        return FINISHED
    reason = run.text("reason") or run.damage
    rows = [
        ["run", str(run.folder)],
        ["experiment", run.experiment],
        ["status", run.status + (f": {reason}" if reason else "")],
        ["command", run.text("command") or "-"],
        ["started", run.text("started") or "-"],
        ["seconds", "-" if run.seconds is None else f"{run.seconds:g}"],
    ]
    rows += [[key, number_text(value)] for key, value in run.headlines().items()]
    print("\n".join(pairs(rows, width=table_width())))
    print_fitting(finding_lines(run.claims, run.observations, verbose=verbose))
    if run.claims:
        print(f"\n{verdicts_line(run.claims)}")
    if run.config:
        print("\nconfiguration")
        rows = [[f"  {key}", shown(value)] for key, value in flat(run.config)]
        print("\n".join(pairs(rows, width=table_width())))
    print("\nfiles")
    for path in sorted(run.folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            print(printable(f"  {path.relative_to(run.folder)}"))
    return FINISHED


@app.command(
    "compare",
    cls=Command,
    short_help="What differs between runs, with a figure.",
    epilog=examples(
        ("mlhw runs compare lr-sweep~1 lr-sweep", "the two newest runs of lr-sweep"),
        ("mlhw runs compare latest~1 latest --md", "as a Markdown table"),
    ),
)
def compare_runs(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN…", help="two runs or more", autocompletion=complete_run),
    ],
    runs_dir: RunsDir = "runs",
    as_table: Annotated[bool, typer.Option("--csv", help="as CSV")] = False,
    as_object: Json = False,
    markdown: Annotated[bool, typer.Option("--md", help="as a Markdown table")] = False,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="where the figure lands, over no other; by default RUNS/compare, in place of the last one",
        ),
    ] = None,
    no_plots: NoPlots = False,
) -> int:
    """What differs in configuration and claims, the headline numbers, one figure over the other."""
    if out is not None and (no_plots or not out):
        raise ConfigError(
            f"--out: {'would do nothing beside --no-plots' if no_plots else 'is empty'}"
        )
    if sum((as_table, as_object, markdown)) > 1:
        raise ConfigError("--csv, --json and --md: only one can be given")
    if len(names) < 2:
        raise ConfigError("compare: two runs are needed, such as: mlhw runs compare RUN latest")
    runs = [find(name, Path(runs_dir)) for name in names]
    folder = Path(out) if out else Path(runs_dir) / "compare"
    figures = [] if no_plots else overlays(runs)
    if out:
        refuse_existing(figures, folder)
    comparison = compare(runs)
    write = as_csv if as_table else as_json if as_object else as_markdown
    if as_table or as_object or markdown:
        print(write(comparison))
    else:
        print(as_text(comparison, table_width()))
    for line in write_overlays(figures, folder):
        print(printable(line), file=sys.stderr)
    return FINISHED


@app.command(
    "rerun",
    cls=Command,
    short_help="Run again; are the numbers identical?",
    epilog=examples(
        ("mlhw runs rerun latest", "the newest run"),
        ("mlhw runs rerun all --no-plots", "every run of the newest mlhw all"),
    ),
)
def rerun(name: RunName, runs_dir: RunsDir = "runs", no_plots: NoPlots = False) -> int:
    """Run the same configuration again and say whether the numbers are identical, and where not.

    A run of all experiments is repeated run by run. Exit code 3 if the numbers are not identical.
    """
    run = find(name, Path(runs_dir))
    parts = run.parts if run.experiment == "all" else [run]
    if not parts:
        raise ConfigError(f"{run.folder}: names no runs to repeat")
    # Before the first of them takes its hour.
    configs = [_repeatable(part) for part in parts]
    codes: list[int] = []
    for part, config in zip(parts, configs, strict=True):
        codes.append(_rerun(part, config, Path(runs_dir), plots=not no_plots))
        if codes[-1] > 128:
            break  # a signal is meant for all of them
    return worst(codes)


def _repeatable(before: Run) -> ExperimentConfig:
    """The configuration of a run; raises ConfigError if it cannot be repeated and compared."""
    if not before.folder.is_dir():
        raise ConfigError(f"{before.folder}: the run is not there to be repeated")
    if before.damage:
        raise ConfigError(f"{before.folder}: the run is damaged ({before.damage})")
    if before.experiment not in EXPERIMENTS:
        raise ConfigError(
            f"{before.folder}: '{before.experiment}' is no experiment of this version"
        )
    if before.status != "finished":
        raise ConfigError(
            f"{before.folder}: the run is {before.status}; only finished ones compare"
        )
    model = experiment(before.experiment).Config
    return load_config(model, str(before.folder / "config.yaml"))


def _rerun(before: Run, config: ExperimentConfig, runs_dir: Path, *, plots: bool) -> int:
    name = before.experiment
    command = ("mlhw", name, "--config", str(before.folder / "config.yaml"))
    options = RunOptions(command, runs_dir=str(runs_dir), plots=plots, quiet=True, check=False)
    code, folder = execute(experiment(name), config, options)
    if code != FINISHED:
        return code
    lines = differences(before, find(str(folder), runs_dir))
    if not lines:
        print(f"\nidentical: every number of {before.name} came out again", flush=True)
        return FINISHED
    print(f"\nnot identical to {before.name}:")
    for line in lines:
        print(printable(f"  {line}"))
    return CLAIM_FAILS


@app.command(
    "export",
    cls=Command,
    short_help="Runs as one zip file, to be handed on.",
    epilog=examples(
        ("mlhw runs export latest mine.zip", "one run, with its report"),
        ("mlhw runs export all everything.zip", "a run of all, and those that it is made of"),
    ),
)
def export_runs(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... FILE.zip",
            help="one run or more, then the file to write",
            autocompletion=complete_run,
        ),
    ],
    runs_dir: RunsDir = "runs",
) -> int:
    """Write run folders whole into a new zip file; with a run of 'all' come those that it is made of."""
    *names, last = words
    if not names or not last.lower().endswith(".zip"):
        example = f"mlhw runs export {' '.join(words[: len(names) or 1])} mine.zip"
        raise ConfigError(f"export: the last word names the file to write, such as: {example}")
    file = Path(last)
    runs = with_parts([find(name, Path(runs_dir)) for name in names])
    count = pack(runs, file)
    size = size_text(file.stat().st_size)
    print(printable(f"{file}: {', '.join(run.name for run in runs)}; {count} files, {size}"))
    return FINISHED


def _count(text: str) -> int:
    """A whole number from 0 as typed; ``1e3`` is one."""
    value = whole_number(yaml12.parse_scalar(text))
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise typer.BadParameter(f"must be a whole number, at least 0 (got {text})")
    return value


@app.command(
    "clean",
    cls=Command,
    short_help="Delete all but the newest runs.",
    epilog=examples(
        ("mlhw runs clean --keep 20 --dry-run", "what would go"),
        ("mlhw runs clean --keep 20", "delete it"),
    ),
)
def clean(
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", parser=_count, help="how many to keep")
    ],
    runs_dir: RunsDir = "runs",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> int:
    """Delete all but the newest N runs; those still running stay.

    A damaged run does not count as one of N; it goes if it is older than all that stay.
    """
    old = [run for run in _beyond(all_runs(Path(runs_dir)), keep) if run.status != "running"]
    # What a clean that was interrupted has left.
    rests = [path for path in Path(runs_dir).glob(f"{_DELETED}*") if path.is_dir()]
    for folder in (*rests, *(run.folder for run in old)):
        print(printable(f"{'would delete' if dry_run else 'deleted'} {folder}"))
        if not dry_run:
            _delete(folder)
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


_DELETED = ".deleted-"


def _delete(folder: Path) -> None:
    """Delete a run folder. It is renamed first, so that a half deleted one is not taken for a run."""
    try:
        if not folder.name.startswith(_DELETED):
            shutil.rmtree(event_folder(folder), ignore_errors=True)
            folder = folder.rename(folder.with_name(f"{_DELETED}{folder.name}"))
        shutil.rmtree(folder)
    except OSError as error:
        raise RunError(f"{folder}: {reason_of(error)}") from None


def _mend_latest(runs_dir: Path, dry_run: bool) -> None:
    latest = runs_dir / "latest"
    if not dry_run and latest.is_symlink() and not latest.exists():
        latest.unlink()
