"""Neighbours differ in colour, on maps of planes and on others."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.maths.colouring import colouring
from mlhw.maths.regions import upper_envelope


@given(st.integers(2, 40), st.integers(0, 2**32))
def test_neighbouring_regions_of_planes_differ_with_six_colours(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-9, 10, (count, 2)).tolist()
    biases = rng.integers(-9, 10, count).tolist()
    pairs = [b.classes for b in upper_envelope(weights, biases).boundaries]
    found = colouring(count, pairs, 6)
    assert set(found) <= set(range(6))
    assert all(found[i] != found[j] for i, j in pairs)


def test_up_to_as_many_countries_as_colours_have_one_each_in_their_order() -> None:
    assert colouring(8, [(0, 1)], 8) == list(range(8))
    assert colouring(0, [], 8) == []


def test_colours_are_used_equally_where_neighbours_leave_the_choice() -> None:
    found = colouring(20, [], 8)
    assert sorted(found.count(c) for c in range(8)) == [2, 2, 2, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("count", [3, 4, 7])
def test_a_map_without_enough_colours_is_coloured_as_well_as_can_be(count: int) -> None:
    everyone = list(combinations(range(count), 2))
    found = colouring(count, everyone, count - 1)
    assert sum(found[i] == found[j] for i, j in everyone) == 1
