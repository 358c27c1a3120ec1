"""The network of a run: the backbone, its new head, and which of its parameters learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from mlhw.vision.networks.backbones import Backbone
    from mlhw.vision.schedules import Plan


class TunedNetwork(nn.Module):
    """``backbone``, images (N, 3, S, S) to features (N, d), then ``head``, to logits (N, classes).

    ``autocast`` is the lower precision of the backbone, None for float32. The head is a thousandth
    of the work and always works in float32, on stored features and on fresh ones alike.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.autocast: torch.dtype | None = None

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S), normalised, to float32 (N, d)."""
        if self.autocast is None:
            return self.backbone(images)  # type: ignore[no-any-return]
        with torch.autocast(images.device.type, self.autocast):
            features: torch.Tensor = self.backbone(images)
        return features.float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))  # type: ignore[no-any-return]


def new_head(
    features: int, classes: int, *, hidden: Sequence[int] = (), dropout: float = 0.0, seed: int = 0
) -> nn.Module:
    """A head with random weights drawn from ``seed``: linear, or with hidden ReLU layers.

    Args:
        features, classes: number of inputs and outputs.
        hidden: widths of the hidden layers, from the input on; none is a linear head.
        dropout: share of the inputs of the last layer that is set to 0 in training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        width = features
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            width = units
        if dropout:
            layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(width, classes))
    return nn.Sequential(*layers)


def set_learning(
    network: TunedNetwork, backbone: Backbone, first_open_stage: int, *, batch_norm: str
) -> None:
    """Training mode for what learns, evaluation mode and no gradients for what does not.

    Stages below ``first_open_stage`` are frozen: no gradients, dropout off, and batch norm uses its
    stored mean and variance and leaves them as they are. Under ``batch_norm="eval"`` it does so in
    the open stages too; only its scale and shift learn there. To be called again after every
    ``network.eval()``.
    """
    network.train()
    for name, parameter in network.backbone.named_parameters():
        parameter.requires_grad_(backbone.stage_of(name) >= first_open_stage)
    for name, module in network.backbone.named_modules():
        if _stage(backbone, name) < first_open_stage or (
            batch_norm == "eval" and isinstance(module, _BatchNorm)
        ):
            module.training = False


def share_statistics(module: nn.Module) -> None:
    """Let batch norm in ``module``, where it learns, take its statistics over all processes' images.

    In place. timm's layers of batch norm hold their activation too, and it has a function of its own.
    """
    if any(type(layer).__module__.startswith("timm.") for layer in module.modules()):
        import timm.layers

        timm.layers.convert_sync_batchnorm(module)  # type: ignore[attr-defined, no-untyped-call]
    else:
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]


def _stage(backbone: Backbone, module: str) -> int:
    """The stage that a module is in; 0, the first to be frozen, for one that holds several stages."""
    try:
        return backbone.stage_of(module)
    except KeyError:
        return 0


def parameter_groups(
    network: TunedNetwork, backbone: Backbone, plan: Plan, weight_decay: float
) -> list[dict[str, Any]]:
    """An optimizer's groups: of the head and of each stage, one with weight decay and one without.

    Stages that are still frozen have theirs too, so that unfreezing changes nothing in the optimizer.
    Weight decay is for weights; biases and the scales and shifts of norms, all of them vectors, are
    left out, as He et al. 2018 (arXiv:1812.01187, section 3.1) do. ``full_rate`` is the group's
    learning rate before the schedule, ``stage`` what it is of (None: the head).
    """
    members: dict[tuple[int | None, bool], list[nn.Parameter]] = {}
    for name, parameter in network.backbone.named_parameters():
        key = (backbone.stage_of(name), parameter.ndim > 1)
        members.setdefault(key, []).append(parameter)
    for parameter in network.head.parameters():
        members.setdefault((None, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "full_rate": plan.full_rate(stage),
            "stage": stage,
        }
        for (stage, decays), parameters in members.items()
    ]


def set_full_rates(optimizer: torch.optim.Optimizer, plan: Plan) -> None:
    """Give the groups that ``parameter_groups`` has made the full rates of another plan."""
    for group in optimizer.param_groups:
        group["full_rate"] = plan.full_rate(group["stage"])
