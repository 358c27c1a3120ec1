"""Parts of a whole put together in one order, whoever works out which of them: a fixed binary tree.

Floating-point sums depend on their order. Of 16 parts 0 and 1 are put together, 2 and 3, …, then (0 1) and
(2 3), up to one. A process that has 4 parts beside each other, from a multiple of 4 on, has a whole branch of
this tree; so its one sum, put together with those of the others in the same way, is bit for bit what one
process has that holds all parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

Parts = tuple[np.ndarray, ...]
"""What was worked out from some rows: several arrays, each put together in a way of its own."""


def _stacked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The triangular factor of two matrices one above the other, of their own factors (…, d, d)."""
    return np.asarray(np.linalg.qr(np.concatenate([a, b], axis=-2), mode="r"))


def _hashed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(a.tobytes() + b.tobytes()).digest(), np.uint8)


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "sum": lambda a, b: np.asarray(a + b),
    "min": np.minimum,
    "max": np.maximum,
    "join": lambda a, b: np.concatenate([a, b]),
    "distinct": np.union1d,
    "triangle": _stacked,
    "digest": _hashed,
}
"""How two arrays become one. ``triangle``: the factor R of QR of all rows (Demmel and others 2012,
"Communication-optimal parallel and sequential QR")."""


def joined(ways: Sequence[str], a: Parts | None, b: Parts | None) -> Parts | None:
    """Two neighbours in their order; None is nothing."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(WAYS[way](x, y) for way, x, y in zip(ways, a, b, strict=True))


def up_the_tree(ways: Sequence[str], parts: Sequence[Parts | None]) -> Parts | None:
    """All parts up the tree. Their number is a power of two."""
    if len(parts) & (len(parts) - 1) or not parts:
        raise ValueError(f"a power of two is needed (got {len(parts)} parts)")
    level = list(parts)
    while len(level) > 1:
        level = [joined(ways, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]
