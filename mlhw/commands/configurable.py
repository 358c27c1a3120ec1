"""Commands that have a configuration: the experiments, all of them as one, and grading a class."""

from __future__ import annotations

from typing import Annotated

import typer

from mlhw.config.model import ExperimentConfig
from mlhw.errors import ConfigError
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text.words import hint, nearest

ALL, GRADE = "all", "grade"


def complete_command(incomplete: str) -> list[str]:
    """Names of these commands for the shell's completion."""
    return [name for name in (*EXPERIMENTS, ALL, GRADE) if name.startswith(incomplete)]


Configurable = Annotated[
    str,
    typer.Argument(
        metavar="COMMAND",
        help="an experiment's name, 'all' or 'grade'",
        autocompletion=complete_command,
    ),
]


def configuration_of(name: str) -> type[ExperimentConfig]:
    """The model of a command's configuration; ConfigError if there is no such command, or it has none."""
    if name == ALL:
        from mlhw.commands.all import AllConfig

        return AllConfig
    if name == GRADE:
        from mlhw.commands.marking.config import GradeConfig

        return GradeConfig
    if name in EXPERIMENTS:
        return experiment(name).Config
    known = (*EXPERIMENTS, ALL, GRADE)
    near = hint(nearest(name, known)) or f" (those with one: {', '.join(known)})"
    raise ConfigError(f"no command '{name}' with a configuration{near}")
