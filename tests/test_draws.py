"""What the tests draw is the same every time, and more of it under ``fuzz``."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FUZZ_TIMES, lengthen


def drawn() -> list[str]:
    """What a hypothesis test is given, run anew."""
    seen: list[str] = []

    @settings(settings.get_profile("default"), max_examples=300)
    @given(st.integers() | st.floats() | st.text())
    def test(value: object) -> None:
        seen.append(repr(value))

    test()
    return seen


def test_a_test_draws_the_same_whatever_was_drawn_and_imported_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn()
    random.seed(17)
    (tmp_path / "imported_later.py").write_text("A, B, C = 123456789, 1.23456789, 'imported'\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("imported_later")
    assert drawn() == first


@pytest.mark.parametrize(
    ("options", "examples"), [({"max_examples": 7}, 7), ({}, settings().max_examples)]
)
def test_fuzz_multiplies_the_examples_also_of_a_test_that_says_how_many(
    options: dict[str, Any], examples: int
) -> None:
    seen = []

    @settings(**options)
    @given(st.integers())
    def test(value: int) -> None:
        seen.append(value)

    lengthen(test)
    test()
    assert len(seen) == FUZZ_TIMES * examples


@pytest.mark.parametrize("turn", [1, 2])
def test_the_global_generators_begin_every_test_alike(turn: int) -> None:
    expected = (np.random.RandomState(0).random(), random.Random(0).random())
    assert (np.random.random(), random.random()) == expected
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(0))
