"""The last feature maps of a network, from which Grad-CAM reads where it looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mlhw.errors import ConfigError

if TYPE_CHECKING:
    from mlhw.vision.networks.head import TunedNetwork


def feature_maps(network: TunedNetwork, size: int) -> nn.Module:
    """The last module of the backbone that gives feature maps, (N, C, H, W) of more than one pixel.

    Raises ConfigError for a network that has none, or works on tokens after them, as transformers do.
    """
    backbone = network.backbone
    calls: list[tuple[str, tuple[int, ...]]] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                calls.append((name, tuple(output.shape)))

        return hook

    modules: dict[str, nn.Module] = dict(backbone.named_modules())
    handles = [m.register_forward_hook(note(n)) for n, m in modules.items() if n]
    try:
        with torch.inference_mode():
            device = next(network.parameters()).device
            network(torch.zeros(1, 3, size, size, device=device))
    finally:
        for handle in handles:
            handle.remove()
    chosen: str | None = None
    for name, shape in calls:
        if len(shape) == 4 and shape[2] == shape[3] > 1 and _once(name, calls):
            chosen = name
        elif len(shape) == 3 and any(True for _ in modules[name].parameters()):
            chosen = None
    if chosen is None:
        raise ConfigError(
            "explain: this network ends in no feature maps, which Grad-CAM is made for; leave it out"
        )
    return modules[chosen]


def _once(name: str, calls: list[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether a module was called once: of one that is used again it is unclear which maps are meant."""
    return sum(other == name for other, _ in calls) == 1
