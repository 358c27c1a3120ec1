"""The backbone compiled by ``torch.compile``, where that can be done."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from mlhw.errors import ConfigError

if TYPE_CHECKING:
    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.training.device import Compute


def compile_backbone(network: TunedNetwork) -> None:
    """Let the backbone be compiled when it is first called with images of a shape.

    In place, so that names of tensors stay as they are; copies are not compiled. Each shape by itself:
    what is compiled for all shapes depends on which came first, so that a resumed run would give other
    bits.
    """
    network.backbone.compile(dynamic=False)


def require_compiling(compute: Compute) -> None:
    """Compile and run a step of a layer on this machine, for an error before the run begins.

    Compilers fail in many ways, at the first call: no C++ compiler, no headers of Python's, no Triton.
    Raises ConfigError.
    """
    trial = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.ReLU()).to(compute.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler's own modules say of each other
            compiled = torch.compile(trial, dynamic=False)
            compiled(torch.zeros(2, 3, 4, 4, device=compute.device)).sum().backward()
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise ConfigError(
            f"compile: torch.compile does not work here ({type(error).__name__}: {reason.strip()}); "
            "leave --compile out"
        ) from None
