"""The Typer command that runs an experiment, or all of them: arguments in, a run or an action started."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands import options, resume
from mlhw.commands.help import WHOLE_WIDTH, Command, examples
from mlhw.config.load import as_yaml, load_config
from mlhw.config.model import leaves
from mlhw.errors import FINISHED, ConfigError
from mlhw.experiments.actions import Action
from mlhw.result.recorder import SpokenRecorder
from mlhw.runs.execute import Runnable, execute
from mlhw.runs.options import RunOptions, command_line
from mlhw.runs.verification import config_changed
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen, print_fitting
from mlhw.system.torchrun import of_environment
from mlhw.text.values import to_json

PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "context_settings": WHOLE_WIDTH,
}
"""How every Typer program here is made: plain text, no traceback of its own."""


def command_of(experiment: Runnable, *, without: tuple[str, ...] = ()) -> Any:
    """The Typer command of an experiment: an option for each key, for each action, and those of every run.

    ``without`` names fields of ``RunOptions`` that this command does not offer.
    """
    keys = {"_".join(leaf.path): leaf for leaf in leaves(experiment.Config) if leaf.has_option}

    def command(**given: Any) -> int:
        values = {
            leaf.option: (leaf.path, options.key_value(leaf, given[parameter]))
            for parameter, leaf in keys.items()
            if given[parameter] not in (None, [])
        }
        run_options = RunOptions(command_line(("mlhw", *sys.argv[1:])), **options.run_values(given))
        undrawn = [o for o, (path, _) in values.items() if path[-1] in experiment.Config.only_drawn]
        if undrawn and not run_options.plots:
            raise ConfigError(f"{undrawn[0]}: would do nothing: nothing is drawn (--no-plots)")
        asked = [action for action in experiment.actions if given[action.parameter] is not None]
        resumed = given.get("resume")
        words = [action.option for action in asked] + (
            [resume.OPTION] if resumed is not None else []
        )
        if len(words) > 1:
            raise ConfigError(f"{words[0]} and {words[1]}: only one can be given")
        if resumed is not None:
            config, run_options = resume.resumed(experiment, resumed, run_options, values)
        else:
            config = load_config(
                experiment.Config, run_options.config_files, run_options.sets, values
            )
            for said in filter(None, map(config_changed, map(Path, run_options.config_files))):
                Screen().warn(f"{said}: this is not the configuration of that run")
        if of_environment() is not None and (asked or run_options.print_config):
            option = asked[0].option if asked else "--print-config"
            raise ConfigError(f"{option}: works in one process; call it without torchrun")
        for action in asked:
            return act(action, given[action.parameter], config, run_options)
        if run_options.print_config:
            print(as_yaml(config), end="")
            return FINISHED
        return execute(experiment, config, run_options).exit_code

    parameters = {parameter: options.key_parameter(leaf) for parameter, leaf in keys.items()}
    for action in experiment.actions:
        parameters[action.parameter] = (
            Annotated[
                str | None,
                typer.Option(
                    action.option,
                    metavar=action.metavar,
                    help=action.help,
                    rich_help_panel="In place of a run",
                ),
            ],
            None,
        )
    if experiment.resumable:
        parameters["resume"] = (resume.Resume, None)
    parameters |= options.run_parameters(without=without)
    return typer_command(
        experiment.name, experiment.question, command, parameters, experiment.examples
    )


def act(action: Action, value: str, config: Any, run_options: RunOptions) -> int:
    """Do what an action's option asks for, and say what was done."""
    screen = Screen(
        quiet=run_options.quiet, verbose=run_options.verbose, progress=run_options.progress
    )
    with contextlib.closing(screen), Interrupts():
        done = action.function(value, config, SpokenRecorder(screen))
    if run_options.json:
        print(json.dumps(to_json(done.record), indent=2, ensure_ascii=False))
    else:
        print_fitting(done.text.splitlines())
    return FINISHED


def typer_command(
    name: str,
    help: str,
    function: Callable[..., int],
    parameters: dict[str, options.Parameter],
    shown: Sequence[tuple[str, str]],
) -> Any:
    """A Typer command that calls ``function`` with ``parameters`` as keyword arguments.

    ``shown`` are the examples in its help.
    """
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for key, (annotation, default) in parameters.items()
        ]
    )
    function.__annotations__ = {key: annotation for key, (annotation, _) in parameters.items()}
    app = typer.Typer(**PLAIN)
    app.command(name, cls=Command, help=help, epilog=examples(*shown))(function)
    return typer.main.get_command(app)
