"""``mlhw predict RUN IMAGE|FOLDER…``: what a fine-tuned network sees in images, printed.

RUN is a run folder of ``mlhw finetune``, whose best model is used, or a model's file.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import NoProgress, RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.errors import FAILED, FINISHED, ConfigError
from mlhw.runs.lookup import locate
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen, table_width
from mlhw.system.streams import reader_left
from mlhw.text.words import hanging, printable
from mlhw.vision.images.given import STDIN, given_images
from mlhw.vision.predict import Prediction, Unreadable, predict
from mlhw.vision.saved import load_model

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command(
    "predict",
    cls=Command,
    epilog=examples(
        ("mlhw predict latest holiday.jpg", "one image, by the newest run"),
        ("mlhw predict finetune photos --format csv", "a folder of them, a row an image"),
        ("find . -name '*.png' | mlhw predict finetune - --threshold 0.8", "what find finds"),
    ),
)
def predict_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a run of mlhw finetune (path, name, 'latest' or 'finetune'), or a model's file",
            autocompletion=complete_run,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|FOLDER...",
            help="images, folders of them, quoted patterns such as 'photos/*.jpg', @FILE with a path a "
            "line, or - for paths from stdin",
        ),
    ],
    format: Annotated[
        Literal["table", "csv", "json", "jsonl"],
        typer.Option("--format", help="what is printed; csv and jsonl row by row as they come"),
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    top_k: Annotated[
        int, typer.Option("--top-k", min=1, help="how many of the most probable classes")
    ] = 3,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="the probabilities of all classes too")
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", min=0, max=1, help="name no class that is less probable than this"
        ),
    ] = 0.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit with 1 if any file cannot be read as an image")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    ] = "auto",
    runs_dir: RunsDir = "runs",
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="do not list on stderr what is unreadable or left out"),
    ] = False,
    no_progress: NoProgress = False,
) -> int:
    """Class, probability and the most probable classes of images.

    Exit codes: 0 at least one image was read, with --strict every one; 1 otherwise; 2 RUN or a path
    cannot be used.
    """
    if not 0 <= threshold <= 1:  # Typer lets nan pass
        raise ConfigError(f"--threshold: must be from 0 to 1 (got {threshold})")
    screen = Screen(quiet=quiet, progress=not no_progress)
    count = Counter[str]()
    worst = (0.0, "")
    with Interrupts(), contextlib.closing(screen):
        groups: Iterable[list[Path]] = given_images(images, screen.log)
        total = None
        if STDIN not in images:
            groups = list(groups)
            total = sum(map(len, groups))
        model = load_model(locate(run, Path(runs_dir), trained=True), device)
        if model.temperature != 1:
            screen.log(f"probabilities at the model's temperature, {model.temperature:.3f}")
        top_k = min(top_k, len(model.classes))
        kind = "json" if as_json else format
        writer = WRITERS[kind](top_k, model.classes if probabilities else [])
        # Rows that come one by one on a terminal need no bar, which they would run into.
        shows_bar = not (writer.streams and sys.stdout.isatty())
        print(writer.begin(), end="")
        for found in predict(model, groups, top=top_k, threshold=threshold):
            readable = isinstance(found, Prediction)
            count["read" if readable else "unreadable"] += 1
            count["unsure"] += isinstance(found, Prediction) and found.unsure
            if isinstance(found, Prediction) and found.clipped:
                count["clipped"] += 1
                worst = max(worst, (found.clipped, found.path))
            if isinstance(found, Unreadable) and not quiet:
                screen.warn(f"{found.path}: {found.reason}")
            print(writer.row(found), end="", flush=True)
            if reader_left():
                return FINISHED
            if shows_bar:
                screen.progress(count["read"] + count["unreadable"], total, "images")
    print(writer.end(), end="", flush=True)
    if count["clipped"] and not quiet and model.preprocessing.pixels.span is not None:
        low, high = model.preprocessing.pixels.span
        screen.warn(
            f"{count['clipped']} of {count['read']} images have pixels beyond {low:g} … {high:g}, the range "
            f"of the training images, which are clipped (most in {worst[1]}: {worst[0]:.1%})"
        )
    if count["unsure"]:
        screen.log(
            f"{count['unsure']} of {count['read']} images: no class is as probable as {threshold:g}"
        )
    files = count["read"] + count["unreadable"]
    if count["read"] and not (strict and count["unreadable"]):
        return FINISHED
    if files == 1:
        screen.error("the file cannot be read as an image")
    else:
        some = f"{count['unreadable']} of the" if count["read"] else "none of the"
        can = "cannot" if count["read"] else "can"
        screen.error(f"{some} {files} files {can} be read as an image")
    return FAILED


# ------------------------------------------------------------------------------------- formats


class Writer(Protocol):
    """How predictions are printed. ``streams``: each row is text as soon as it comes."""

    streams: bool

    def __init__(self, top: int, classes: Sequence[str]) -> None:
        """``classes`` are those whose probabilities are all printed, in the model's order."""

    def begin(self) -> str: ...
    def row(self, found: Prediction | Unreadable) -> str: ...
    def end(self) -> str: ...


class TableWriter:
    """Aligned columns: file, class, probability, the next most probable classes, or all of them."""

    streams = False

    def __init__(self, top: int, classes: Sequence[str]) -> None:
        self._classes = classes
        self._rows: list[tuple[str, ...]] = []

    def begin(self) -> str:
        return ""

    def row(self, found: Prediction | Unreadable) -> str:
        if isinstance(found, Prediction):
            (best, probability), *rest = found.top
            if found.unsure:
                best, rest = "unsure", found.top
            if self._classes:
                rest = list(zip(self._classes, found.probabilities, strict=True))
            others = ", ".join(f"{label} {share:.3f}" for label, share in rest)
            words = (printable(word).replace("\n", " ") for word in (found.path, best, others))
            self._rows.append((f"{probability:.3f}", *words))
        return ""

    def end(self) -> str:
        width = max((len(path) for _, path, _, _ in self._rows), default=0)
        name = max((len(best) for _, _, best, _ in self._rows), default=0)
        lines = (
            f"{path:<{width}}  {best:<{name}}  {probability}{f'  ({others})' if others else ''}"
            for probability, path, best, others in self._rows
        )
        columns = table_width()
        return "".join(f"{part}\n" for line in lines for part in hanging(line, columns))


class CsvWriter:
    """``file,class,probability,class2,probability2,…``, and ``p_CLASS`` for each class if asked for.

    An unsure prediction has an empty class.
    """

    streams = True

    def __init__(self, top: int, classes: Sequence[str]) -> None:
        self._top = top
        self._classes = classes

    def begin(self) -> str:
        numbers = ["", *(str(i) for i in range(2, self._top + 1))]
        ranked = [f"{what}{n}" for n in numbers for what in ("class", "probability")]
        return _csv_line(["file", *ranked, *(f"p_{label}" for label in self._classes)])

    def row(self, found: Prediction | Unreadable) -> str:
        if isinstance(found, Unreadable):
            return ""
        ranked: list[Any] = [value for pair in found.top for value in pair]
        if found.unsure:
            ranked[0] = ""
        return _csv_line([found.path, *ranked, *(found.probabilities if self._classes else ())])

    def end(self) -> str:
        return ""


def _csv_line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


class JsonLinesWriter:
    """A JSON object a line: ``{file, class, probability, top}``, or ``{file, reason}`` if unreadable."""

    streams = True

    def __init__(self, top: int, classes: Sequence[str]) -> None:
        self._classes = classes

    def begin(self) -> str:
        return ""

    def row(self, found: Prediction | Unreadable) -> str:
        return json.dumps(_json_object(found, self._classes), ensure_ascii=False) + "\n"

    def end(self) -> str:
        return ""


class JsonWriter:
    """``{"predictions": [{file, class, probability, top}], "unreadable": [{file, reason}]}``."""

    streams = False

    def __init__(self, top: int, classes: Sequence[str]) -> None:
        self._classes = classes
        self._found: dict[str, list[dict[str, Any]]] = {"predictions": [], "unreadable": []}

    def begin(self) -> str:
        return ""

    def row(self, found: Prediction | Unreadable) -> str:
        kind = "predictions" if isinstance(found, Prediction) else "unreadable"
        self._found[kind].append(_json_object(found, self._classes))
        return ""

    def end(self) -> str:
        return json.dumps(self._found, indent=2, ensure_ascii=False) + "\n"


def _json_object(found: Prediction | Unreadable, classes: Sequence[str]) -> dict[str, Any]:
    if isinstance(found, Unreadable):
        return {"file": found.path, "reason": found.reason}
    value: dict[str, Any] = {
        "file": found.path,
        "class": None if found.unsure else found.top[0][0],
        "probability": found.top[0][1],
        "top": [{"class": label, "probability": share} for label, share in found.top],
    }
    if classes:
        value["probabilities"] = dict(zip(classes, found.probabilities, strict=True))
    return value


WRITERS: dict[str, type[Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
    "jsonl": JsonLinesWriter,
}
