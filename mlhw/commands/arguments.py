"""Options that do something else than run the experiment: ``mlhw backprop-check --write-template FILE``.

An experiment's module may have ``ACTIONS``, a list of them. Such an option is no key of the
configuration; when it is given its function is called instead of ``run`` and its return value is the
exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlhw.config.load import load_config
from mlhw.config.model import Model
from mlhw.runs.execute import RunOptions


@dataclass(frozen=True)
class Arguments:
    """What else stood on the command line: the configuration's parts, not yet merged, and the run's.

    ``keys`` maps each named option given to the path of its key and its value.
    """

    config_file: str | None
    sets: Sequence[str]
    keys: Mapping[str, tuple[tuple[str, ...], Any]]
    print_config: bool
    options: RunOptions

    def config(self, model: type[Model]) -> Model:
        """The configuration that these arguments make; raises ConfigError as a run would."""
        return load_config(model, self.config_file, self.sets, self.keys)


@dataclass(frozen=True)
class Action:
    """``function(value, arguments)`` gets the option's text and returns the exit code.

    ``complete`` is what the shell's completion asks for values.
    """

    option: str
    metavar: str
    help: str
    function: Callable[[str, Arguments], int]
    complete: Callable[..., list[str]] | None = None

    @property
    def parameter(self) -> str:
        """``--write-template`` as a Python name."""
        return self.option.lstrip("-").replace("-", "_")
