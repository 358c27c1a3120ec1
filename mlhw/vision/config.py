"""The configuration of ``mlhw finetune``: ``Config`` and its sections."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import (
    ExperimentConfig,
    InputFile,
    NoOption,
    Option,
    Section,
    Synonyms,
    comma_list,
)
from mlhw.text.values import is_digits
from mlhw.vision.data_settings import DataSettings
from mlhw.vision.idle_keys import idle_keys
from mlhw.vision.names import (
    AUGMENT_PRESETS,
    AUGMENTATIONS,
    BUILT_IN_NETWORKS,
    DEVICES,
    BestBy,
    ClassWeights,
    Fit,
    Layout,
    Precision,
    Sampler,
    ScheduleName,
    augmentations,
)

# More threads than any machine has cores; OpenMP's pool crashes on ten thousands.
MOST_THREADS = 1024
# Of the epochs, where the configuration does not say: most of them train the head, which costs little on
# stored features.
OPEN_SHARE = 3 / 13


def network_names(typed: str) -> Sequence[str]:
    """For the shell's completion. The libraries are asked only once their prefix stands there."""
    if typed.startswith("torchvision:"):
        from mlhw.vision.networks.libraries import torchvision_names

        return [f"torchvision:{name}" for name in torchvision_names()]
    if typed.startswith("timm:") and importlib.util.find_spec("timm"):
        import timm

        return [f"timm:{name}" for name in timm.list_models()]
    return (*BUILT_IN_NETWORKS, "torchvision:", "timm:", "hf-hub:")


def _joined(value: Any) -> Any:
    """A list of names in a file as the text that an option takes."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _augmentations(text: str) -> str:
    augmentations(text)
    return text


def _widths(value: Any) -> Any:
    """``"64,32"`` as [64, 32]; an empty text as no hidden layer."""
    if not isinstance(value, str):
        return value
    items = [item for item in comma_list(value, read=str) if item]
    if not all(map(is_digits, items)):
        raise ValueError(f"must be whole numbers such as 64,32 (got {value})")
    return [int(item) for item in items]


def _auto_or(least: int, most: int | None = None) -> AfterValidator:
    """``auto``, or a number within these bounds."""
    words = f"at least {least}" if most is None else f"{least} to {most}"

    def check(value: int | str) -> int | str:
        if isinstance(value, int) and (value < least or (most is not None and value > most)):
            raise ValueError(f"must be auto or {words} (got {value})")
        return value

    return AfterValidator(check)


def _rate_or_auto(value: float | str | None) -> float | str | None:
    if isinstance(value, float) and value <= 0:
        raise ValueError(f"must be auto or greater than 0 (got {value:g})")
    return value


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

    name: Annotated[
        Literal["sgd", "adamw"], Synonyms(names=("optimizer",)), Field(description="optimizer")
    ] = "adamw"
    lr: Annotated[float, Field(gt=0, description="full learning rate of the head")] = 1e-3
    backbone_lr: Annotated[
        float | Literal["auto"] | None,
        AfterValidator(_rate_or_auto),
        Option(metavar="NUMBER|auto"),
        Field(
            description="full rate of the backbone; null is lr; auto tries lr × 1, 0.3, 0.1, 0.03, 0.01, "
            "and is lr on the built-in digits"
        ),
    ] = "auto"
    find_lr: Annotated[
        bool,
        Field(
            description="try these rates before unfreezing, in a table and a figure; auto does anyway"
        ),
    ] = False
    layer_decay: Annotated[
        float,
        Field(gt=0, le=1, description="factor on the rate for each stage further from the output"),
    ] = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="momentum of sgd")] = 0.9
    nesterov: Annotated[bool, Field(description="Nesterov's momentum for sgd")] = False
    weight_decay: Annotated[
        float,
        Option(aliases=("--wd",)),
        Field(ge=0, description="on weights, not on biases and norms"),
    ] = 1e-2
    clip: Annotated[
        float | None, Field(gt=0, description="largest norm of the gradient; null is any")
    ] = None
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of each label spread over all classes")
    ] = 0.1

    @property
    def backbone_rate(self) -> float:
        """The full rate of the backbone; ``lr`` as long as ``auto`` is not settled."""
        rate = self.backbone_lr
        return self.lr if rate is None or rate == "auto" else rate


class ScheduleSettings(Section):
    """The learning rate over the steps of the frozen epochs, and again of the others."""

    name: Annotated[ScheduleName, Field(description="course of the learning rate")] = "one-cycle"
    warmup: Annotated[
        float | None,
        Field(ge=0, lt=1, description="share of the steps that it rises; null is 0.3 or 0"),
    ] = None


class Config(ExperimentConfig):
    """All that ``mlhw finetune`` can be told, one field for each option."""

    only_drawn: ClassVar[tuple[str, ...]] = ("explain",)
    only_kept: ClassVar[tuple[str, ...]] = ("keep",)
    of_machine: ClassVar[tuple[str, ...]] = ("device", "precision", "layout", "threads")
    GROUP = "Training"
    GROUPS = {
        **dict.fromkeys(("model", "weights", "head"), "Network"),
        **dict.fromkeys(("image_size", "fit", "augment", "mixup", "cutmix", "sampler"), "Data"),
        **dict.fromkeys(
            ("device", "precision", "layout", "compile", "deterministic", "threads", "workers"),
            "Machine",
        ),
        **dict.fromkeys(("explain", "keep"), "Output"),
    }

    model: Annotated[
        str,
        Option(metavar="NAME", values=network_names),
        Field(
            description="network: efficientnet_lite0, cifar_resnet20/32/44/56, torchvision:NAME, "
            "timm:NAME, hf-hub:OWNER/NAME"
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
    fit: Annotated[Fit, Field(description="crop the middle, or pad or squash whole images")] = (
        "crop"
    )
    repeats: Annotated[
        int, Field(ge=1, le=1000, description="runs, each with the next seed, or the next fold")
    ] = 1
    epochs: Annotated[int, Field(ge=1, le=100_000, description="passes over the training data")] = (
        13
    )
    continued: Annotated[
        list[Annotated[list[int], Field(min_length=2, max_length=2)]],
        NoOption(),
        Field(description="recorded by a run that went on: [epochs done, planned] each time"),
    ] = []
    batch_size: Annotated[
        int, Option(aliases=("-b",)), Field(ge=1, le=65_536, description="images in a batch")
    ] = 32
    accumulate: Annotated[
        int, Field(ge=1, le=65_536, description="batches whose gradients make one step")
    ] = 1
    ema: Annotated[
        float | None,
        Field(gt=0, lt=1, description="decay of the weights' moving average; null keeps none"),
    ] = None
    keep: Annotated[
        Literal["last", "best"],
        Field(description="checkpoints of a finished run: last and best, or the best alone"),
    ] = "last"
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
        int | Literal["auto"] | None,
        _auto_or(0),
        Option(metavar="INTEGER|auto"),
        Field(
            description="first epoch that trains the backbone; null never does, auto leaves the last 3 of 13"
        ),
    ] = "auto"
    unfreeze_stages: Annotated[
        int | None, Field(ge=1, description="how many of its last stages; null is all")
    ] = None
    batch_norm: Annotated[
        Literal["eval", "train"], Field(description="statistics of batch norm in trained stages")
    ] = "eval"
    sync_batch_norm: Annotated[
        bool,
        Field(description="batch norm over the images of all processes, on GPUs (torchrun)"),
    ] = False
    augment: Annotated[
        str,
        BeforeValidator(_joined),
        AfterValidator(_augmentations),
        Option(metavar="NAMES", values=(*AUGMENT_PRESETS, *AUGMENTATIONS)),
        Field(description="random changes of training images: a preset, or names with commas"),
    ] = "none"
    mixup: Annotated[
        float, Field(ge=0, description="MixUp's α: training images added in pairs; 0 is none")
    ] = 0.0
    cutmix: Annotated[
        float, Field(ge=0, description="CutMix's α: parts of images put into others; 0 is none")
    ] = 0.0
    sampler: Annotated[
        Sampler, Field(description="training images each once, or every class equally often")
    ] = "shuffle"
    class_weights: Annotated[
        ClassWeights, Field(description="weights in the loss; balanced: every class the same")
    ] = "none"
    features: Annotated[
        Literal["auto", "memory", "disk", "off"],
        Field(description="where a frozen backbone's outputs are stored; off recomputes them"),
    ] = "auto"
    views: Annotated[
        int, Field(ge=0, description="stored changes of an image for frozen epochs")
    ] = 0
    compare: Annotated[
        Literal["auto", "first-open", "random", "none"],
        Field(
            description="train from random weights too: random for all epochs, first-open until all layers "
            "have learnt for one; auto is first-open on the built-in digits"
        ),
    ] = "auto"
    explain: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="worst images, and as many others, that show where the network looked",
        ),
    ] = 0
    device: Annotated[
        str, Option(values=DEVICES), Field(description="where: auto, cpu, cuda, cuda:N or mps")
    ] = "auto"
    precision: Annotated[
        Literal["auto", Precision],
        Field(description="of the backbone; auto measures fp32 and bf16"),
    ] = "auto"
    layout: Annotated[Literal["auto", Layout], Field(description="memory; auto measures")] = "auto"
    compile: Annotated[bool, Field(description="compile the backbone by torch.compile")] = False
    deterministic: Annotated[
        bool, Field(description="the same bits on a GPU too: no TF32, no algorithm that may differ")
    ] = False
    threads: Annotated[
        int | Literal["auto"],
        _auto_or(1, MOST_THREADS),
        Option(metavar="INTEGER|auto"),
        Field(description="CPU threads; auto is one for each usable core"),
    ] = "auto"
    workers: Annotated[
        int | Literal["auto"],
        _auto_or(0, MOST_THREADS),
        Option(metavar="INTEGER|auto", aliases=("-j",)),
        Field(
            description="threads that make batches ahead; auto is 0 for images in memory, else 2"
        ),
    ] = "auto"

    @model_validator(mode="after")
    def _mixing_and_balancing_make_sense(self) -> Config:
        if self.sampler == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "sampler, class_weights: both balanced count small classes twice; choose one"
            )
        if self.mixes and self.batch_size == 1:
            raise ValueError("mixup, cutmix: need a batch_size of 2 or more")
        return self

    @model_validator(mode="after")
    def _enough_to_repeat_over(self) -> Config:
        if self.data.folds is not None and self.repeats > self.data.folds:
            raise ValueError(f"repeats: there are {self.data.folds} folds (got {self.repeats})")
        if self.seed + self.repeats > 2**63:
            raise ValueError(
                f"repeats: seeds end below 2^63 (got {self.repeats} from {self.seed} on)"
            )
        return self

    @model_validator(mode="after")
    def _continued_in_order(self) -> Config:
        done = 0
        for end, planned in self.continued:
            if not done < end <= planned or end >= self.epochs:
                raise ValueError(
                    f"continued: must be [epochs done, planned] in order, all done before the {self.epochs} "
                    f"epochs are (got {self.continued})"
                )
            done = end
        return self

    def idle(self) -> Iterator[tuple[str, str]]:
        return idle_keys(self)

    @property
    def mixes(self) -> bool:
        """Are images mixed with others?"""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def best_by(self) -> BestBy:
        """``best`` with ``auto`` written out."""
        return "accuracy" if self.best == "auto" else self.best

    @property
    def first_open_epoch(self) -> int | None:
        """``unfreeze_at`` as a number; None where the backbone is never trained.

        ``auto`` leaves it the last 3 of 13 epochs, the same share of others, and one of two; an epoch
        by itself trains the head.
        """
        if self.unfreeze_at != "auto":
            return self.unfreeze_at
        return self.epochs - max(round(self.epochs * OPEN_SHARE), min(1, self.epochs - 1))

    @property
    def trains_backbone(self) -> bool:
        """Does any epoch train more than the head?"""
        first = self.first_open_epoch
        return first is not None and first < self.epochs
