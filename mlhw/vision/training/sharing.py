"""One step's work shared by several processes: who has which images, and gradients added up.

The global batch is what a single process would take. Each process has consecutive images of it, weighs its
loss by its share of the batch's weight, and the gradients are added up. So shares of unequal size, a last
batch of fewer images than processes and steps of several batches give the gradient that one process has.
torch's DistributedDataParallel takes the mean of the processes instead, wants an image for each, and has to
be made anew where other layers begin to learn; what is taken over from it is that gradients travel in
buckets while the others are still being worked out (Li et al. 2020, arXiv:2006.15704, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch.distributed import Work
    from torch.utils.hooks import RemovableHandle

    from mlhw.system.ranks import ProcessGroup

BUCKET = 25 << 20
"""Bytes of gradients that travel together, as DistributedDataParallel has it."""


@dataclass(frozen=True)
class Share:
    """The part of each batch that process ``rank`` of ``world`` has.

    ``least`` images are in each part that is not empty: batch norm finds no variance in a single one.
    """

    rank: int
    world: int
    least: int = 1

    def of(self, count: int) -> slice:
        """The positions of its images among ``count``; parts differ by one at most, the last may be empty."""
        having = max(1, min(self.world, count // self.least))
        if self.rank >= having:
            return slice(count, count)
        each, more = divmod(count, having)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))


def share_of(group: ProcessGroup | None, least: int = 1) -> Share:
    """The part of this process; all of it where it is alone."""
    return Share(group.rank, group.world, least) if group is not None else Share(0, 1)


def gathered(part: np.ndarray, group: ProcessGroup | None) -> np.ndarray:
    """The parts of all processes, one after the other, flat; ``part`` itself where there is one."""
    if group is None:
        return part
    parts = group.gather(np.ascontiguousarray(part).tobytes())
    return np.frombuffer(bytearray().join(parts), part.dtype)  # one that can be written


class GradientSums:
    """The gradients of ``parameters``, added up over the processes step by step.

    Statistics that batch norm learns (``buffers``, of floating point) become the mean of those of the
    processes, by their images, so that all have the same network after each step.

        with sums.of_last():       # gradients travel as soon as they are there
            loss.backward()
        sums.finish(numbers, 0.5)  # now they are there; half of the step's images were here
    """

    def __init__(
        self,
        group: ProcessGroup,
        parameters: Sequence[nn.Parameter],
        buffers: Sequence[torch.Tensor] = (),
    ) -> None:
        self.group = group
        self.buffers = list(buffers)
        self._before = [buffer.clone() for buffer in self.buffers]
        self._buckets = _buckets(list(reversed(parameters)))
        self._bucket_of = {
            id(parameter): number
            for number, bucket in enumerate(self._buckets)
            for parameter in bucket
        }
        self._flat: list[tuple[torch.Tensor, Work]] = []
        self._missing = [len(bucket) for bucket in self._buckets]
        self._travels = False
        self._unused: set[int] = set()
        self._hooks: list[RemovableHandle] = [
            parameter.register_post_accumulate_grad_hook(self._came)  # type: ignore[no-untyped-call]
            for parameter in parameters
        ]

    @property
    def bytes(self) -> int:
        """What each process adds to the sums in a step."""
        tensors = [parameter for bucket in self._buckets for parameter in bucket]
        return sum(t.numel() * t.element_size() for t in (*tensors, *self.buffers))

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def begin(self) -> None:
        """A step begins. NCCL cannot be left in the middle of one, so all have to be here to take it."""
        if self.group.nccl:
            self.group.barrier()

    @contextmanager
    def of_last(self) -> Iterator[None]:
        """The backward pass after which no more comes to this step's gradients here."""
        self._travels = True
        try:
            yield
        finally:
            self._travels = False
        found = (p for bucket in self._buckets for p in bucket)
        self._unused = {id(p) for p in found if p.grad is None}

    def finish(self, numbers: torch.Tensor, weight: float) -> None:
        """Wait until gradients and ``numbers`` are the sums over all processes.

        ``weight`` is this process's share of the step's images. Where another process is gone, the buffers
        are as they were before the step, which can then be left out.
        """
        try:
            self._begin_up_to(len(self._buckets))
            flat = torch.cat([weight * b.reshape(-1) for b in self.buffers] or [numbers[:0]])
            own = numbers.clone()
            late = [(t, self.group.begin_sum(t)) for t in (own, flat) if t.numel()]
            for tensor, work in (*self._flat, *late):
                self.group.end_sum(work, tensor)
        except BaseException:
            torch._foreach_copy_(self.buffers, self._before) if self.buffers else None
            raise
        for (tensor, _), bucket in zip(self._flat, self._buckets, strict=True):
            _unpack(tensor, [p.grad for p in bucket if p.grad is not None])
        for bucket in self._buckets:
            for parameter in bucket:
                if id(parameter) in self._unused:
                    parameter.grad = None  # the optimizer passes over it, as with one process
        numbers.copy_(own)
        _unpack(flat, self.buffers)
        for before, now in zip(self._before, self.buffers, strict=True):
            before.copy_(now)
        self._flat = []
        self._missing = [len(bucket) for bucket in self._buckets]

    def _came(self, parameter: torch.Tensor) -> None:
        """A gradient is whole: off it goes, once all of its bucket and the buckets before are."""
        if not self._travels:
            return
        self._missing[self._bucket_of[id(parameter)]] -= 1
        ready = len(self._flat)
        while ready < len(self._buckets) and not self._missing[ready]:
            ready += 1
        self._begin_up_to(ready)

    def _begin_up_to(self, number: int) -> None:
        """Begin to add up the buckets before ``number``, in the same order in every process."""
        for bucket in self._buckets[len(self._flat) : number]:
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            flat = torch.cat([p.grad.reshape(-1) for p in bucket if p.grad is not None])
            self._flat.append((flat, self.group.begin_sum(flat)))


def learning_statistics(network: nn.Module) -> list[torch.Tensor]:
    """The buffers that a step changes, such as the mean and variance of batch norm that learns."""
    return [
        buffer
        for module in network.modules()
        if module.training
        for buffer in module.buffers(recurse=False)
        if buffer.is_floating_point()
    ]


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters of one kind of number and about ``BUCKET`` bytes each."""
    found: list[list[nn.Parameter]] = []
    size = 0
    for parameter in parameters:
        bytes_of = parameter.numel() * parameter.element_size()
        if not found or size + bytes_of > BUCKET or found[-1][0].dtype != parameter.dtype:
            found.append([])
            size = 0
        found[-1].append(parameter)
        size += bytes_of
    return found


def _unpack(flat: torch.Tensor, into: Sequence[torch.Tensor]) -> None:
    start = 0
    for tensor in into:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
