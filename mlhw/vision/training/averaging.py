"""A moving average of the weights, which is judged and kept in their place."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlhw.vision.networks.head import TunedNetwork


class Average:
    """θ̄ ← d θ̄ + (1 − d) θ after every step; ``network`` holds θ̄.

    The average of Polyak and Juditsky 1992 with exponential weights, as in Kingma and Ba 2015
    (arXiv:1412.6980, section 7.2). At step t (from 0) d is ``decay``, but at most (1 + t)/(10 + t), as in
    TensorFlow's ExponentialMovingAverage: otherwise the random start would still be in it after hundreds
    of steps. What does not learn is the same in both networks, bit for bit.
    """

    def __init__(self, network: TunedNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    def update(self, network: TunedNetwork, step: int) -> None:
        """Take in the weights after step ``step``, and the statistics of the batch norm that learns."""
        share = 1.0 - decay_at(self.decay, step)
        pairs = list(self._learning(network))
        with torch.no_grad():
            torch._foreach_lerp_([mean for mean, _ in pairs], [now for _, now in pairs], share)

    def _learning(self, network: TunedNetwork) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The tensors of the average, and those of ``network``, that a step changes."""
        parameters = zip(self.network.parameters(), network.parameters(), strict=True)
        yield from (pair for pair in parameters if pair[1].requires_grad)
        for module, other in zip(self.network.modules(), network.modules(), strict=True):
            if not other.training:
                continue
            for mean, now in zip(
                module.buffers(recurse=False), other.buffers(recurse=False), strict=True
            ):
                if now.is_floating_point():
                    yield mean, now
                else:
                    mean.copy_(now)  # batch norm's counter


def decay_at(decay: float, step: int) -> float:
    """What the average keeps of itself at step ``step``, from 0."""
    return min(decay, (1 + step) / (10 + step))
