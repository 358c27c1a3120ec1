"""What the tests of networks need: images of noise, timm where it is installed, what stages are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mlhw.vision.networks.backbones import Backbone
from mlhw.vision.networks.stages import find_stages
from mlhw.vision.networks.torchvision_import import torchvision


def timm() -> Any:
    torchvision()
    return pytest.importorskip("timm", reason="timm is an optional extra")


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def assert_partition(module: nn.Module) -> None:
    stages = find_stages(module)
    prefixes = [prefix for _, own in stages for prefix in own]
    for name, _ in [*module.named_parameters(), *module.named_buffers()]:
        owners = [p for p in prefixes if name == p or name.startswith(p + ".")]
        assert len(owners) == 1, (name, owners)
    assert len({name for name, _ in stages}) == len(stages) >= 4


def assert_stages_partition(backbone: Backbone) -> None:
    assert backbone.stages == find_stages(backbone.module)
    assert_partition(backbone.module)
    numbers = [backbone.stage_of(name) for name, _ in backbone.module.named_parameters()]
    assert numbers == sorted(numbers)  # registered from input to output
    assert set(numbers) == set(range(len(backbone.stages)))
