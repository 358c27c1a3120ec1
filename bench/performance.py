"""Every row of ``rows/`` with the code of now, the code of an older commit, and what others offer for it.

    python bench/performance.py [--rows csv,descent] [--before COMMIT | --no-before] [--turns 7]

A process with the code of now and one with that of before take turns, A B A B …, with the peers in between,
after one turn that compiles and is not counted; each has machine code and other caches of its own. Times are
medians with quartiles, ratios are those of the pairs of a turn. A row that fails or cannot be measured here
says why, and the others go on. ``results/performance.json`` keeps rows that are not measured anew.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import datetime
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from timing import RESULTS, ROOT, machine

ROWS = ROOT / "bench" / "rows"
BEFORE = "7588a1b34cc1b15354ac5b8b1e540734b6e29e3e"
"""The last commit before speed and memory were worked on."""
TURNS = 7
GOING = 30.0
"""Seconds in which a side has to end when there is no more to do."""
PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "torch", "pyarrow", "pillow", "matplotlib")
MINE, OLD = "mlhw", "before"

Found = dict[str, Any]


class RowSkipped(Exception):
    """What is missing here."""


class RowFailed(Exception):
    """What went wrong, in one line; the traceback is on stderr."""


class Side:
    """A process that works through a row with the code of one checkout."""

    def __init__(self, row: Path, checkout: Path, caches: Path | None) -> None:
        """``caches``: a folder for what it keeps; None: where it keeps such things anyway."""
        said = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH"}
        environment = {key: value for key, value in os.environ.items() if key not in said}
        environment |= {"PYTHONPATH": str(checkout)}
        environment |= {"XDG_CACHE_HOME": str(caches)} if caches else {}
        script = str(Path(__file__).with_name("side.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-P", script, str(row.resolve()), str(checkout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def ask(self, *request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        if not line:
            raise RowFailed(f"its process ended with exit code {self.process.wait()}")
        found = json.loads(line)
        if "skipped" in found:
            raise RowSkipped(found["skipped"])
        if "failed" in found:
            raise RowFailed(found["failed"])
        return found["answer"]

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # At the end of its input it goes by itself, and with it the files and processes of the row.
        try:
            self.process.communicate(timeout=GOING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


# -------------------------------------------------------------------------------------- a row


def said_by(row: Path) -> Found:
    """The row's constants, read without running it."""
    body = ast.parse(row.read_text(encoding="utf-8")).body
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("ROW", "TITLE", "GOAL", "TURNS")
    }
    return {key.lower(): value for key, value in found.items()}


def quartiles(values: Sequence[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def own(name: str) -> bool:
    """Whether a work is mlhw's, such as "mlhw, 50 classes"; it is then the older code's as well."""
    return name.partition(",")[0] == MINE


def compared_with(name: str, names: Sequence[str]) -> str:
    """The work of mlhw that another's is measured by: of the same words behind the comma, else the first."""
    same = MINE + "".join(name.partition(",")[1:])
    return same if same in names else MINE


def measure(
    row: Path, now: Path, before: Path | None, caches: Path, turns: int | None = None
) -> Found:
    """All of one row: ``times``, ``cpu`` and ``ratios`` as quartiles by name, ``goals``, ``checks``.

    A ratio is the other's seconds over those of mlhw in the same turn, so above 1 mlhw is faster. What older
    code cannot do is left out, and ``before_missing`` says why.
    """
    said = said_by(row)
    turns = turns or said.get("turns", TURNS)
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(Side(row, now, caches / "now"))
        names = mine.ask("works")
        if not names or names[0] != MINE:
            raise RowFailed(f"the first of its works is not {MINE!r}")
        old, older, old_missing = None, [], None
        if before is not None:
            old = stack.enter_context(Side(row, before, caches / "before"))
            try:
                old.ask("works")
                for name in filter(own, names):
                    old.ask("call", name)
                    older.append(name)
            except (RowFailed, RowSkipped) as error:
                old_missing = str(error)
        order = []
        for name in names:
            mine.ask("call", name)
            order.append((mine, name, name))
            if name in older:
                order.append((old, name, name.replace(MINE, OLD, 1)))
        spent: dict[str, list[list[float]]] = {name: [] for _, _, name in order}
        for turn in range(turns):
            # Who comes first goes round, so that nobody always runs behind the same other.
            for side, work, name in order[turn % len(order) :] + order[: turn % len(order)]:
                spent[name].append(side.ask("call", work))
        clock = {name: np.array(pairs)[:, 0] for name, pairs in spent.items()}
        times = {name: quartiles(values) for name, values in clock.items()}
        medians = {name: value[1] for name, value in times.items()}
        return {
            **{key: said.get(key) for key in ("row", "title", "goal")},
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "versions": versions(),
            "load": load,
            "turns": turns,
            "times": times,
            "cpu": {
                name: quartiles(np.array(pairs)[:, 1].tolist()) for name, pairs in spent.items()
            },
            "ratios": {
                name: quartiles((values / clock[compared_with(name, names)]).tolist())
                for name, values in clock.items()
                if not own(name)
            },
            "goals": mine.ask("goals", medians),
            "checks": mine.ask("checks"),
            **({"before_missing": old_missing} if old_missing else {}),
        }


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


# ---------------------------------------------------------------------------------- all of them


@contextlib.contextmanager
def checkout_of(commit: str, folder: Path) -> Iterator[Path | None]:
    """The files of ``commit`` within ``folder``; None where this is no repository that has it."""
    packed = folder / "before.tar"
    done = subprocess.run(
        ["git", "archive", "--output", str(packed), commit],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(f"without the code of {commit}: {done.stderr.strip()}")
        yield None
        return
    with tarfile.open(packed) as archive:
        archive.extractall(folder / "before", filter="data")
    packed.unlink()
    yield folder / "before"


def seconds_text(value: list[float]) -> str:
    """A median with its quartiles, in seconds or milliseconds."""
    low, middle, high = value
    if middle >= 1:
        return f"{middle:.2f} s [{low:.2f}, {high:.2f}]"
    return f"{1000 * middle:.3g} ms [{1000 * low:.3g}, {1000 * high:.3g}]"


def lines(name: str, found: Found) -> list[str]:
    """A row as it is printed."""
    result = [f"\n{name}: {found['title']} (load {found['load']:.1f}, {found['turns']} turns)"]
    width = max(map(len, found["times"]))
    for who, value in found["times"].items():
        ratio = ""
        if who in found["ratios"]:
            low, middle, high = found["ratios"][who]
            ratio = f"  {middle:.2f} times mlhw's [{low:.2f}, {high:.2f}]"
        cpu = f"  cpu {found['cpu'][who][1]:.3g} s"
        result.append(f"  {who.ljust(width)}  {seconds_text(value):32}{cpu:14}{ratio}")
    if "before_missing" in found:
        result.append(f"  before: {found['before_missing']}")
    result += [f"  {text}: {value:.3g}" for text, value in found["checks"].items()]
    result += [f"  {'met' if met else 'NOT MET'}: {text}" for text, met in found["goals"].items()]
    return result


def keep(found: dict[str, Found], path: Path) -> None:
    """Rows by name into ``path``; those of earlier runs stay."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": {}}
    rows = kept["rows"] | found
    ordered = dict(sorted(rows.items(), key=lambda item: (place(item[1]), item[0])))
    kept = {"command": "python bench/performance.py", "rows": ordered}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def place(row: Found) -> tuple[int, str]:
    """Where a row stands in the table: "9" before "10", "5b" behind "5"."""
    digits = "".join(c for c in str(row["row"]) if c.isdigit())
    return int(digits or 0), str(row["row"])


def chosen(words: str | None) -> list[Path]:
    paths = {path.stem: path for path in ROWS.glob("*.py") if path.stem != "__init__"}
    for name in words.split(",") if words else ():
        if name not in paths:
            sys.exit(f"error: --rows: no row {name!r} (there are {', '.join(sorted(paths))})")
    picked = [paths[name] for name in words.split(",")] if words else list(paths.values())
    return sorted(picked, key=lambda path: (place(said_by(path)), path.stem))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help="names of files in bench/rows, separated by commas")
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    parser.add_argument("--no-before", action="store_true", help="the code of now and peers alone")
    parser.add_argument("--turns", type=int, help=f"by default {TURNS}, or as the row says")
    given = parser.parse_args()
    print(machine())
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        before = None
        if not given.no_before:
            before = stack.enter_context(checkout_of(given.before, folder))
        for row in chosen(given.rows):
            caches = folder / "caches"
            try:
                found = measure(row, ROOT, before, caches, given.turns)
            except RowSkipped as error:
                print(f"\n{row.stem}: left out, {error}")
            except RowFailed as error:
                print(f"\n{row.stem}: FAILED, {error}")
            else:
                if before is not None:
                    found["before_commit"] = given.before
                keep({row.stem: found}, RESULTS / "performance.json")
                print("\n".join(lines(row.stem, found)), flush=True)


if __name__ == "__main__":
    main()
