"""Answers laid beside the right gradients: shapes, entries, and the result in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlhw.grading.returned import Returned
from mlhw.maths.mistakes.search import Explanation
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


def shape_problem(network: Network, inputs: int, replies: Sequence[Returned]) -> str | None:
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
    network: Network, replies: Sequence[Returned], inputs: int
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


@dataclass(frozen=True)
class Compared:
    """Answers beside the right gradients: the ``wrong`` entries, and ``errors`` (D,), the worst of each draw.

    ``got`` are the gradients (D, …) and ``deltas`` (D, N, n_l) as they were answered, if at all.
    ``layer`` is that of the first wrong ∂E/∂W^(l), counted from the output on, in which a derivation goes.
    """

    got: Sequence[np.ndarray]
    deltas: Sequence[np.ndarray] | None
    wrong: list[Wrong]
    errors: np.ndarray
    layer: int | None

    @property
    def worst(self) -> float:
        return float(self.errors.max())

    @property
    def draws(self) -> np.ndarray:
        """(D,): whether anything is wrong in a draw."""
        found: np.ndarray = self.errors > ENTRY_TOLERANCE
        return found


def compared(
    network: Network,
    got: Sequence[np.ndarray],
    deltas: Sequence[np.ndarray] | None,
    right: Gradients,
) -> Compared:
    """The wrong entries, each with the values of the first draw in which it is, and the errors."""
    import numpy as np

    wrong: list[Wrong] = []
    worst = np.zeros(len(got[0]))
    first: int | None = None
    for layer, (returned, want) in enumerate(zip(got, right.weights, strict=True), start=1):
        rows, columns = returned.shape[1:]
        g = _laid_over(returned, want)
        error = _relative(g, want)
        worst = np.maximum(worst, error.max(axis=(-2, -1)))
        for j, i in _entries(error):
            d = int((error[:, j, i] > ENTRY_TOLERANCE).argmax())
            value = float(g[d, j, i]) if j < rows and i < columns else None
            name = weight_name(network, layer, j, i)
            wrong.append(Wrong(name, j + 1, i + 1, value, float(want[d, j, i])))
            first = layer
    for layer, (g, want) in enumerate(zip(deltas or [], right.deltas, strict=False), start=2):
        # For a batch both are taken: the delta of E_n, and that of the mean E, 1/N of it.
        error, of_mean = _relative(g, want), _relative(g, want / want.shape[1])
        if of_mean.max() < error.max():
            error, want = of_mean, want / want.shape[1]
        worst = np.maximum(worst, error.max(axis=(-2, -1)))
        for n, j in _entries(error):
            d = int((error[:, n, j] > ENTRY_TOLERANCE).argmax())
            value = float(g[d, n, j])
            wrong.append(Wrong(delta_name(layer, j), j + 1, None, value, float(want[d, n, j])))
    return Compared(got, deltas, wrong, worst, first)


def missing_layer(network: Network, replies: Sequence[Returned]) -> int | None:
    """The layer whose gradient is missing where all others are there, in their order; else None."""
    for layer, _ in enumerate(network.shapes, start=1):
        wanted = [s for other, s in enumerate(network.shapes, start=1) if other != layer]
        if all(
            len(_gradient_shapes(reply)) == len(wanted)
            and all(s in (w, w[::-1]) for s, w in zip(_gradient_shapes(reply), wanted, strict=True))
            for reply in replies
        ):
            return layer
    return None


def bias_left_out(network: Network, replies: Sequence[Returned]) -> bool:
    """Whether every gradient has all columns but that of the biases."""
    wanted = [(rows, columns - 1) for rows, columns in network.shapes]
    return network.bias and all(_gradient_shapes(reply) == wanted for reply in replies)


def _gradient_shapes(reply: Returned) -> list[tuple[int, ...]]:
    return reply.shapes[: len(reply.shapes) - (reply.deltas or 0)]


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


def in_words(result: Compared, explanation: Explanation, before: str = "") -> str:
    """``wrong in dE/dW^(2) (w_11, w_21), in all 20 draws; w_11^(2): got 1, expected 2; likely: …``.

    ``before``: what is wrong besides what the explanation says.
    """
    wrong = result.wrong
    groups: dict[str, list[Wrong]] = {}
    for entry in wrong:
        kind = "delta" if entry.column is None else "dE/dW"
        groups.setdefault(f"{kind}^({entry.quantity.rpartition('(')[2]}", []).append(entry)
    if len(groups) > 1 and all(entry.got == 0 for entry in wrong):
        return "every wrong entry is 0: nothing is derived there yet"
    parts = []
    for group, entries in groups.items():
        names = [entry.quantity.removeprefix("dE/d").partition("^")[0] for entry in entries]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        strange = any(e.got is not None and not math.isfinite(e.got) for e in entries)
        parts.append(f"{group} ({shown}{', NaN or infinite' if strange else ''})")
    if before:
        known = f"{before} and {explanation.words}" if explanation.codes else before
        why = f"likely: {known}"
    else:
        why = str(explanation)
    return f"wrong in {', '.join(parts)}{_where(result)}; {why}"


def _where(result: Compared) -> str:
    """In how many draws, first where, and one entry as it is and as it should be."""
    draws, count = int(result.draws.sum()), len(result.draws)
    said = f", in {'all' if draws == count else f'{draws} of'} {count} draws"
    here = [e for e in result.wrong if e.quantity.endswith(f"^({result.layer})") and e.column]
    if here and here[0].got is not None:
        entry = here[0]
        said += (
            f", from the output on first in dE/dW^({result.layer}): {entry.quantity} is {entry.got:.6g}, "
            f"expected {entry.expected:.6g}"
        )
    return said
