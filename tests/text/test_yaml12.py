"""YAML as people mean it."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlhw.errors import ConfigError
from mlhw.text import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E-4", 0.0005),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("+7", 7),
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("12:30:00", "12:30:00"),
        ("2026-11-24", "2026-11-24"),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1_000", "1_000"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("=", "="),
        ("'1e-3'", "1e-3"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = yaml12.parse(f"key: {text}", "x.yaml")[0]["key"]
    assert found == value
    assert type(found) is type(value)


def test_the_line_of_every_key_and_item_is_known() -> None:
    _, lines = yaml12.parse("a: 1\nb:\n  c: [1,\n    2]\n", "x.yaml")
    assert lines["a",] == 1
    assert lines["b",] == 2
    assert lines["b", "c"] == 3
    assert lines["b", "c", 1] == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3: the key 'a' stands twice (first on line 1)"),
        ("a: [1", "x.yaml:1: not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "x.yaml:1: the tag"),
        ("a: !!python/name:os.system", "x.yaml:1: the tag"),
        ("a: !mine 3", "x.yaml:1: the tag !mine is not allowed"),
        ("a: !!set {b, c}", "x.yaml:1: the tag"),
        ("a: &x [*x]", "x.yaml:1: too many or too deeply nested"),
        ("? [1, 2]\n: 3", "x.yaml:1: a key must be a plain word"),
        ("\tkey: 1", "x.yaml:1: not valid YAML"),
        ("a: 1\n---\nb: 2", "x.yaml:2: not valid YAML"),
        ("a: \x01", "not valid YAML"),
        ("[" * 2000, "x.yaml"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yaml12.parse(text, "x.yaml")
    assert sentence in caught.value.lines[0]


def test_a_billion_laughs_is_refused_in_no_time() -> None:
    levels = ["- &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match="too many"):
        yaml12.parse("\n".join(levels), "x.yaml")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), children, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=5))
def test_what_is_dumped_is_read_back_equal(value: dict[str, object]) -> None:
    text = yaml12.dump(value)
    assert yaml12.parse(text, "x")[0] == (value or {})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_dumped_floats_are_numbers_to_every_yaml_reader(value: float) -> None:
    assert yaml.safe_load(yaml12.dump({"x": value}))["x"] == value


@given(st.text(max_size=80))
def test_any_text_is_a_value_or_one_plain_error(text: str) -> None:
    try:
        yaml12.parse(text, "x")
    except ConfigError as error:
        assert len(error.lines) == 1
