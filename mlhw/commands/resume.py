"""``--resume RUN``: an unfinished run goes on in its folder, with its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlhw.commands.options import complete_run
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig
from mlhw.errors import ConfigError
from mlhw.runs.execute import Runnable
from mlhw.runs.options import RunOptions

OPTION = "--resume"
Resume = Annotated[
    str | None,
    typer.Option(
        OPTION,
        metavar="RUN",
        help="Go on with an unfinished run, in the same folder.",
        autocompletion=complete_run,
    ),
]


def resumed(
    experiment: Runnable, run: str, options: RunOptions, keys: Sequence[str]
) -> tuple[ExperimentConfig, RunOptions]:
    """The configuration of the run that goes on, and the options with its folder.

    ``keys`` are the options of configuration keys that were given. Raises ConfigError if there are any,
    if ``--config`` or ``--set`` was given, or if ``run`` is no unfinished run of this experiment.
    """
    from mlhw.runs.history import locate, unfinished

    given = [*keys, *(["--config"] if options.config_file else [])]
    given += ["--set"] if options.sets else []
    if given:
        raise ConfigError(
            f"{OPTION} takes its configuration from the run; leave {', '.join(given)} out"
        )
    folder = unfinished(locate(run, Path(options.runs_dir)).resolve(), experiment.name)
    config = load_config(experiment.Config, str(folder / "config.yaml"))
    return config, replace(options, resume=folder)
