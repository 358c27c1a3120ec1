"""``mlhw predict RUN IMAGE|FOLDER…``: what a fine-tuned network sees in images, printed.

RUN is a run folder of ``mlhw finetune``, whose best model is used.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlhw.commands.options import RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.errors import FAILED, FINISHED
from mlhw.runs.history import locate
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from mlhw.text.words import printable
from mlhw.vision.predict import Prediction, image_paths, predict
from mlhw.vision.saved import load_model

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command("predict")
def predict_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run of mlhw finetune (path, name, 'latest' or 'finetune'), or its best model.",
            autocompletion=complete_run,
        ),
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|FOLDER...", help="Images, or folders of them.")
    ],
    format: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="What is printed.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    runs_dir: RunsDir = "runs",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Do not list unreadable files on stderr.")
    ] = False,
) -> int:
    """Class, probability and the three most probable classes of images.

    Exit codes: 0 at least one image was read; 1 none was; 2 RUN or a path cannot be used.
    """
    paths = list(image_paths(images))
    screen = Screen(quiet=quiet)
    with Interrupts(), contextlib.closing(screen):
        model = load_model(locate(run, Path(runs_dir)), device)
        found, unreadable = predict(model, paths, screen.progress)
    if not quiet:
        for path, reason in unreadable:
            screen.warn(f"{path}: {reason}")
    writers = {"table": predictions_table, "csv": predictions_csv, "json": predictions_json}
    print(writers["json" if as_json else format](found, unreadable), end="")
    if not found:
        files = "the file" if len(paths) == 1 else f"none of the {len(paths)} files"
        screen.error(f"{files} {'cannot' if len(paths) == 1 else 'can'} be read as an image")
    return FINISHED if found else FAILED


def predictions_table(found: list[Prediction], unreadable: list[tuple[str, str]]) -> str:
    """Aligned columns: file, class, probability, the next most probable classes."""
    if not found:
        return ""
    rows = []
    for p in found:
        (best, probability), *others = p.top
        rest = ", ".join(f"{label} {share:.3f}" for label, share in others)
        words = (printable(word).replace("\n", " ") for word in (p.path, best, rest))
        rows.append((f"{probability:.3f}", *words))
    width = max(len(path) for _, path, _, _ in rows)
    name = max(len(best) for _, _, best, _ in rows)
    return "".join(
        f"{path:<{width}}  {best:<{name}}  {probability}  ({rest})\n"
        for probability, path, best, rest in rows
    )


def predictions_csv(found: list[Prediction], unreadable: list[tuple[str, str]]) -> str:
    """``file,class,probability,class2,probability2,class3,probability3``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    count = max((len(p.top) for p in found), default=1)
    numbers = ["", *(str(i) for i in range(2, count + 1))]
    writer.writerow(["file", *(f"{what}{n}" for n in numbers for what in ("class", "probability"))])
    for p in found:
        writer.writerow([p.path, *(value for pair in p.top for value in pair)])
    return text.getvalue()


def predictions_json(found: list[Prediction], unreadable: list[tuple[str, str]]) -> str:
    """``{"predictions": [{file, class, probability, top}], "unreadable": [{file, reason}]}``."""
    value: dict[str, Any] = {
        "predictions": [
            {
                "file": p.path,
                "class": p.top[0][0],
                "probability": p.top[0][1],
                "top": [{"class": label, "probability": share} for label, share in p.top],
            }
            for p in found
        ],
        "unreadable": [{"file": path, "reason": reason} for path, reason in unreadable],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
