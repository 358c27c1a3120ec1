"""How long a command takes from the shell, beside a Typer program of two commands."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rows import either

ROW = "15"
TITLE = "`mlhw --help`, and `mlhw lr-sweep --etas 0.5,0.3,0.1 --no-plots`, whole processes"
GOAL = (
    "help in at most 1.15 times a two-command Typer program, "
    "the sweep in at most 0.45 s or 1.18 times as fast as before"
)

_TWO_COMMANDS = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def one(x: int = 1): print(x)
@app.command()
def two(x: int = 1): print(x)
app()
"""

_folder = tempfile.TemporaryDirectory()


def _process(*words: str) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(
            [sys.executable, "-P", *words],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    return run


def works() -> dict[str, Callable[[], object]]:
    """The help, the sweep, and the help of the small program."""
    program = Path(_folder.name) / "two.py"
    program.write_text(_TWO_COMMANDS)
    sweep = ["lr-sweep", "--etas", "0.5,0.3,0.1", "-q", "--no-plots", "--runs-dir", _folder.name]
    return {
        "mlhw": _process("-m", "mlhw", "--help"),
        "mlhw, the sweep": _process("-m", "mlhw", *sweep),
        "two-command Typer program": _process(str(program), "--help"),
    }


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    """The goals that hold, by median seconds."""
    return {
        "help in at most 1.15 times the Typer program": (
            times["mlhw"] <= 1.15 * times["two-command Typer program"]
        ),
        "the sweep in at most 0.45 s, or 1.18 times as fast as before": (
            either(times, 0.45, 1.18, "mlhw, the sweep")
        ),
    }
