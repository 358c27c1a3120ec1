"""SIGTERM at any time while numba compiles and a sweep runs: no signal is lost, no record lies."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.faults.tally import LONG, SOON, Outcome, Tally
from tests.faults.test_signals import BOUND, PROGRAM

WORDS = ["sgd-sweep", "-q", "-c", str(ROOT / "configs" / "smoke" / "sgd-sweep.yaml")]


def signalled(folder: Path, plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), json.dumps(plans)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def how_it_ended(folder: Path, found: dict[str, Any], signum: int) -> tuple[Outcome, str]:
    error = (folder / "err.txt").read_text()
    if "Traceback" in error or "Exception ignored" in error:
        return "traceback", error
    records = [json.loads(path.read_text()) for path in folder.glob("runs/2*/run.json")]
    ends = [(record["status"], record["exit_code"]) for record in records]
    code = 128 + signum
    lines = error.splitlines()
    said = bool(lines) and lines[0].startswith("error: interrupted by ")
    if found["code"] == 0 and ends == [("finished", 0)] and not lines:
        # It had ended when the signal came, or was just writing that.
        fine = found["seconds"] is None or found["seconds"] < BOUND
    else:
        fine = found["code"] == code and said and ends in ([], [("interrupted", code)])
        fine = fine and len(lines) == 1 + len(ends) and found["seconds"] < BOUND
    left = [path.name for path in folder.glob("runs/2*/.*")]
    if fine and not left:
        return "survived", ""
    return "lost", f"exit {found['code']} after {found['seconds']}, {ends}, left {left}: {error}"


@pytest.mark.slow
def test_a_signal_while_numba_compiles_is_never_lost(tmp_path: Path, tally: Any) -> None:
    counted: Tally = tally("signals_cold_cache")
    whole = signalled(tmp_path / "whole", [{"words": WORDS}])[0]
    assert whole["code"] == 0
    # Or the code was there already, and there is no moment at which numba compiles.
    assert len(list((tmp_path / "whole" / "0" / "compiled").iterdir())) == 1
    chance = random.Random(14)
    count = 200 if LONG else 4
    signals = [signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    plans = [
        {
            "words": WORDS,
            "after": whole["all"] * ((number + chance.random()) / count),
            "signum": signals[number % 4],
        }
        for number in range(count)
    ]
    seconds = []
    for number, (plan, one) in enumerate(zip(plans, signalled(tmp_path / "s", plans), strict=True)):
        outcome, detail = how_it_ended(tmp_path / "s" / str(number), one, plan["signum"])
        counted.note(
            f"{signal.Signals(plan['signum']).name} after {plan['after']:.3f} s", outcome, detail
        )
        if one["seconds"] is not None:
            seconds.append((one["seconds"], plan["after"]))
    seconds.sort()
    counted.seconds += [time for time, _ in seconds]
    slowest = [f"{time:.3f} s, signalled after {after:.3f} s" for time, after in seconds[:-9:-1]]
    print(f"{len(seconds)} signals; the slowest", *slowest, sep="\n")
    if LONG:
        assert seconds[len(seconds) // 2][0] < SOON
