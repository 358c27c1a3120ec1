"""What an epoch trains on, held on a GPU: only the order of the images then travels.

A network for 32 × 32 images takes a batch in a millisecond, in which a processor cannot read, change and
send the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from mlhw.vision.networks.transfers import sent

if TYPE_CHECKING:
    from mlhw.vision.images.image_sets import ImageSet
    from mlhw.vision.networks.preprocessing import Preprocessing

Part = TypeVar("Part")

# The part of the free memory of a device that images, or features, may take. What trains needs the rest.
MEMORY_SHARE = 0.2
BYTES_AT_ONCE = 128 << 20  # bytes of batches, as floats, that are made in one go
FITTED_AT_ONCE = 1024  # images that are resized in one go


def in_groups(parts: Sequence[Part], sizes: Sequence[int]) -> list[list[Part]]:
    """``parts`` in groups that are made in one go: of 128 MiB together, or a single larger one.

    Args:
        sizes: bytes that each part takes.
    """
    groups: list[list[Part]] = []
    total = 0
    for part, size in zip(parts, sizes, strict=True):
        if not groups or total + size > BYTES_AT_ONCE:
            groups.append([])
            total = 0
        groups[-1].append(part)
        total += size
    return groups


def fits(device: torch.device, size: int) -> bool:
    """Whether ``size`` bytes are few beside what ``device`` has left."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return size <= MEMORY_SHARE * (free + unused)


def held_images(
    images: ImageSet, preprocessing: Preprocessing, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """All of ``images`` at the network's size, uint8 (n, 3, S, S), and labels, int64 (n,), on ``device``.

    None where they are to stay where they are: on a CPU, in files, or because they are too many.
    """
    count, size = len(images), preprocessing.size
    if not images.resident or not fits(device, count * 3 * size**2):
        return None
    shape = (count, size, size, 3)  # a pixel's three values side by side, which is channels last
    pixels = torch.empty(shape, dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    for start in range(0, count, FITTED_AT_ONCE):
        part = np.arange(start, min(start + FITTED_AT_ONCE, count))
        pixels[part[0] : part[-1] + 1] = sent(preprocessing.fitted(images.images(part)), device)
    return pixels, sent(torch.tensor(images.labels), device)


def held_rows(
    features: torch.Tensor, labels: torch.Tensor, parts: Sequence[np.ndarray]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The rows of ``features`` (n, d) and the ``labels`` (n,) of each part, which lie on one device."""
    bytes_each = features.element_size() * features.shape[1]
    for group in in_groups(parts, [len(part) * bytes_each for part in parts]):
        indices = sent(torch.from_numpy(np.concatenate(group)), features.device)
        lengths = [len(part) for part in group]
        yield from zip(
            torch.split(features[indices], lengths),
            torch.split(labels[indices], lengths),
            strict=True,
        )
