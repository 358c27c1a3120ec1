"""Runs beside each other: what differs in configuration, headline numbers, tables and figures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlhw import yaml12
from mlhw.history import Run, flat
from mlhw.result import Plot, to_json
from mlhw.texts import text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMING = frozenset({"images_per_s", "seconds"})
"""Columns that say how fast a run was; they differ from run to run by nature."""


@dataclass(frozen=True)
class Comparison:
    """A row for each thing that is compared, a column for each run; None where a run lacks it."""

    runs: list[str]
    configuration: list[tuple[str, list[Any]]]
    numbers: list[tuple[str, list[Any]]]
    claims: list[tuple[str, list[Any]]]

    def sections(self) -> list[tuple[str, list[tuple[str, list[Any]]]]]:
        return [
            ("configuration", self.configuration),
            ("numbers", self.numbers),
            ("claims", self.claims),
        ]


def compare(runs: Sequence[Run]) -> Comparison:
    """Configuration keys and claims that are not the same in all, and every headline number."""
    configurations = [dict(flat(run.config)) for run in runs]
    verdicts = [{claim["id"]: claim["verdict"] for claim in run.claims} for run in runs]
    numbers = [{"status": run.status, **run.headlines()} for run in runs]
    if len({run.experiment for run in runs}) > 1:
        numbers = [
            {"experiment": run.experiment, **n} for run, n in zip(runs, numbers, strict=True)
        ]
    return Comparison(
        [run.name for run in runs],
        [row for row in _rows(configurations) if _differs(row[1])],
        _rows(numbers),
        [row for row in _rows(verdicts) if _differs(row[1])],
    )


def _rows(columns: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    keys = dict.fromkeys(key for column in columns for key in column)
    return [(key, [column.get(key) for column in columns]) for key in keys]


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] or type(value) is not type(values[0]) for value in values[1:])


# ------------------------------------------------------------------------------------- formats


def cell(value: Any) -> str:
    """A value in one line: numbers with eight digits, lists and texts as YAML has them."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, str):
        return value
    return yaml12.dump({"x": value})[3:].strip().replace("\n", "; ")


def as_text(comparison: Comparison) -> str:
    """Aligned columns for a terminal."""
    table: list[list[str]] = []
    for title, rows in comparison.sections():
        if rows:
            table.append([title, *[""] * len(comparison.runs)])
            table += [[f"  {key}", *map(cell, values)] for key, values in rows]
    return "\n".join(text_table(["", *comparison.runs], table))


def as_markdown(comparison: Comparison) -> str:
    """A GitHub-flavoured Markdown table."""

    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"

    lines = [line(["", *comparison.runs]), line(["---"] * (1 + len(comparison.runs)))]
    for _, rows in comparison.sections():
        lines += [line([key, *map(cell, values)]) for key, values in rows]
    return "\n".join(lines)


def as_csv(comparison: Comparison) -> str:
    """``section,key`` and a column for each run; floats to the bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["section", "key", *comparison.runs])
    for title, rows in comparison.sections():
        for key, values in rows:
            cells = [
                "" if v is None else repr(v) if isinstance(v, float) else cell(v) for v in values
            ]
            writer.writerow([title, key, *cells])
    return text.getvalue().rstrip("\n")


def as_json(comparison: Comparison) -> str:
    found: dict[str, Any] = {"runs": comparison.runs}
    for title, rows in comparison.sections():
        found[title] = {
            key: dict(zip(comparison.runs, values, strict=True)) for key, values in rows
        }
    return json.dumps(to_json(found), indent=2, ensure_ascii=False)


# ------------------------------------------------------------------------------------- reruns


def differences(before: Run, after: Run) -> list[str]:
    """Where the numbers of two runs of one configuration are not identical, in sentences."""
    lines = []
    for name in sorted({*before.tables, *after.tables}):
        first, second = before.table(name), after.table(name)
        if len(first) != len(second):
            lines.append(f"{name}.csv: {len(first)} rows became {len(second)}")
        line = _first_difference(name, first, second)
        if line:
            lines.append(line)
    old = dict(flat({"summary": before.result.get("summary", {})}))
    new = dict(flat({"summary": after.result.get("summary", {})}))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key) and not TIMING.intersection(key.split(".")):
            lines.append(f"{key}: {_clip(old.get(key))} became {_clip(new.get(key))}")
    verdicts = {claim["id"]: claim["verdict"] for claim in after.claims}
    for claim in before.claims:
        if verdicts.get(claim["id"]) != claim["verdict"]:
            lines.append(
                f"claim {claim['id']}: {claim['verdict']} became {verdicts.get(claim['id'])}"
            )
    return lines


def _first_difference(
    name: str, first: list[dict[str, str]], second: list[dict[str, str]]
) -> str | None:
    count, where, largest = 0, "", 0.0
    for number, (a, b) in enumerate(zip(first, second, strict=False), 2):
        for column in a:
            if column in TIMING or a[column] == b.get(column):
                continue
            count += 1
            where = where or f"line {number}, {column}: {a[column]} became {b.get(column)}"
            largest = max(largest, _relative(a[column], b.get(column)))
    if not count:
        return None
    return f"{name}.csv: {count} values differ, by at most {largest:.2g} relative; first {where}"


def _relative(a: str, b: str | None) -> float:
    try:
        x, y = float(a), float(b or "nan")
    except ValueError:
        return math.inf
    scale = max(abs(x), abs(y))
    return abs(x - y) / scale if scale > 0 else math.inf


def _clip(value: Any) -> str:
    text = cell(value)
    return text if len(text) <= 80 else text[:77] + "..."


# ------------------------------------------------------------------------------------- figure


def overlay(runs: Sequence[Run]) -> Plot:
    """One run's curves over the other's; headline numbers side by side where there are no curves."""
    curves = [_curves(run) for run in runs]
    names = ", ".join(run.name for run in runs)
    if all(curves) and len({c[0][0] for c in curves if c}) == 1:
        return Plot(
            "compare",
            "Runs over each other",
            "A panel for each curve, a colour for each run; the first one is broad.",
            f"{curves[0][0][0]} against {curves[0][0][1]}, of {names}.",
            lambda: _curve_figure(runs, curves),
        )
    return Plot(
        "compare",
        "Headline numbers",
        "A panel for each number, a bar for each run.",
        f"Headline numbers of {names}.",
        lambda: _bar_figure(runs),
    )


Curve = tuple[str, str, str, list[float], list[float]]  # y name, x name, label, x, y


def _curves(run: Run) -> list[Curve]:
    """The curves of a run's metrics: NLL or losses by iteration or epoch, one for each rate."""
    rows = run.table("metrics")
    if not rows:
        return []
    x = next((name for name in ("iteration", "epoch") if name in rows[0]), None)
    names = [name for name in ("nll", "train_loss", "val_loss") if name in rows[0]]
    if x is None or not names:
        return []
    curves: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for row in rows:
        if row.get("repeat", "0") != "0":
            continue
        for name in names:
            if row[name]:
                label = f"η = {float(row['eta']):g}" if "eta" in row else name
                xs, ys = curves.setdefault((name, label), ([], []))
                xs.append(float(row[x]))
                ys.append(float(row[name]))
    title = "NLL" if "nll" in names else "loss"
    return [(title, x, label, xs, ys) for (_, label), (xs, ys) in curves.items()]


def _curve_figure(runs: Sequence[Run], curves: Sequence[list[Curve]]) -> Figure:
    """A panel for each curve (a rate, a loss), in it that curve of every run.

    Runs that differ in little have curves that hide each other, so the first is drawn broad and each
    later one narrower.
    """
    from mlhw import plots

    labels = list(dict.fromkeys(label for parts in curves for _, _, label, _, _ in parts))
    height, width = plots.panels(len(labels), columns=3)
    size = {1: 7.0, 2: 4.4}.get(width, 3.4)
    figure = plots.new_figure(size * width, 2.9 * height + 0.6 + 0.2 * len(runs))
    title, x, *_ = curves[0][0]
    panels = {label: figure.add_subplot(height, width, i) for i, label in enumerate(labels, 1)}
    for label, axes in panels.items():
        axes.set(title=label, xlabel=x, ylabel=title)
    lines: dict[str, Any] = {}
    for i, (run, parts) in enumerate(zip(runs, curves, strict=True)):
        for _, _, label, xs, ys in parts:
            (lines[run.name],) = panels[label].plot(
                xs,
                ys,
                color=plots.colour(i),
                linewidth=1.2 + 2.4 * (len(runs) - 1 - i) / max(1, len(runs) - 1),
                alpha=1.0 if i == len(runs) - 1 else 0.6,
                label=run.name,
            )
    figure.legend(handles=list(lines.values()), loc="outside lower left")
    return figure


def _bar_figure(runs: Sequence[Run]) -> Figure:
    from mlhw import plots

    rows = [
        (key, values)
        for key, values in _rows([run.headlines() for run in runs])
        if all(isinstance(value, (int, float)) for value in values)
    ]
    count = max(1, len(rows))
    height, width = plots.panels(count, columns=3)
    figure = plots.new_figure(3.2 * width, 2.8 * height)
    for i, (key, values) in enumerate(rows or [("no numbers", [0.0] * len(runs))]):
        axes = figure.add_subplot(height, width, i + 1)
        axes.bar(range(len(runs)), values, color=[plots.colour(j) for j in range(len(runs))])
        axes.set_xticks(range(len(runs)), [run.name[9:15] for run in runs])
        axes.set(title=key, xlabel="run (time of its start)", ylabel=key)
    return figure
