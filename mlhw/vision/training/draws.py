"""Dropout whose masks are functions of (seed, epoch, image), as the changes of the images are.

A generator would have to be drawn from in one order by one process. Here each number is a hash of what it
belongs to, worked out for a whole batch at once on its own device, so that several processes draw for the
images that they have what one would draw for all, and nothing has to be saved for a run that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from mlhw.vision.networks.transfers import sent

_DROPOUT = 5  # beside the streams of draws of ``transforms`` and ``augment``

# SplitMix64's increment and finalizer (Steele, Lea and Flood 2014; Stafford's variant 13).
_GOLDEN = 0x9E3779B97F4A7C15
_MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST = 31
_BITS = 24  # of a float32's significand

_WHOLE = {functional.dropout, torch.dropout}
_CHANNELS = {functional.dropout1d, functional.dropout2d, functional.dropout3d}
_NAMES = ("p", "drop_prob", "drop_rate", "dropout")


class Draws(TorchFunctionMode):
    """What torch draws in the block for each image of a batch, as a function of (seed, epoch, image).

    Dropout's masks, and tensors filled at random that have the batch's images as their first dimension, or
    the same number of rows for each, as windows of attention have. Other draws are torch's own.

    Args:
        numbers: (N,), of each image in this epoch; the same draws for the same number.
    """

    def __init__(self, seed: int, epoch: int, numbers: np.ndarray) -> None:
        super().__init__()
        self.seed, self.epoch = seed, epoch
        self.numbers = np.asarray(numbers, dtype=np.uint64)
        self._calls = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in _WHOLE or function in _CHANNELS:
            found = self._dropout(function in _CHANNELS, *args, **kwargs)
            if found is not None:
                return found
        elif function is torch.Tensor.bernoulli_ and self._is_ours(args[0].shape):
            share = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
            return args[0].copy_(self._uniform(args[0].shape, args[0].device) < share)
        elif function is torch.Tensor.uniform_ and self._is_ours(args[0].shape) and len(args) == 1:
            return args[0].copy_(self._uniform(args[0].shape, args[0].device))
        elif function in (torch.rand_like, torch.rand):
            drawn = function(*args, **kwargs)
            if self._is_ours(drawn.shape):
                return drawn.copy_(self._uniform(drawn.shape, drawn.device))
            return drawn
        return function(*args, **kwargs)

    def _dropout(
        self,
        channels: bool,
        input: torch.Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> torch.Tensor | None:
        """``input`` with a share of its elements, or of its channels, set to 0; None for another's."""
        if not training or p == 0 or not self._is_ours(input.shape):
            return None
        shape = input.shape
        if channels:
            shape = torch.Size([*shape[:2], *[1] * (len(shape) - 2)])
        kept = self._uniform(shape, input.device) >= p
        scaled = kept.to(input.dtype) / (1 - p) if p < 1 else kept.to(input.dtype)
        return input.mul_(scaled) if inplace else input * scaled

    def _is_ours(self, shape: torch.Size) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[0] % len(self.numbers) == 0

    def _uniform(self, shape: torch.Size, device: torch.device) -> torch.Tensor:
        """Numbers in [0, 1), float32 of this shape; other ones with each call."""
        entropy = (self.seed, _DROPOUT, self.epoch, self._calls)
        self._calls += 1
        base = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        keys = _mixed_numbers(base + self.numbers * np.uint64(_GOLDEN))
        each = math.prod(shape) // len(self.numbers)
        places = torch.arange(1, each + 1, device=device) * _signed(_GOLDEN)
        found = _mixed(sent(torch.from_numpy(keys.view(np.int64)), device)[:, None] + places)
        drawn = _shifted(found, 64 - _BITS).float() * 2.0**-_BITS
        return drawn.reshape(shape)


def keyed_draws(
    draws: bool, seed: int, epoch: int, numbers: np.ndarray
) -> AbstractContextManager[Any]:
    """A block in which a network draws as a function of (seed, epoch, image), if it ``draws`` at all."""
    return Draws(seed, epoch, numbers) if draws else nullcontext()


def draws_in_training(network: nn.Module) -> bool:
    """Whether anything in ``network`` that learns draws."""
    return any(map(_draws, network.modules()))


def _draws(module: nn.Module) -> bool:
    """Whether a module that learns draws: dropout, or what goes by the name in other libraries."""
    if not module.training:
        return False
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if type(module).__module__.startswith("torch.nn."):
        return False
    shares = (getattr(module, name, 0) for name in _NAMES)
    return any(isinstance(share, float) and share > 0 for share in shares)


def _mixed_numbers(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer, uint64 (n,)."""
    with np.errstate(over="ignore"):
        for shift, factor in _MIXING:
            values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    mixed: np.ndarray = values ^ (values >> np.uint64(_LAST))
    return mixed


def _mixed(values: torch.Tensor) -> torch.Tensor:
    """The same of int64, whose products wrap around."""
    for shift, factor in _MIXING:
        values = (values ^ _shifted(values, shift)) * _signed(factor)
    return values ^ _shifted(values, _LAST)


def _shifted(values: torch.Tensor, bits: int) -> torch.Tensor:
    """To the right, with zeros coming in: torch's own shift brings the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
