"""Batches in a given order: read, resized, changed at random, normalised, on the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from mlhw.vision.networks.transfers import sent
from mlhw.vision.training.device import memory_format
from mlhw.vision.training.held import fits, held_images, held_rows, in_groups
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
    in a batch does not depend on it. A GPU holds images that are in memory anyway, if they are not too
    many for it, and makes the batches of an epoch itself. ``group`` are the processes that share the
    images; None where one has them all.
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
        mixes = changes is not None and changes.mixes

        def make(places: list[tuple[int, np.ndarray]]) -> list[Batch]:
            """The batches of these numbers and positions, made in one go."""
            own = [_positions(whole, share, mixes) for _, whole in places]
            positions = np.concatenate(own)
            if not len(positions):
                return [self._nothing()] * len(places)
            made = self._made(indices[positions], numbers[positions], changes, held)
            lengths = [len(each) for each in own]
            found = []
            for (number, _), images, labels in zip(
                places, *(torch.split(each, lengths) for each in made), strict=True
            ):
                if not len(images):
                    found.append(self._nothing())
                    continue
                if changes is not None and mixes:
                    images, labels = changes.mixed(images, labels, number)
                    if share is not None:
                        images, labels = images[1:], labels[1:]
                layout = memory_format(self.compute.layout)
                found.append((images.contiguous(memory_format=layout), labels))
            return found

        parts = list(enumerate(pieces(np.arange(len(indices)), batch_size, start, least), start))
        held = self._held(len(indices), changes)
        if held is None:
            return chain.from_iterable(ahead(make, [[part] for part in parts], self.workers))
        # Nothing is left to do ahead: the device is behind anyway.
        bytes_each = 3 * self.preprocessing.size**2 * torch.float32.itemsize
        groups = in_groups(parts, [len(whole) * bytes_each for _, whole in parts])
        return chain.from_iterable(map(make, groups))

    def _made(
        self,
        indices: np.ndarray,
        numbers: np.ndarray,
        changes: Changes | None,
        held: Batch | None,
    ) -> Batch:
        """The images at ``indices``, changed and normalised, and their labels, on the device."""
        device = self.compute.device
        if held is not None:
            chosen = sent(torch.from_numpy(indices), device)
            pixels, labels = (each[chosen] for each in held)
            if changes is not None:
                pixels = changes.changed(pixels, numbers)
        else:
            images = self.images.images(indices)
            if changes is None:
                pixels = self.preprocessing.fitted(images)
            else:
                pixels = changes.fitted(images, numbers, self.preprocessing)
            # Bytes travel, floats are made there.
            pixels, labels = (
                sent(each, device)
                for each in (pixels, torch.from_numpy(self.images.labels[indices]))
            )
        return self.preprocessing.normalize(pixels), labels

    def _held(self, count: int, changes: Changes | None) -> Batch | None:
        """All images on the device, where they are to be: for an epoch, and if changed, then there."""
        if changes is not None and not changes.at_once:
            return None
        return self.all_held if 2 * count >= len(self) else None

    @cached_property
    def all_held(self) -> Batch | None:
        """Images, uint8 (n, 3, S, S), and labels, (n,), on the device; None where it holds none."""
        return held_images(self.images, self.preprocessing, self.compute.device)

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
    parts = pieces(indices, batch_size, start, least)
    if fits(device, features.nbytes):
        rows, targets = (
            sent(torch.from_numpy(np.array(each)), device) for each in (features, labels)
        )
        yield from held_rows(rows, targets, parts)
        return
    for part in parts:
        rows, targets = torch.from_numpy(features[part]), torch.from_numpy(labels[part])
        yield sent(rows, device), sent(targets, device)


def _positions(whole: np.ndarray, share: Share | None, mixes: bool) -> np.ndarray:
    """Those of ``share`` among the positions of a batch; where images are mixed, one more before them.

    Each image is mixed with the one before it in the batch, the first with the last.
    """
    if share is None:
        return whole
    own = whole[share.of(len(whole))]
    if not (mixes and len(own)):
        return own
    before = own[0] - 1 if own[0] > whole[0] else whole[-1]
    return np.concatenate([[before], own])


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
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(make, part) for part in parts[: workers * _AHEAD])
        for part in parts[workers * _AHEAD :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(make, part))
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Without waiting: one that is left in the middle may be collected in a thread of its own pool.
        pool.shutdown(wait=False, cancel_futures=True)
