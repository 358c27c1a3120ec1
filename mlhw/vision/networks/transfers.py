"""Numbers on their way to a GPU, which do not make this process wait until they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``tensor`` on ``device``; itself where it is there already.

    From ordinary memory a copy to a GPU waits for all that the GPU has still to do. So it goes by way of
    memory that stays in its place, which torch keeps until the copy is done.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
