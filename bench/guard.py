"""Warns where something has become half as fast as it was: a few quick rows beside their peers.

    python bench/guard.py

Each row is compared with its quickest peer within one run, so that the machine does not matter, and the
ratio with that of ``results/performance.json``. A row that falls below half of it is measured once more
before a line begins with ``warning:`` (in GitHub's own form where GITHUB_ACTIONS is set). The exit code is 0:
a shared machine is no reason to refuse a change. After LIMIT seconds it stops, and names what is left.
"""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from performance import OLD, ROWS, RowFailed, RowSkipped, Side, compared_with, own
from timing import RESULTS, ROOT

GUARDED = ("startup", "sgd_kernel", "descent_small", "vanishing", "regions", "jpeg")
TURNS = 3
HALF = 0.5
LIMIT = 20.0


def peer_of(saved: Mapping[str, Any]) -> str | None:
    """The quickest of the peers that a row was measured with; None where there was none."""
    peers = {
        name: value[1]
        for name, value in saved["times"].items()
        if not own(name) and name.partition(",")[0] != OLD
    }
    return min(peers, key=lambda name: peers[name], default=None)


class TooLate(Exception):
    """The time is over before a row is measured."""


def ratio_now(row: Path, checkout: Path, peer: str, turns: int, until: float) -> float:
    """Seconds of ``peer`` over those of mlhw, the median of pairs, after one that is not counted.

    Raises TooLate when the monotonic clock passes ``until``.
    """
    with Side(row, checkout, caches=None) as side:
        timer = threading.Timer(max(0.0, until - time.monotonic()), side.process.kill)
        timer.start()
        try:
            pair = (compared_with(peer, side.ask("works")), peer)
            pairs = [[side.ask("call", name)[0] for name in pair] for _ in range(turns + 1)]
        except RowFailed:
            if time.monotonic() >= until:
                raise TooLate from None
            raise
        finally:
            timer.cancel()
    return statistics.median(theirs / ours for ours, theirs in pairs[1:])


def fallen(row: Path, checkout: Path, saved: Mapping[str, Any], until: float) -> str | None:
    """A line for a row that is half as fast as it was, beside its peer; None for another."""
    peer = peer_of(saved)
    if peer is None:
        return None
    was = saved["ratios"][peer][1]
    ratio = ratio_now(row, checkout, peer, TURNS, until)
    if ratio < HALF * was:
        ratio = max(ratio, ratio_now(row, checkout, peer, 2 * TURNS, until))
    if ratio >= HALF * was:
        return None
    return (
        f"{saved['title']}: {peer} takes {ratio:.2f} times as long as mlhw, and took {was:.2f} times "
        f"(python bench/performance.py --rows {row.stem})"
    )


def warning(line: str) -> str:
    if os.environ.get("GITHUB_ACTIONS"):
        return f"::warning title=half as fast::{line}"
    return f"warning: half as fast: {line}"


def guard(names: Sequence[str], saved: Mapping[str, Any], limit: float = LIMIT) -> list[str]:
    """What is to be printed: a warning for each row that has fallen, then what was looked at."""
    started = time.monotonic()
    until, looked, late, lines = started + limit, 0, [], []
    for name in names:
        if name not in saved or not (ROWS / f"{name}.py").exists():
            continue
        try:
            line = fallen(ROWS / f"{name}.py", ROOT, saved[name], until)
        except TooLate:
            late.append(name)
        except (RowFailed, RowSkipped) as error:
            lines.append(f"speed of {name} not looked at: {error}")
        else:
            looked += 1
            lines += [warning(line)] if line is not None else []
    lines.append(f"speed: {looked} rows looked at in {time.monotonic() - started:.0f} s")
    if late:
        lines.append(f"speed: no time left for {', '.join(late)}")
    return lines


def main() -> None:
    path = RESULTS / "performance.json"
    saved = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    print("\n".join(guard(GUARDED, saved)))


if __name__ == "__main__":
    main()
