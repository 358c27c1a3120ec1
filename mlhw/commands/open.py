"""``mlhw open [RUN]``: a run's report in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.errors import FINISHED, ConfigError, RunError
from mlhw.runs.history import find
from mlhw.runs.verification import changed_files
from mlhw.system.screen import Screen
from mlhw.text.words import printable

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command(
    "open",
    cls=Command,
    epilog=examples(
        ("mlhw open", "the newest run's report"),
        ("mlhw open lr-sweep~1", "that of the lr-sweep before the newest"),
        ('cp "$(mlhw open all --print)" answers.html', "its path, for a script"),
    ),
)
def open_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a path, a folder's name or a unique beginning of one, 'latest', or an experiment's name",
            autocompletion=complete_run,
        ),
    ] = "latest",
    only_print: Annotated[
        bool, typer.Option("--print", help="print the report's path and open nothing")
    ] = False,
    runs_dir: RunsDir = "runs",
) -> int:
    """Show a run's report in the browser.

    Exit codes: 0 shown, or with --print printed; 1 there is no browser; 2 no such run, or it has no
    report.
    """
    found = find(run, Path(runs_dir))
    report = found.folder / "report.html"
    if not report.is_file():
        why = found.text("reason") or found.damage
        raise ConfigError(
            f"{found.folder}: has no report.html (the run is {found.status}{f': {why}' if why else ''})"
        )
    if not report.resolve().is_relative_to(found.folder.resolve()):
        raise ConfigError(f"{report}: is a link that leads out of the run's folder; not opened")
    if report.name in changed_files(found):
        Screen().warn(f"{report}: has changed since the run ended")
    if only_print:
        print(printable(str(report)))
        return FINISHED
    try:
        shown = webbrowser.open(report.resolve().as_uri())
    except (webbrowser.Error, OSError):
        shown = False
    if not shown:
        raise RunError(
            f"{report}: there is no browser here to show it; BROWSER names one, --print prints the path"
        )
    print(printable(f"{report}: shown in the browser"))
    return FINISHED
