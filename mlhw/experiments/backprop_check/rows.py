"""The rows of backprop-check's tables: every derivative of one network, each network, each file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlhw.grading.judgement import Grade
from mlhw.maths.four_ways import WAYS, FourWays


def network_row(number: int, c: FourWays) -> tuple[Any, ...]:
    """The structure of network ``number`` and the worst relative error of each way."""
    network = c.trial.network
    return (
        number,
        "-".join(map(str, network.layers)),
        " ".join(network.hidden),
        network.output,
        network.loss,
        int(network.bias),
        len(c.trial.X),
        network.size,
        *(c.worst[way].error if way in c.worst else None for way in WAYS),
        len(c.kinks),
        c.unresolved,
    )


def gradient_rows(c: FourWays) -> Iterator[tuple[Any, ...]]:
    """Every δ from the output back, then every weight that was checked."""
    layers = c.trial.network.depth - 1
    arrays = list(c.analytic)
    for k in [*reversed(range(layers, 2 * layers)), *range(layers)]:
        found = {way: list(gradients)[k] for way, gradients in c.found.items()}
        errors = [list(gradients)[k] for gradients in c.errors.values()]
        every = np.argwhere(np.ones(arrays[k].shape))
        for at in c.entries[k] if k < layers else every:
            index = tuple(int(i) for i in at)
            values = [_number(found[way][index]) if way in found else None for way in WAYS]
            worst = np.nanmax([e[index] for e in errors])
            yield c.name_of(k, index), float(arrays[k][index]), *values, float(worst)


def grade_row(grade: Grade) -> tuple[Any, ...]:
    """One implementation and what it is worth."""
    return (
        str(grade.implementation.path),
        grade.implementation.function,
        grade.verdict,
        " ".join(grade.diagnosis),
        len(grade.wrong),
        grade.message,
        round(grade.seconds, 3),
    )


def _number(value: Any) -> float | None:
    """A cell of a table: empty where a way has no value."""
    return float(value) if math.isfinite(value) else None
