"""Options that do something else than run the experiment: ``mlhw backprop-check --write-template FILE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Action:
    """Such an option, and the function that is called instead of ``run``.

    ``function(value, config)`` gets the option's text and the configuration, and returns a sentence about
    what it did; with ``--json`` the command prints ``{done: value}`` instead, ``{"wrote": "x.py"}``.
    """

    option: str
    metavar: str
    help: str
    function: Callable[[str, Any], str]
    done: str = "done"

    @property
    def parameter(self) -> str:
        """``--write-template`` as a Python name."""
        return self.option.lstrip("-").replace("-", "_")
