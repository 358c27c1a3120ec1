"""Typer's options: those that every run has, and one for each key of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel

from mlhw.config.model import Leaf, Option, leaves
from mlhw.runs.options import TYPED
from mlhw.text import yaml12

_METAVARS: dict[type, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}

Parameter = tuple[Any, Any]
"""A parameter's annotation and default, as Typer reads them."""


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs for the shell's completion."""
    from mlhw.runs.history import all_runs

    runs = all_runs(Path(ctx.params.get("runs_dir") or "runs"))
    kinds = dict.fromkeys(sorted(run.experiment for run in runs))
    names = ["latest", *kinds, *(run.name for run in runs)]
    return [name for name in names if name.startswith(incomplete)]


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="a path, a folder's name or a unique beginning of one, 'latest', or an experiment's name "
        "for its newest run; 'latest~1' is the one before",
        autocompletion=complete_run,
    ),
]


# ------------------------------------------------------------------------------------- of every run


def complete_config(ctx: typer.Context, incomplete: str) -> list[str]:
    """Configurations that come with mlhw for this command, and files, for the shell's completion."""
    from mlhw.config.files import near_configs, shipped_names

    ours = [n for n in shipped_names() if n.rpartition("/")[2].startswith(ctx.info_name or "")]
    return [*(name for name in ours if name.startswith(incomplete)), *near_configs(incomplete)]


def _of_run(name: str) -> Any:
    """The annotation of a field of ``RunOptions``."""
    typed, default = TYPED[name]
    kind: Any = str | None
    if isinstance(default, bool):
        kind = bool
    elif default == ():
        kind = list[str] | None
    elif default is not None:
        kind = type(default)
    return Annotated[
        kind,
        typer.Option(
            *typed.names,
            metavar=typed.metavar,
            envvar=typed.variable,
            help=typed.help,
            rich_help_panel=typed.group,
            autocompletion=complete_config if name == "config_files" else None,
        ),
    ]


def run_parameters(*, without: tuple[str, ...] = ()) -> dict[str, Parameter]:
    """Typer's parameters for the fields of ``RunOptions``, except those in ``without``."""
    return {
        name: (_of_run(name), False if isinstance(default, bool) else default or None)
        for name, (_, default) in TYPED.items()
        if name not in without
    }


def run_values(given: dict[str, Any]) -> dict[str, Any]:
    """The values for ``RunOptions`` that the command line gave; a flag that was set inverts its default."""
    values = {}
    for name, (_, default) in TYPED.items():
        value = given.get(name)
        if value is not None:
            values[name] = value != default if isinstance(default, bool) else value
    return values


def with_values(arguments: Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """The words of a command line, an empty value behind an option that may stand alone (``--mlflow``).

    ``also`` are such options of this command.
    """
    alone = {typed.names[0] for typed, _ in TYPED.values() if typed.may_be_alone} | {*also}
    following = [*arguments, "-"][1:]
    return [
        f"{word}=" if word in alone and after.startswith("-") else word
        for word, after in zip(arguments, following, strict=True)
    ]


def with_flags(arguments: Sequence[str], model: type[BaseModel]) -> list[str]:
    """The words of a command line, with its value each option that may stand alone as a flag may.

    ``--bias`` is ``--bias=last`` and ``--no-bias`` is ``--bias=none``, as the key's mark says.
    """
    marks = [(leaf.option, leaf.marked(Option)) for leaf in leaves(model)]
    flags = {option: mark.flag for option, mark in marks if mark is not None and mark.flag}
    worded = []
    for word, after in zip(arguments, [*arguments, "-"][1:], strict=True):
        if word in flags and after.startswith("-"):
            word = f"{word}={flags[word][1]}"
        elif word.startswith("--no-") and f"--{word[5:]}" in flags:
            word = f"--{word[5:]}={flags[f'--{word[5:]}'][0]}"
        worded.append(word)
    return worded


if TYPE_CHECKING:
    RunsDir = str
    Json = bool
    NoPlots = bool
    NoProgress = bool
else:
    RunsDir = _of_run("runs_dir")
    Json = _of_run("json")
    NoPlots = _of_run("plots")
    NoProgress = _of_run("progress")


# ------------------------------------------------------------------------------------- of keys


def key_parameter(leaf: Leaf) -> Parameter:
    """The option of a configuration's key; its help is the key's description as it is written."""
    mark = leaf.marked(Option)
    help = leaf.description
    if shown := as_typed(leaf):
        help += f" [default: {shown}]"
    if leaf.types == (bool,):
        flags = f"{leaf.option}/--no-{leaf.option[2:]}"
        return Annotated[
            bool | None, typer.Option(flags, help=help, rich_help_panel=leaf.group)
        ], None
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

    if mark is not None and mark.positional:
        return Annotated[
            list[str] | None, typer.Argument(metavar=f"{metavar}...", help=leaf.description)
        ], None
    kind = list[str] | None if mark is not None and mark.repeatable else str | None
    completion = complete if values else None
    return Annotated[
        kind,
        typer.Option(
            *leaf.spellings,
            metavar=metavar,
            help=help,
            rich_help_panel=leaf.group,
            autocompletion=completion,
        ),
    ], None


def as_typed(leaf: Leaf) -> str:
    """A key's default as its option takes it: ``0.5,0.3,0.1``, ``3,1;1,3``; empty where there is none."""
    value = leaf.default
    if isinstance(value, bool):
        if (mark := leaf.marked(Option)) is not None and mark.flag:
            return str(mark.flag[value])
        return leaf.option if value else f"--no-{leaf.option[2:]}"
    if isinstance(value, list):
        between = ";" if any(isinstance(item, list) for item in value) else ","
        rows = [item if isinstance(item, list) else [item] for item in value]
        return between.join(",".join(map(_plain, row)) for row in rows) or "none"
    return "" if value is None or isinstance(value, dict) else _plain(value)


def _plain(value: Any) -> str:
    """``3`` for 3.0, ``1e-5`` for 1.0e-05, anything else as YAML has it."""
    text = yaml12.inline(value)
    if not isinstance(value, float):
        return text
    mantissa, exponent, power = text.removesuffix(".0").partition("e")
    return mantissa.removesuffix(".0") + (f"e{int(power)}" if exponent else "")


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def key_value(leaf: Leaf, text: Any) -> Any:
    """The option's text as its key's type: numbers read as in YAML, texts and lists left to the model."""
    if not isinstance(text, str) or leaf.is_section or not leaf.scalar:
        return text
    if leaf.types == (str,):
        return text
    return yaml12.parse_scalar(text)
