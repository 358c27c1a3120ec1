"""Which samples are in which batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.vision.training.batches import ahead, pieces


@given(
    n=st.integers(1, 60), size=st.integers(1, 20), start=st.integers(0, 5), least=st.integers(1, 2)
)
def test_pieces_hold_every_sample_once_in_order_and_only_a_last_one_is_folded(
    n: int, size: int, start: int, least: int
) -> None:
    indices = np.random.default_rng(n).permutation(n)
    found = pieces(indices, size, least=least)
    assert np.array_equal(np.concatenate(found), indices)
    plain = [indices[i : i + size] for i in range(0, n, size)]
    folded = least == 2 and size > 1 and len(plain) > 1 and len(plain[-1]) == 1
    assert len(found) == len(plain) - folded
    assert all(np.array_equal(a, b) for a, b in zip(found[:-1], plain, strict=False))
    rest = pieces(indices, size, start, least)
    assert all(np.array_equal(a, b) for a, b in zip(rest, found[start:], strict=True))


def test_work_that_is_left_may_be_collected_in_a_thread_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector runs in whatever thread it is due: an interrupt leaves the work in a cycle."""
    held: list[Iterator[int]] = []
    left, collected = threading.Event(), threading.Event()
    errors: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", errors.append)

    def make(part: int) -> int:
        if part:
            assert left.wait(10)
            held.clear()
            collected.set()
        return part

    held.append(ahead(make, [0, 1], 1))
    assert next(held[0]) == 0
    left.set()
    assert collected.wait(10)
    assert errors == []
