"""Batches in a given order: read, resized, changed at random, normalised, on the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from mlhw.vision.training.device import memory_format
from mlhw.vision.training.sharing import Share, share_of

if TYPE_CHECKING:
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.config import Config
    from mlhw.vision.images.image_sets import ImageSet
    from mlhw.vision.images.transforms import Changes
    from mlhw.vision.networks.preprocessing import Preprocessing
    from mlhw.vision.training.device import Compute

Batch = tuple[torch.Tensor, torch.Tensor]
Piece = TypeVar("Piece")
Made = TypeVar("Made")

_AHEAD = 2  # batches that each worker may be ahead
_PIXELS = 1 << 20
_LARGEST = 256


def evaluation_batch(size: int) -> int:
    """Images of ``size`` × ``size`` in a batch without gradients: about a million pixels, 8 to 256.

    Larger ones gain nothing on a CPU and cost memory.
    """
    return max(8, min(_LARGEST, _PIXELS // size**2))


@dataclass(frozen=True)
class Loader:
    """The images of one split as the network takes them.

    ``workers`` threads make batches ahead of their use; 0 makes each when it is asked for. What is
    in a batch does not depend on it. ``group`` are the processes that share the images; None where one has
    them all.
    """

    images: ImageSet
    preprocessing: Preprocessing
    compute: Compute
    workers: int
    group: ProcessGroup | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def evaluation_batch(self) -> int:
        return evaluation_batch(self.preprocessing.size)

    def batches(
        self,
        indices: np.ndarray,
        batch_size: int,
        *,
        start: int = 0,
        least: int = 1,
        changes: Changes | None = None,
        numbers: np.ndarray | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """Normalised images (N, 3, S, S) and labels (N,) of the samples at ``indices``, in order.

        Mixed images have shares of the classes (N, K) in place of labels. With a ``share`` only this part of
        each batch comes, as it is in the whole one; it may be empty.

        Args:
            indices: the samples, (n,).
            batch_size: N; the last batch may be smaller.
            start: number of the first batch that is wanted.
            least: a last batch of fewer joins the one before.
            changes: random changes of the images.
            numbers: of each image in ``indices``, for its draws; None is the sample's own.
        """
        numbers = indices if numbers is None else numbers

        def make(place: tuple[int, np.ndarray]) -> Batch:
            number, whole = place
            positions = whole[share.of(len(whole))] if share is not None else whole
            if not len(positions):
                return self._nothing()
            mixes = changes is not None and changes.mixes
            if mixes and share is not None:
                # Each image is mixed with the one before it in the batch, the first with the last.
                before = positions[0] - 1 if positions[0] > whole[0] else whole[-1]
                positions = np.concatenate([[before], positions])
            part = indices[positions]
            images = self.images.images(part)
            if changes is None:
                pixels = self.preprocessing.fitted(images)
            else:
                pixels = changes.fitted(images, numbers[positions], self.preprocessing)
            labels = torch.from_numpy(self.images.labels[part])
            if self.compute.device.type == "cuda":  # bytes travel, floats are made there
                pixels = pixels.pin_memory().to(self.compute.device, non_blocking=True)
                labels = labels.pin_memory().to(self.compute.device, non_blocking=True)
            batch = self.preprocessing.normalize(pixels.to(self.compute.device))
            labels = labels.to(self.compute.device)
            if changes is not None and mixes:
                batch, labels = changes.mixed(batch, labels, number)
                if share is not None:
                    batch, labels = batch[1:], labels[1:]
            layout = memory_format(self.compute.layout)
            return batch.contiguous(memory_format=layout), labels

        parts = pieces(np.arange(len(indices)), batch_size, start, least)
        return ahead(make, list(enumerate(parts, start)), self.workers)

    def _nothing(self) -> Batch:
        size, device = self.preprocessing.size, self.compute.device
        return torch.empty(0, 3, size, size, device=device), torch.empty(0, device=device).long()

    def all(self) -> Iterator[Batch]:
        """Every image once, in the split's order, in batches for evaluation; those of this process."""
        return self.batches(np.arange(len(self))[self.own(self.group)], self.evaluation_batch)

    def own(self, group: ProcessGroup | None, process: int | None = None) -> slice:
        """The images that this process looks at, or ``process`` does, where each looks at some.

        They are whole batches: what a network gives for an image may depend in its last bit on the batch.
        """
        share = share_of(group)
        share = share if process is None else Share(process, share.world)
        batches = share.of(-(-len(self) // self.evaluation_batch))
        return slice(
            batches.start * self.evaluation_batch,
            min(batches.stop * self.evaluation_batch, len(self)),
        )


def feature_batches(
    features: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    batch_size: int,
    device: torch.device,
    start: int = 0,
    least: int = 1,
) -> Iterator[Batch]:
    """Batches of stored features in place of images: rows (N, d) of ``features``, and labels (N,)."""
    for part in pieces(indices, batch_size, start, least):
        rows, targets = torch.from_numpy(features[part]), torch.from_numpy(labels[part])
        yield rows.to(device), targets.to(device)


def pieces(indices: np.ndarray, size: int, start: int = 0, least: int = 1) -> list[np.ndarray]:
    """``indices`` cut into pieces of ``size``, from piece ``start`` on.

    The last piece may be smaller; if it has fewer than ``least``, it is joined to the one before.
    """
    starts = list(range(0, len(indices), size))
    if len(starts) > 1 and len(indices) - starts[-1] < min(least, size):
        starts.pop()
    ends = [*starts[1:], len(indices)]
    return [indices[i:end] for i, end in zip(starts, ends, strict=False)][start:]


def smallest_batch(config: Config) -> int:
    """Images that a batch in training has at least.

    Batch norm takes mean and variance over the batch and the pixels of a feature map; where that has
    one pixel left, a single image has no variance.
    """
    return 2 if config.trains_backbone and config.batch_norm == "train" else 1


def batch_sizes(config: Config, images: int) -> list[int]:
    """Images in each batch of an epoch that goes over so many."""
    parts = pieces(np.arange(images), config.batch_size, least=smallest_batch(config))
    return [len(part) for part in parts]


def count_steps(config: Config, images: int) -> int:
    """Steps in which an epoch goes over so many images: one for every ``accumulate`` batches."""
    return -(-len(batch_sizes(config, images)) // config.accumulate)


def ahead(make: Callable[[Piece], Made], parts: Sequence[Piece], workers: int) -> Iterator[Made]:
    """Yield ``make(part)`` for each part in order; ``workers`` threads compute some of them ahead."""
    if not workers:
        yield from map(make, parts)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting = deque(pool.submit(make, part) for part in parts[: workers * _AHEAD])
            for part in parts[workers * _AHEAD :]:
                yield waiting.popleft().result()
                waiting.append(pool.submit(make, part))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
