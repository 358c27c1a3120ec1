"""Runs beside each other: what differs in configuration, headline numbers, tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhw.experiments.registry import EXPERIMENTS, SECONDS, experiment
from mlhw.runs.history import GRID, Run
from mlhw.text import yaml12
from mlhw.text.values import flat, is_nothing, number_text, to_json
from mlhw.text.words import printable, text_table

GRADES = "grades"
"""The table of a class, a row for each student."""


@dataclass(frozen=True)
class Comparison:
    """Tables with a row for each thing compared and a value for each run, None where a run lacks it."""

    runs: list[str]
    configuration: list[tuple[str, list[Any]]]
    numbers: list[tuple[str, list[Any]]]
    claims: list[tuple[str, list[Any]]]
    observations: list[tuple[str, list[Any]]]
    grades: list[tuple[str, list[Any]]]

    def sections(self) -> list[tuple[str, list[tuple[str, list[Any]]]]]:
        return [
            ("configuration", self.configuration),
            ("numbers", self.numbers),
            ("claims", self.claims),
            ("observations", self.observations),
            ("grades", self.grades),
        ]


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs: keys, claims, observations and grades in which they differ, and all headline numbers."""
    configurations = [_configuration(run) | _of_parts(run, _configuration) for run in runs]
    verdicts = [{claim.id: claim.verdict for claim in run.claims} for run in runs]
    sights = [{seen.id: seen.verdict for seen in run.observations} for run in runs]
    numbers = [
        {"status": run.status, **run.headlines(), **_of_parts(run, Run.headlines)} for run in runs
    ]
    if len({run.experiment for run in runs}) > 1:
        numbers = [
            {"experiment": run.experiment, **n} for run, n in zip(runs, numbers, strict=True)
        ]
    return Comparison(
        unique_names(runs),
        [row for row in rows_of(configurations) if _differs(row[1])],
        rows_of(numbers),
        [row for row in rows_of(verdicts) if _differs(row[1])],
        [row for row in rows_of(sights) if _differs(row[1])],
        [row for row in rows_of([_grades(run) for run in runs]) if _differs(row[1])],
    )


def unique_names(runs: Sequence[Run]) -> list[str]:
    """The runs' names; where two are equal, with as many folders before them as tell them apart."""
    paths = [run.folder.resolve().parts for run in runs]
    names = []
    for i, path in enumerate(paths):
        others = [other for other in paths if other != path]
        depth = 1
        while any(other[-depth:] == path[-depth:] for other in others):
            depth += 1
        again = paths[:i].count(path)
        names.append(str(Path(*path[-depth:])) + (f" ({again + 1})" if again else ""))
    return names


def _configuration(run: Run) -> dict[str, Any]:
    return dict(flat(run.config))


def _grades(run: Run) -> dict[str, Any]:
    """Of a class the score and verdict of everybody: ``7.5, wrong (sign)``."""
    found = {}
    for row in run.table(GRADES):
        codes = f" ({row['codes']})" if row.get("codes") else ""
        found[row.get("student", "")] = f"{row.get('score', '')}, {row.get('verdict', '')}{codes}"
    return found


def _of_parts(run: Run, read: Callable[[Run], dict[str, Any]]) -> dict[str, Any]:
    """What ``read`` gives of each part of a run of all experiments, its keys behind the experiment's name."""
    return {
        f"{part.experiment}: {key}": value
        for part in run.parts
        if part.record
        for key, value in read(part).items()
    }


def rows_of(columns: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Mappings as rows: each key with its value in every one of them, None where it has none."""
    keys = dict.fromkeys(key for column in columns for key in column)
    return [(key, [column.get(key) for column in columns]) for key in keys]


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] or type(value) is not type(values[0]) for value in values[1:])


# ------------------------------------------------------------------------------------- formats


def shown(value: Any) -> str:
    """A value in one line: numbers with eight digits, lists and truth values as YAML has them."""
    if value is None or isinstance(value, float | str):
        return number_text(value, digits=8)
    return yaml12.inline(value)


def as_text(comparison: Comparison, width: int | None = None) -> str:
    """Aligned columns for a terminal of this width."""
    table: list[list[str]] = []
    for title, rows in comparison.sections():
        if rows:
            table.append([title, *[""] * len(comparison.runs)])
            table += [[f"  {key}", *map(shown, values)] for key, values in rows]
    return "\n".join(text_table(["", *comparison.runs], table, width=width))


def as_markdown(comparison: Comparison) -> str:
    """A GitHub-flavoured Markdown table."""

    def line(values: Sequence[str]) -> str:
        cells = [" ".join(printable(value.replace("|", "\\|")).split("\n")) for value in values]
        return "| " + " | ".join(cells) + " |"

    lines = [line(["", *comparison.runs]), line(["---"] * (1 + len(comparison.runs)))]
    for _, rows in comparison.sections():
        lines += [line([key, *map(shown, values)]) for key, values in rows]
    return "\n".join(lines)


def as_csv(comparison: Comparison) -> str:
    """``section,key`` and a column for each run; floats to the bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")

    def write(values: Sequence[str]) -> None:
        writer.writerow([printable(value) for value in values])

    write(["section", "key", *comparison.runs])
    for title, rows in comparison.sections():
        for key, values in rows:
            cells = [
                "" if is_nothing(v) else repr(v) if isinstance(v, float) else shown(v)
                for v in values
            ]
            write([title, key, *cells])
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
    """Where the numbers of two runs of one configuration are not identical, in sentences.

    What a grid says of tries, and of when and where they were, is left out.
    """
    known = before.experiment in EXPERIMENTS
    timing = experiment(before.experiment).timing if known else SECONDS
    lines = []
    left_out = {"attempts"} if before.experiment == GRID else set()
    for name in sorted({*before.tables, *after.tables} - left_out):
        first, second = before.table(name), after.table(name)
        if len(first) != len(second):
            lines.append(f"{name}.csv: {len(first)} rows became {len(second)}")
        line = _first_difference(name, first, second, timing)
        if line:
            lines.append(line)
    old = dict(flat({"summary": before.summary}))
    new = dict(flat({"summary": after.summary}))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key) and set(key.split(".")).isdisjoint(timing):
            lines.append(f"{key}: {_clip(old.get(key))} became {_clip(new.get(key))}")
    verdicts = {claim.id: claim.verdict for claim in after.claims}
    for claim in before.claims:
        if verdicts.get(claim.id) != claim.verdict:
            lines.append(f"claim {claim.id}: {claim.verdict} became {verdicts.get(claim.id)}")
    sights = {seen.id: seen.verdict for seen in after.observations}
    for seen in before.observations:
        if sights.get(seen.id) != seen.verdict:
            lines.append(f"observation {seen.id}: {seen.verdict} became {sights.get(seen.id)}")
    return lines


def _first_difference(
    name: str,
    first: list[dict[str, str]],
    second: list[dict[str, str]],
    timing: Collection[str],
) -> str | None:
    count, where, largest = 0, "", 0.0
    for number, (a, b) in enumerate(zip(first, second, strict=False), 2):
        for column in a:
            if column in timing or a[column] == b.get(column):
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
    text = shown(value)
    return text if len(text) <= 80 else text[:77] + "..."
