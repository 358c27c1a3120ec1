"""10,000 chains of 152 weights beside torch autograd draw by draw, and how many digits are right.

    python bench/vanishing.py

The chains: normal weights drawn, forward and backward, the sign and logarithm of every gradient.
torch: the same chain in float64, one draw after another, as one would write it first; its time is
that of 100 draws, times 100. The digits: log10 of every gradient against mpmath with 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import torch
from timing import in_turn, machine, record, show

from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks

DRAWS, WEIGHTS, TIMED = 10_000, 152, 100
WORST = 20


def ours(activation: str) -> int:
    """All draws in the blocks of the experiment; the number of gradients."""
    network = NetworkKind(activation, 1, WEIGHTS + 1)
    setting = Setting("normal", 1.0, DRAWS, 1.0, 0.0, 0)
    return sum(block_gradients(network, w, 1.0, setting).log.size for w in blocks(network, setting))


def draw_by_draw(activation: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor | None]:
    """``TIMED`` draws in torch's usual way: a graph for each, ``backward``, the gradients."""
    w = torch.randn(WEIGHTS, TIMED, dtype=torch.float64)
    found = []
    for draw in range(TIMED):
        weights = w[:, draw].clone().requires_grad_()
        z = torch.ones((), dtype=torch.float64)
        for weight in weights[:-1]:
            z = activation(weight * z)
        (0.5 * (weights[-1] * z) ** 2).backward()
        found.append(weights.grad)
    return found


def speed() -> None:
    for name, activation in (("sigmoid", torch.sigmoid), ("relu", torch.relu)):
        mlhw, theirs = f"mlhw, {DRAWS} draws", f"torch autograd, {TIMED} draws"
        times = in_turn(
            {mlhw: lambda: ours(name), theirs: lambda: draw_by_draw(activation)},  # noqa: B023
            runs=5,
        )
        ratio = times[theirs] * DRAWS / TIMED / times[mlhw]
        show(
            f"{name} chain of {WEIGHTS} weights",
            times,
            [
                f"{times[mlhw]:.3f} s for {DRAWS} draws (at most 0.3)",
                f"{ratio:.0f} times faster than torch draw by draw (at least 100)",
            ],
        )


def reference(w: tuple[np.ndarray, ...], h: Any, dh: Any) -> list[Any]:
    """Every ∂E/∂w_11 of one network by back-propagation with mpmath; x = 1, t = 0."""
    if len(w) == 1:
        layers = [[[weight]] for weight in w[0][:, 0].tolist()]
    else:
        layers = [*w[0][..., 0].tolist(), [w[1][:, 0].tolist()]]
    z, slopes = [[mpmath.mpf(1)] * len(layers[0][0])], []
    for layer in layers[:-1]:
        a = [mpmath.fdot(row, z[-1]) for row in layer]
        slopes.append([dh(value) for value in a])
        z.append([h(value) for value in a])
    delta = [mpmath.fdot(layers[-1][0], z[-1])]
    found = [delta[0] * z[-1][0]]
    for row in reversed(range(len(slopes))):
        back = [mpmath.fdot(column, delta) for column in zip(*layers[row + 1], strict=True)]
        delta = [slope * value for slope, value in zip(slopes[row], back, strict=True)]
        found.insert(0, delta[0] * z[row][0])
    return found


def digits() -> None:
    zero, one = mpmath.mpf(0), mpmath.mpf(1)
    pairs = {
        "sigmoid": (
            lambda a: 1 / (1 + mpmath.exp(-a)),
            lambda a: mpmath.exp(-a) / (1 + mpmath.exp(-a)) ** 2,
        ),
        "relu": (lambda a: a if a > 0 else zero, lambda a: one if a > 0 else zero),
        "tanh": (mpmath.tanh, lambda a: mpmath.sech(a) ** 2),
        "gelu": (
            lambda a: a * mpmath.ncdf(a),
            lambda a: mpmath.ncdf(a) + a * mpmath.npdf(a),
        ),
    }
    print(f"\nlargest error of log10 |gradient| over {WORST} draws, all layers, against mpmath")
    errors = {}
    for network in (
        NetworkKind("sigmoid", 1, 153),
        NetworkKind("relu", 1, 153, alive=True),
        NetworkKind("gelu", 1, 153),
        NetworkKind("relu", 2, 153, alive=True),
        NetworkKind("tanh", 2, 153),
        NetworkKind("gelu", 2, 153),
        NetworkKind("relu", 8, 153),
    ):
        setting = Setting("normal", 1.0, WORST, 1.0, 0.0, 0)
        (w,) = blocks(network, setting)
        g = block_gradients(network, w, 1.0, setting)
        worst = 0.0
        with mpmath.workdps(60):
            for draw in range(WORST):
                one_draw = tuple(part[..., draw : draw + 1] for part in w)
                for row, exact in enumerate(reference(one_draw, *pairs[network.activation])):
                    log = float(g.log[row, draw])
                    if (exact == 0) != math.isinf(log):
                        worst = math.inf
                    elif exact != 0:
                        error = log / math.log(10) - float(mpmath.log10(abs(exact)))
                        worst = max(worst, abs(error))
        errors["-".join(network.title.replace(",", "").split())] = worst
        print(f"  {network.title.ljust(34)} {worst:.1e}")
    record("vanishing", {"numpy": np.__version__, "errors": errors})


def main() -> None:
    print(machine())
    speed()
    digits()


if __name__ == "__main__":
    main()
