"""The configuration of ``mlhw finetune``: ``Config`` and its sections."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import (
    ExperimentConfig,
    InputFile,
    NoOption,
    Option,
    Section,
    comma_list,
)
from mlhw.vision.names import (
    BUILT_IN_NETWORKS,
    DATA_SETS,
    DEVICES,
    OWN_DATA,
    Augment,
    BestBy,
    Layout,
    OnError,
    Precision,
    ScheduleName,
)

# More threads than any machine has cores; OpenMP's pool crashes on ten thousands.
MOST_THREADS = 1024


def network_names(typed: str) -> Sequence[str]:
    """For the shell's completion. The libraries are asked only once their prefix stands there."""
    if typed.startswith("torchvision:"):
        from mlhw.vision.networks.libraries import torchvision_names

        return [f"torchvision:{name}" for name in torchvision_names()]
    if typed.startswith("timm:") and importlib.util.find_spec("timm"):
        import timm

        return [f"timm:{name}" for name in timm.list_models()]
    return (*BUILT_IN_NETWORKS, "torchvision:", "timm:")


def _widths(value: Any) -> Any:
    """``"64,32"`` as [64, 32]; an empty text as no hidden layer."""
    if not isinstance(value, str):
        return value
    items = [item for item in comma_list(value, read=str) if item]
    if not all(item.isdecimal() for item in items):
        raise ValueError(f"must be whole numbers such as 64,32 (got {value})")
    return [int(item) for item in items]


class DataSettings(Section):
    """Which images. As one text (``--data digits``) it is the name."""

    name: Annotated[
        str,
        InputFile(prefixes=OWN_DATA),
        Option("--data", metavar="NAME|folder:PATH|csv:PATH", values=(*DATA_SETS, *OWN_DATA)),
        Field(
            description="images: digits, cifar10, cifar100, mnist, fashion-mnist, folder:PATH or csv:PATH"
        ),
    ] = "digits"
    dir: Annotated[
        str | None,
        InputFile,
        Option(name="--data-dir", metavar="DIR"),
        Field(description="where named data sets and one's own weights are kept; null is ./data"),
    ] = None
    val: Annotated[
        int | float | None,
        Option(metavar="COUNT|SHARE"),
        Field(ge=0, description="validation images, a count or a fraction; null as the data say"),
    ] = None
    test: Annotated[
        int | float | None,
        Option(metavar="COUNT|SHARE"),
        Field(ge=0, description="test images, a count or a fraction; 0 for none"),
    ] = None
    on_error: Annotated[OnError, Field(description="what an unreadable image does")] = "fail"
    resident: Annotated[
        bool | None,
        Field(description="keep the decoded images in memory; null does where they fit"),
    ] = None
    download: Annotated[bool, Field(description="fetch a named data set that is missing")] = False
    digest: Annotated[
        str | None, NoOption(), Field(description="recorded by a run; a rerun warns of a change")
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        return {"name": text}


class HeadSettings(Section):
    """The new head; linear by default."""

    hidden: Annotated[
        list[Annotated[int, Field(ge=1, le=65536)]],
        BeforeValidator(_widths),
        Option(metavar="WIDTHS"),
        Field(max_length=8, description="widths of hidden ReLU layers, such as 64,32"),
    ] = []
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of the last layer's inputs set to 0")
    ] = 0.0


class OptimSettings(Section):
    """The optimizer and its rates."""

    name: Annotated[Literal["sgd", "adamw"], Field(description="optimizer")] = "adamw"
    lr: Annotated[float, Field(gt=0, description="full learning rate of the head")] = 1e-3
    backbone_lr: Annotated[
        float | None, Field(gt=0, description="full rate of the backbone; null is lr")
    ] = None
    layer_decay: Annotated[
        float,
        Field(gt=0, le=1, description="factor on the rate for each stage further from the output"),
    ] = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="momentum of sgd")] = 0.9
    nesterov: Annotated[bool, Field(description="Nesterov's momentum for sgd")] = False
    weight_decay: Annotated[
        float, Field(ge=0, description="on weights, not on biases and norms")
    ] = 1e-2
    clip: Annotated[
        float | None, Field(gt=0, description="largest norm of the gradient; null is any")
    ] = None
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of each label spread over all classes")
    ] = 0.1

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> OptimSettings:
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ValueError("nesterov: needs sgd with a momentum above 0")
        return self


class ScheduleSettings(Section):
    """The learning rate over the steps of the frozen epochs, and again of the others."""

    name: Annotated[ScheduleName, Field(description="course of the learning rate")] = "one-cycle"
    warmup: Annotated[
        float | None,
        Field(ge=0, lt=1, description="share of the steps that it rises; null is 0.3 or 0"),
    ] = None


def _auto_or(least: int, most: int | None = None) -> AfterValidator:
    """``auto``, or a number within these bounds."""
    words = f"at least {least}" if most is None else f"{least} to {most}"

    def check(value: int | str) -> int | str:
        if isinstance(value, int) and (value < least or (most is not None and value > most)):
            raise ValueError(f"must be auto or {words} (got {value})")
        return value

    return AfterValidator(check)


class Config(ExperimentConfig):
    """All that ``mlhw finetune`` can be told, one field for each option."""

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
        Literal["auto", BestBy],
        Field(description="which validation value picks the model; auto is accuracy, ties by loss"),
    ] = "auto"
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
        Literal["auto", Precision],
        Field(description="of the backbone; auto measures fp32 and bf16"),
    ] = "auto"
    layout: Annotated[Literal["auto", Layout], Field(description="memory; auto measures")] = "auto"
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

    @property
    def best_by(self) -> BestBy:
        """``best`` with ``auto`` written out."""
        return "accuracy" if self.best == "auto" else self.best

    @property
    def trains_backbone(self) -> bool:
        """Does any epoch train more than the head?"""
        return self.unfreeze_at is not None and self.unfreeze_at < self.epochs
