"""One run's figure over the other's: curve upon curve, or headline numbers side by side."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.errors import ConfigError, RunError, reason_of
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.plots import Plot, save
from mlhw.runs.compare import rows_of, unique_names
from mlhw.runs.history import Run
from mlhw.text.values import is_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 12
_MOST_PANELS = 12


@dataclass
class Line:
    """One curve of one run: its label, the names of its axes, and its points."""

    label: str
    x_name: str
    y_name: str
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)


def overlays(runs: Sequence[Run]) -> list[Plot]:
    """The figures of a comparison: one, or for runs of all experiments one for each that they share."""
    together: dict[str, list[Run]] = {}
    for part in (part for run in runs for part in run.parts if part.record):
        together.setdefault(part.experiment, []).append(part)
    shared = [(name, parts) for name, parts in together.items() if len(parts) > 1]
    return [overlay(parts, f"compare-{name}") for name, parts in shared] or [overlay(runs)]


def refuse_existing(figures: Sequence[Plot], folder: Path) -> None:
    """Raise ConfigError where a file that ``write_overlays`` would write is there."""
    for plot in figures:
        if os.path.lexists(path := folder / f"{plot.name}.png"):
            raise ConfigError(
                f"--out {folder}: {path.name} is there already and stays as it is; give another folder"
            )


def write_overlays(figures: Sequence[Plot], folder: Path) -> Iterator[str]:
    """Write figures into ``folder``, and yield a line for each that says where.

    Raises RunError where the folder cannot be made, or a file not be written.
    """
    for plot in figures:
        path = folder / f"{plot.name}.png"
        before = ", in place of the one before" if os.path.lexists(path) else ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save(plot, folder)
        except OSError as error:
            raise RunError(f"{folder}: {reason_of(error)}") from None
        yield f"figure: {path}{before}"


def overlay(runs: Sequence[Run], name: str = "compare") -> Plot:
    """The runs' curves of one quantity over each other, or else bars of their headline numbers."""
    curves = [curves_of(run) for run in runs]
    unique = unique_names(runs)
    names = ", ".join(unique)
    if all(curves) and len({c.y_name for parts in curves for c in parts}) == 1:
        return Plot(
            name,
            "Runs over each other",
            "A panel for each curve, a colour for each run; the first one is broad.",
            f"{curves[0][0].y_name} against {curves[0][0].x_name}, of {names}.",
            lambda: _curve_figure(unique, curves),
        )
    return Plot(
        name,
        "Headline numbers",
        "A panel for each number, a bar for each run.",
        f"Headline numbers of {names}.",
        lambda: _bar_figure(runs, unique),
    )


def curves_of(run: Run) -> list[Line]:
    """The curves of a run's table; a row that cannot be read is left out."""
    source = experiment(run.experiment).curves if run.experiment in EXPERIMENTS else None
    if source is None:
        return []
    curves: dict[str, Line] = {}
    for row in run.table(source.table):
        if source.repeats is not None and row.get(source.repeats, "0") != "0":
            continue
        for name in source.y:
            # An empty cell, or one that somebody has edited.
            with contextlib.suppress(KeyError, ValueError):
                groups = [f"{before}{_short(row[k])}" for k, before in source.groups.items()]
                x, y = float(row[source.x]), float(row[name])
                label = " ".join(groups) or name
                curve = curves.setdefault(label, Line(label, source.x, source.y_name))
                curve.x.append(x)
                curve.y.append(y)
    return list(curves.values())


def _short(cell: str) -> str:
    """``0.5`` for ``0.50``; words as they are."""
    try:
        return f"{float(cell):g}"
    except ValueError:
        return cell


def _curve_figure(runs: Sequence[str], curves: Sequence[list[Line]]) -> Figure:
    """A panel for each curve (a rate, a loss, a network) with that curve of every run.

    Curves of similar runs hide each other, so the first is drawn broad and each later one narrower.
    """
    from mlhw.result import plots

    everything = [curve for parts in curves for curve in parts]
    labels = list(dict.fromkeys(curve.label for curve in everything))[:_MOST_PANELS]
    x_name = " or ".join(dict.fromkeys(curve.x_name for curve in everything))
    height, width = plots.panels(len(labels), columns=3)
    size = {1: 7.0, 2: 4.4}.get(width, 3.4)
    figure = plots.new_figure(size * width, 2.9 * height + 0.6 + 0.2 * len(runs))
    panels = {label: figure.add_subplot(height, width, i) for i, label in enumerate(labels, 1)}
    for label, axes in panels.items():
        axes.set(title=plots.plain(label), xlabel=x_name, ylabel=everything[0].y_name)
        axes.locator_params(axis="x", integer=True)
    lines: dict[str, Any] = {}
    for i, (run, parts) in enumerate(zip(runs, curves, strict=True)):
        for curve in parts:
            if curve.label in panels:
                (lines[run],) = panels[curve.label].plot(
                    curve.x,
                    curve.y,
                    color=plots.colour(i),
                    linewidth=1.2 + 2.4 * (len(runs) - 1 - i) / max(1, len(runs) - 1),
                    alpha=1.0 if i == len(runs) - 1 else 0.6,
                    label=plots.plain(run),
                )
    figure.legend(handles=list(lines.values()), loc="outside lower left")
    return figure


def _bar_figure(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    from mlhw.result import plots

    rows = [
        (key, values)
        for key, values in rows_of([run.headlines() for run in runs])
        if all(map(is_number, values))
    ][:_MOST_NUMBERS]
    count = max(1, len(rows))
    figure = plots.new_figure(7.5, count * (0.75 + 0.28 * len(runs)))
    for i, (key, values) in enumerate(rows or [("no number in common", [0.0] * len(runs))], 1):
        axes = figure.add_subplot(count, 1, i)
        bars = axes.barh(
            range(len(runs)), values, color=[plots.colour(j) for j in range(len(runs))]
        )
        axes.bar_label(bars, labels=[f"{value:.6g}" for value in values], padding=3, fontsize=9)
        axes.set_yticks(range(len(runs)), [plots.plain(name) for name in names])
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(plots.plain(key))
    return figure
