"""What the figures of a sweep add to a whole process, and how large their files are."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rows import either

ROW = "7"
TITLE = (
    "the five figures of `mlhw lr-sweep --etas 0.5,0.3,0.1`, a whole process with and without them"
)
GOAL = "at most 0.9 s more than without figures or 1.85 times as fast as before, no file of more than 200 kB"

_folder = tempfile.TemporaryDirectory()


def _sweep(*more: str) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(
            [
                *(sys.executable, "-P", "-m", "mlhw", "lr-sweep", "--etas", "0.5,0.3,0.1", "-q"),
                *("--runs-dir", _folder.name, *more),
            ],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    return run


def works() -> dict[str, Callable[[], object]]:
    """A process with figures and one without."""
    return {"mlhw": _sweep(), "mlhw, no figures": _sweep("--no-plots")}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    """The goals that hold, by median seconds."""
    name = "mlhw, no figures"
    more = {"mlhw": times["mlhw"] - times[name]}
    if "before" in times:
        more["before"] = times["before"] - times[name.replace("mlhw", "before")]
    return {
        "at most 0.9 s more than without figures, or 1.85 times as fast as before": (
            either(more, 0.9, 1.85)
        )
    }


def checks() -> dict[str, float]:
    """The largest file of a figure, in kB."""
    _sweep()()
    sizes = [path.stat().st_size for path in Path(_folder.name).glob("*/plots/*")]
    return {"largest file of a figure, kB": max(sizes) / 1000}
