"""The options that several commands have, each declared once, as Typer's annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs for the shell's completion."""
    from mlhw.runs.history import all_runs

    runs = all_runs(Path(ctx.params.get("runs_dir") or "runs"))
    kinds = dict.fromkeys(sorted(run.experiment for run in runs))
    names = ["latest", *kinds, *(run.name for run in runs)]
    return [name for name in names if name.startswith(incomplete)]


ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="YAML file to start from, or the name of one that comes with mlhw.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Set any key (repeatable)."),
]
RunsDir = Annotated[
    str, typer.Option("--runs-dir", metavar="DIR", envvar="MLHW_RUNS_DIR", help="Where runs land.")
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="Appended to the run folder's name.")
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the resolved configuration and end.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No log lines on the screen.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Every log line on the screen.")]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard event files into the run.")
]
Mlflow = Annotated[
    str | None,
    typer.Option("--mlflow", metavar="[URI]", help="Log to MLflow, here or at this address."),
]
NoPlots = Annotated[bool, typer.Option("--no-plots", help="Draw no figures.")]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="A failing claim does not change the exit code.")
]
