"""What an experiment is given and what it returns: Recorder, Table, Plot, Claim, Result.

An experiment is a module with ``Config``, ``run(config, recorder) -> Result`` and ``CLAIMS``.
It logs, tabulates and reports progress through the recorder, which keeps everything in memory;
``runs.FolderRecorder`` also writes it to the run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, get_args

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas
    from matplotlib.figure import Figure

    from mlhw.config.model import ExperimentConfig

Verdict = Literal["holds", "fails", "not applicable"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
Evidence = TypeVar("Evidence")


# ------------------------------------------------------------------------------------- claims


@dataclass(frozen=True)
class Claim:
    """A statement that a written answer would make, checked against numbers.

    ``measured``, ``expected`` and ``tolerance`` are JSON values: a number, a text, or a mapping of
    named numbers. ``note`` says in words which case decided, or why the claim is not applicable.
    """

    id: str
    statement: str
    verdict: Verdict
    measured: Any
    expected: Any
    tolerance: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "statement": self.statement,
            "verdict": self.verdict,
            "measured": to_json(self.measured),
            "expected": to_json(self.expected),
            "tolerance": to_json(self.tolerance),
            "note": self.note,
        }


@dataclass(frozen=True)
class Check:
    """The outcome of one claim's function, before its id and statement are put to it."""

    verdict: Verdict
    measured: Any
    expected: Any
    tolerance: float | None = None
    note: str = ""


def check(
    condition: bool, *, measured: Any, expected: Any, tolerance: float | None = None, note: str = ""
) -> Check:
    """A check that holds if ``condition`` does."""
    return Check("holds" if condition else "fails", measured, expected, tolerance, note)


def not_applicable(reason: str, *, measured: Any = None) -> Check:
    """A check that this configuration or data cannot decide, and why."""
    return Check("not applicable", measured, None, None, reason)


def tally(claims: Iterable[Claim]) -> tuple[int, int]:
    """How many claims hold, and of how many that are applicable."""
    judged = [claim.verdict for claim in claims if claim.verdict != "not applicable"]
    return judged.count("holds"), len(judged)


class Claims(Generic[Evidence]):
    """The claims of one experiment, in the order in which they are declared and reported.

    ::

        CLAIMS = Claims[Evidence]()

        @CLAIMS.claim("above-optimum", "every run's NLL lies above the optimum")
        def above_optimum(e: Evidence) -> Check: ...

    ``CLAIMS.judge(evidence)`` calls them all. A function takes the evidence and nothing else, so a
    test can tamper with the evidence and see the claim fail.
    """

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, Callable[[Evidence], Check]]] = {}

    @property
    def ids(self) -> list[str]:
        return list(self._claims)

    def claim(
        self, id: str, statement: str
    ) -> Callable[[Callable[[Evidence], Check]], Callable[[Evidence], Check]]:
        def register(function: Callable[[Evidence], Check]) -> Callable[[Evidence], Check]:
            if id in self._claims:
                raise ValueError(f"two claims are called {id!r}")
            self._claims[id] = (statement, function)
            return function

        return register

    def judge(self, evidence: Evidence) -> list[Claim]:
        claims = []
        for id, (statement, function) in self._claims.items():
            c = function(evidence)
            claims.append(
                Claim(id, statement, c.verdict, c.measured, c.expected, c.tolerance, c.note)
            )
        return claims


# ------------------------------------------------------------------------------------- tables


class Table:
    """Rows under fixed columns, kept in memory and handed to ``sink`` as they come.

    ``columns`` are names, or a mapping of names to what they mean, for the report. Values are
    numbers, texts or None (an empty cell).
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[str] | Mapping[str, str],
        sink: Callable[[Sequence[Sequence[Any]]], None] | None = None,
    ) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.meanings = dict(columns) if isinstance(columns, Mapping) else {}
        self.rows: list[tuple[Any, ...]] = []
        self.sink = sink

    def append(self, *row: Any) -> None:
        """Add one row, a value for each column."""
        self.extend([row])

    def extend(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows that belong together; they are written and flushed as one piece."""
        new = [tuple(row) for row in rows]
        for row in new:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.name}: {len(row)} values for {len(self.columns)} columns"
                )
        self.rows += new
        if self.sink is not None and new:
            self.sink(new)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> np.ndarray:
        """The values of one column; numeric ones as float64 or int64, None as NaN."""
        import numpy as np

        index = self.columns.index(name)
        values = [row[index] for row in self.rows]
        if any(value is None for value in values) and not any(isinstance(v, str) for v in values):
            return np.array([np.nan if value is None else value for value in values])
        return np.array(values)

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame (pandas has to be installed)."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))


# ------------------------------------------------------------------------------------- plots


@dataclass(frozen=True)
class Plot:
    """A figure that is drawn when somebody asks for it.

    ``name`` is the file name's stem, ``title`` a heading, ``caption`` says what to see, ``alt`` is
    the text for those who cannot see it (with the figure's own numbers), ``draw`` returns a
    ``matplotlib.figure.Figure``.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


# ------------------------------------------------------------------------------------- recorder


class Recorder:
    """What an experiment speaks to while it runs. This one keeps all in memory and is silent.

    ``begin`` marks the line between checking input (errors before it exit 2 and leave no folder)
    and work; tables come after it.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.log_lines: list[str] = []
        self.config: ExperimentConfig | None = None
        self.facts: dict[str, Any] = {}

    # What an experiment calls.

    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        """All input is read and checked; ``config`` has everything resolved that was ``auto``.

        ``facts`` go into ``run.json``: ``data_digest``, ``device``, ``threads``.
        """
        self.config = config
        self.facts.update(facts)

    def log(self, message: str, *, screen: bool = True) -> None:
        """A line for the log; ``screen=False`` keeps it from the screen unless ``--verbose``."""
        self.log_lines.append(message)

    def warn(self, message: str) -> None:
        """A line that is shown even with ``--quiet``."""
        self.log_lines.append(f"warning: {message}")

    def table(
        self,
        name: str,
        columns: Sequence[str] | Mapping[str, str],
        kept: Iterable[Sequence[Any]] = (),
    ) -> Table:
        """A new table, written to ``NAME.csv`` where there is a run folder.

        ``columns`` are names, or a mapping of names to what they mean, which the report explains.
        ``kept`` are the rows of a run that goes on; whatever else the file held is dropped.
        """
        table = Table(name, columns)
        table.extend(kept)
        table.sink = self._sink(table)
        self.tables[name] = table
        return table

    def progress(self, done: float, total: float, what: str) -> None:
        """How far the work is; shown on a terminal only."""

    @property
    def folder(self) -> Path | None:
        """The run folder, for experiments that keep more than tables; None without one."""
        return None

    @property
    def resumes(self) -> Path | None:
        """The folder of the run that goes on, also before ``begin``; None for a new run."""
        return None

    @property
    def stop_requested(self) -> bool:
        """True once a signal has come inside ``holding_interrupts``."""
        return False

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        """Signals wait until the end of the block, so that what is inside is done whole or not."""
        yield

    # For subclasses.

    def _sink(self, table: Table) -> Callable[[Sequence[Sequence[Any]]], None] | None:
        """What takes the rows that will be added to ``table``."""
        return None


# ------------------------------------------------------------------------------------- result


class Formula(NamedTuple):
    """What a formula says, symbols explained, and the formula in LaTeX (``\\eta < \\frac{2}{L}``)."""

    words: str
    latex: str


@dataclass(repr=False)
class Result:
    """What an experiment found.

    ``summary`` is what scripts read (JSON values), ``answers`` are the same in sentences for people,
    ``claims`` the statements with their verdicts, ``tables`` the rows by table name, ``plots`` the
    figures to be drawn, ``formulas`` what the report typesets.
    """

    experiment: str
    summary: dict[str, Any]
    claims: list[Claim] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    plots: list[Plot] = field(default_factory=list)
    formulas: list[Formula] = field(default_factory=list)

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

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure drawn, by name: matplotlib Figures, which a notebook shows by itself."""
        from mlhw.result.plots import draw

        return {plot.name: draw(plot) for plot in self.plots}

    def save(self, path: str | Path, *, plots: bool = True) -> None:
        """Write ``result.json``, every table as CSV and every figure as PNG and SVG into a folder.

        The folder is made if it is not there; files of these names are replaced.
        """
        import json
        from pathlib import Path

        from mlhw.result.plots import save
        from mlhw.runs.folder import csv_text
        from mlhw.system.files import write_whole

        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "result.json", json.dumps(self.as_dict(), indent=2) + "\n")
        for table in self.tables.values():
            write_whole(folder / f"{table.name}.csv", csv_text(table))
        for plot in self.plots if plots else ():
            save(plot, folder / "plots")

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
        }


def to_json(value: Any) -> Any:
    """Plain JSON values from NumPy scalars, arrays, tuples and mappings; NaN and infinity as null.

    JSON has no NaN; strict readers reject files that hold one.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return to_json(value.tolist())
    return str(value)
