"""Sums in a fixed binary tree: the same bits whoever holds which of the parts."""

from __future__ import annotations

import numpy as np
import pytest

from mlhw.maths.tree import Parts, joined, up_the_tree

WAYS = ("sum", "min", "max", "join", "distinct", "triangle", "digest")


def drawn(count: int = 16) -> list[Parts | None]:
    rng = np.random.default_rng(0)
    parts: list[Parts | None] = []
    for _ in range(count):
        x = rng.standard_normal(40) * 10.0 ** rng.integers(-8, 8, 40)
        triangle = np.linalg.qr(rng.standard_normal((9, 4)), mode="r")
        digest = rng.integers(0, 256, 32).astype(np.uint8)
        parts.append((x, x, x, x, x, triangle, digest))
    return parts


def bits(parts: Parts | None) -> list[bytes]:
    assert parts is not None
    return [array.tobytes() for array in parts]


@pytest.mark.parametrize("holes", [[], [3], [0, 1, 2, 3, 9]])
def test_branches_put_together_are_the_whole_tree_bit_for_bit(holes: list[int]) -> None:
    parts = [None if i in holes else part for i, part in enumerate(drawn())]
    alone = bits(up_the_tree(WAYS, parts))
    for processes in (2, 4, 8, 16):
        each = len(parts) // processes
        branches = [up_the_tree(WAYS, parts[i : i + each]) for i in range(0, len(parts), each)]
        assert bits(up_the_tree(WAYS, branches)) == alone


def test_another_order_has_other_bits() -> None:
    parts = drawn()
    total: Parts | None = None
    for part in parts:
        total = joined(WAYS, total, part)
    assert bits(total)[0] != bits(up_the_tree(WAYS, parts))[0]


def test_triangular_factors_have_the_singular_values_of_all_rows() -> None:
    rows = np.random.default_rng(1).standard_normal((64, 5))
    parts: list[Parts | None] = [
        (np.linalg.qr(rows[i : i + 8], mode="r"),) for i in range(0, 64, 8)
    ]
    found = up_the_tree(("triangle",), parts)
    assert found is not None
    np.testing.assert_allclose(
        np.linalg.svd(found[0], compute_uv=False), np.linalg.svd(rows, compute_uv=False), rtol=1e-14
    )


@pytest.mark.parametrize("count", [0, 3, 12])
def test_only_a_power_of_two_has_a_whole_tree(count: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        up_the_tree(("sum",), [None] * count)
