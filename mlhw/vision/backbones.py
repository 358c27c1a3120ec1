"""Pre-trained networks by name: ``load_backbone("efficientnet_lite0")``.

========================  ======================================================================
``efficientnet_lite0``    ImageNet; weights come with the installation
``cifar_resnet20`` …      32, 44, 56 layers, CIFAR-100; weights from a file or the net
``torchvision:NAME``      every torchvision classifier, with its published weights
``timm:NAME``             every timm classifier (timm has to be installed)
========================  ======================================================================

A name brings its weights and the preprocessing that belongs to them, so that they cannot be paired
wrongly. ``weights`` is ``default``, ``none`` (random, from the seed), the path of a file, or for
torchvision a name of the model's weights enum such as ``IMAGENET1K_V1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlhw.vision.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

Stages = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Classifier:
    """The head that a network was trained with: features (N, features) to logits (N, classes).

    ``class_names`` are in the order of the logits, None where nobody tells them.
    """

    module: nn.Module
    class_names: tuple[str, ...] | None


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Attributes:
        name: as given to ``load_backbone``.
        module: in evaluation mode on the CPU; a normalised float batch (N, 3, S, S) to features
            (N, features). Its parameters want gradients.
        features: number of features.
        preprocessing: what the weights were trained to see, at the image size asked for.
        stages: from input to output, (name, prefixes). A parameter or buffer belongs to the stage
            one of whose prefixes is its whole name or its name up to a dot; each belongs to exactly
            one.
        classifier: the old head; None where the weights have none or are random.
        weights: what was loaded, in words: ``none``, or where the tensors came from.
        weights_digest: sha256 over names, shapes and values of all tensors of ``module``: two
            backbones with the same digest and preprocessing give the same features.
    """

    name: str
    module: nn.Module
    features: int
    preprocessing: Preprocessing
    stages: Stages
    classifier: Classifier | None
    weights: str
    weights_digest: str

    def stage_of(self, parameter: str) -> int:
        """The number of the stage, from the input, that a parameter's or buffer's name is in."""
        for index, (_, prefixes) in enumerate(self.stages):
            if any(parameter == p or parameter.startswith(p + ".") for p in prefixes):
                return index
        raise KeyError(parameter)


def load_backbone(
    model: str,
    weights: str = "default",
    *,
    image_size: int | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
    progress: Callable[[float, float, str], None] = lambda done, total, what: None,
) -> Backbone:
    """The network called ``model`` with ``weights``, ready to give features.

    Args:
        model: a name of the table at the top.
        weights: ``default``, ``none``, a file (safetensors, or what ``torch.save`` wrote), or a name
            of torchvision's weights enum.
        image_size: side of the square that the network sees; None for the one it was trained at.
        seed: of the random weights under ``none``; the global generators are left alone.
        log: takes a line on anything worth knowing, such as a download.
        progress: takes (done, total, what) in bytes while downloading.

    Raises:
        ConfigError: the model or the weights have no such name, or the network cannot take images
            of that size.
        DataError: the weights cannot be had, or the file holds something else.
    """
    raise NotImplementedError
