"""The options that say how submissions are asked."""

from __future__ import annotations

from typing import Any

import pytest

from mlhw.commands.options import with_flags
from mlhw.config.load import from_keywords
from mlhw.errors import ConfigError
from mlhw.experiments.backprop_check.experiment import Config
from mlhw.experiments.backprop_check.network_config import network_of
from mlhw.grading.conventions import COURSE
from mlhw.grading.options import asking_of


def configured(**keys: Any) -> Config:
    return from_keywords(Config, keys)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--bias"], ["--bias=last"]),
        (["--bias", "--trials", "3"], ["--bias=last", "--trials", "3"]),
        (["--bias", "first"], ["--bias", "first"]),
        (["--no-bias", "--trials", "3"], ["--bias=none", "--trials", "3"]),
        (["--no-plots"], ["--no-plots"]),
    ],
)
def test_bias_is_a_flag_and_has_values(typed: list[str], read: list[str]) -> None:
    assert with_flags(typed, Config) == read


@pytest.mark.parametrize(
    ("given", "kept", "biased", "asked"),
    [
        (True, True, True, "last"),
        (False, False, False, "last"),
        ("none", False, False, "last"),
        ("last", True, True, "last"),
        ("first", "first", True, "first"),
        ("separate", "separate", True, "separate"),
    ],
)
def test_where_the_biases_are_says_whether_there_are_any(
    given: Any, kept: Any, biased: bool, asked: str
) -> None:
    config = configured(bias=given)
    assert config.bias == kept
    assert network_of(config).bias is biased
    assert asking_of(config, config.bias).conventions.bias == asked


def test_another_bias_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"must be none, first, last or separate \(got middle\)"):
        configured(bias="middle")


def test_without_options_everything_is_as_in_the_course() -> None:
    asking = asking_of(configured(), False)
    assert (asking.conventions, asking.adapter, asking.loading) == (COURSE, None, "auto")
    assert (asking.time_limit, asking.import_limit) == (5.0, 5.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"orientation": "in-out"},
        {"samples": "columns"},
        {"returns": "flat"},
        {"bias": "separate"},
    ],
)
def test_an_option_for_the_form_has_no_place_beside_an_adapter(keys: dict[str, Any]) -> None:
    config = configured(adapter="nielsen", **keys)
    with pytest.raises(ConfigError, match="says nothing beside an adapter"):
        asking_of(config, config.bias)
    plain = configured(adapter="nielsen", bias=True, reduction="sum")
    assert asking_of(plain, plain.bias).conventions.reduction == "sum"
