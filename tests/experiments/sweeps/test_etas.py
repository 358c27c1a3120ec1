"""Lists of learning rates."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.experiments.sweeps.etas import parse_etas


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5,0.3,0.1", [0.5, 0.3, 0.1]),
        (" 0.5 , 1e-3 ", [0.5, 0.001]),
        ("1:0.01:log3", [1.0, 0.1, 0.01]),
        ("0.1:0.5:lin5", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("2,0.1:0.3:lin3", [2.0, 0.1, 0.2, 0.3]),
        ("5", [5.0]),
        ([0.5, "0.1:0.2:lin2"], [0.5, 0.1, 0.2]),
        (0.25, [0.25]),
    ],
)
def test_lists_and_ranges_are_read_in_their_order(text: object, expected: list[float]) -> None:
    assert parse_etas(text) == expected


def test_a_logarithmic_range_has_equal_ratios_and_exact_ends() -> None:
    etas = parse_etas("0.01:1:log9")
    assert (len(etas), etas[0], etas[-1]) == (9, 0.01, 1.0)
    ratios = [b / a for a, b in pairwise(etas)]
    assert max(ratios) - min(ratios) < 1e-10


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "must have at least one rate"),
        ([], "must have at least one rate"),
        ("0.5,,0.1", "rate 2 is empty"),
        ("0.5,0", "rate 2 must be greater than 0 (got 0)"),
        ("-0.1", "rate 1 must be greater than 0 (got -0.1)"),
        ("nan", "rate 1 must be finite (got nan)"),
        ("0.1,inf", "rate 2 must be finite (got inf)"),
        ("0.1,-.inf", "rate 2 must be finite (got -inf)"),
        ([0.1, math.nan], "rate 2 must be finite (got nan)"),
        ("0.5,0.1,0.5", "rate 3 repeats 0.5"),
        ("0.1,0.1:0.5:lin5", "rate 2 repeats 0.1"),
        ("fast", "rate 1 must be a number (got fast)"),
        ([True], "rate 1 must be a number (got True)"),
        ("0.1:1:geo5", "rate 1 must be START:STOP:logN or START:STOP:linN (got 0.1:1:geo5)"),
        ("0.1:0.5:lin\uff13", "rate 1 must be START:STOP:logN or START:STOP:linN"),
        ("0.1,\uff11", "rate 2 must be a number"),
        ("0.1:1:log1", "rate 1 must be a range of 2 to 1000 rates (got 1)"),
        ("0:1:log5", "rate 1 must be greater than 0 (got 0)"),
        ({"a": 1}, "must be a list of numbers"),
    ],
)
def test_what_is_no_rate_is_named_by_its_place(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        parse_etas(value)
    assert sentence in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_gives_positive_distinct_rates_or_a_sentence(text: str) -> None:
    try:
        etas = parse_etas(text)
    except ValueError:
        return
    assert all(0 < eta < math.inf for eta in etas)
    assert len(set(etas)) == len(etas)
