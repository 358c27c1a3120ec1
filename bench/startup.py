"""How long a command takes from the shell, beside an empty Python and a two-command Typer program.

python bench/startup.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from timing import command, in_turn, machine, show

TWO_COMMANDS = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def one(x: int = 1): print(x)
@app.command()
def two(x: int = 1): print(x)
app()
"""


def main() -> None:
    program = str(Path(sys.executable).parent / "mlhw")
    with tempfile.TemporaryDirectory() as folder:
        typer_program = Path(folder) / "two.py"
        typer_program.write_text(TWO_COMMANDS)
        sweep = [program, "lr-sweep", "--etas", "0.5,0.3,0.1", "-q", "--runs-dir", f"{folder}/runs"]
        times = in_turn(
            {
                "python -c pass": command(sys.executable, "-c", "pass"),
                "two-command Typer program --help": command(
                    sys.executable, str(typer_program), "--help"
                ),
                "mlhw --help": command(program, "--help"),
                "mlhw lr-sweep --help": command(program, "lr-sweep", "--help"),
                "mlhw lr-sweep --etas 0.5,0.3,0.1 --no-plots": command(*sweep, "--no-plots"),
                "mlhw lr-sweep --etas 0.5,0.3,0.1": command(*sweep),
            },
            runs=7,
        )
    ratio = times["mlhw --help"] / times["two-command Typer program --help"]
    print(machine())
    show(
        "start-up, whole processes",
        times,
        [f"mlhw --help takes {ratio:.2f} times the two-command program (at most 1.8)"],
    )


if __name__ == "__main__":
    main()
