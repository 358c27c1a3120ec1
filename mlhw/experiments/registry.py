"""The experiments by name, and what the folder of each holds.

``lr-sweep`` lives in ``mlhw/experiments/lr_sweep/``. Every folder with an ``experiment.py`` is an
experiment; its modules are the same in all of them:

- ``experiment.py``: a docstring (the question as its first line, the mathematics, the command, the number
  to expect), ``POSITION`` in the course, ``QUESTION``, ``Config``, ``run``; where they apply ``EXAMPLES``
  for its help, ``ACTIONS``, ``RESUMABLE``, ``GOING_ON`` and ``DRAWS``, and ``SHARED`` where several
  processes can work on one run; ``DRAWN_BESIDE = False`` where a run needs the whole machine until it draws
- ``claims.py``: ``CLAIMS``
- ``observations.py``, where it has some: ``OBSERVATIONS``
- ``report.py``: ``FORMULAS``, ``COLUMNS`` of every table, ``headlines``, summary and answers; where they
  apply ``BETTER``, ``CURVES`` and ``TIMING``
- ``figures.py``: ``FIGURES``
- ``live.py``, where it has some: ``LIVE``, the figures that a reader can move in the report

Other modules of the folder hold what these are made of.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlhw.config.model import ExperimentConfig
    from mlhw.experiments.actions import Action
    from mlhw.experiments.curves import Curves
    from mlhw.experiments.going_on import GoingOn
    from mlhw.result.claims import Claims
    from mlhw.result.observations import Observations
    from mlhw.result.plots import Figures
    from mlhw.result.result import Result

_POSITION = re.compile(r"^POSITION = (\d+)", re.M)
_ALONE = re.compile(r"^DRAWN_BESIDE\b[^=\n]*= *False\b", re.M)


def _questions() -> dict[str, str]:
    """The first line of each ``experiment.py``, read and not imported: ``mlhw --help`` has to be quick."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*/experiment.py")):
        text = path.read_text(encoding="utf-8")
        position = _POSITION.search(text)
        question = text.partition("\n")[0].strip().strip('"')
        name = path.parent.name.replace("_", "-")
        found.append((float(position[1]) if position else math.inf, name, question))
    return {name: question for _, name, question in sorted(found)}


EXPERIMENTS: dict[str, str] = _questions()
"""Name on the command line and question, in the order of the course; those without a place in it last."""


SECONDS = frozenset({"seconds"})
"""The column or key that says in every experiment how long something took."""


class Experiment:
    """What an experiment offers, imported when it is asked for: its help needs no figures."""

    def __init__(self, name: str) -> None:
        self.name = name

    def part(self, module: str) -> ModuleType:
        """A module of the experiment's folder: ``experiment``, ``claims``, ``report``, ``figures``."""
        return importlib.import_module(f"mlhw.experiments.{module_name(self.name)}.{module}")

    @property
    def question(self) -> str:
        """What it asks and does, for its help and its report."""
        return str(self.part("experiment").QUESTION)

    @property
    def examples(self) -> Sequence[tuple[str, str]]:
        """Command lines for its help, each with what it does."""
        usual = (
            (f"mlhw {self.name}", "everything at its default"),
            (f"mlhw init {self.name} my.yaml", "write a commented configuration to change"),
            (f"mlhw {self.name} -c my.yaml --name mine", "run it"),
        )
        return getattr(self.part("experiment"), "EXAMPLES", usual)

    @property
    def Config(self) -> type[ExperimentConfig]:
        """The model of its configuration."""
        model: type[ExperimentConfig] = self.part("experiment").Config
        return model

    @property
    def run(self) -> Callable[..., Result]:
        """``run(config, recorder)`` does the work and returns what it found."""
        function: Callable[..., Result] = self.part("experiment").run
        return function

    @property
    def actions(self) -> Sequence[Action]:
        """Options that do something else than run it."""
        return getattr(self.part("experiment"), "ACTIONS", ())

    @property
    def resumable(self) -> bool:
        """Whether an unfinished run can go on in its folder."""
        return getattr(self.part("experiment"), "RESUMABLE", False)

    @property
    def going_on(self) -> GoingOn | None:
        """What may be said anew of a run that goes on; None where nothing may."""
        return getattr(self.part("experiment"), "GOING_ON", None)

    @property
    def draws(self) -> bool:
        """Whether the seed changes its numbers."""
        return getattr(self.part("experiment"), "DRAWS", True)

    @property
    def shared(self) -> bool:
        """Whether several processes can work on one run of it."""
        return getattr(self.part("experiment"), "SHARED", False)

    @property
    def drawn_beside(self) -> bool:
        """Whether a process that waits for its figures beside a run takes nothing that the run needs."""
        # Read and not imported: that process has to be started first of all.
        path = Path(__file__).parent / module_name(self.name) / "experiment.py"
        return path.exists() and not _ALONE.search(path.read_text(encoding="utf-8"))

    @property
    def better(self) -> Mapping[str, str]:
        """By beginnings of headline numbers, whether ``min`` or ``max`` is better.

        The first that a run has ranks the points of a grid.
        """
        found: Mapping[str, str] = getattr(self.part("report"), "BETTER", {})
        return found

    @property
    def claims(self) -> Claims[Any]:
        """The claims that it makes."""
        found: Claims[Any] = self.part("claims").CLAIMS
        return found

    @property
    def observations(self) -> Observations[Any] | None:
        """The observations that it makes; None without any."""
        try:
            found: Observations[Any] = self.part("observations").OBSERVATIONS
        except ModuleNotFoundError:
            return None
        return found

    @property
    def figures(self) -> Figures[Any]:
        """The figures that it draws."""
        found: Figures[Any] = self.part("figures").FIGURES
        return found

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """By table, what each column means; a table may have more, such as one for each weight."""
        found: Mapping[str, Mapping[str, str]] = self.part("report").COLUMNS
        return found

    @property
    def curves(self) -> Curves | None:
        """Where its curves stand, for trackers and for comparing runs; None without any."""
        return getattr(self.part("report"), "CURVES", None)

    @property
    def tracked(self) -> bool:
        """Whether its numbers go to the trackers that are asked for."""
        return True

    @property
    def timing(self) -> frozenset[str]:
        """Columns and keys that say how fast a run was, which differ from run to run by nature."""
        return SECONDS | getattr(self.part("report"), "TIMING", frozenset())

    def headlines(self, summary: dict[str, Any]) -> dict[str, Any]:
        """The numbers, or words, by which runs are listed and compared, the most important first."""
        return dict(self.part("report").headlines(summary))


def module_name(name: str) -> str:
    """``lr-sweep`` as its folder is called, ``lr_sweep``."""
    return name.replace("-", "_")


def experiment(name: str) -> Experiment:
    """The experiment called ``name`` on the command line."""
    return Experiment(name)
