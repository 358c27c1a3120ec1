"""What a formula of the course comes to as it is printed, ``sum_k w_k1^(2) delta_k^(3)``, word by word."""

from __future__ import annotations

import re

import numpy as np

from mlhw.maths.activations import ACTIVATIONS
from mlhw.maths.four_ways import FourWays
from mlhw.maths.network import forward

_SYMBOL = re.compile(r"(h'\()?([awxz]|delta)_(\d|k)(\d|k)?(?:\^\((\d)\))?\)?")


def value_of(formula: str, c: FourWays) -> float:
    """Its value for the first input; words beside each other are multiplied.

    ValueError for a formula with a word that is none of the course's.
    """
    if " - " in formula:
        first, second = formula.split(" - ")
        return value_of(first, c) - value_of(second, c)
    words = formula.split()
    if "sum_k" in words:
        at = words.index("sum_k")
        before = [_symbol(word, c) for word in words[:at]]
        units = len(c.trial.weights[1])
        terms = [np.prod([_symbol(word, c, k) for word in words[at + 1 :]]) for k in range(units)]
        return float(np.prod(before) * np.sum(terms))
    return float(np.prod([_symbol(word, c) for word in words]))


def _symbol(word: str, c: FourWays, k: int = 0) -> float:
    """One entry by its name, in which layers and units count from 1; ``k`` stands for that unit, from 0."""
    p = c.trial
    if word == "t":
        return float(p.T[0, 0])
    match = _SYMBOL.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no symbol of the course")
    slope, name, i, j, layer = match.groups()
    row, column = (k if index == "k" else int(index or 1) - 1 for index in (i, j))
    at = int(layer or 1)
    activity = forward(p.network, p.weights, p.X)
    if slope:
        h = ACTIVATIONS[p.network.hidden[at - 2]]
        return float(h.derivative(activity.a[at - 2])[0, row])
    if name == "w":
        return float(p.weights[at - 1][row, column])
    if name == "delta":
        return float(c.analytic.deltas[at - 2][0, row])
    values = {"a": activity.a[at - 2], "z": activity.z[at - 1], "x": p.X}
    return float(values[name][0, row])
