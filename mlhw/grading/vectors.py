"""One vector of all gradients, split into matrices in every order that somebody may unroll them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlhw.grading.conventions import Conventions
from mlhw.maths.network import Network

if TYPE_CHECKING:
    import numpy as np

    Split = tuple[str, list[np.ndarray], list[np.ndarray] | None]


def split_vector(vector: np.ndarray, network: Network, conventions: Conventions) -> Iterator[Split]:
    """Matrices in the form of ``conventions``, their biases where apart, and how they were unrolled.

    Nothing where the vector has another size.
    """
    without = [(rows, columns - network.bias) for rows, columns in network.shapes]
    whole = [_turned(shape, conventions) for shape in network.shapes]
    bare = [_turned(shape, conventions) for shape in without]
    rows = [shape[0] for shape in network.shapes]
    total = sum(a * b for a, b in network.shapes)
    if vector.size == total - (sum(rows) if network.bias else 0):
        for order, words in _ORDERS:
            yield words, _cut(vector, bare, order), None
        return
    if vector.size != total:
        return
    for order, words in _ORDERS:
        apart = list(_apart(vector, bare, rows, order, words))
        joined: list[Split] = [(words, _cut(vector, whole, order), None)]
        yield from [*apart, *joined] if conventions.bias == "separate" else [*joined, *apart]


_ORDERS = (("C", "row by row"), ("F", "column by column"))


def _apart(
    vector: np.ndarray, bare: list[tuple[int, int]], rows: list[int], order: str, words: str
) -> Iterator[Split]:
    count = len(rows)
    vectors = [(1, size) for size in rows]
    in_turn = [shape for pair in zip(bare, vectors, strict=True) for shape in pair]
    parts = _cut(vector, in_turn, order)
    yield f"{words}, each matrix before its biases", parts[::2], parts[1::2]
    parts = _cut(vector, [*bare, *vectors], order)
    yield f"{words}, all biases last", parts[:count], parts[count:]
    parts = _cut(vector, [*vectors, *bare], order)
    yield f"{words}, all biases first", parts[count:], parts[:count]


def _turned(shape: tuple[int, int], conventions: Conventions) -> tuple[int, int]:
    return shape[::-1] if conventions.orientation == "in-out" else shape


def _cut(vector: np.ndarray, shapes: list[tuple[int, int]], order: str) -> list[np.ndarray]:
    found, at = [], 0
    for rows, columns in shapes:
        part = vector[at : at + rows * columns]
        found.append(part.reshape((rows, columns), order="F" if order == "F" else "C"))
        at += rows * columns
    return found
