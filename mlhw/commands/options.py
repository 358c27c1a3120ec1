"""A Typer command for an experiment: the common options, and one for each key of its configuration."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated, Any

import typer

from mlhw.commands import shared_options as command_options
from mlhw.commands.arguments import Action, Arguments
from mlhw.config.load import as_yaml
from mlhw.config.model import Leaf, Option, leaves
from mlhw.errors import FINISHED, ConfigError
from mlhw.experiments.registry import experiment
from mlhw.runs.execute import RunOptions, execute
from mlhw.text import yaml12

_METAVARS: dict[type, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}

# name, annotation, default: the options that every command has.
_COMMON: dict[str, tuple[Any, Any]] = {
    "config_file": (command_options.ConfigFile, None),
    "sets": (command_options.Sets, None),
    "runs_dir": (command_options.RunsDir, "runs"),
    "name": (command_options.Name, None),
    "print_config": (command_options.PrintConfig, False),
    "json": (command_options.Json, False),
    "quiet": (command_options.Quiet, False),
    "verbose": (command_options.Verbose, False),
    "tensorboard": (command_options.Tensorboard, False),
    "mlflow": (command_options.Mlflow, None),
    "no_plots": (command_options.NoPlots, False),
    "no_check": (command_options.NoCheck, False),
}


def experiment_command(name: str) -> Any:
    """The Typer command of the experiment called ``name``."""
    module = experiment(name)
    options = {"_".join(leaf.path): leaf for leaf in leaves(module.Config) if leaf.has_option}
    actions: list[Action] = list(getattr(module, "ACTIONS", ()))

    def command(**given: Any) -> int:
        values = {
            leaf.option: (leaf.path, _value(leaf, given[parameter]))
            for parameter, leaf in options.items()
            if given[parameter] not in (None, [])
        }
        run_options = RunOptions(
            command=("mlhw", *_arguments()),
            runs_dir=given["runs_dir"],
            name=given["name"],
            json=given["json"],
            quiet=given["quiet"],
            verbose=given["verbose"],
            plots=not given["no_plots"],
            check=not given["no_check"],
            tensorboard=given["tensorboard"],
            mlflow=given["mlflow"],
        )
        arguments = Arguments(
            given["config_file"], given["sets"] or (), values, given["print_config"], run_options
        )
        asked = [action for action in actions if given[action.parameter] is not None]
        if len(asked) > 1:
            raise ConfigError(f"{asked[0].option} and {asked[1].option}: only one can be given")
        if asked:
            return asked[0].function(given[asked[0].parameter], arguments)
        config = arguments.config(module.Config)
        if given["print_config"]:
            print(as_yaml(config), end="")
            return FINISHED
        return execute(name, module, config, run_options)

    parameters = {parameter: _typer_option(leaf) for parameter, leaf in options.items()}
    parameters |= {
        action.parameter: (
            Annotated[
                str | None,
                typer.Option(
                    action.option,
                    metavar=action.metavar,
                    help=action.help,
                    autocompletion=action.complete,
                ),
            ],
            None,
        )
        for action in actions
    }
    parameters |= {key: (annotation, default) for key, (annotation, default) in _COMMON.items()}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for key, (annotation, default) in parameters.items()
        ]
    )
    command.__annotations__ = {key: annotation for key, (annotation, _) in parameters.items()}
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(
        name,
        help=module.QUESTION,
        context_settings={"help_option_names": ["-h", "--help"]},
    )(command)
    return typer.main.get_command(app)


def _typer_option(leaf: Leaf) -> tuple[Any, Any]:
    option = leaf.option
    mark = leaf.marked(Option)
    help = leaf.description[:1].upper() + leaf.description[1:]
    shown = yaml12.inline(leaf.default)
    if leaf.default is not None and "; " not in shown:
        help += f" [default: {shown}]"
    if leaf.types == (bool,):
        flags = f"{option}/--no-{option[2:]}"
        return Annotated[bool | None, typer.Option(flags, help=help)], None
    choices = _choices(leaf.annotation)
    if mark is not None and mark.metavar:
        metavar = mark.metavar
    elif choices:
        metavar = "|".join(choices)
    else:
        metavar = next((_METAVARS[t] for t in leaf.types if t in _METAVARS), "VALUE")
    values = choices or (mark.values if mark is not None else ())

    def complete(incomplete: str) -> list[str]:
        found = values(incomplete) if callable(values) else values
        return [value for value in found if value.startswith(incomplete)]

    kind = list[str] | None if mark is not None and mark.repeatable else str | None
    completion = complete if values else None
    return Annotated[
        kind, typer.Option(option, metavar=metavar, help=help, autocompletion=completion)
    ], None


def _choices(annotation: Any) -> list[str]:
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _value(leaf: Leaf, text: Any) -> Any:
    """The option's text as its key's type: numbers read as in YAML, texts and lists left to the model."""
    if not isinstance(text, str) or leaf.is_section or not leaf.scalar:
        return text
    if leaf.types == (str,):
        return text
    return yaml12.parse_scalar(text)


def _arguments() -> list[str]:
    return sys.argv[1:]
