"""Gradients of 10,000 chains, without drawing them, beside torch autograd on all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rows import either

ROW = "11"
TITLE = "gradients of 10,000 chains of 152 weights, sigmoid (and ReLU), the weights drawn before"
GOAL = "at most 16 ms, or 6 times as fast as before, 3.9 times with ReLU"

DRAWS, DEPTH = 10_000, 153


def of_blocks(activation: str, width: int, draws: int) -> tuple[list[Any], Callable[[Any], Any]]:
    """The blocks of weights, and what gives the gradients of one."""
    from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks

    network = NetworkKind(activation, width, DEPTH)
    setting = Setting("normal", 1.0, draws, 1.0, 0.0, 0)
    return list(blocks(network, setting)), lambda w: block_gradients(network, w, 1.0, setting)


def works() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    for activation, name in (("sigmoid", "mlhw"), ("relu", "mlhw, ReLU")):
        drawn, gradients = of_blocks(activation, 1, DRAWS)

        def work(drawn: Any = drawn, gradients: Any = gradients) -> None:
            for w in drawn:
                gradients(w)

        found[name] = work
    try:
        import torch
    except ImportError:
        return found
    drawn, _ = of_blocks("sigmoid", 1, DRAWS)

    def batched() -> None:
        for (w,) in drawn:
            weights = torch.from_numpy(w).requires_grad_()
            z = torch.ones(w.shape[1], dtype=torch.float64)
            for row in weights.unbind()[:-1]:
                z = torch.sigmoid(row * z)
            (0.5 * (weights[-1] * z) ** 2).sum().backward()

    return found | {"torch, all chains at once": batched}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        f"at most 16 ms, or {fold} times as fast as before{of}": either(
            times, 0.016, fold, f"mlhw{of}"
        )
        for of, fold in (("", 6.0), (", ReLU", 3.9))
        if f"mlhw{of}" in times
    }


def checks() -> dict[str, float]:
    """The first gradient of a chain of 701 layers with weights of ½: near 1e-638."""
    import math

    import mpmath
    import numpy as np

    from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients

    network = NetworkKind("sigmoid", 1, 701)
    setting = Setting("constant", 0.5, 1, 1.0, 0.0, 0)
    g = block_gradients(network, (np.full((700, 1), 0.5),), 1.0, setting)
    with mpmath.workdps(40):
        z, slopes = mpmath.mpf(1), []
        for _ in range(699):
            z = 1 / (1 + mpmath.exp(-z / 2))
            slopes.append(z * (1 - z) / 2)
        exact = float(mpmath.log10(z / 2 * mpmath.fprod(slopes)))
    return {"error of log10 of a gradient of 1e-638": abs(g.log[0, 0] / math.log(10) - exact)}
