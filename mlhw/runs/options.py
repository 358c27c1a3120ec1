"""What the command line says about a run beside its configuration's keys: one dataclass.

The parser, the words that make the same options again, and the run itself all read it, so a new option
is one field here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

COMMAND = "MLHW_COMMAND"
"""Environment variable with the command line that a person would type, in a process of ``mlhw all``."""


@dataclass(frozen=True)
class Typed:
    """How a field is typed on the command line.

    ``names`` are its spellings, the long one first. A boolean field that is true by default is turned off
    by its option (``--no-plots``). ``may_be_alone``: the option may stand without a value, which is then
    the empty text. ``group`` is the heading of the option in the help.
    """

    names: tuple[str, ...]
    help: str
    group: str = "Output"
    metavar: str | None = None
    variable: str | None = None
    may_be_alone: bool = False


def _typed(default: Any, *names: str, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"typed": Typed(names, help, **more)})


@dataclass(frozen=True)
class Place:
    """Where a run that is a part of something larger goes, and what is recorded of it.

    ``folder`` is its run folder, exactly. ``identity`` is the digest of what it computes, and ``threads`` how
    many it may use.
    """

    folder: Path
    identity: str
    threads: int


@dataclass(frozen=True)
class RunOptions:
    """The options that every run has, in the order in which the help lists them.

    ``command`` is the command line as it was typed, ``resume`` the folder of a run that goes on instead
    of a new one, ``longer`` whether that run had finished, ``place`` where a point of a grid goes.
    ``mlflow`` is the address of an MLflow store, empty for MLflow's own default, None for none.
    """

    command: tuple[str, ...] = ()
    config_files: Sequence[str] = _typed(
        (),
        "--config",
        "-c",
        group="Configuration",
        metavar="FILE",
        help="YAML file to start from, or the name of one that comes with mlhw (repeatable: the later "
        "wins)",
    )
    sets: Sequence[str] = _typed(
        (),
        "--set",
        "-s",
        group="Configuration",
        metavar="KEY=VALUE",
        help="set any key (repeatable)",
    )
    print_config: bool = _typed(
        False,
        "--print-config",
        group="Configuration",
        help="print the resolved configuration and end",
    )
    runs_dir: str = _typed(
        "runs", "--runs-dir", metavar="DIR", variable="MLHW_RUNS_DIR", help="where runs land"
    )
    name: str | None = _typed(
        None, "--name", metavar="TEXT", help="appended to the run folder's name"
    )
    junit: str | None = _typed(
        None, "--junit", metavar="FILE", help="write every claim as a JUnit test case"
    )
    json: bool = _typed(False, "--json", help="JSON on stdout, nothing else")
    quiet: bool = _typed(False, "--quiet", "-q", help="no log lines on the screen")
    verbose: bool = _typed(
        False,
        "--verbose",
        "-v",
        help="every log line on the screen, and claims with their ids and numbers",
    )
    progress: bool = _typed(True, "--no-progress", help="show no progress bar")
    tensorboard: bool = _typed(
        False, "--tensorboard", help="write TensorBoard event files, beside the runs"
    )
    mlflow: str | None = _typed(
        None,
        "--mlflow",
        metavar="[URI]",
        may_be_alone=True,
        help="log to MLflow, here or at this address",
    )
    plots: bool = _typed(True, "--no-plots", help="draw no figures")
    check: bool = _typed(True, "--no-check", help="a failing claim does not change the exit code")
    resume: Path | None = None
    longer: bool = False
    place: Place | None = None

    def words(self) -> list[str]:
        """The words on a command line that make these options again."""
        found: list[str] = []
        for name, (typed, default) in TYPED.items():
            value = getattr(self, name)
            if value == default:
                continue
            if isinstance(value, bool):
                found.append(typed.names[0])
            else:
                for item in (value,) if isinstance(value, str) else value:
                    found.append(f"{typed.names[0]}={item}")
        return found

    def as_typed(self) -> list[str]:
        """The same as a person types them: a blank before a value where nothing speaks against it."""
        found: list[str] = []
        for word in self.words():
            option, _, value = word.partition("=")
            found += [word] if value.startswith("-") else filter(None, [option, value])
        return found


def command_line(words: Sequence[str]) -> tuple[str, ...]:
    """The command line of a run, for its records: ``words``, or what ``COMMAND`` says a person would type.

    The variable is taken from the environment, so that no process of the run's own takes it for its own.
    """
    return tuple(shlex.split(os.environ.pop(COMMAND, ""))) or tuple(words)


TYPED: dict[str, tuple[Typed, Any]] = {
    field.name: (field.metadata["typed"], field.default)
    for field in fields(RunOptions)
    if "typed" in field.metadata
}
"""The fields that are typed, each with how and with its default, in the help's order."""
