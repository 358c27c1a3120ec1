"""softmax-regions as a function: its claims on random planes, its probes and its fit against oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import mlhw
from mlhw.errors import ConfigError, DataError
from mlhw.result import Result

Planes = list[tuple[float, float, float]]

integers = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=2, max_size=7)
numbers = st.floats(-1e6, 1e6).map(lambda x: 0.0 if abs(x) < 1e-100 else x)
floats = st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=6)


def run(planes: Any, **keys: Any) -> Result:
    planes = np.asarray(planes, float)
    return mlhw.run(
        "softmax-regions", weights=planes[:, :2].tolist(), biases=planes[:, 2].tolist(), **keys
    )


def verdicts(result: Result) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in result.claims}


def paths(result: Result) -> dict[str, np.ndarray]:
    """The rows of ``probes`` without the path, by path."""
    rows: dict[str, list[Any]] = {}
    for path, *numbers in result.tables["probes"].rows:
        rows.setdefault(path, []).append(numbers)
    return {path: np.array(numbers) for path, numbers in rows.items()}


@settings(max_examples=60, deadline=None)
@given(integers)
def test_no_claim_fails_on_planes_of_small_integers_with_all_their_degeneracies(
    planes: Planes,
) -> None:
    assert "fails" not in verdicts(run(planes)).values()


@settings(max_examples=60, deadline=None)
@given(floats)
def test_no_claim_fails_on_planes_with_weights_up_to_a_million(planes: Planes) -> None:
    try:
        result = run(planes)
    except ConfigError as error:
        assert "beyond 1e+100" in str(error) or "shorter than 1e-100" in str(error)
        return
    failing = [claim for claim in result.claims if claim.verdict == "fails"]
    assert not failing
