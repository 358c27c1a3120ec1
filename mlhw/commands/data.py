"""``mlhw data FILE``: what a file of points holds, and what an experiment would take of it, without a run."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlhw.commands import options
from mlhw.commands.run import typer_command
from mlhw.config.load import load_config
from mlhw.config.model import Section, leaves
from mlhw.errors import FINISHED, USAGE, DataError
from mlhw.points.config import BUILT_IN_POINTS, PointsConfig
from mlhw.system.screen import print_fitting, table_width
from mlhw.text.words import text_table

if TYPE_CHECKING:
    import numpy as np

    from mlhw.points.points import Points

_SMALLER = 2.0**-600  # squares of such numbers, and sums of many, are finite
_SHOWN = 40  # columns in the table on the screen; --json has all


class DataConfig(Section):
    """The keys of ``mlhw data``: those that every experiment has for its points."""

    data: PointsConfig = PointsConfig()


def command() -> Any:
    """The Typer command."""
    keys = {
        leaf.path[-1]: leaf
        for leaf in leaves(DataConfig)
        if leaf.has_option and len(leaf.path) == 2
    }

    def data_command(**given: Any) -> int:
        values = {"FILE": (("data",), given["file"])} | {
            leaf.option: (leaf.path, options.key_value(leaf, given[name]))
            for name, leaf in keys.items()
            if given[name] not in (None, [])
        }
        found = described(load_config(DataConfig, None, (), values).data)
        if given["json"]:
            print(json.dumps(found, ensure_ascii=False))
        else:
            print_fitting(as_lines(found))
        if found["errors"] and not given["json"]:
            raise DataError(*found["errors"])
        return USAGE if found["errors"] else FINISHED

    parameters: dict[str, options.Parameter] = {
        "file": (
            Annotated[
                str,
                typer.Argument(
                    metavar="FILE|NAME",
                    help=f"A file of points, '-' for standard input, or {', '.join(BUILT_IN_POINTS)}.",
                ),
            ],
            inspect.Parameter.empty,
        )
    }
    parameters |= {name: options.key_parameter(leaf) for name, leaf in keys.items()}
    parameters["json"] = (options.Json, False)
    help = (
        "What a file of points holds: columns, class, missing cells, spreads, separability. Nothing is "
        "run and nothing written. Exit codes: 0 the sweeps can use it; 2 they cannot, with the reasons and "
        "what else can."
    )
    shown = (
        ("mlhw data points.csv", "what is in a file of one's own"),
        ("mlhw data points.csv --label species --missing drop", "what a sweep would take of it"),
        ("cat points.csv | mlhw data - --json", "as JSON, from standard input"),
    )
    return typer_command("data", help, data_command, parameters, shown)


def described(config: PointsConfig) -> dict[str, Any]:
    """What is in the file and what is taken of it; ``errors`` are the lines why no sweep can use it.

    DataError where the file cannot be read at all.
    """
    from mlhw.experiments.sweeps.separability import separability, why_unfit
    from mlhw.points.load import load_table, points_of
    from mlhw.points.spreads import spread_ratio

    table = load_table(config)
    columns = _columns(table)
    found: dict[str, Any] = {
        "data": table.path,
        "read": "; ".join([*table.said, *filter(None, [table.class_said])]),
        "rows": len(table),
        "missing": sum(column["missing"] for column in columns),
        "columns": columns,
        "class": table.target,
        "points": None,
        "classes": None,
        "features": None,
        "notes": [],
        "spread_ratio": None,
        "separable": None,
        "separability": None,
        "errors": [],
    }
    try:
        points = points_of(table, config)
    except DataError as error:
        return found | {"errors": list(error.lines)}
    counts = Counter(points.labels)
    spread = spread_ratio(points)
    separable, sentence = separability(points)
    unfit = why_unfit(points)
    advice = [spread.advice] if spread is not None and spread.advice else []
    return found | {
        "points": len(points.labels),
        "classes": [{"class": label, "points": counts[label]} for label in points.classes],
        "features": list(points.features),
        "notes": [*points.notes, *advice],
        "spread_ratio": None if spread is None else spread.ratio,
        "separable": separable,
        "separability": sentence,
        "errors": [] if unfit is None else [f"{line}{_who_can(points)}" for line in unfit.lines],
    }


def _who_can(points: Points) -> str:
    """For the end of an error: the command that takes points with more classes than two."""
    from mlhw.experiments.softmax_regions.planes import MAX_CLASSES

    count = len(points.classes)
    if not 2 < count <= MAX_CLASSES:
        return ""
    return f"; softmax-regions --fit takes all {count} with two of the features"


def _columns(table: Any) -> list[dict[str, Any]]:
    """Each column but the class's: what it holds and how many of its cells are missing or wrong."""
    found = []
    numbers = _numbers_of(table.X)
    for place, name in enumerate(table.names):
        column: dict[str, Any] = {"name": name, "kind": "number", "missing": 0, "wrong": 0}
        if name in table.words:
            texts = table.words[name]
            kinds = Counter(text for text in texts if text is not None)
            column |= {"kind": "words", "missing": texts.count(None), "values": len(kinds)}
            column["most"] = [value for value, _ in kinds.most_common(3)]
        else:
            for key, faults in (("missing", table.missing), ("wrong", table.wrong)):
                column[key] = faults[name].count if name in faults else 0
            if numbers["min"][place] is not None:
                column |= {key: values[place] for key, values in numbers.items()}
        if place == 0 and table.row_numbers:
            column["kind"] = "row numbers"
        elif column.get("min", 0) == column.get("max", 1):
            column["kind"] = "constant"
        found.append(column)
    missing = table.missing.get(table.target)
    found.append(
        {
            "name": table.target,
            "kind": "class",
            "missing": missing.count if missing else 0,
            "wrong": 0,
            "values": len({label for label in table.labels if label is not None}),
        }
    )
    return found


def _numbers_of(X: np.ndarray) -> dict[str, list[float | None]]:
    """The smallest, largest and mean number and the standard deviation of each column; None without any."""
    import numpy as np

    masked = np.ma.masked_invalid(X)
    with np.errstate(all="ignore"):
        mean, deviation = masked.mean(axis=0), masked.std(axis=0)
        # Sums of squares overflow where the numbers themselves do not; a power of two loses no digit.
        large = ~np.ma.getmaskarray(masked.min(axis=0)) & np.ma.getmaskarray(deviation)
        for j in np.flatnonzero(large):
            small = X[np.isfinite(X[:, j]), j] * _SMALLER
            mean[j], deviation[j] = small.mean() / _SMALLER, small.std() / _SMALLER
        return {
            "min": masked.min(axis=0).tolist(),
            "max": masked.max(axis=0).tolist(),
            "mean": mean.tolist(),
            "deviation": deviation.tolist(),
        }


def as_lines(found: dict[str, Any]) -> list[str]:
    """The description for the screen."""
    rows = []
    columns = found["columns"]
    shown = columns if len(columns) <= _SHOWN else [*columns[: _SHOWN - 1], columns[-1]]
    for column in shown:
        holds = ""
        if "min" in column:
            low, high, mean, sd = (f"{column[k]:.6g}" for k in ("min", "max", "mean", "deviation"))
            holds = f"{low} to {high}, mean {mean}, standard deviation {sd}"
        elif "values" in column:
            some = ", ".join(column.get("most", ()))
            holds = f"{column['values']:,} different" + (f": {some}" if some else "")
            holds += ", …" if some and column["values"] > 3 else ""
        wrong = f"; {column['wrong']:,} are no numbers" if column["wrong"] else ""
        rows.append((column["name"][:40], column["kind"], f"{column['missing']:,}", holds + wrong))
    lines = [f"{found['data']}: {found['read']}" if found["read"] else found["data"]]
    lines.append(f"{found['rows']:,} rows, {found['missing']:,} missing cells")
    lines += ["", *text_table(("column", "kind", "missing", "holds"), rows, width=table_width())]
    if len(columns) > _SHOWN:
        lines.append(f"… and {len(columns) - _SHOWN:,} columns more (--json has all)")
    lines.append("")
    if found["points"] is not None:
        counts = [f"{entry['class']} ({entry['points']:,})" for entry in found["classes"][:10]]
        more = ", …" if len(found["classes"]) > 10 else ""
        lines.append(f"{found['points']:,} points; classes: {', '.join(counts)}{more}")
        lines += found["notes"]
        if found["spread_ratio"] is not None:
            lines.append(f"ratio of spreads: {found['spread_ratio']:.4g}")
        lines.append(found["separability"])
    return lines
