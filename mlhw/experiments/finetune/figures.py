"""The figures of finetune: its course, its mistakes, and how far its probabilities can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.result import plots
from mlhw.result.plots import Figures
from mlhw.text.words import shortened
from mlhw.vision.training import sheet
from mlhw.vision.training.columns import EPOCH_COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.vision.training.session import Finetuned

GRID = (4, 3)  # rows and columns of a grid of images
SCORES = 4  # classes shown beside an image
MOST_NAMED_CLASSES = 30
BINS = 10


FIGURES = Figures["Finetuned"]()


def best_epoch(o: Finetuned) -> str:
    return f"best at epoch {o.progress.best_epoch}"


# ------------------------------------------------------------------------------------- course


@FIGURES.figure(
    "losses",
    "Losses",
    "Mean cross-entropy of each epoch. The training loss is measured while the weights move, "
    "so it lags behind the validation loss, which is measured after the epoch.",
    alt=lambda o: (
        f"Training and validation loss by epoch, {best_epoch(o)} with {o.progress.best_loss:.4f}."
    ),
)
def loss_course(o: Finetuned) -> Figure:
    return course_figure(o, "loss")


@FIGURES.figure(
    "accuracy",
    "Accuracy",
    "Share of images whose most probable class is the right one.",
    alt=lambda o: (
        f"Training and validation accuracy by epoch, {o.progress.best_accuracy:.4f} in "
        f"validation for the model that is kept ({best_epoch(o)})."
    ),
)
def accuracy_course(o: Finetuned) -> Figure:
    return course_figure(o, "acc")


def course_figure(o: Finetuned, what: str) -> Figure:
    """``what`` is ``loss`` or ``acc``: training, validation, and validation from random weights."""
    from matplotlib.ticker import MaxNLocator

    figure = plots.new_figure()
    axes = figure.add_subplot()
    epochs = o.table.column("epoch")
    train, val = (o.table.column(f"{split}_{what}").astype(float) for split in ("train", "val"))
    validated = np.isfinite(val)
    kwargs: list[dict[str, Any]] = [
        {"color": plots.colour(i), "marker": plots.MARKERS[i], "markersize": 4} for i in range(3)
    ]
    axes.plot(epochs, train, label="training", linestyle=plots.dash(1), **kwargs[0])
    axes.plot(epochs[validated], val[validated], label="validation", **kwargs[1])
    if o.random is not None:
        column = list(EPOCH_COLUMNS).index(f"val_{what}")
        shown = [(row[0], row[column]) for row in o.random.rows if row[column] is not None]
        axes.plot(
            *zip(*shown, strict=True),
            label="validation, from random weights",
            linestyle=plots.dash(2),
            **kwargs[2],
        )
    best = int(np.flatnonzero(epochs == o.progress.best_epoch)[0])
    axes.plot(
        epochs[best],
        val[best],
        linestyle="none",
        marker="*",
        markersize=14,
        color="black",
        label=f"best model: epoch {epochs[best]}, {val[best]:.4f}",
        zorder=5,
    )
    mark_unfreezing(o, axes)
    if what == "loss" and np.nanmin([train.min(), np.nanmin(val)]) > 0:
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean cross-entropy" if what == "loss" else "accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(axes, outside=True)
    figure.set_size_inches(8.4, 4.2)
    return figure


def mark_unfreezing(o: Finetuned, axes: Any, shift: float = 0.5) -> None:
    """A line between the last frozen epoch and the first that trains the backbone."""
    plan = o.task.plan
    if plan.ever_unfreezes and plan.unfreeze_at and plan.unfreeze_at < o.progress.epoch:
        axes.axvline(
            plan.unfreeze_at - shift,
            color=plots.GREY,
            linestyle=plots.dash(3),
            linewidth=1.2,
            label="backbone unfrozen",
        )


@FIGURES.figure(
    "learning-rate",
    "Learning rate",
    "The schedule runs once through the frozen epochs and again through the others.",
    alt=lambda o: (
        f"Learning rate by epoch, {o.config.schedule.name}, at most {o.config.optim.lr:g} for the head."
    ),
)
def rate_figure(o: Finetuned) -> Figure:
    plan = o.task.plan
    figure = plots.new_figure()
    axes = figure.add_subplot()
    total = o.progress.epoch * plan.steps_per_epoch
    steps = np.unique(np.linspace(0, total - 1, min(total, 2000)).round().astype(int))
    factors = np.array([plan.factor(int(step)) for step in steps])
    epochs = steps / plan.steps_per_epoch
    axes.plot(epochs, plan.lr * factors, color=plots.colour(0), label="head")
    if plan.ever_unfreezes and o.progress.epoch > (plan.unfreeze_at or 0):
        open_epochs = epochs >= (plan.unfreeze_at or 0)
        rates = plan.full_rate(plan.stages - 1) * factors
        label = "backbone" if plan.layer_decay == 1 else "last stage of the backbone"
        axes.plot(
            epochs[open_epochs],
            rates[open_epochs],
            color=plots.colour(1),
            linestyle=plots.dash(1),
            linewidth=2.2,
            label=label,
        )
    mark_unfreezing(o, axes, shift=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0)
    plots.legend(axes)
    return figure


# ------------------------------------------------------------------------------------- mistakes


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (K, K): row the class of the image, column what it is taken for."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


@FIGURES.figure(
    "confusion",
    "What is taken for what",
    lambda o: f"Each row is a class of the {o.split} images; numbers are images.",
    alt=lambda o: (
        f"Confusion matrix: {int((o.evaluated.probabilities.argmax(1) != o.labels).sum())} of "
        f"{len(o.labels)} {o.split} images are off the diagonal."
    ),
)
def confusion_figure(o: Finetuned) -> Figure:
    names = o.splits.classes
    counts = confusion(o.labels, o.evaluated.probabilities.argmax(1), len(names))
    side = min(4.2 + 0.32 * len(names), 12.0)
    figure = plots.new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    axes.grid(False)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)
    if len(names) <= MOST_NAMED_CLASSES:
        short = [shortened(name, 14) for name in names]
        slant = 45 if max(map(len, short)) > 3 else 0
        short = [plots.plain(name) for name in short]
        axes.set_xticks(range(len(names)), short, rotation=slant)
        axes.set_yticks(range(len(names)), short)
        for row, column in np.argwhere(counts > 0):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="black" if shares[row, column] > 0.6 else "white",
            )
    axes.set_xlabel("predicted class")
    axes.set_ylabel(f"class of the {o.split} image")
    return figure


# ------------------------------------------------------------------------------------- reliability


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images grouped into bins of equal width by the probability of the predicted class.

    Returns:
        counts (bins,), mean probability and accuracy (bins,), NaN in empty bins.
    """
    confidence = probabilities.max(1).astype(np.float64)
    hits = probabilities.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bin_of, confidence, bins) / counts
        accuracies = np.bincount(bin_of, hits, bins) / counts
    return counts, means, accuracies


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of probability and accuracy over the images (Guo et al. 2017,
    arXiv:1706.04599, eq. 3)."""
    counts, means, accuracies = reliability(probabilities, labels, bins)
    full = counts > 0
    return float((counts * np.abs(means - accuracies))[full].sum() / counts.sum())


@FIGURES.figure(
    "reliability",
    "Can the probabilities be trusted?",
    "Images grouped by the probability of the predicted class; on the diagonal that "
    "probability is the share of right answers.",
    alt=lambda o: (
        "Reliability diagram, expected calibration error "
        f"{calibration_error(o.evaluated.probabilities, o.labels):.4f}."
    ),
)
def reliability_figure(o: Finetuned) -> Figure:
    counts, means, accuracies = reliability(o.evaluated.probabilities, o.labels)
    error = calibration_error(o.evaluated.probabilities, o.labels)
    full = counts > 0
    figure = plots.new_figure(5.8, 5.6)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=plots.GREY, linestyle=plots.dash(3), label="as they should be")
    axes.plot(
        means[full],
        accuracies[full],
        color=plots.colour(0),
        marker="o",
        label=f"{o.split} images (mean distance {error:.4f})",
    )
    axes.set_ylabel("accuracy")
    axes.set_ylim(-0.02, 1.02)
    plots.legend(axes)
    edges = np.linspace(0, 1, len(counts) + 1)
    below.bar(edges[:-1], counts, width=1 / len(counts), align="edge", color=plots.colour(5))
    below.set_yscale("symlog", linthresh=1)
    below.set_ylabel("images")
    below.set_xlabel("probability of the predicted class")
    below.set_xlim(0, 1)
    return figure


# ------------------------------------------------------------------------------------- images


@FIGURES.figure(
    "augmented",
    "Training images, changed at random",
    lambda o: (
        "Left each training image at the size that the network sees, then as epochs change it"
        + ("; mixed images have the shares of their classes above them." if o.config.mixes else ".")
    ),
    alt=lambda o: f"A grid of training images and their random changes: {o.config.augment}.",
    when=lambda o: o.task.changes(0) is not None,
)
def augmented_figure(o: Finetuned) -> Figure:
    return sheet.augmented_sheet(o.task)


@FIGURES.figure(
    "worst",
    "The worst images",
    lambda o: f"The {o.split} images with the least probability for their own class (in green).",
    alt=lambda o: f"A grid of the {o.split} images with the highest loss and their class scores.",
)
def worst_figure(o: Finetuned) -> Figure:
    return images_figure(o, worst_images(o))


@FIGURES.figure(
    "random",
    "Random images",
    lambda o: f"A random draw of the {o.split} images; their own class in green.",
    alt=lambda o: f"A grid of random {o.split} images and their class scores.",
)
def random_figure(o: Finetuned) -> Figure:
    return images_figure(o, random_images(o))


def worst_images(o: Finetuned) -> np.ndarray:
    """Positions of the images with the least probability for their own class, least first."""
    own = o.evaluated.probabilities[np.arange(len(o.labels)), o.labels]
    return np.argsort(own, kind="stable")[: math.prod(GRID)]


def random_images(o: Finetuned) -> np.ndarray:
    generator = np.random.default_rng([o.config.seed, 2])
    count = min(math.prod(GRID), len(o.labels))
    return np.sort(generator.choice(len(o.labels), count, replace=False))


def images_figure(o: Finetuned, positions: np.ndarray) -> Figure:
    """Each image with the probabilities of its most probable classes, its own always among them."""
    rows, columns = GRID[0], min(GRID[1], len(positions))
    rows = min(rows, -(-len(positions) // columns))
    figure = plots.new_figure(3.4 * columns, 1.55 * rows + 0.4)
    axes = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=(1, 1.25) * columns)
    for cell in axes.flat:
        cell.set_visible(False)
    names = o.splits.classes
    images = o.images.images(positions)
    for number, position in enumerate(positions):
        picture, bars = axes[number // columns, 2 * (number % columns) :][:2]
        picture.set_visible(True)
        picture.imshow(images[number], interpolation="nearest")
        picture.set_axis_off()
        own = int(o.labels[position])
        title = f"{shortened(o.images.names[position], 16)}: {shortened(names[own], 12)}"
        picture.set_title(plots.plain(title), fontsize=8)
        scores_panel(bars, o.evaluated.probabilities[position], own, names)
    figure.supxlabel("probability of the class; the image's own class in green", fontsize=9)
    return figure


def scores_panel(axes: Any, probabilities: np.ndarray, own: int, names: list[str]) -> None:
    shown = np.argsort(-probabilities, kind="stable")[: min(SCORES, len(names))]
    if own not in shown:
        shown[-1] = own
    axes.set_visible(True)
    colours = [plots.GREEN if k == own else plots.GREY for k in shown]
    axes.barh(range(len(shown)), probabilities[shown], color=colours, height=0.7)
    labels = [plots.plain(shortened(names[k], 10)) for k in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
    axes.invert_yaxis()
    axes.grid(False)
