"""``--resume RUN``: a run goes on in its folder, with its configuration, or a finished one for longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.options import complete_run
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig, leaves
from mlhw.errors import ConfigError
from mlhw.runs.execute import Runnable
from mlhw.runs.options import RunOptions
from mlhw.system.digests import CONFIG, RECORD, is_as_signed
from mlhw.system.screen import Screen

OPTION = "--resume"
Resume = Annotated[
    str | None,
    typer.Option(
        OPTION,
        metavar="RUN",
        help="go on with an unfinished run, in the same folder, or with a finished one for longer",
        rich_help_panel="Configuration",
        autocompletion=complete_run,
    ),
]


def resumed(
    experiment: Runnable,
    run: str,
    options: RunOptions,
    values: Mapping[str, tuple[tuple[str, ...], Any]],
) -> tuple[ExperimentConfig, RunOptions]:
    """The configuration of the run that goes on, and the options with its folder.

    ``values`` are the options of keys that were given, each with its key's path and its value. Raises
    ConfigError for those that the experiment does not take here, for ``--config``, and if ``run`` is no
    run of this experiment, or a finished one that nothing makes longer.
    """
    from mlhw.runs.history import run_of
    from mlhw.runs.lookup import locate, unfinished
    from mlhw.runs.verification import require_own_config

    going_on = experiment.going_on
    taken = going_on.keys if going_on else ()
    given = {option: ".".join(path) for option, (path, _) in values.items()}
    set_keys = {item.partition("=")[0].strip() for item in options.sets}
    refused = [option for option, key in given.items() if key not in taken]
    refused += ["--config"] if options.config_files else []
    refused += ["--set"] if not set_keys <= set(taken) else []
    if refused:
        names = {leaf.key: leaf.option for leaf in leaves(experiment.Config)}
        but = f" ({', '.join(names[key] for key in taken)} may be given)" if taken else ""
        raise ConfigError(
            f"{OPTION} takes its configuration from the run; leave {', '.join(refused)} out{but}"
        )
    folder = locate(run, Path(options.runs_dir)).resolve()
    longer = going_on.longer if going_on else ""
    record = run_of(folder, experiment.name)
    if not is_as_signed(record):
        Screen().warn(f"{folder / RECORD}: has changed since the run wrote it")
    finished = record.get("status") == "finished"
    if going_on and going_on.finished:
        pass
    elif longer not in {*given.values(), *set_keys}:
        option = next((x.option for x in leaves(experiment.Config) if x.key == longer), "")
        unfinished(folder, experiment.name, longer=option)
    require_own_config(folder, f"start anew: mlhw {experiment.name} -c {folder / CONFIG}")
    config = load_config(experiment.Config, str(folder / CONFIG), sets=options.sets, options=values)
    return config, replace(options, resume=folder, longer=finished)
