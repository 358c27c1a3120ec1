"""``mlhw runs``: list, show, compare, run again, hand on, verify, clean."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.cleaning import CLEAN, clean
from mlhw.commands.help import Command, Group, examples
from mlhw.commands.options import Json, NoPlots, RunName, RunsDir, complete_run
from mlhw.commands.rerun import RERUN, rerun
from mlhw.commands.run import PLAIN
from mlhw.commands.verify import VERIFY, verify
from mlhw.errors import FINISHED, ConfigError
from mlhw.result.claims import verdicts_line
from mlhw.result.findings import finding_lines
from mlhw.runs import leftovers
from mlhw.runs.archive import pack, with_parts
from mlhw.runs.compare import (
    as_csv,
    as_json,
    as_markdown,
    as_text,
    compare,
    shown,
)
from mlhw.runs.entry import entry_of
from mlhw.runs.history import Run, all_runs, find
from mlhw.runs.inlined import size_text
from mlhw.runs.overlay import overlays, refuse_existing, write_overlays
from mlhw.runs.verification import changed_files, warn_of_changes
from mlhw.system.screen import print_fitting, table_width
from mlhw.text.values import flat, number_text, to_json
from mlhw.text.words import one_line, pairs, quantity, text_table

app = typer.Typer(
    cls=Group,
    help="List, show, compare, run again, export, verify and clean up runs.",
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
    left = leftovers.in_runs(Path(runs_dir))
    if not runs:
        print(one_line(f"no runs in {runs_dir}"))
    else:
        _print_table(runs)
    if left:
        print(f"\n{leftovers.leftovers_in_words(left)}; mlhw runs clean removes them:")
        print("\n".join(one_line(f"  {path}") for path in left))
    return FINISHED


def _print_table(runs: Sequence[Run]) -> None:
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
    changed = changed_files(run)
    if as_object:
        warn_of_changes([run])
        found = {"run": str(run.folder), "name": run.name, **run.record, "status": run.status}
        print(
            json.dumps(
                to_json(
                    found | {"changed": changed, "result": run.result or None, "config": run.config}
                ),
                indent=2,
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
    if changed:
        since = f"since the run ended (mlhw runs verify {run.name})"
        rows.append(["changed", f"{', '.join(changed)}: {since}"])
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
        inside = path.relative_to(run.folder)
        if path.is_file() and not path.name.startswith(".") and not _of_point(run, inside):
            print(f"  {one_line(inside)}")
    if run.points:
        first = one_line(run.points[0].folder)
        print(
            f"  and {quantity(len(run.points), 'run folder')} in points/, as in: mlhw runs show {first}"
        )
    return FINISHED


def _of_point(run: Run, inside: Path) -> bool:
    """Whether a file is one of a grid's points."""
    return bool(run.points) and len(inside.parts) > 2 and inside.parts[0] == "points"


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
    warn_of_changes(runs)
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
        print(one_line(line), file=sys.stderr)
    return FINISHED


app.command("rerun", cls=Command, **RERUN)(rerun)


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
    warn_of_changes(runs)
    count = pack(runs, file)
    size = size_text(file.stat().st_size)
    print(one_line(f"{file}: {', '.join(run.name for run in runs)}; {count} files, {size}"))
    return FINISHED


app.command("verify", cls=Command, **VERIFY)(verify)
app.command(**CLEAN)(clean)
