"""Options that do something else than run the experiment: ``mlhw backprop-check --write-template FILE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder


class Done(NamedTuple):
    """What an action did: in sentences, and as the object that ``--json`` prints in their place."""

    text: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Action:
    """Such an option, and the function that is called instead of ``run``.

    ``function(value, config, recorder)`` gets the option's text, the configuration and what it may speak
    to while it works; that recorder has no folder. ``may_be_alone``: the option may stand without a
    value, which is then the empty text.
    """

    option: str
    metavar: str
    help: str
    function: Callable[[str, Any, Recorder], Done]
    may_be_alone: bool = False

    @property
    def parameter(self) -> str:
        """``--write-template`` as a Python name."""
        return self.option.lstrip("-").replace("-", "_")
