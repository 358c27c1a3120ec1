"""The names that ``mlhw finetune``'s configuration offers, each list for everything that reads it.

The configuration refuses and completes by these lists, and the code that acts on a name is keyed by
them. Nothing is imported here but ``typing``, so that ``mlhw finetune --help`` stays quick.
"""

from __future__ import annotations

from typing import Literal

CIFAR_RESNETS = {f"cifar_resnet{layers}": layers for layers in (20, 32, 44, 56)}
"""Name of each CIFAR-ResNet: its number of layers."""

BUILT_IN_NETWORKS = ("efficientnet_lite0", *CIFAR_RESNETS)

# Name of each data set: what torchvision calls it.
CIFAR = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
MNIST = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}

DATA_SETS = ("digits", *CIFAR, *MNIST)
OWN_DATA = ("folder:", "csv:")
"""What a path to a user's own images begins with."""

OnError = Literal["fail", "skip"]
AUGMENTATIONS = (
    *("resized-crop", "crop", "flip"),
    *("randaugment", "trivialaugment", "jitter", "erase"),
)
"""Random changes of training images, in the order in which they are made."""

AUGMENT_PRESETS = {
    "none": (),
    "flip-crop": ("crop", "flip"),
    "light": ("resized-crop", "flip"),
    "strong": ("resized-crop", "flip", "trivialaugment", "erase"),
}
"""Names for several of them."""

# Of the first of each pair the second would change what it has just done.
_ONE_OF = (("resized-crop", "crop"), ("randaugment", "trivialaugment"))


def augmentations(text: str) -> tuple[str, ...]:
    """The changes that ``augment`` names, a preset or names with commas, in the order made.

    Raises ValueError, with the names there are, for another one and for two of a kind.
    """
    given = [name.strip() for name in text.split(",")]
    names: set[str] = set()
    for name in given:
        if name not in AUGMENTATIONS and name not in AUGMENT_PRESETS:
            raise ValueError(
                f"must be {', '.join(AUGMENT_PRESETS)}, or some of {', '.join(AUGMENTATIONS)} with "
                f"commas (got {name or text!r})"
            )
        if name == "none" and len(given) > 1:
            raise ValueError(f"none goes with nothing else (got {text})")
        names.update(AUGMENT_PRESETS.get(name, (name,)))
    for pair in _ONE_OF:
        if names.issuperset(pair):
            raise ValueError(f"takes one of {' and '.join(pair)}, not both (got {text})")
    return tuple(name for name in AUGMENTATIONS if name in names)


Sampler = Literal["shuffle", "balanced"]
ClassWeights = Literal["none", "balanced"]
Fit = Literal["crop", "pad", "squash"]
SplitChoice = Literal["auto", "train", "val", "test", "all"]
BestBy = Literal["loss", "accuracy", "balanced-accuracy", "macro-f1"]
OnLeak = Literal["warn", "fail"]
ScheduleName = Literal["constant", "cosine", "one-cycle", "step"]
Precision = Literal["fp32", "bf16", "fp16"]
Layout = Literal["contiguous", "channels-last"]

DEVICES = ("auto", "cpu", "cuda", "mps")
