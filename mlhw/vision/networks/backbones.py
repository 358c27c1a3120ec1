"""Pre-trained networks by name: ``load_backbone("efficientnet_lite0")``.

========================  ======================================================================
``efficientnet_lite0``    ImageNet; weights come with the installation
``cifar_resnet20`` …      32, 44, 56 layers, CIFAR-100; weights from a file or the net
``torchvision:NAME``      every torchvision classifier, with its published weights
``timm:NAME``             every timm classifier (timm has to be installed)
``hf-hub:OWNER/NAME``     a timm classifier of the Hugging Face hub, or ``timm:hf-hub:OWNER/NAME``
========================  ======================================================================

A name brings its weights and the preprocessing that belongs to them, so that they cannot be paired
wrongly. ``weights`` is ``default``, ``none`` (random, from the seed), the path of a file, or for
torchvision a name of the model's weights enum such as ``IMAGENET1K_V1``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlhw.errors import ConfigError
from mlhw.result.recorder import Recorder
from mlhw.text.words import nearest_words
from mlhw.vision.names import BUILT_IN_NETWORKS
from mlhw.vision.networks import weight_files
from mlhw.vision.networks.built_in import BUILDERS, WholeNetwork, cannot_take
from mlhw.vision.networks.libraries import (
    HUB,
    timm_module,
    timm_network,
    torchvision_names,
    torchvision_network,
    torchvision_weights,
)
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.networks.published import Places
from mlhw.vision.networks.stages import Stages, find_stages

if TYPE_CHECKING:
    from torch import nn


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
        weights: what was loaded, in words: ``none``, or where the tensors came from.
        weights_digest: sha256 over names, shapes and values of all tensors of ``module``: two
            backbones with the same digest and preprocessing give the same features.
    """

    name: str
    module: nn.Module
    features: int
    preprocessing: Preprocessing
    stages: Stages
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
    data_dir: Path | str = "data",
    recorder: Recorder | None = None,
) -> Backbone:
    """The network called ``model`` with ``weights``, ready to give features.

    Args:
        model: a name of the table at the top.
        weights: ``default``, ``none``, a file (safetensors, or what ``torch.save`` wrote), or a name
            of torchvision's weights enum. A file may lack the head, or have one for other classes.
        image_size: side of the square that the network sees; None for the one it was trained at.
        seed: of the random weights under ``none``; the global generators are left alone.
        data_dir: one's own copies of published weights are looked for in its folder ``weights``,
            then where torch keeps them (``TORCH_HOME``). What is downloaded goes to the latter.
        recorder: logs a download and shows its progress; None for neither.

    Raises:
        ConfigError: the model or the weights have no such name, or the network cannot take images
            of that size.
        DataError: the weights cannot be had, or the file holds something else.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _build(model, weights, image_size)
    module, source = network.module, "none"
    if weights != "none":
        if weights == "default" or _is_enum_name(model, weights):
            tensors, source = network.load_published(Places(Path(data_dir), recorder or Recorder()))
        else:
            path = _file(model, weights)
            tensors, source = network.adapt(weight_files.read_tensors(path)), str(path)
        heads, ignored = network.heads, network.ignored
        weight_files.fill(module, tensors, source=source, head=heads, ignored=ignored)
    network.take_off_head()
    module.eval()
    features = _count_features(model, module, network.preprocessing)
    return Backbone(
        name=model,
        module=module,
        features=features,
        preprocessing=network.preprocessing,
        stages=find_stages(module),
        weights=source,
        weights_digest=weight_files.digest(module),
    )


def _build(model: str, weights: str, image_size: int | None) -> WholeNetwork:
    family, colon, name = model.removeprefix("timm:" if f"timm:{HUB}" in model else "").partition(
        ":"
    )
    if model in BUILDERS:
        return BUILDERS[model](image_size)
    if f"{family}:" == HUB and name:
        return timm_network(HUB + name, image_size)
    if family == "torchvision" and colon:
        names = torchvision_names()
        if name in names:
            return torchvision_network(name, weights, image_size)
        raise _unknown(model, [f"torchvision:{n}" for n in names])
    if family == "timm" and colon:
        timm = timm_module()
        names = [*timm.list_models(), *timm.list_pretrained()]
        if name in names:
            return timm_network(name, image_size)
        raise _unknown(model, [f"timm:{n}" for n in names])
    raise _unknown(model, [*BUILT_IN_NETWORKS, *(f"torchvision:{n}" for n in torchvision_names())])


def _unknown(model: str, known: list[str]) -> ConfigError:
    by_bare_name = [name for name in known if name.partition(":")[2] == model]
    near = by_bare_name or nearest_words(model, known)
    hint = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ConfigError(
        f"model: unknown network {model!r}{hint} (known: {', '.join(BUILT_IN_NETWORKS)}, torchvision:NAME, "
        "timm:NAME, hf-hub:OWNER/NAME)"
    )


def _is_enum_name(model: str, weights: str) -> bool:
    family, _, name = model.partition(":")
    return family == "torchvision" and weights in torchvision_weights(name)


def _file(model: str, weights: str) -> Path:
    path = Path(weights).expanduser()
    if os.path.exists(path):  # Path.exists raises for a name that is too long
        return path
    family, _, name = model.partition(":")
    names = torchvision_weights(name) if family == "torchvision" else []
    raise ConfigError(
        f"weights: there is no file {weights}; give 'default', 'none', a file"
        + (f", or {' or '.join(names)}" if names else "")
    )


def _count_features(model: str, module: nn.Module, preprocessing: Preprocessing) -> int:
    import torch

    size = preprocessing.size
    try:
        with torch.inference_mode():
            features = module(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise cannot_take(model, size, error) from error
    if features.ndim != 2:
        raise ConfigError(f"model: {model} gives no vector of features for an image")
    return int(features.shape[1])
