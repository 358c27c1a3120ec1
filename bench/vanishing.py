"""How many digits of gradients through 153 layers are right: each log10 against mpmath with 60 digits.

    python bench/vanishing.py

How long they take is a row of ``performance.py``.
"""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from timing import machine, record

from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks

WORST = 20


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
    digits()


if __name__ == "__main__":
    main()
