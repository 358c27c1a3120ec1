"""``mlhw evaluate RUN --data …``: how good a fine-tuned network is on labelled images.

RUN is a run folder of ``mlhw finetune``, whose best model is used, or the file of a model.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import NoPlots, NoProgress, RunsDir, complete_run
from mlhw.commands.run import PLAIN
from mlhw.config.load import load_config
from mlhw.errors import FINISHED, ConfigError, reason_of
from mlhw.result.recorder import Recorder
from mlhw.result.tables import csv_text
from mlhw.runs.gallery import GALLERY, gallery_page
from mlhw.runs.lookup import locate
from mlhw.runs.verification import config_changed, require_own_config
from mlhw.system.files import write_whole
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen, print_fitting
from mlhw.text.values import to_json
from mlhw.vision.names import DATA_SETS, OWN_DATA, OnError, SplitChoice

if TYPE_CHECKING:
    from mlhw.vision.images.labelled import LabelledSet

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


class OnScreen(Recorder):
    """Reading data speaks to the screen: warnings and progress."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def log(self, message: str, *, screen: bool = True) -> None:
        self._screen.log(message, detail=not screen)

    def warn(self, message: str) -> None:
        self._screen.warn(message)

    def progress(self, done: float, total: float, what: str) -> None:
        self._screen.progress(done, total, what)


@app.command(
    "evaluate",
    cls=Command,
    epilog=examples(
        ("mlhw evaluate latest", "the newest run, on its own test images"),
        ("mlhw evaluate finetune --data folder:photos --split all", "on other labelled images"),
        ("mlhw evaluate latest --out judged", "tables, figures and a gallery of the images"),
    ),
)
def evaluate_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE",
            help="a run of mlhw finetune (path, name, 'latest' or 'finetune'), or a model's file",
            autocompletion=complete_run,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|folder:PATH|csv:PATH",
            help="labelled images; without it those of the run itself",
            rich_help_panel="Data",
            autocompletion=lambda incomplete: [
                name for name in (*DATA_SETS, *OWN_DATA) if name.startswith(incomplete)
            ],
        ),
    ] = None,
    split: Annotated[
        SplitChoice,
        typer.Option(
            "--split",
            help="which of them; auto is test, else val, else all where the data have no splits",
            rich_help_panel="Data",
        ),
    ] = "auto",
    data_dir: Annotated[
        str | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="where named data sets are kept [default: data]",
            rich_help_panel="Data",
        ),
    ] = None,
    image_root: Annotated[
        str | None,
        typer.Option(
            "--image-root",
            metavar="DIR",
            help="where relative names in a CSV file begin",
            rich_help_panel="Data",
        ),
    ] = None,
    on_error: Annotated[
        OnError | None,
        typer.Option(
            "--on-error",
            help="what an unreadable image does [default: fail]",
            rich_help_panel="Data",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="write result.json, classes.csv, confusion.csv, coverage.csv, predictions.csv, "
            "figures and gallery.html there",
            rich_help_panel="Output",
        ),
    ] = None,
    format: Annotated[
        Literal["table", "csv", "json"],
        typer.Option(
            "--format", help="what is printed; csv is a row a class", rich_help_panel="Output"
        ),
    ] = "table",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="the same as --format json", rich_help_panel="Output"),
    ] = False,
    no_plots: NoPlots = False,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="NAME",
            help="auto, cpu, cuda, cuda:N or mps",
            rich_help_panel="Machine",
        ),
    ] = "auto",
    runs_dir: RunsDir = "runs",
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="no log lines on stderr, warnings only",
            rich_help_panel="Output",
        ),
    ] = False,
    no_progress: NoProgress = False,
) -> int:
    """Accuracy, precision, recall, F1, AUC and calibration of a model on labelled images.

    Its classes may be some of the model's; others are an error. Exit codes: 0 evaluated; 2 the model
    or the images cannot be used.
    """
    from mlhw.vision.evaluate import evaluate, evaluation_lines, evaluation_result
    from mlhw.vision.images.labelled import labelled_images
    from mlhw.vision.images.own_files import Reading
    from mlhw.vision.images.scales import beyond_words
    from mlhw.vision.saved import load_model

    if data is not None and not data.strip():
        raise ConfigError("--data: is empty; give a name, folder:PATH or csv:PATH")
    if data in OWN_DATA:
        raise ConfigError(f"--data: is empty behind '{data}'; give {data}PATH")
    own = data is not None and data.startswith(OWN_DATA)
    refuse_idle(
        {
            "--image-root": image_root is not None and not (data or "").startswith("csv:"),
            "--on-error": on_error is not None and not own,
            "--data-dir": data_dir is not None and (own or data is None),
            "--no-plots": no_plots and out is None,
        }
    )
    folder = writable_folder(out)
    path = locate(run, Path(runs_dir), trained=True)
    screen = Screen(quiet=quiet, progress=not no_progress)
    with Interrupts(), contextlib.closing(screen):
        recorder = OnScreen(screen)
        model = load_model(path, device)
        if data is None:
            judged = images_of_run(path, split, recorder)
            use = used_for(judged.split)
        else:
            root = None if image_root is None else Path(image_root)
            reading = Reading(on_error or "fail", max_skipped=1.0, image_root=root)
            judged = labelled_images(
                data, split, data_dir=data_dir or "data", reading=reading, recorder=recorder
            )
            use = used_by_run(path, data, judged.split, recorder)
        if use is not None:
            instead = "; without --data its own test images are taken" if data else ""
            recorder.warn(f"{judged.name}: {FLATTERY[use]}{instead}")
        if clipped := beyond_words(judged.images, model.preprocessing.pixels):
            recorder.warn(clipped)
        found = evaluate(run, model, judged, screen.progress, use)
        result = evaluation_result(found)
        if folder is not None:
            result.save(folder, plots=not no_plots)
            if result.gallery is not None and not no_plots:
                page = gallery_page(result.gallery, run, screen.progress, report=None)
                write_whole(folder / GALLERY, page)
    kind = "json" if as_json else format
    if kind == "json":
        print(json.dumps(to_json(result.summary), indent=2, ensure_ascii=False))
    elif kind == "csv":
        print(csv_text(result.tables["classes"]), end="")
    else:
        print_fitting(evaluation_lines(found))
    return FINISHED


NEEDED = {
    "--image-root": "--data csv:PATH",
    "--on-error": "--data folder:PATH or csv:PATH",
    "--data-dir": "--data with the name of a data set",
    "--no-plots": "--out FOLDER",
}
"""Options that do nothing without others."""


def refuse_idle(idle: dict[str, bool]) -> None:
    """Raise ConfigError for options that would change nothing here."""
    lines = [
        f"{option}: changes nothing without {NEEDED[option]}" for option in idle if idle[option]
    ]
    if lines:
        raise ConfigError(*lines)


def writable_folder(out: str | None) -> Path | None:
    """The folder that the results go to, made. Raises ConfigError where they cannot or must not."""
    if out is None:
        return None
    folder = Path(out)
    if (folder / "run.json").exists():
        raise ConfigError(f"--out {out}: is the folder of a run, whose files would be overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made: {reason_of(error)}") from None
    return folder


Use = Literal["trained", "picked"]
"""What a run may have used images for before they judge it."""

FLATTERY: dict[Use, str] = {
    "trained": "the model was trained on some of these images, so these numbers flatter it",
    "picked": "the model was picked and its temperature fitted on these images, so these numbers flatter "
    "it a little",
}


def used_for(split: str) -> Use | None:
    """What a run has used a split of its data for."""
    uses: dict[str, Use] = {"train": "trained", "all": "trained", "val": "picked"}
    return uses.get(split)


def used_by_run(path: Path, data: str, split: str, recorder: Recorder) -> Use | None:
    """What the run at ``path`` has used a split of ``data`` for, by the place where its data lie."""
    from mlhw.vision.config import Config

    # A model's file is that of a run only where a run keeps it.
    run = path.parent.parent if path.parent.name == "checkpoints" else path
    kept = run / "config.yaml"
    if not kept.is_file():
        return None
    if words := config_changed(kept):
        recorder.warn(f"{words}, and what the run has used these images for is read from it")
    return used_by_training(data, split, load_config(Config, str(kept)).data.name)


def used_by_training(data: str, split: str, trained_on: str) -> Use | None:
    """What a run on ``trained_on`` has used a split of ``data`` for; None too where it is elsewhere."""
    from mlhw.vision.images.listing import split_of

    kind, _, place = data.partition(":")
    other, _, home = trained_on.partition(":")
    if not (place and home):
        return used_for(split) if data == trained_on else None
    # The run keeps its paths absolute.
    inside, root = Path(os.path.realpath(place)), Path(os.path.realpath(home))
    if inside == root:
        return used_for(split)
    if kind != other or not inside.is_relative_to(root):
        return None
    return used_for(split_of(inside.relative_to(root).parts[0]) or "")


def images_of_run(path: Path, split: SplitChoice, recorder: Recorder) -> LabelledSet:
    """The images that the run itself has set aside, cut as it has cut them."""
    from mlhw.vision.config import Config
    from mlhw.vision.images.labelled import of_splits
    from mlhw.vision.training.preparation import load_splits

    kept = path / "config.yaml"
    if not kept.is_file():
        raise ConfigError(f"{path}: is no run, so it has no images of its own; give --data")
    require_own_config(path, "give --data")
    return of_splits(load_splits(load_config(Config, str(kept)), recorder), split)
