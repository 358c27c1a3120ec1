"""A signal in each place that swallows exceptions: the run stops in time and says how it ended."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.tally import LONG, SOON, Outcome, Tally

PROGRAM = Path(__file__).with_name("signalled.py")

# Seconds from the signal to the end at most; a machine that does ten things at once needs more than SOON.
BOUND = 5.0

# The entries of a place at which it is signalled, in the short form and in the long one.
ENTRIES: dict[str, tuple[list[int], list[int]]] = {
    "sorting": ([1, 50], [*range(1, 200, 10)]),
    "deleting": ([3], [*range(1, 20)]),
    "disposing_of_types": ([3], [*range(1, 20)]),
    "collecting": ([2], [*range(1, 20)]),
    "importing": ([5], [*range(1, 20)]),
    "compiling": ([1], [1, 2, 3, 4, 5, 6]),
    "drawing": ([900], [*range(1, 6000, 97)]),
    "entering_from_c": ([4], [*range(1, 40, 2)]),
    "cleaning_up": ([1], [1, 2, 5, 10, 20]),
    "lingering": ([1], [1, 5, 20]),
}
AFTER = ["silence", "rows", "raises", "returns"]


def plans(place: str) -> list[dict[str, Any]]:
    entries = ENTRIES[place][LONG]
    if place == "lingering":
        return [
            {"place": place, "entry": entry, "then": "silence", "signum": signal.SIGTERM}
            for entry in entries
        ]
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    if LONG:
        return [
            {"place": place, "entry": entry, "then": then, "signum": signals[number % 3]}
            for number, entry in enumerate(entries)
            for then in ("silence", AFTER[1 + number % 3])
        ]
    return [
        {"place": place, "entry": entries[0], "then": "silence", "signum": signal.SIGTERM},
        {"place": place, "entry": entries[-1], "then": AFTER[1 + len(place) % 3], "signum": 2},
    ]


def how_it_ended(plan: dict[str, Any], folder: Path, found: dict[str, Any]) -> tuple[Outcome, str]:
    """What the folder of a plan says, held against what is documented."""
    error = (folder / "err.txt").read_text()
    code = 128 + plan["signum"]
    (record,) = folder.glob("runs/2*/run.json")
    written = json.loads(record.read_text())
    with open(record.with_name("metrics.csv"), newline="") as file:
        rows = list(csv.reader(file))
    name = "Ctrl-C" if plan["signum"] == 2 else signal.Signals(plan["signum"]).name
    lines = [
        f"error: interrupted by {name}",
        f"error: finished rows are kept in {record.parent.relative_to(folder)}",
    ]
    if "Traceback" in error or "Exception ignored" in error:
        return "traceback", error
    if (found["code"], written["status"], written["exit_code"]) != (code, "interrupted", code):
        return "lost", f"exit {found['code']}, {written['status']} {written['exit_code']}: {error}"
    if error.splitlines() != lines or written["reason"] != f"interrupted by {name}":
        return "lost", error
    if len(rows) < 6 or any(len(row) != 2 or len(row[1]) not in (4, 20) for row in rows):
        return "lost", f"rows: {rows[-1]}"
    if left := [path.name for path in record.parent.rglob(".*")]:
        return "lost", f"left behind: {left}"
    if plan["place"] == "cleaning_up" and (folder / "clean.txt").read_text() != "whole\n":
        return "lost", "the clean-up was torn"
    if found["seconds"] > (2.5 if plan["place"] == "lingering" else BOUND):
        return "lost", f"{found['seconds']:.2f} s"
    return "survived", ""


@pytest.mark.slow
def test_a_signal_in_each_place_that_swallows_exceptions_ends_the_run_in_time(
    tmp_path: Path, tally: Any
) -> None:
    counted: Tally = tally("signals_in_callbacks")
    made = [plan for place in ENTRIES for plan in plans(place)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), json.dumps(made)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    seconds = []
    swallowed = 0
    for number, (plan, one) in enumerate(zip(made, found, strict=True)):
        folder = tmp_path / str(number)
        if one["seconds"] is None:  # there is no such entry
            assert plan["entry"] > ENTRIES[plan["place"]][0][-1], plan
            continue
        swallowed += (folder / "passed").exists()
        outcome, detail = how_it_ended(plan, folder, one)
        counted.note(json.dumps(plan), outcome, detail)
        if plan["place"] not in ("cleaning_up", "lingering"):
            seconds.append((one["seconds"], number))
    # Or the places swallow nothing, and nothing is shown.
    assert swallowed >= 8
    seconds.sort()
    slowest = [f"{time:.3f} s: {json.dumps(made[number])}" for time, number in seconds[:-9:-1]]
    counted.seconds += [time for time, _ in seconds]
    print(f"{len(seconds)} signals, {swallowed} swallowed; the slowest", *slowest, sep="\n")
    if LONG:
        assert seconds[len(seconds) // 2][0] < SOON
