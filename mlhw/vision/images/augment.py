"""The order of the samples and their random changes, as functions of (seed, epoch, sample).

No generator runs along with the training, so none has to be saved: a run continued in the middle of
an epoch sees the very pixels it would have seen, with any number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mlhw.vision.networks.transfers import sent

if TYPE_CHECKING:
    import torch

Simple = Literal["none", "flip", "crop", "flip-crop"]

# Each kind of draw has a stream of its own.
_ORDER, _CHANGE, _BALANCED = 0, 1, 4

# He et al. 2015, section 4.2, shift 32 × 32 images by up to 4 pixels.
SHIFT = 1 / 8


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of 0 … ``count`` − 1: the order of the samples in this epoch."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


def balanced_order(seed: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """As many samples as there are ``labels`` (n,), every class equally often, in random order.

    Where n is no multiple of the number of classes, some are drawn once more, others in each epoch.
    So are samples within a class: each is drawn as often as any other of it, or once more.
    """
    generator = np.random.default_rng([seed, _BALANCED, epoch])
    present = np.unique(labels)
    quotas = np.full(len(present), len(labels) // len(present))
    quotas[generator.permutation(len(present))[: len(labels) % len(present)]] += 1
    drawn = []
    for label, quota in zip(present, quotas, strict=True):
        members = np.flatnonzero(labels == label)
        times, rest = divmod(int(quota), len(members))
        drawn += [np.tile(members, times), generator.permutation(members)[:rest]]
    return generator.permutation(np.concatenate(drawn))


def random_numbers(seed: int, epoch: int, count: int) -> np.ndarray:
    """Three uniform numbers in [0, 1) for each sample in this epoch, (count, 3)."""
    return np.random.default_rng([seed, _CHANGE, epoch]).random((count, 3))


def change(pixels: torch.Tensor, uniform: np.ndarray, augment: Simple) -> torch.Tensor:
    """Flipped and shifted images.

    Args:
        pixels: (N, 3, S, S), any type, on any device.
        uniform: (N, 3) in [0, 1): flipped where the first is below ½; shifted down and right by up
            to ⌊S/8⌋ pixels either way as the second and third say. What a shift uncovers is filled
            with the reflection of the image at its edge, without the edge itself.
        augment: ``none``, ``flip`` (left and right exchanged), ``crop`` (shifted), ``flip-crop``.

    Returns:
        A new tensor of the same shape in channels-last memory; ``pixels`` itself for ``none``.
    """
    if augment == "none":
        return pixels
    import torch

    size, device = pixels.shape[-1], pixels.device
    line = torch.arange(size, device=device)
    rows, columns = line.expand(len(pixels), size), line.expand(len(pixels), size)
    if augment in ("crop", "flip-crop"):
        reach = int(size * SHIFT)
        offsets = torch.from_numpy(np.floor(uniform[:, 1:] * (2 * reach + 1)).astype(np.int64))
        offsets = sent(offsets - reach, device)
        rows = _reflect(rows + offsets[:, :1], size)
        columns = _reflect(columns + offsets[:, 1:], size)
    if augment in ("flip", "flip-crop"):
        flipped = sent(torch.from_numpy(uniform[:, :1] < 0.5), device)
        columns = torch.where(flipped, columns.flip(1), columns)
    # One gather on (N, S, S, 3) does both; a pixel's three values lie side by side there.
    images = torch.arange(len(pixels), device=device)[:, None, None]
    chosen = pixels.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2)


def _reflect(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions outside 0 … size − 1 folded back at the first and last pixel."""
    positions = positions.abs()
    last = size - 1
    return last - (last - positions).abs()
