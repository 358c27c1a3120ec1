"""How help is laid out: over the terminal's whole width, options under headings, examples last.

Typer's own columns break words at hyphens, end at 80 characters and show types of Python for values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from mlhw.errors import ConfigError
from mlhw.text.words import wrapped

WHOLE_WIDTH = {"help_option_names": ["-h", "--help"], "max_content_width": 10_000}
"""Settings of every command: help takes whatever width the terminal has."""

FEWEST_TO_GROUP = 10
"""Fewer options stand under one heading, and so do those that have no more than one group among them."""
LAST_GROUPS = ("Configuration", "Output")

_VALUES = {int: "INTEGER", float: "NUMBER"}
_OWN_WORDS = {
    "help": "show this help and end",
    "install_completion": "install completion for the current shell",
    "show_completion": "print the script that completes words in the current shell",
}


def examples(*lines: tuple[str, str]) -> str:
    """Command lines, each with what it does, as the epilog of a ``Command``."""
    return "\n".join(f"{line}\t{meaning}" for line, meaning in lines)


class Command(TyperCommand):
    """A command whose help is laid out as this module says. Its epilog are its ``examples``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        left = super().parse_args(ctx, args)
        require_folders(self, ctx)
        return left

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [self.options_metavar or "", *map(_place, _arguments(self, ctx))]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        write_paragraphs(formatter, self.help or "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        lines = [line.partition("\t") for line in (self.epilog or "").splitlines()]
        write_rows(formatter, "Examples", [(line, meaning) for line, _, meaning in lines])


_FOLDERS = ("DIR", "FOLDER")
"""How options name a value that is a folder; an empty one would be the current folder."""


def require_folders(command: Any, ctx: Any) -> None:
    """Raise ConfigError for an option that was typed with nothing where a folder has to be."""
    for option in command.get_params(ctx):
        if option.metavar in _FOLDERS and ctx.params.get(option.name) == "":
            raise ConfigError(f"{option.opts[0]}: is empty; give a folder")


class Group(TyperGroup):
    """A command with commands of its own, laid out alike. Its epilog is text."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        write_paragraphs(formatter, self.help or "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_options(self, ctx, formatter)
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.short_help or "") for name, one in commands if one and not one.hidden]
        write_rows(formatter, "Commands", rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        write_paragraphs(formatter, self.epilog or "")


# ------------------------------------------------------------------------------------- layout

_DEFAULT = re.compile(r"default: [^\] ;]+")
_JOINT = "\N{NO-BREAK SPACE}"


def _joined(found: re.Match[str]) -> str:
    """A default, kept on one line with the word before it."""
    return found[0].replace(" ", _JOINT)


def write_paragraphs(formatter: Any, text: str) -> None:
    """Paragraphs, two blanks in, wrapped between words."""
    for paragraph in filter(None, (" ".join(part.split()) for part in text.split("\n\n"))):
        lines = wrapped(paragraph, formatter.width - 2)
        formatter.write("\n" + "".join(f"  {line}\n" for line in lines))


def write_rows(formatter: Any, heading: str, rows: Sequence[tuple[str, str]]) -> None:
    """A heading and below it two columns; what is too long for the first has a line of its own."""
    if not rows:
        return
    most = max(32, formatter.width // 3)
    column = max((len(name) for name, _ in rows if len(name) <= most), default=most) + 4
    formatter.write(f"\n{heading}:\n")
    for name, text in rows:
        lines = wrapped(_DEFAULT.sub(_joined, text), max(formatter.width - column, 20))
        lines = [line.replace(_JOINT, " ") for line in lines]
        if len(name) + 4 > column:
            formatter.write(f"  {name}\n")
            name = ""
        first, *others = lines or [""]
        formatter.write(f"  {name}".ljust(column) * bool(name or first) + f"{first}\n")
        formatter.write("".join(f"{'':{column}}{line}\n" for line in others))


def write_options(command: Any, ctx: Any, formatter: Any) -> None:
    """The arguments, then the options, by their groups where there are many."""
    arguments = _arguments(command, ctx)
    write_rows(formatter, "Arguments", [(_place(each), _meaning(each, ctx)) for each in arguments])
    options = [p for p in command.get_params(ctx) if p not in arguments and not p.hidden]
    panels = [getattr(option, "rich_help_panel", None) for option in options]
    grouped = len(options) >= FEWEST_TO_GROUP and len({*panels} - {None}) > 1
    groups: dict[str, list[tuple[str, str]]] = {}
    for option, panel in zip(options, panels, strict=True):
        group = (panel if grouped else None) or "Options"
        if grouped and option.name == "help":
            group = "Output"
        groups.setdefault(group, []).append((_spelt(option), _meaning(option, ctx)))
    for group in sorted(
        groups, key=lambda name: name in LAST_GROUPS and LAST_GROUPS.index(name) + 1
    ):
        write_rows(formatter, group, groups[group])


def _arguments(command: Any, ctx: Any) -> list[Any]:
    return [p for p in command.get_params(ctx) if p.param_type_name == "argument"]


def _place(argument: Any) -> str:
    """An argument as it stands in the usage: ``RUN``, ``[FILE]``."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _spelt(option: Any) -> str:
    """``-c, --config FILE`` or ``--header / --no-header``."""
    words = ", ".join(sorted(option.opts, key=lambda word: word.startswith("--")))
    if option.is_flag:
        return " / ".join([words, *option.secondary_opts])
    return f"{words} {option.metavar or _value(option)}"


def _value(option: Any) -> str:
    """What stands for an option's value: its choices, or its kind in words."""
    kind = option.type_descriptor
    if kind.is_choice:
        return "|".join(map(str, kind.choices or ()))
    return _VALUES.get(kind.annotation, "TEXT")


def _meaning(parameter: Any, ctx: Any) -> str:
    """What a parameter does, its variable, its default and its bounds."""
    text = _OWN_WORDS.get(parameter.name, parameter.help or "")
    more = [f"env var: {parameter.envvar}"] if parameter.envvar else []
    default = parameter.default
    if default not in (None, "", False) and not callable(default):
        more.append(f"default: {default}")
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None and high is not None:
        more.append(f"from {low} to {high}")
    elif low is not None or high is not None:
        more.append(f"at least {low}" if high is None else f"at most {high}")
    return f"{text} [{'; '.join(more)}]" if more else text
