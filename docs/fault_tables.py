"""The tables of docs/reliability.md: what injected faults did to mlhw, and to what else there is.

Between ``<!-- table faults -->`` and ``<!-- / -->`` on a page stands what ``make faults`` left in
``bench/results/faults.json``, in the same way ``peers_faults.json`` of ``bench/peers_faults.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
FAULT_TESTS = ROOT / "tests" / "faults"

# What is promised about a kind of fault, or about all whose names begin so; in the order of the page.
PROMISES = {
    "kills": "A run that is killed loses nothing that was reported as done, and goes on to the same bytes.",
    "half_writes": "A file is there whole or not at all, wherever its write is cut off.",
    "random_kills": "The same, killed at any time.",
    "signals": "Ctrl-C, SIGTERM and SIGHUP end a run as documented, wherever they find it.",
    "foreign_modules": "No Python file of the current folder is run.",
    "damaged": "A damaged file is refused, or named in a warning and done without.",
    "numba_cache": "A damaged cache of compiled code is made again.",
    "disk": "A full, read-only or vanished disk ends in one line that names it; what is written stays.",
    "limits": "So do limits on memory, on open files and on the size of files.",
    "names": "Paths may be long, or any bytes.",
    "endless": "Input without end, or of any width, is refused in bounded time and memory.",
    "hostile": "Hostile files run nothing, write nothing outside their place, take bounded time and memory.",
    "fuzzing": "Whatever is typed or read, the exit code is a documented one, and there is no traceback.",
    "numbers": "Numbers at the ends of what is allowed give right answers, or are refused.",
    "many": "Many at once: a folder for each run, one process for each folder, stores and downloads shared.",
    "grid": "Killed workers and drivers cost a grid no point: each has one row and one finished folder.",
    "long": "Thousands of epochs need no more memory, files or log than their rows.",
    "sockets": "No connection is tried that was not asked for, and all works without a network.",
}


def promise_of(kind: str) -> str | None:
    """The key of PROMISES that a kind of fault belongs to: the longest that it begins with."""
    fitting = [key for key in PROMISES if kind == key or kind.startswith(f"{key}_")]
    return max(fitting, key=len, default=None)


def tests_of(kind: str) -> list[Path]:
    """The test files that count faults of this kind."""
    texts = {path: path.read_text(encoding="utf-8") for path in FAULT_TESTS.glob("test_*.py")}
    texts.pop(FAULT_TESTS / "test_tally.py", None)  # it tests the counting itself
    for word in (f'tally("{kind}")', f'"{kind}"'):
        found = sorted(path for path, text in texts.items() if word in text)
        if found:
            return found
    return []


def counted_kinds() -> set[str]:
    """The kinds of faults that the tests count."""
    return {
        kind
        for path in FAULT_TESTS.glob("test_*.py")
        if path.name != "test_tally.py"
        for kind in re.findall(r'^ .*\btally\("(\w+)"\)', path.read_text(encoding="utf-8"), re.M)
    }


def faults_table(found: dict[str, Any]) -> str:
    """A row for each kind of fault of ``faults.json``."""
    outcomes = ["injected", "survived", "lost", "silent", "traceback", "escaped"]
    lines = [
        f"| promise | kind, and its test | {' | '.join(outcomes)} | date |",
        f"|---|---|{'--:|' * len(outcomes)}---|",
    ]
    order = list(PROMISES)
    kinds = sorted(
        found["rows"], key=lambda kind: (order.index(promise_of(kind) or order[-1]), kind)
    )
    before = None
    for kind in kinds:
        key = promise_of(kind)
        promise = "" if key == before else PROMISES.get(key or "", "")
        files = ", ".join(
            f"[{path.stem[5:]}](../tests/faults/{path.name})" for path in tests_of(kind)
        )
        numbers = " | ".join(f"{found['rows'][kind][outcome]:,}" for outcome in outcomes)
        date = found["rows"][kind]["date"]
        lines.append(f"| {promise} | {kind}: {files} | {numbers} | {date} |")
        before = key
    total = " | ".join(f"**{found['all'][outcome]:,}**" for outcome in outcomes)
    lines += [f"| **all** | | {total} | |", "", *time_lines(found["files"])]
    lines += machine_lines(found["files"])
    missing = sorted(counted_kinds() - found["rows"].keys())
    if missing:
        said = "Without figures of the long form yet, tried in the short one by `make test`"
        lines += ["", f"{said}: {', '.join(missing)}."]
    return "\n".join(lines)


def time_lines(files: dict[str, Any]) -> list[str]:
    """How soon those faults ended whose time is a part of the promise."""
    lines = []
    for rows in files.values():
        for kind, row in rows.items():
            if took := row.get("times"):
                lines.append(
                    f"- {kind}: from signal to end {took['median']:.2f} s in the median, within half a "
                    f"second {took['soon']:.1%} of {took['count']}, the slowest {took['largest']:.2f} s"
                )
    return [*lines, ""] if lines else []


def machine_lines(files: dict[str, Any]) -> list[str]:
    """Where the rows were counted: one line, or one for each of several machines with its test files."""
    of: dict[str, list[str]] = {}
    for file, rows in files.items():
        for machine in dict.fromkeys(row["machine"] for row in rows.values()):
            of.setdefault(machine, []).append(file.removeprefix("test_"))
    if len(of) == 1:
        return [f"Counted on {machine}." for machine in of]
    return [f"- {', '.join(names)}: {machine}" for machine, names in of.items()]


PEERS = {
    "mlhw": "mlhw",
    "lightning": "Lightning",
    "timm": "timm",
    "hugging_face": "Hugging Face Trainer",
}


def peers_table(found: dict[str, Any]) -> str:
    """What the same fault did to each of the four, from ``peers_faults.json``."""
    peers = [name for name in PEERS if name in found]
    titles = [f"{PEERS[name]} {versions(found[name]['versions'])}" for name in peers]
    lines = [f"| fault | {' | '.join(titles)} |", f"|---|{'---|' * len(peers)}"]
    for title, cell in PEER_ROWS.items():
        lines.append(f"| {title} | {' | '.join(cell(found[name]) for name in peers)} |")
    missing = [title for name, title in PEERS.items() if name not in found]
    return "\n".join([*lines, *([f"\nNot measured: {', '.join(missing)}."] if missing else [])])


def versions(of: dict[str, str]) -> str:
    return ", ".join(text for name, text in of.items() if name != "torch")


def went_on(kind: str) -> Callable[[dict[str, Any]], str]:
    """How many resumes after faults of a kind went on, and what the others did."""

    def cell(peer: dict[str, Any]) -> str:
        row = peer[kind]
        parts = [f"{row['went on']} of {row['injected']} go on"]
        parts += [f"{row['began anew']} begin anew"] if row["began anew"] else []
        parts += [f"{row['error']} cannot: `{next(iter(row['errors']))}`"] if row["error"] else []
        return "; ".join(parts).replace("|", "\\|")

    return cell


def flips(peer: dict[str, Any]) -> str:
    row = peer["flips"]
    said = row.get("said", 0)  # named, and an older state taken instead
    parts = [f"{said} named, and the right numbers from an older state"] if said else []
    parts += [f"{row['noticed']} refused", f"{row['same'] - said} without effect"]
    return f"of {row['injected']}: {', '.join(parts)}, {row['other']} other numbers in silence"


def stopped(peer: dict[str, Any]) -> str:
    row = peer["term"]
    code = row["code"]  # None where it was not measured
    if code is not None and code < 0:
        code = 128 - code
    same = "the same weights" if row["bitwise"] else "other weights"
    after = {"went on": f"{row['steps_again']} steps done again, {same}"}.get(
        row["after"], row["after"]
    )
    return f"exit code {'not measured' if code is None else code}; {after}"


def left_behind(peer: dict[str, Any]) -> str:
    return ", ".join(f"`{name}` × {count}" for name, count in peer["left"].items()) or "nothing"


PEER_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "SIGKILL before each change of a file during an epoch and its checkpoint": went_on("kills"),
    "killed in the middle of a write": went_on("torn"),
    "disk full in the middle of a write": went_on("full"),
    "one bit of the newest checkpoint flipped": flips,
    "SIGTERM in the middle of an epoch, then gone on with": stopped,
    "killed between two epochs: the same bits as without": lambda peer: (
        "yes" if peer["bitwise"] else "no"
    ),
    "two processes go on with one folder": lambda peer: ", ".join(peer["pair"]),
    "files that an undisturbed run does not leave, after those kills": left_behind,
}

TABLE = re.compile(r"(?P<mark><!-- table (?P<file>[\w-]+) -->\n)(?P<text>.*?)(?=<!-- / -->)", re.S)
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "faults": faults_table,
    "peers_faults": peers_table,
}


def with_tables(text: str) -> str:
    """A page with its tables as ``bench/results`` has them."""

    def made(found: re.Match[str]) -> str:
        results = json.loads((RESULTS / f"{found['file']}.json").read_text(encoding="utf-8"))
        return f"{found['mark']}{TABLES[found['file']](results)}\n"

    return TABLE.sub(made, text)
