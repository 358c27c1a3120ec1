"""Answers laid beside the right gradients: shapes, entries, and the result in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlhw.grading.process import Reply
from mlhw.maths.mistakes import Explanation
from mlhw.maths.network import Gradients, Network, delta_name, weight_name

if TYPE_CHECKING:
    import numpy as np

ENTRY_TOLERANCE = 1e-6
"""Of a matrix's largest entry: a derivation in float32 passes, no mistake does."""


@dataclass(frozen=True)
class Wrong:
    """An entry that is wrong; row and column count from 1, as in w_ji: j, i.

    ``got`` is None where a transposed matrix has no such entry; it may be NaN or infinite.
    """

    quantity: str
    row: int
    column: int | None
    got: float | None
    expected: float


def shape_problem(network: Network, inputs: int, replies: Sequence[Reply]) -> str | None:
    """What is wrong with the shapes of some replies, in words; a transposed matrix is no problem."""
    count = network.depth - 1
    for reply in replies:
        shapes = reply.shapes[: len(reply.shapes) - (reply.deltas or 0)]
        if len(shapes) != count:
            return f"{count} gradients are needed, one for each weight matrix; got {len(shapes)}"
        for layer, (shape, wanted) in enumerate(zip(shapes, network.shapes, strict=True), start=1):
            if shape not in (wanted, wanted[::-1]):
                return f"dE/dW^({layer}) must have the shape {wanted}; got {shape}"
        if reply.deltas is not None:
            shapes = reply.shapes[count:]
            if len(shapes) != count:
                return f"{count} deltas are needed, layers 2 to {network.depth}; got {len(shapes)}"
            for layer, shape in enumerate(shapes, start=2):
                size = inputs * network.layers[layer - 1]
                if math.prod(shape) != size:
                    return f"delta^({layer}) must have {size} numbers; got the shape {shape}"
        if reply.numbers is None:
            return "too many numbers returned"
    return None


def stacked(
    network: Network, replies: Sequence[Reply], inputs: int
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """The gradients (D, …) and, if every reply has them, the deltas (D, N, n_l).

    A matrix that is transposed in some replies only is turned there.
    """
    import numpy as np

    count = network.depth - 1
    numbers = [reply.numbers or [] for reply in replies]
    got = []
    for layer in range(count):
        parts = [n[layer] for n in numbers]
        if len({part.shape for part in parts}) > 1:
            parts = [p if p.shape == network.shapes[layer] else p.T for p in parts]
        got.append(np.array(parts))
    if any(reply.deltas is None for reply in replies):
        return got, None
    deltas = []
    for layer in range(count):
        shape = (inputs, network.layers[layer + 1])
        deltas.append(np.array([n[count + layer].reshape(shape) for n in numbers]))
    return got, deltas


def wrong_entries(
    network: Network,
    got: Sequence[np.ndarray],
    deltas: Sequence[np.ndarray] | None,
    right: Gradients,
) -> tuple[list[Wrong], float]:
    """The wrong entries, each with the values of the first draw in which it is, and the worst error."""
    wrong: list[Wrong] = []
    worst = 0.0
    for layer, (returned, want) in enumerate(zip(got, right.weights, strict=True), start=1):
        rows, columns = returned.shape[1:]
        g = _laid_over(returned, want)
        error = _relative(g, want)
        worst = max(worst, float(error.max()))
        for j, i in _entries(error):
            d = int((error[:, j, i] > ENTRY_TOLERANCE).argmax())
            value = float(g[d, j, i]) if j < rows and i < columns else None
            name = weight_name(network, layer, j, i)
            wrong.append(Wrong(name, j + 1, i + 1, value, float(want[d, j, i])))
    for layer, (g, want) in enumerate(zip(deltas or [], right.deltas, strict=False), start=2):
        # For a batch both are taken: the delta of E_n, and that of the mean E, 1/N of it.
        error, of_mean = _relative(g, want), _relative(g, want / want.shape[1])
        if of_mean.max() < error.max():
            error, want = of_mean, want / want.shape[1]
        worst = max(worst, float(error.max()))
        for n, j in _entries(error):
            d = int((error[:, n, j] > ENTRY_TOLERANCE).argmax())
            value = float(g[d, n, j])
            wrong.append(Wrong(delta_name(layer, j), j + 1, None, value, float(want[d, n, j])))
    return wrong, worst


def _relative(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """|difference| over the largest entry of each draw's matrix; infinite where ``got`` is no number."""
    import numpy as np

    scale = np.abs(want).max(axis=(-2, -1), keepdims=True)
    with np.errstate(all="ignore"):
        difference = np.abs(got - want)
        # A matrix that is 0 (dead ReLUs) has no size of its own.
        error = np.where((scale == 0) & (difference <= 1e-12), 0.0, difference / scale)
    return np.where(np.isfinite(error), error, np.inf)


def _laid_over(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """``got`` in the shape of ``want``: entries that a transposed matrix does not have are NaN."""
    import numpy as np

    if got.shape == want.shape:
        return got
    laid = np.full(want.shape, np.nan)
    rows, columns = (min(g, w) for g, w in zip(got.shape[1:], want.shape[1:], strict=True))
    laid[:, :rows, :columns] = got[:, :rows, :columns]
    return laid


def _entries(error: np.ndarray) -> list[tuple[int, int]]:
    import numpy as np

    return [(int(j), int(i)) for j, i in np.argwhere((error > ENTRY_TOLERANCE).any(axis=0))]


def in_words(wrong: Sequence[Wrong], explanation: Explanation) -> str:
    """``wrong in dE/dW^(2) (w_11, w_21); likely: h' of layer 3 is missing``."""
    if all(entry.got == 0 for entry in wrong):
        return "every wrong entry is 0: nothing is derived there yet"
    groups: dict[str, list[Wrong]] = {}
    for entry in wrong:
        kind = "delta" if entry.column is None else "dE/dW"
        groups.setdefault(f"{kind}^({entry.quantity.rpartition('(')[2]}", []).append(entry)
    parts = []
    for group, entries in groups.items():
        names = [entry.quantity.removeprefix("dE/d").partition("^")[0] for entry in entries]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        strange = any(e.got is not None and not math.isfinite(e.got) for e in entries)
        parts.append(f"{group} ({shown}{', NaN or infinite' if strange else ''})")
    return f"wrong in {', '.join(parts)}; {explanation}"
