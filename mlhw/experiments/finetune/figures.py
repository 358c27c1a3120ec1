"""The figures of finetune: its course, its mistakes, and how far its probabilities can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlhw.experiments.finetune.rates import tried_rates_figure
from mlhw.result import plots
from mlhw.result.plots import Figures
from mlhw.vision import figures
from mlhw.vision.training import sheet
from mlhw.vision.training.columns import EPOCH_COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.vision.training.probe import Probe
    from mlhw.vision.training.session import Finetuned

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
    lambda o: f"Share of images whose most probable class is the right one.{dip_in_words(o)}",
    alt=lambda o: (
        f"Training and validation accuracy by epoch, {o.progress.best_accuracy:.4f} in "
        f"validation for the model that is kept ({best_epoch(o)})."
        + (f" Its test accuracy is {o.test.accuracy:.4f}." if o.test else "")
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
        {**plots.line_style(i), "marker": plots.MARKERS[i], "markersize": 4} for i in range(3)
    ]
    axes.plot(epochs, train, label="training", **kwargs[0])
    axes.plot(epochs[validated], val[validated], label="validation", **kwargs[1])
    if o.random is not None:
        column = list(EPOCH_COLUMNS).index(f"val_{what}")
        shown = [(row[0], row[column]) for row in o.random.rows if row[column] is not None]
        axes.plot(
            *zip(*shown, strict=True),
            label="validation, from random weights",
            **kwargs[2],
        )
    best = int(np.flatnonzero(epochs == o.progress.best_epoch)[0])
    axes.plot(
        epochs[best],
        val[best],
        linestyle="none",
        marker="*",
        markersize=14,
        color=plots.ink(),
        label=f"best model: epoch {epochs[best]}, {val[best]:.4f}",
        zorder=5,
    )
    mark_unfreezing(o, axes)
    mark_dips(o, axes, what)
    if what == "acc" and o.test is not None:
        mark_test(o, axes, epochs[-1] + 0.6)
    if what == "loss" and np.nanmin([train.min(), np.nanmin(val)]) > 0:
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean cross-entropy" if what == "loss" else "accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(axes)
    figure.set_size_inches(9.0, 4.4)
    return figure


def mark_test(o: Finetuned, axes: Any, x: float) -> None:
    """The accuracy of the best model on the test images, behind the last epoch, with its interval."""
    accuracy, (low, high) = o.assessed.accuracy, o.assessed.accuracy_interval
    axes.errorbar(
        x,
        accuracy,
        yerr=[[max(accuracy - low, 0)], [max(high - accuracy, 0)]],
        color=plots.colour(3),
        linestyle="none",
        marker=plots.MARKERS[3],
        markersize=6,
        capsize=3,
        label=f"test of the best model: {accuracy:.4f}\n({len(o.labels)} images, 95 % interval)",
    )


class Dip(NamedTuple):
    """A curve that falls where the backbone is unfrozen: its name, the epoch, before and after."""

    curve: str
    epoch: int
    before: float
    after: float


def dips(o: Finetuned, what: str = "acc") -> list[Dip]:
    """The curves whose accuracy falls with unfreezing by more than chance, with their ``what``.

    Chance is two standard errors of the difference of two shares of so many images.
    """
    plan = o.task.plan
    if not (plan.ever_unfreezes and plan.unfreeze_at):
        return []
    names = list(EPOCH_COLUMNS)
    curves = [("training", o.progress.rows, "train", len(o.splits.train))]
    curves.append(("validation", o.progress.rows, "val", len(o.splits.val)))
    if o.random is not None:
        curves.append(("from random weights", o.random.rows, "val", len(o.splits.val)))
    found = []
    for curve, rows, split, images in curves:
        accuracy, shown = names.index(f"{split}_acc"), names.index(f"{split}_{what}")
        known = [row for row in rows if row[accuracy] is not None]
        before = [row for row in known if row[0] < plan.unfreeze_at]
        after = [row for row in known if row[0] >= plan.unfreeze_at]
        if not before or not after:
            continue
        p, q = before[-1][accuracy], after[0][accuracy]
        if p - q > 2 * math.sqrt((p * (1 - p) + q * (1 - q)) / images):
            found.append(Dip(curve, after[0][0], before[-1][shown], after[0][shown]))
    return found


def dip_in_words(o: Finetuned) -> str:
    """What falls after unfreezing, and why, with a space before it."""
    found = ", ".join(f"{d.curve} from {d.before:.3f} to {d.after:.3f}" for d in dips(o))
    if not found:
        return ""
    return (
        f" The dip after unfreezing ({found}): the backbone's features move away from what the head has "
        "learnt on them, until it follows."
    )


def mark_dips(o: Finetuned, axes: Any, what: str) -> None:
    """A ring around each of ``dips``."""
    if found := dips(o, what):
        axes.plot(
            [d.epoch for d in found],
            [d.after for d in found],
            linestyle="none",
            marker="o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=plots.ink(),
            label="dip after unfreezing: the features\nmove away from the head",
        )


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
    figure = plots.new_figure(8.4, 4.2)
    axes = figure.add_subplot()
    total = o.progress.epoch * plan.steps_per_epoch
    steps = np.unique(np.linspace(0, total - 1, min(total, 2000)).round().astype(int))
    factors = np.array([plan.factor(int(step)) for step in steps])
    epochs = steps / plan.steps_per_epoch
    axes.plot(epochs, plan.lr * factors, **plots.line_style(0), label="head")
    if plan.ever_unfreezes and o.progress.epoch > (plan.unfreeze_at or 0):
        open_epochs = epochs >= (plan.unfreeze_at or 0)
        rates = plan.full_rate(plan.stages - 1) * factors
        label = "backbone" if plan.layer_decay == 1 else "last stage of the backbone"
        axes.plot(
            epochs[open_epochs],
            rates[open_epochs],
            **plots.line_style(1),
            linewidth=2.2,
            label=label,
        )
    mark_unfreezing(o, axes, shift=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0)
    plots.legend(axes)
    return figure


@FIGURES.figure(
    "find-lr",
    "Rates tried for the backbone",
    "Each rate trained a copy for a few steps before the backbone was unfrozen. The largest that leaves the "
    "loss of other training images where it was, or lowers it, does the backbone no harm.",
    alt=lambda o: (
        f"Loss after a few steps at each of {len(tried(o).rates)} rates of the backbone, above the loss "
        f"before; used is {o.task.plan.backbone_lr:g}."
    ),
    when=lambda o: o.progress.probed is not None and bool(tried(o).rates),
)
def find_rate_figure(o: Finetuned) -> Figure:
    return tried_rates_figure(tried(o), o.task.plan.backbone_lr)


def tried(o: Finetuned) -> Probe:
    found = o.progress.probed
    assert found is not None
    return found


# ------------------------------------------------------------------------------------- mistakes


@FIGURES.figure(
    "confusion",
    "What is taken for what",
    lambda o: f"Each row is a class of the {o.split} images; numbers are images.",
    alt=lambda o: (
        f"Confusion matrix: {int((~o.assessed.right).sum())} of {len(o.labels)} {o.split} images are "
        "off the diagonal."
    ),
)
def confusion_figure(o: Finetuned) -> Figure:
    return figures.draw_confusion(o.assessed, o.split)


@FIGURES.figure(
    "reliability",
    "Can the probabilities be trusted?",
    figures.RELIABILITY,
    alt=lambda o: (
        f"Reliability diagram, expected calibration error {o.assessed.calibration_error:.4f}."
    ),
)
def reliability_figure(o: Finetuned) -> Figure:
    return figures.draw_reliability(o.assessed, o.split)


@FIGURES.figure(
    "coverage",
    "Accuracy against coverage",
    figures.COVERAGE,
    alt=lambda o: figures.coverage_in_words(o.assessed, o.split),
)
def coverage_figure(o: Finetuned) -> Figure:
    return figures.draw_coverage(o.assessed, o.split)


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
    lambda o: (
        f"The {o.split} images with the least probability for their own class (in green); above each "
        "image its name and its own class."
    ),
    alt=lambda o: f"A grid of the {o.split} images with the highest loss and their class scores.",
)
def worst_figure(o: Finetuned) -> Figure:
    return figures.draw_images(o.assessed, o.images, figures.worst_images(o.assessed))


@FIGURES.figure(
    "random",
    "Random images",
    lambda o: (
        f"A random draw of the {o.split} images that are not among the worst; their own class in green, "
        "above each image its name and its own class."
    ),
    alt=lambda o: f"A grid of random {o.split} images and their class scores.",
    when=lambda o: len(o.labels) > len(figures.worst_images(o.assessed)),
)
def random_figure(o: Finetuned) -> Figure:
    return figures.draw_images(
        o.assessed, o.images, figures.random_images(o.assessed, o.config.seed)
    )
