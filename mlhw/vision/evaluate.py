"""A saved model on labelled images: every number that a run reports of its test images, and the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.errors import DataError
from mlhw.result.plots import Figures
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.text.words import hint, nearest
from mlhw.vision import figures
from mlhw.vision.assessment import (
    CLASS_COLUMNS,
    COVERAGE_COLUMNS,
    Assessment,
    class_lines,
    confusion_columns,
    overview,
)
from mlhw.vision.gallery import judged_images
from mlhw.vision.images.scales import use_models_scale
from mlhw.vision.training.batches import evaluation_batch, pieces
from mlhw.vision.training.columns import prediction_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.system.download import ProgressBar
    from mlhw.vision.images.labelled import LabelledSet
    from mlhw.vision.saved import SavedModel

MOST_NAMED = 5


@dataclass(frozen=True)
class Evaluated:
    """A model's answers for labelled images.

    Attributes:
        model: what was evaluated, as given.
        judged: the images.
        assessed: the numbers; its classes are the model's.
        use: what the model's run has used the images for before: ``trained``, ``picked``; None is nothing
            known.
    """

    model: str
    judged: LabelledSet
    assessed: Assessment
    use: str | None = None

    @property
    def words(self) -> str:
        """What the images are called in figures."""
        return "labelled" if self.judged.split == "all" else self.judged.split


def evaluate(
    name: str,
    model: SavedModel,
    judged: LabelledSet,
    progress: ProgressBar,
    use: str | None = None,
) -> Evaluated:
    """The model, which ``name`` says how it was given, on every image; ``use`` as in ``Evaluated``.

    Raises DataError for classes, or a depth of pixels, that the model does not know.
    """
    labels = labels_of_model(model.classes, judged)
    use_models_scale(judged.name, judged.images, model.preprocessing.pixels)
    found = []
    for part in pieces(np.arange(len(labels)), evaluation_batch(model.preprocessing.size)):
        found.append(model.logits(judged.images.images(part)))
        progress(int(part[-1]) + 1, len(labels), "images")
    logits = np.concatenate(found)
    assessed = Assessment(model.classes, labels, logits, model.temperature)
    return Evaluated(name, judged, assessed, use)


def labels_of_model(classes: list[str], judged: LabelledSet) -> np.ndarray:
    """The images' labels as positions in the model's ``classes``, int64 (n,).

    The images may be of some of them only: a day's photographs need not show every kind. Raises
    DataError for a class that the model does not have: whatever it answers there is wrong.
    """
    known = {name: k for k, name in enumerate(classes)}
    used = [judged.classes[k] for k in np.unique(judged.images.labels)]
    unknown = [name for name in used if name not in known]
    if unknown:
        names = ", ".join(
            f"{name!r}{hint(nearest(name, classes))}" for name in unknown[:MOST_NAMED]
        )
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        has = ", ".join(classes[:MOST_NAMED]) + (
            f", … ({len(classes)} classes)" if len(classes) > MOST_NAMED else ""
        )
        raise DataError(
            f"{judged.name}: the model does not know {len(unknown)} of its {len(used)} classes: "
            f"{names}{more}; the model's are {has}"
        )
    position = np.array([known.get(name, -1) for name in judged.classes], dtype=np.int64)
    return position[judged.images.labels]


# ------------------------------------------------------------------------------------- report


def evaluation_result(o: Evaluated) -> Result:
    """Summary, tables and figures, as a run has them of its test images."""
    classes, found = o.assessed.classes, o.assessed
    tables = []
    for name, columns, rows in (
        ("classes", CLASS_COLUMNS, found.class_rows()),
        ("confusion", confusion_columns(classes), found.confusion_rows()),
        ("coverage", COVERAGE_COLUMNS, found.coverage_rows()),
        ("predictions", prediction_columns(classes), found.prediction_rows(o.judged.images.names)),
    ):
        tables.append(Table(name, columns))
        tables[-1].extend(rows)
    return Result(
        "evaluate",
        summary_of(o),
        tables={table.name: table for table in tables},
        plots=EVALUATED.plots(o),
        gallery=judged_images(o.judged.images, found.labels, classes, found.probabilities, o.words),
    )


def summary_of(o: Evaluated) -> dict[str, Any]:
    """What scripts read."""
    return {
        "model": o.model,
        "data": o.judged.name,
        "split": o.judged.split,
        "used_by_run": o.use,
        "digest": o.judged.images.digest,
        "classes": o.assessed.classes,
        "calibration": o.assessed.calibration(),
        "metrics": o.assessed.metrics(),
        "per_class": o.assessed.per_class(),
        "confusion": o.assessed.confusion_list(),
        "skipped": [{"file": name, "reason": reason} for name, reason in o.judged.skipped],
    }


def evaluation_lines(o: Evaluated) -> list[str]:
    """The same for people."""
    found = o.assessed.calibration()
    what = "all of" if o.judged.split == "all" else f"the {o.judged.split} images of"
    count = f"{len(o.assessed)} image{'' if len(o.assessed) == 1 else 's'}"
    lines = [f"{o.model} on {what} {o.judged.name}: {count}", *overview(o.assessed)]
    if found["temperature"] == 1:
        lines.append(f"calibration error {found['ece_after']:.4f}; the model has no temperature")
    else:
        lines.append(
            f"calibration error {found['ece_after']:.4f} at the model's temperature "
            f"{found['temperature']:.3f}, {found['ece_before']:.4f} without it"
        )
    return [*lines, "", *class_lines(o.assessed)]


# ------------------------------------------------------------------------------------- figures

EVALUATED = Figures[Evaluated]()


@EVALUATED.figure(
    "confusion",
    "What is taken for what",
    "Each row is a class of the images; numbers are images.",
    alt="Confusion matrix.",
)
def evaluated_confusion(o: Evaluated) -> Figure:
    return figures.draw_confusion(o.assessed, o.words)


@EVALUATED.figure(
    "reliability",
    "Can the probabilities be trusted?",
    figures.RELIABILITY,
    alt=lambda o: f"Reliability diagram, calibration error {o.assessed.calibration_error:.4f}.",
)
def evaluated_reliability(o: Evaluated) -> Figure:
    return figures.draw_reliability(o.assessed, o.words)


@EVALUATED.figure(
    "coverage",
    "Accuracy against coverage",
    figures.COVERAGE,
    alt=lambda o: figures.coverage_in_words(o.assessed, o.words),
)
def evaluated_coverage(o: Evaluated) -> Figure:
    return figures.draw_coverage(o.assessed, o.words)


@EVALUATED.figure(
    "worst",
    "The worst images",
    "The images with the least probability for their own class (in green).",
    alt="A grid of the images with the highest loss and their class scores.",
)
def evaluated_worst(o: Evaluated) -> Figure:
    return figures.draw_images(o.assessed, o.judged.images, figures.worst_images(o.assessed))
