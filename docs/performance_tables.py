"""The tables of docs/performance.md: what was measured beside an older commit and beside peers.

Between ``<!-- performance NAME -->`` and ``<!-- / -->`` stands the table NAME. One whose measurements are not
there yet says so, and names the command that makes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling_tables import table

RESULTS = Path(__file__).parents[1] / "bench" / "results"

Found = dict[str, Any]


def spread(value: list[float], unit: str = "") -> str:
    """A median and half the distance of the quartiles, in three digits."""
    low, middle, high = value
    digits = max(0, 2 - len(f"{int(abs(middle))}") + (middle >= 1))
    return f"{middle:,.{digits}f} ± {(high - low) / 2:,.{digits}f}{unit}"


def seconds(value: list[float]) -> str:
    if value[1] >= 1:
        return spread(value, " s")
    return spread([1000 * one for one in value], " ms")


def closing(found: Found) -> str:
    """Every row: now, as a ratio to the older commit and to the peers, and its goals."""
    rows = []
    for row, one in found["rows"].items():
        now, before, peers = [], [], []
        for name, value in one["times"].items():
            whose, _, what = name.partition(", ")
            ratio = one["ratios"].get(name)
            if whose == "mlhw":
                now.append(f"{what}: {seconds(value)}" if what else seconds(value))
            elif whose == "before":
                compared = f"{spread(ratio)} ({seconds(value)})"
                before.append(f"{what}: {compared}" if what else compared)
            else:
                peers.append(f"{name} {spread(ratio)} ({seconds(value)})")
        before += [one["before_missing"]] if "before_missing" in one else []
        goals = [f"{'met' if met else '**not met**'}: {text}" for text, met in one["goals"].items()]
        lists = (now, before or ["–"], peers or ["–"], goals)
        rows.append(
            [cell(text) for text in (f"{one['title']} (`{row}`)", *map("<br>".join, lists))]
        )
    head = ["what is done", "now", "before, times as long", "others, times as long", "goals"]
    return table(head, rows) + f"\n\n{conditions(list(found['rows'].values()))}"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def conditions(rows: list[Found]) -> str:
    """Machines, versions, days and loads of all rows, in a sentence."""
    machines = "; ".join(dict.fromkeys(one["machine"] for one in rows))
    used: dict[str, dict[str, None]] = {}
    for one in rows:
        for name, version in one["versions"].items():
            used.setdefault(name, {})[version] = None
    versions = ", ".join(f"{name} {' or '.join(found)}" for name, found in used.items())
    days = sorted({one["date"] for one in rows})
    turns, loads = ([one[key] for one in rows] for key in ("turns", "load"))
    return (
        f"{machines}. {versions}. Measured on {' to '.join(dict.fromkeys((days[0], days[-1])))}, "
        f"{min(turns)} to {max(turns)} turns a row, the load of the machine {min(loads):.1f} to "
        f"{max(loads):.1f} when a row began: other work widens every spread. "
        "`python bench/performance.py`."
    )


def checks(found: Found) -> str:
    """How far results are apart, and whatever else a row looked at."""
    rows = [
        [cell(one["title"]), cell(text), f"{value:.3g}"]
        for one in found["rows"].values()
        for text, value in one["checks"].items()
    ]
    return table(["what is done", "looked at", "value"], rows) if rows else "Nothing."


GROWTH = (
    "For each command and each size in it two points beside the lines at 0 and 1: the exponents of time and "
    "of memory, which the table below has as numbers"
)


def growth(found: Found) -> str:
    """The figure, and its exponents as numbers."""
    rows = []
    for series, one in found["series"].items():
        sizes = f"{one['sizes'][0]:,} to {one['sizes'][-1]:,}"
        exponents = [f"{one[what][0]:.2f} ± {one[what][1]:.2f}" for what in ("time", "memory")]
        most = f"{max(one['bytes']) / 1e6:,.0f} MB"
        rows.append(
            [series, sizes, exponents[0], f"{one['seconds'][-1]:.2f} s", exponents[1], most]
        )
    head = [
        "what grows",
        "sizes",
        "exponent of time",
        "at the largest",
        "of memory",
        "at the largest",
    ]
    return table(head, rows)


def first_run(found: Found) -> str:
    """First runs beside later ones, one core beside all."""
    rows = []
    for name, one in found["commands"].items():
        low, middle, high = one["cores_ratio"]
        rows.append(
            [
                f"`mlhw {name}`",
                f"{one['first'][1]:.2f} s",
                f"{one['later'][1]:.2f} s",
                f"{one['first_ratio'][1]:.2f}",
                f"{one['one'][1]:.2f} s",
                f"{one['all'][1]:.2f} s",
                f"{middle:.2f} [{low:.2f}, {high:.2f}]",
            ]
        )
    head = ["command", "first", "later", "times as long", "one core", "all cores", "times as long"]
    return table(head, rows)


def gpu(found: Found) -> str:
    """Epochs of all layers on a GPU beside a bare loop's, and how often one waits."""
    rows = []
    for one in found["cases"].values():
        times, bare = one["times"], one["times"]["bare loop"]
        for who in (name for name in times if name != "bare loop"):
            waits = f"{one['waits']} in {one['steps']:,} steps" if who == "mlhw" else ""
            rows.append(
                [
                    cell(one["title"]),
                    f"{'chosen: ' if who != 'mlhw' else ''}{one['computes'][who]}",
                    seconds(times[who]),
                    f"{one['images_per_s'][who]:,.0f}",
                    seconds(bare),
                    "{1:.2f} [{0:.2f}, {2:.2f}]".format(*one["rates"][who]),
                    waits,
                ]
            )
    head = ["what is trained", "how", "an epoch", "images/s", "bare loop", "ratio", "waits"]
    return f"{table(head, rows)}\n\n{gpu_conditions(list(found['cases'].values()))}"


def gpu_conditions(cases: list[Found]) -> str:
    """Cards, machines, versions and days of the cases, in a sentence."""
    cards, machines, days = (
        "; ".join(dict.fromkeys(one[key] for one in cases)) for key in ("card", "machine", "date")
    )
    versions = "; ".join(
        dict.fromkeys(", ".join(f"{k} {v}" for k, v in one["versions"].items()) for one in cases)
    )
    turns = [one["turns"] for one in cases]
    return (
        f"{cards}, {machines}; {versions}. Measured on {days}, {min(turns)} to {max(turns)} epochs "
        "each, in turn, after one that is not counted. `python bench/gpu.py`."
    )


TABLES: dict[str, tuple[str, Callable[[Found], str]]] = {
    "gpu": ("gpu", gpu),
    "closing": ("performance", closing),
    "checks": ("performance", checks),
    "growth": ("growth", growth),
    "first_run": ("first_run", first_run),
}

MARK = re.compile(
    r"(?P<mark><!-- performance (?P<name>\w+) -->\n)(?P<text>.*?)(?=<!-- / -->)", re.S
)


def with_performance(text: str) -> str:
    """A page with these tables as ``bench/results`` has them."""

    def made(match: re.Match[str]) -> str:
        file, function = TABLES[match["name"]]
        path = RESULTS / f"{file}.json"
        if not path.exists():
            return f"{match['mark']}Not measured yet: `python bench/{file}.py`.\n"
        found = json.loads(path.read_text(encoding="utf-8"))
        where = f"\n\n{found['machine']}; `{found['command']}`." if "machine" in found else ""
        return f"{match['mark']}{function(found)}{where}\n"

    return MARK.sub(made, text)
