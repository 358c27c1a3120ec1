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
SplitChoice = Literal["auto", "train", "val", "test", "all"]
BestBy = Literal["loss", "accuracy", "balanced-accuracy", "macro-f1"]
Augment = Literal["none", "flip", "crop", "flip-crop"]
ScheduleName = Literal["constant", "cosine", "one-cycle", "step"]
Precision = Literal["fp32", "bf16", "fp16"]
Layout = Literal["contiguous", "channels-last"]

DEVICES = ("auto", "cpu", "cuda", "mps")
