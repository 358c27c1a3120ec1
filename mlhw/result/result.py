"""What an experiment returns: numbers, claims, observations, answers, tables, figures, formulas."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlhw.result.claims import Claim, tally
from mlhw.result.gallery import Gallery
from mlhw.result.live import LiveFigure
from mlhw.result.notebook import result_html
from mlhw.result.observations import Observation
from mlhw.result.plots import Plot, draw, save
from mlhw.result.tables import Table, csv_text
from mlhw.system.files import write_whole
from mlhw.text.values import to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Formula(NamedTuple):
    """What a formula says, symbols explained, and the formula in LaTeX (``\\eta < \\frac{2}{L}``)."""

    words: str
    latex: str


@dataclass(frozen=True)
class Part:
    """A run that a result is made of: exit code, ``--json`` object, and the seconds that it took."""

    name: str
    exit_code: int
    found: dict[str, Any]
    seconds: float

    @property
    def status(self) -> str:
        return str(self.found.get("status", "failed"))

    @property
    def claims(self) -> list[Claim]:
        entries = self.found.get("claims", [])
        return [claim for entry in entries if (claim := Claim.from_dict(entry))]

    @property
    def observations(self) -> list[Observation]:
        entries = self.found.get("observations", [])
        return [seen for entry in entries if (seen := Observation.from_dict(entry))]

    @property
    def folder(self) -> Path | None:
        run = self.found.get("run")
        return Path(run) if run else None

    @property
    def errors(self) -> list[str]:
        return [str(line) for line in self.found.get("error", [])]

    def line(self) -> str:
        """One line for people."""
        held, judged = tally(self.claims)
        text = f"{self.name}: {self.status}, {held} of {judged} claims hold, {self.seconds:.1f} s"
        return text + "".join(f"; {line}" for line in self.errors)


@dataclass(repr=False)
class Result:
    """What an experiment found.

    ``summary`` is what scripts read (JSON values), ``answers`` are the same in sentences for people,
    ``claims`` the statements with their verdicts, ``observations`` what this run alone showed, ``tables``
    the rows by table name, ``plots`` the figures to be drawn, ``formulas`` what the report typesets.
    ``parts`` are the runs that it is made of (``mlhw all``), None for a run by itself; ``suites`` are what
    JUnit has a suite of each of, where that is something else. ``gallery`` are
    the images that were judged, where there are some, for a page of their own. ``codes`` are exit codes of
    runs that it is made of, beside those of ``parts``. ``live`` makes, by the names
    of figures, what their readers can read values from and move.
    """

    experiment: str
    summary: dict[str, Any]
    claims: list[Claim] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    plots: list[Plot] = field(default_factory=list)
    formulas: list[Formula] = field(default_factory=list)
    parts: list[Part] | None = None
    observations: list[Observation] = field(default_factory=list)
    gallery: Gallery | None = None
    live: dict[str, Callable[[], LiveFigure]] = field(default_factory=dict)
    codes: tuple[int, ...] = ()
    suites: list[Part] = field(default_factory=list)

    def __repr__(self) -> str:
        """What there is, in short: a summary and tables in full would fill screens."""
        held, judged = tally(self.claims)
        lines = [
            f"<Result of {self.experiment}: {held} of {judged} claims hold",
            f"  summary: {', '.join(self.summary)}",
            f"  tables: {', '.join(f'{t.name} ({len(t)} rows)' for t in self.tables.values())}",
            f"  figures: {', '.join(plot.name for plot in self.plots)}>",
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows of a result that a cell ends with."""
        return result_html(
            self.experiment,
            answers=self.answers,
            claims=self.claims,
            observations=self.observations,
            tables=self.tables.values(),
            figures=[plot.name for plot in self.plots],
        )

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure drawn, by name: matplotlib Figures, which a notebook shows by itself."""
        return {plot.name: draw(plot) for plot in self.plots}

    def save(self, path: str | Path, *, plots: bool = True) -> None:
        """Write ``result.json``, every table as CSV and every figure as PNG and SVG into a folder.

        The folder is made if it is not there; files of these names are replaced.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "result.json", json.dumps(self.as_dict(), indent=2) + "\n")
        for table in self.tables.values():
            write_whole(folder / f"{table.name}.csv", csv_text(table))
        for plot in self.plots if plots else ():
            save(plot, folder / "plots")

    @property
    def is_made_of_runs(self) -> bool:
        """Whether there is something to tell of it when it has not come to its end."""
        return self.parts is not None or bool(self.codes)

    @property
    def fails(self) -> list[Claim]:
        """The claims that do not hold."""
        return [claim for claim in self.claims if claim.verdict == "fails"]

    def as_dict(self) -> dict[str, Any]:
        """Exactly what ``result.json`` holds."""
        return {
            "experiment": self.experiment,
            "summary": to_json(self.summary),
            "claims": [claim.as_dict() for claim in self.claims],
            "observations": [observation.as_dict() for observation in self.observations],
        }
