"""``mlhw export RUN --format onnx``: a fine-tuned network as a file that other programs run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import NoProgress, RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.errors import FINISHED, ConfigError
from mlhw.runs.lookup import locate
from mlhw.system.files import check_writable
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from mlhw.text.words import printable

app = typer.Typer(**PLAIN)

MEGABYTE = 1_000_000


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command(
    "export",
    cls=Command,
    epilog=examples(
        ("mlhw export latest --format onnx", "for other programs, into the run's folder"),
        ("mlhw export finetune --out digits.safetensors --force", "replace a file of one's own"),
    ),
)
def export_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a run of mlhw finetune (path, name, 'latest' or 'finetune'), or its best.safetensors",
            autocompletion=complete_run,
        ),
    ],
    format: Annotated[
        Literal["safetensors", "onnx", "pt2"] | None,
        typer.Option("--format", help="by default what --out ends with"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="by default model.FORMAT in the run's folder"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the same as JSON")] = False,
    runs_dir: RunsDir = "runs",
    no_progress: NoProgress = False,
) -> int:
    """Write a network with its classes, preprocessing and temperature, and check it.

    Exit codes: 0 written, and it computes what the network does; 1 it does not, or the network has no
    such form, and nothing is written; 2 RUN, FILE or a missing package.
    """
    from mlhw.vision.export import FORMATS, export

    if out == "":
        raise ConfigError("--out: is empty; give a file")
    suffix = Path(out).suffix.lower().removeprefix(".") if out else ""
    form = format or next((each for each in FORMATS if each == suffix), None)
    if form is None:
        raise ConfigError(f"--format: must be one of {', '.join(FORMATS)}")
    if suffix in FORMATS and suffix != form:
        raise ConfigError(f"--out {out}: ends with the suffix of another format than {form}")
    if out and suffix not in FORMATS:
        raise ConfigError(f"--out {out}: must end with .{form}, by which it is known again")
    path = locate(run, Path(runs_dir), trained=True)
    folder = path if path.is_dir() else path.parent
    target = Path(out) if out else folder / f"model.{form}"
    if os.path.lexists(target) and not force:
        raise ConfigError(f"{target}: is there already; --force replaces it")
    check_writable("--out", str(target))
    screen = Screen(progress=not no_progress)
    with Interrupts(), contextlib.closing(screen):
        screen.progress(0, None, f"writing {form}")
        done = export(path, form, target)
    if as_json:
        value = {
            "file": str(done.path),
            "format": form,
            "bytes": done.size,
            "images": done.images,
            "logits_off": done.logits_off,
            "probabilities_off": done.probabilities_off,
            "temperature": done.temperature,
        }
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        size = f"{done.size / MEGABYTE:.1f} MB"
        print(
            printable(f"{done.path}: {size}, probabilities at temperature {done.temperature:.3f}")
        )
        print(
            f"on {done.images} images its logits are within {done.logits_off:.1g} of the network's "
            f"(the largest is {done.largest:.3g}), its probabilities within {done.probabilities_off:.1g}"
        )
    return FINISHED
