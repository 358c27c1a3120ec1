"""Residual networks for 32 × 32 images: He et al., "Deep Residual Learning" (2015), section 4.2.

A 3 × 3 convolution, then three layers of n blocks each with 16, 32 and 64 channels at 32 × 32, 16 × 16
and 8 × 8 pixels, then the mean over the pixels: 6n + 2 layers with the head. Where the paper pads
the shortcut with zeros as the channels double, the published state dicts have a 1 × 1 convolution
(its option B); names and shapes here are theirs.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

BLOCKS = {20: 3, 32: 5, 44: 7, 56: 9}
CHANNELS = (16, 32, 64)
RESNET_FEATURES = CHANNELS[-1]


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and the shortcut around them."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
            if stride != 1 or channels != out_channels
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return cast(torch.Tensor, self.relu(self.bn2(self.conv2(x)) + shortcut))


class CifarResNet(nn.Module):
    """Images (N, 3, 32, 32) to features (N, 64), or to what ``fc`` makes of them."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.relu = nn.ReLU(inplace=True)
        blocks = BLOCKS[layers]
        self.layer1 = _layer(blocks, CHANNELS[0], CHANNELS[0], stride=1)
        self.layer2 = _layer(blocks, CHANNELS[0], CHANNELS[1], stride=2)
        self.layer3 = _layer(blocks, CHANNELS[1], CHANNELS[2], stride=2)
        self.fc: nn.Module = nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, "Delving Deep into Rectifiers"
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast(torch.Tensor, self.fc(x.mean(dim=(2, 3))))


def _layer(blocks: int, channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(channels, out_channels, stride),
        *(BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1)),
    )
