"""The sections of ``mlhw finetune``'s configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlhw.config.model import InputFile, NoOption, Option, Section
from mlhw.vision.schedules import ScheduleName

BUILT_IN_NETWORKS = (
    "efficientnet_lite0",
    "cifar_resnet20",
    "cifar_resnet32",
    "cifar_resnet44",
    "cifar_resnet56",
)
DATA_SETS = ("digits", "cifar10", "cifar100", "mnist", "fashion-mnist", "folder:", "csv:")


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
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",") if item.strip()]
        if not all(item.isdecimal() for item in items):
            raise ValueError(f"must be whole numbers such as 64,32 (got {value})")
        return [int(item) for item in items]
    return value


class DataSettings(Section):
    """Which images. As one text (``--data digits``) it is the name."""

    name: Annotated[
        str,
        InputFile(prefixes=("folder:", "csv:")),
        Option("--data", metavar="NAME|folder:PATH|csv:PATH", values=DATA_SETS),
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
    on_error: Annotated[
        Literal["fail", "skip"], Field(description="what an unreadable image does")
    ] = "fail"
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
