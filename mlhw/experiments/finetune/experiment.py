"""Does a network trained on something else learn a new task faster than one that knows nothing?

A backbone with its published weights gets a new head for the K classes of the data. While the
backbone is frozen its output φ(x) for an image never changes, so it is computed once and the head
alone is trained on it; from epoch ``unfreeze_at`` on all layers learn. Minimised is the mean
cross-entropy −ln p_t(x) (Bishop, PRML, eq. 4.108) with p = softmax(head(φ(x))); every ``val_every``
epochs the same is measured on images that are not trained on, the model with the lowest is kept, and
in the end it alone is tested, once.

    mlhw finetune                                  # 1,797 handwritten digits, all of it offline
    mlhw finetune -c configs/finetune-cifar10.yaml
    mlhw finetune --resume runs/latest

On the digits the head alone gets about 0.95 of the test images right, three more epochs of all
layers 0.98 or more, and the same network from random weights far fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from mlhw.config.model import ExperimentConfig, InputFile, Option
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.vision.config import (
    DataSettings,
    HeadSettings,
    OptimSettings,
    ScheduleSettings,
    network_names,
)
from mlhw.vision.images.augment import Augment

if TYPE_CHECKING:
    from mlhw.vision.images.datasets import ImageSplits
    from mlhw.vision.training.session import Outcome

POSITION = 6
RESUMABLE = True
QUESTION = (
    "Does a network that was trained on something else learn a new task faster than one that knows "
    "nothing? A pre-trained network gets a new head, is trained and validated, and the model with "
    "the best validation is kept and tested."
)


DEVICES = ("auto", "cpu", "cuda", "mps")
# More threads than any machine has cores; OpenMP's pool crashes on ten thousands.
MOST_THREADS = 1024


def _auto_or(least: int, most: int | None = None) -> AfterValidator:
    """``auto``, or a number within these bounds."""
    words = f"at least {least}" if most is None else f"{least} to {most}"

    def check(value: int | str) -> int | str:
        if isinstance(value, int) and (value < least or (most is not None and value > most)):
            raise ValueError(f"must be auto or {words} (got {value})")
        return value

    return AfterValidator(check)


class Config(ExperimentConfig):
    model: Annotated[
        str,
        Option(metavar="NAME", values=network_names),
        Field(
            description="network: efficientnet_lite0, cifar_resnet20/32/44/56, torchvision:NAME, timm:NAME"
        ),
    ] = "efficientnet_lite0"
    weights: Annotated[
        str,
        InputFile(or_name=True),
        Option(metavar="default|none|FILE", values=("default", "none")),
        Field(description="its weights: default, none (random) or a file"),
    ] = "default"
    data: DataSettings = DataSettings()
    image_size: Annotated[
        int | Literal["auto"],
        _auto_or(1),
        Option(metavar="PIXELS|auto"),
        Field(description="side of what the network sees; auto is its own, at most 8 × the image"),
    ] = "auto"
    epochs: Annotated[int, Field(ge=1, le=100_000, description="passes over the training data")] = (
        13
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536, description="images in a step")] = 32
    val_every: Annotated[int, Field(ge=1, description="epochs from validation to validation")] = 1
    best: Annotated[
        Literal["loss", "accuracy"], Field(description="which validation value picks the model")
    ] = "loss"
    patience: Annotated[
        int | None, Field(ge=1, description="validations without a better one that end the run")
    ] = None
    head: HeadSettings = HeadSettings()
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    unfreeze_at: Annotated[
        int | None, Field(ge=0, description="first epoch that trains the backbone; null never does")
    ] = 10
    unfreeze_stages: Annotated[
        int | None, Field(ge=1, description="how many of its last stages; null is all")
    ] = None
    batch_norm: Annotated[
        Literal["eval", "train"], Field(description="statistics of batch norm in trained stages")
    ] = "eval"
    augment: Annotated[Augment, Field(description="random changes of training images")] = "none"
    features: Annotated[
        Literal["auto", "memory", "disk", "off"],
        Field(description="where a frozen backbone's outputs are stored; off recomputes them"),
    ] = "auto"
    views: Annotated[
        int, Field(ge=0, description="stored changes of an image; 0 makes new ones every epoch")
    ] = 0
    compare: Annotated[
        Literal["auto", "random", "none"],
        Field(description="train from random weights too; auto does on the built-in digits"),
    ] = "auto"
    device: Annotated[
        str, Option(values=DEVICES), Field(description="where: auto, cpu, cuda, cuda:N or mps")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Field(description="of the backbone; auto measures fp32 and bf16"),
    ] = "auto"
    layout: Annotated[
        Literal["auto", "contiguous", "channels-last"], Field(description="memory; auto measures")
    ] = "auto"
    threads: Annotated[
        int | Literal["auto"],
        _auto_or(1, MOST_THREADS),
        Option(metavar="INTEGER|auto"),
        Field(description="CPU threads; auto is one for each usable core"),
    ] = "auto"
    workers: Annotated[
        int | Literal["auto"],
        _auto_or(0, MOST_THREADS),
        Option(metavar="INTEGER|auto"),
        Field(
            description="threads that make batches ahead; auto is 0 for images in memory, else 2"
        ),
    ] = "auto"

    @model_validator(mode="after")
    def _options_that_would_do_nothing(self) -> Config:
        if self.unfreeze_stages is not None and self.unfreeze_at is None:
            raise ValueError("unfreeze_stages: needs unfreeze_at")
        if self.views and (self.augment == "none" or self.features == "off"):
            raise ValueError("views: needs augment and stored features")
        return self


def run(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Result:
    """Fine-tune on ``config.data``, or on ``splits`` that a caller brings.

    ``mlhw.vision.images.datasets.from_dataset`` makes splits of any ``torch.utils.data.Dataset``.
    """
    from mlhw.experiments.finetune import figures as gallery
    from mlhw.experiments.finetune.report import formulas
    from mlhw.vision.training.session import finetune

    outcome = finetune(config, recorder, splits)
    return Result(
        "finetune",
        summary(outcome),
        CLAIMS.judge(outcome),
        answers(outcome),
        recorder.tables,
        gallery.figures(outcome),
        formulas(outcome.config),
    )


def summary(o: Outcome) -> dict[str, Any]:
    """What scripts read."""
    return {
        "best_epoch": o.progress.best_epoch,
        "best_val_loss": o.progress.best_loss,
        "best_val_acc": o.progress.best_accuracy,
        "test_loss": o.test.loss if o.test else None,
        "test_acc": o.test.accuracy if o.test else None,
        "classes": o.splits.classes,
        "epochs": o.progress.epoch,
        "stopped_early": o.progress.stopped,
        "model": o.config.model,
        "weights": o.task.backbone.weights,
        "image_size": o.config.image_size,
        "images": {
            "train": len(o.splits.train),
            "val": len(o.splits.val),
            "test": len(o.splits.test) if o.splits.test else 0,
            "skipped": len(o.splits.skipped),
        },
        "device": str(o.task.device),
        "precision": o.config.precision,
        "layout": o.config.layout,
        "predictions": "test" if o.test else "val",
        "random_weights": o.random and {"val_acc": o.random.val_acc, "test_acc": o.random.test_acc},
    }


def answers(o: Outcome) -> list[str]:
    """The course's questions, answered from the run: the table, the best epoch, the test."""
    from mlhw.text.words import text_table

    header = ["epoch", "train loss", "train acc", "val loss", "val acc", "lr", "seconds"]
    rows = [
        [
            str(epoch),
            *(f"{v:.4f}" if v is not None else "" for v in values[:4]),
            f"{values[4]:.2e}",
            f"{values[6]:.2f}",
        ]
        for epoch, *values in o.progress.rows
    ]
    best = o.progress
    lines = [
        *text_table(header, rows),
        "",
        f"best validation loss {best.best_loss:.4f} at epoch {best.best_epoch}"
        if o.config.best == "loss"
        else f"best validation accuracy {best.best_accuracy:.4f} at epoch {best.best_epoch}",
    ]
    if o.test:
        lines.append(
            f"this model on the test images: loss {o.test.loss:.4f}, accuracy {o.test.accuracy:.4f}"
        )
    if o.random:
        lines.append(
            f"the same network from random weights: {o.random.split} accuracy {o.random.accuracy:.4f}"
        )
    wrong = o.labels != o.evaluated.probabilities.argmax(1)
    lines.append(
        f"{int(wrong.sum())} of {len(wrong)} {o.split} images are taken for something else"
    )
    return lines


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers = {
        "test accuracy": summary["test_acc"],
        "test loss": summary["test_loss"],
        "best validation loss": summary["best_val_loss"],
        "best validation accuracy": summary["best_val_acc"],
        "best epoch": summary["best_epoch"],
    }
    return {key: value for key, value in numbers.items() if value is not None}


# ------------------------------------------------------------------------------------- claims

CLAIMS = Claims["Outcome"]()


@CLAIMS.claim("best-reloads", "the best model, loaded back, reproduces its validation loss")
def best_reloads(o: Outcome) -> Claim:
    difference = abs(o.reloaded.loss - o.progress.best_loss)
    return check(
        difference <= 1e-6,
        measured=o.reloaded.loss,
        expected=o.progress.best_loss,
        tolerance=1e-6,
    )


@CLAIMS.claim("frozen-unchanged", "what is frozen stays bit for bit what it was")
def frozen_unchanged(o: Outcome) -> Claim:
    measured = {}
    if o.progress.changed_while_frozen is not None:
        measured["tensors until unfrozen"] = o.progress.changed_while_frozen
    if o.changed_buffers is not None:
        measured["batch-norm buffers until the end"] = o.changed_buffers
    if not measured:
        return not_applicable("the whole backbone is trained from the first epoch on")
    return check(
        not any(measured.values()),
        measured=measured,
        expected=dict.fromkeys(measured, 0),
        note="numbers of tensors that changed",
    )


# bfloat16 has 8 significant bits. The same kernels give the same bits; other batch sizes may take
# other kernels, whose last bits differ.
STORED_TOLERANCE = {"fp32": 1e-5, "bf16": 2e-2, "fp16": 5e-3}


@CLAIMS.claim("stored-features", "stored features give the loss of recomputed ones")
def stored_features(o: Outcome) -> Claim:
    stored, recomputed = o.progress.stored_loss, o.progress.recomputed_loss
    if stored is None or recomputed is None:
        return not_applicable("no epoch used stored features")
    tolerance = STORED_TOLERANCE[o.config.precision]
    return check(
        abs(stored - recomputed) <= tolerance * max(1.0, recomputed),
        measured=stored,
        expected=recomputed,
        tolerance=tolerance,
        note=f"validation loss, backbone in {o.config.precision}",
    )


@CLAIMS.claim("loss-fell", "the training loss fell")
def loss_fell(o: Outcome) -> Claim:
    losses = o.table.column("train_loss")
    if len(losses) < 2:
        return not_applicable("one epoch shows no course")
    return check(
        bool(losses[-1] < losses[0]),
        measured=losses[-1],
        expected=f"below {losses[0]:.6g}, the first epoch's",
    )


@CLAIMS.claim("best-is-best", "the saved epoch is the best of the table")
def best_is_best(o: Outcome) -> Claim:
    if o.config.best == "loss":
        best = int(np.nanargmin(o.table.column("val_loss")))
    else:
        best = int(np.nanargmax(o.table.column("val_acc")))
    return check(o.best.metadata["epoch"] == best, measured=o.best.metadata["epoch"], expected=best)


@CLAIMS.claim("beats-random", "the pre-trained network beats the same one from random weights")
def beats_random(o: Outcome) -> Claim:
    if o.random is None:
        return not_applicable("no comparison with random weights was asked for")
    return check(
        o.evaluated.accuracy > o.random.accuracy,
        measured=o.evaluated.accuracy,
        expected=f"above {o.random.accuracy:.6g}",
        note=f"{o.split} accuracy after {o.progress.epoch} epochs each",
    )
