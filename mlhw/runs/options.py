"""What the command line says about a run beside its configuration's keys: one dataclass.

The parser, the words that make the same options again, and the run itself all read it, so a new option
is one field here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Typed:
    """How a field is typed on the command line.

    ``names`` are its spellings, the long one first. A boolean field that is true by default is turned off
    by its option (``--no-plots``). ``may_be_alone``: the option may stand without a value, which is then
    the empty text.
    """

    names: tuple[str, ...]
    help: str
    metavar: str | None = None
    variable: str | None = None
    may_be_alone: bool = False


def _typed(default: Any, *names: str, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"typed": Typed(names, help, **more)})


@dataclass(frozen=True)
class RunOptions:
    """The options that every run has, in the order in which the help lists them.

    ``command`` is the command line as it was typed, ``resume`` the folder of a run that goes on instead
    of a new one, ``longer`` whether that run had finished. ``mlflow`` is the address of an MLflow store,
    empty for MLflow's own default, None for none.
    """

    command: tuple[str, ...] = ()
    config_files: Sequence[str] = _typed(
        (),
        "--config",
        "-c",
        metavar="FILE",
        help="YAML file to start from, or the name of one that comes with mlhw (repeatable: the later "
        "wins).",
    )
    sets: Sequence[str] = _typed(
        (), "--set", "-s", metavar="KEY=VALUE", help="Set any key (repeatable)."
    )
    runs_dir: str = _typed(
        "runs", "--runs-dir", metavar="DIR", variable="MLHW_RUNS_DIR", help="Where runs land."
    )
    name: str | None = _typed(
        None, "--name", metavar="TEXT", help="Appended to the run folder's name."
    )
    junit: str | None = _typed(
        None, "--junit", metavar="FILE", help="Write every claim as a JUnit test case."
    )
    print_config: bool = _typed(
        False, "--print-config", help="Print the resolved configuration and end."
    )
    json: bool = _typed(False, "--json", help="One JSON object on stdout, nothing else.")
    quiet: bool = _typed(False, "--quiet", "-q", help="No log lines on the screen.")
    verbose: bool = _typed(False, "--verbose", "-v", help="Every log line on the screen.")
    tensorboard: bool = _typed(
        False, "--tensorboard", help="Write TensorBoard event files, beside the runs."
    )
    mlflow: str | None = _typed(
        None,
        "--mlflow",
        metavar="[URI]",
        may_be_alone=True,
        help="Log to MLflow, here or at this address.",
    )
    plots: bool = _typed(True, "--no-plots", help="Draw no figures.")
    check: bool = _typed(True, "--no-check", help="A failing claim does not change the exit code.")
    resume: Path | None = None
    longer: bool = False

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


TYPED: dict[str, tuple[Typed, Any]] = {
    field.name: (field.metadata["typed"], field.default)
    for field in fields(RunOptions)
    if "typed" in field.metadata
}
"""The fields that are typed, each with how and with its default, in the help's order."""
