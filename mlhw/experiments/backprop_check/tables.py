"""The tables of backprop-check: every derivative of one network, and a line for each network."""

from __future__ import annotations

import math
from typing import Any

from mlhw.maths.four_ways import WAYS, Comparison
from mlhw.result.recorder import Recorder

_WAYS = {
    "autograd": "torch's automatic differentiation",
    "complex_step": "the imaginary part of the loss after an imaginary step; for analytic networks",
    "finite_difference": "central differences, extrapolated",
}
GRADIENT_COLUMNS = {
    "quantity": "a δ, or the derivative of the loss by a weight (layer in brackets)",
    "analytic": "by back-propagation",
    **{way: _WAYS[way] for way in WAYS},
    "max_relative_error": "the largest difference of the three, divided by the largest entry of its "
    "vector or matrix",
}
NETWORK_COLUMNS = {
    "network": "0 is the configured one, the others are drawn at random",
    "layers": "units a layer, from input to output",
    "hidden": "activations of the hidden layers",
    "output": "activation of the output",
    "loss": "what is differentiated",
    "bias": "1 with bias weights",
    "batch": "samples over which the loss is the mean",
    "weights": "how many",
    **{way: f"largest relative error against {_WAYS[way]}" for way in WAYS},
    "kinks": "derivatives at a kink of a ReLU, where differences say nothing",
    "unresolved": "derivatives below what rounding lets differences resolve",
}


def network_row(number: int, c: Comparison) -> tuple[Any, ...]:
    """The structure of network ``number`` and the worst relative error of each way."""
    network = c.problem.network
    return (
        number,
        "-".join(map(str, network.layers)),
        " ".join(network.hidden),
        network.output,
        network.loss,
        int(network.bias),
        len(c.problem.X),
        network.size,
        *(c.worst[way].error if way in c.worst else None for way in WAYS),
        len(c.kinks),
        c.unresolved,
    )


def write_gradients(c: Comparison, recorder: Recorder) -> None:
    """``gradients.csv``: every δ from the output back, then every weight that was checked."""
    import numpy as np

    table = recorder.table("gradients", GRADIENT_COLUMNS)
    layers = c.problem.network.depth - 1
    arrays = list(c.analytic)
    for k in [*reversed(range(layers, 2 * layers)), *range(layers)]:
        found = {way: list(gradients)[k] for way, gradients in c.found.items()}
        errors = [list(gradients)[k] for gradients in c.errors.values()]
        rows = []
        every = np.argwhere(np.ones(arrays[k].shape))
        for at in c.entries[k] if k < layers else every:
            index = tuple(int(i) for i in at)
            values = [_number(found[way][index]) if way in found else None for way in WAYS]
            worst = np.nanmax([e[index] for e in errors])
            rows.append((c.name_of(k, index), float(arrays[k][index]), *values, float(worst)))
        table.extend(rows)


def _number(value: Any) -> float | None:
    """A cell of a table: empty where a way has no value."""
    return float(value) if math.isfinite(value) else None
