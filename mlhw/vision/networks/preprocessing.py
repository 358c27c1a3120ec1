"""From images as they are stored to the batch that a network was trained to see.

Resizing works on 8-bit values and rounds to them, as Pillow does and as the published networks were
evaluated; mean and standard deviation are subtracted and divided last. The two halves are also
there on their own, so that training can keep the resized images as bytes and augment them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from mlhw.errors import ConfigError
from mlhw.vision.names import Fit
from mlhw.vision.networks.transfers import sent

if TYPE_CHECKING:
    import torch

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Span = tuple[float, float]
Pixels: TypeAlias = "np.ndarray | torch.Tensor | Sequence[np.ndarray]"

LARGEST_SIZE = 4096


@dataclass(frozen=True)
class PixelScale:
    """Which pixels a network takes, and how those of more than 8 bits become 8-bit ones.

    Attributes:
        span: the values that become 0 and 255, with those beyond clipped; None: no such pixels.
        eight_bit: 8-bit images are taken too, as they are.
    """

    span: Span | None = None
    eight_bit: bool = True

    def __post_init__(self) -> None:
        if self.span is None:
            return
        low, high = self.span
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"pixels run from {low} to {high}: no range")


EIGHT_BIT = PixelScale()


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side to ``resize``, cut the middle ``size`` × ``size``, normalise.

    Attributes:
        size: side of the square that the network sees, in pixels.
        resize: length of the shorter side before the middle is cut out; at least ``size``.
        interpolation: always with the low-pass filter that keeps shrunk images free of aliasing
            (``nearest`` has none).
        mean, std: per channel (R, G, B), of values scaled to 0 … 1.
        squash: both sides become ``resize``, whatever the shape was, before the middle is cut out.
        fit: ``crop`` does all that; the others keep the whole image: ``pad`` makes the longer side
            ``size`` and fills up with ``mean``, half on either side; ``squash`` makes both ``size``.
        pixels: what 8-bit images are made of; recorded here, applied where files are decoded.

    An image smaller than ``size`` is enlarged to ``size`` exactly, so that nothing is cut from its
    shorter side: the margin is meant for photographs, and an 8 × 8 digit has none to give.
    """

    size: int
    resize: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    squash: bool = False
    fit: Fit = "crop"
    pixels: PixelScale = EIGHT_BIT

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST_SIZE:
            raise ConfigError(
                f"image_size: must be from 1 to {LARGEST_SIZE} pixels (got {self.size})"
            )
        if self.resize < self.size:
            raise ValueError(f"resize {self.resize} is below size {self.size}")
        if self.interpolation not in get_args(Interpolation):
            raise ValueError(f"unknown interpolation {self.interpolation!r}")
        if self.fit not in get_args(Fit):
            raise ValueError(f"unknown fit {self.fit!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean and std need three values, std above 0: {self.mean} {self.std}")

    def with_size(self, size: int | None) -> Preprocessing:
        """The same for a network that sees ``size`` × ``size``; None leaves it as it is."""
        if size is None or size == self.size:
            return self
        return replace(self, size=size, resize=round(self.resize * size / self.size))

    def to_batch(self, images: Pixels) -> torch.Tensor:
        """Images as the network takes them.

        Args:
            images: 8-bit RGB: one array or tensor (N, H, W, 3), or a sequence of arrays (H, W, 3)
                of differing sizes.

        Returns:
            float32 (N, 3, size, size) in channels-last memory, where ``images`` were (the CPU for
            arrays).
        """
        return self.normalize(self.fitted(images))

    def fitted(self, images: Pixels) -> torch.Tensor:
        """The first half of ``to_batch``: resized and cut, still 8-bit, (N, 3, size, size)."""
        import torch

        if not isinstance(images, (np.ndarray, torch.Tensor)):
            if not len(images):
                return torch.empty((0, 3, self.size, self.size), dtype=torch.uint8)
            return torch.cat([self.fitted(image[None]) for image in images])
        # torch warns of arrays that are read-only (memory maps) and refuses reversed axes.
        is_plain = isinstance(images, torch.Tensor) or (
            images.flags.writeable and images.flags.c_contiguous
        )
        batch = torch.as_tensor(images if is_plain else np.array(images))
        if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[3] != 3:
            raise ValueError(
                f"images must be 8-bit (N, H, W, 3), got {batch.dtype} {tuple(batch.shape)}"
            )
        batch = batch.permute(0, 3, 1, 2)  # in memory still N, H, W, 3: channels last
        height, width = self._resized(batch.shape[2], batch.shape[3])
        if (height, width) != tuple(batch.shape[2:]):
            batch = _resample(batch, (height, width), self.interpolation)
        if self.fit == "pad":
            return self._padded(batch)
        top, left = round((height - self.size) / 2), round((width - self.size) / 2)
        return batch[:, :, top : top + self.size, left : left + self.size]

    def normalize(self, batch: torch.Tensor) -> torch.Tensor:
        """The second half of ``to_batch``: 8-bit (N, 3, S, S) to float32, normalised."""
        import torch

        scale, shift = (sent(each, batch.device) for each in self.scale_and_shift())
        values = batch.to(torch.float32, memory_format=torch.channels_last)
        return values.mul_(scale[:, None, None]).add_(shift[:, None, None])

    def scale_and_shift(self) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 (3,) each: (x/255 − mean)/std in one multiplication and one addition."""
        import torch

        scale = torch.tensor([1 / (255 * s) for s in self.std])
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)])
        return scale, shift

    def to_json(self) -> dict[str, Any]:
        """JSON values from which ``from_json`` makes the same object."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        """What ``to_json`` gave. Raises ValueError or TypeError for anything else."""
        mean, std = (tuple(float(v) for v in values[key]) for key in ("mean", "std"))
        pixels = dict(values.get("pixels", {}))
        if pixels.get("span") is not None:
            low, high = pixels["span"]
            pixels["span"] = float(low), float(high)
        return cls(**{**values, "mean": mean, "std": std, "pixels": PixelScale(**pixels)})

    @property
    def mean_level(self) -> list[int]:
        """The 8-bit value of each channel that is normalised to about 0."""
        return [min(max(round(255 * mean), 0), 255) for mean in self.mean]

    def _padded(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        count, _, height, width = batch.shape
        fill = torch.tensor(self.mean_level, dtype=torch.uint8, device=batch.device)
        square = fill.expand(count, self.size, self.size, 3).permute(0, 3, 1, 2)
        square = square.contiguous(memory_format=torch.channels_last)
        top, left = (self.size - height) // 2, (self.size - width) // 2
        square[:, :, top : top + height, left : left + width] = batch
        return square

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.fit == "squash":
            return self.size, self.size
        if self.fit == "pad":
            longer = max(height, width)
            # At least one pixel of a line that is far longer than wide.
            return max(1, round(self.size * height / longer)), max(
                1, round(self.size * width / longer)
            )
        shorter = min(height, width)
        side = self.resize if shorter >= self.size else self.size
        if self.squash:
            return side, side
        # The longer side is rounded down, as torchvision and timm do.
        return (
            (side, int(side * width / height))
            if height <= width
            else (int(side * height / width), side)
        )


def _resample(
    batch: torch.Tensor, size: tuple[int, int], interpolation: Interpolation
) -> torch.Tensor:
    """8-bit (N, 3, H, W) at another size, rounded and clamped to 8 bits as Pillow does."""
    import torch
    from torch.nn import functional

    if interpolation == "nearest":
        return functional.interpolate(batch, size, mode="nearest-exact")
    if batch.device.type == "cpu":  # its 8-bit kernel is several times faster than floats
        return functional.interpolate(batch, size, mode=interpolation, antialias=True)
    values = functional.interpolate(batch.float(), size, mode=interpolation, antialias=True)
    return values.round_().clamp_(0, 255).to(torch.uint8)
