"""A grid worked out by blocks against a look at every point."""

from __future__ import annotations

import numpy as np
import pytest

from mlhw.maths.blocks import by_blocks


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (8, 9), (10, 3), (17, 40), (61, 64)])
def test_convex_parts_are_found_whole_wherever_their_edges_run(rows: int, columns: int) -> None:
    def look(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = np.where(3 * i + 2 * j > rows + columns, 2, np.where(j > i, 1, 0))
        return value, np.ones(len(i), bool)

    i, j = np.indices((rows, columns))
    expected = look(i.ravel(), j.ravel())[0].reshape(rows, columns)
    np.testing.assert_array_equal(by_blocks(rows, columns, look), expected)


def test_what_is_not_sure_is_looked_at_point_by_point() -> None:
    asked = []

    def look(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(i))
        return (i == 5) & (j == 6), j > 8

    found = by_blocks(33, 33, look)
    assert np.argwhere(found).tolist() == [[5, 6]]
    # Right of column 8 every corner is sure.
    assert sum(asked) == 5 * 5 + 33 * 16
