"""Depthwise convolutions whose weights learn fast on small maps too.

A convolution is depthwise where each channel has a kernel of its own. On a processor torch (2.13, oneDNN)
works out the gradient of such weights on a slow path where the kernel is as large as the map: for 672
channels of 4 × 4 pixels, 32 images and a kernel of 5 × 5 it takes 33 times as long as the convolution
itself. The same gradient is a convolution too: of each channel of each image by its own gradient,

    ∂E/∂w[c, i, j] = Σ_n Σ_ab ∂E/∂y[n, c, a, b] x[n, c, sa + i − p, sb + j − p]

with stride s and padding p, which takes the fast path of the forward direction. The sums are the same; their
order, and with it the last bits, may be another. What comes forward is torch's, and so is the gradient of
the maps.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

_SMALL_MAP = 7
"""Rows and columns up to which kernels of 5 and more gain; smaller kernels do where they exceed the map."""


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel with its own kernel: ``nn.Conv2d`` with ``groups=channels``, no bias."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        if not self._is_slow_to_learn(x):
            return super().forward(x)
        stride, padding = self.stride[0], int(self.padding[0])
        return cast(torch.Tensor, _Depthwise.apply(x, self.weight, stride, padding))  # type: ignore[no-untyped-call]

    def _is_slow_to_learn(self, x: torch.Tensor) -> bool:
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        # What is traced for a compiler or a file is to be torch's convolution; of lower precisions there is
        # another path.
        if not learns or torch.compiler.is_compiling():
            return False
        whole = x.dtype == self.weight.dtype and x.dtype in (torch.float32, torch.float64)
        if x.device.type != "cpu" or x.ndim != 4 or not whole or torch.is_autocast_enabled("cpu"):
            return False
        kernel, side = self.kernel_size[0], max(x.shape[2:])
        return kernel > side or (kernel >= 5 and side <= _SMALL_MAP)


class _Depthwise(torch.autograd.Function):
    """torch's depthwise convolution with its own gradient of the weights."""

    @staticmethod
    def forward(x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        return functional.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        x, weight, ctx.stride, ctx.padding = inputs  # type: ignore[attr-defined]
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_maps = of_weights = None
        if ctx.needs_input_grad[0]:
            s, p = [ctx.stride] * 2, [ctx.padding] * 2
            of_maps = torch.ops.aten.convolution_backward(
                slope,
                x,
                weight,
                None,
                s,
                p,
                [1, 1],
                False,
                [0, 0],
                len(weight),
                [True, False, False],
            )[0]
        if ctx.needs_input_grad[1]:
            of_weights = weight_gradient(x, slope, weight.shape[2], ctx.stride, ctx.padding)
        return of_maps, of_weights, None, None


def weight_gradient(
    x: torch.Tensor, slope: torch.Tensor, kernel: int, stride: int, padding: int
) -> torch.Tensor:
    """The gradient (C, 1, k, k) of depthwise weights, of maps x (N, C, H, W) and the slope (N, C, H', W')."""
    count, channels, rows, columns = x.shape
    if slope.shape[2:] == (1, 1):
        # One place in each map, which is what the kernel lay on.
        seen = functional.pad(x, [padding] * 4)[:, :, :kernel, :kernel]
        return (seen * slope).sum(0)[:, None]
    # All channels of all images as the channels of one image, and their slopes as its kernels.
    maps = x.permute(2, 3, 0, 1).reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    kernels = slope.reshape(count * channels, 1, *slope.shape[2:])
    found = functional.conv2d(maps, kernels, None, 1, padding, stride, count * channels)[0]
    of_images = found[:, :kernel, :kernel].view(count, channels, kernel, kernel)
    return of_images.sum(0)[:, None]
