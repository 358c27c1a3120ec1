"""What is kept of a table: columns, rows, words as numbers; and labels, which are identities."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlhw.errors import DataError
from mlhw.experiments.softmax_regions.fit import FitConfig
from mlhw.points.cells import as_labels
from mlhw.points.config import PointsConfig
from mlhw.points.points import Points
from mlhw.points.spreads import spread_ratio, without_constants
from tests.points.reading import read, written

PEOPLE = (
    "name,sex,member,age,label\n"
    "Ann,female,yes,31,a\n"
    "Bob,male,no,NA,b\n"
    "Cem,male,Yes,25,a\n"
    "Dee,,no,40,b\n"
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return written(tmp_path, "p.csv", PEOPLE)


def test_only_the_features_wanted_are_judged(people: Path) -> None:
    points = read(people, features=["age"], missing="drop")
    assert points.X.tolist() == [[31], [25], [40]]
    assert points.labels == ["a", "a", "b"]
    assert "1 of 4 rows have missing values and are left out (line 3)" in points.notes


def test_missing_values_fail_with_their_lines_and_the_way_out(people: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(people, features=["age"])
    assert caught.value.lines == (
        f"{people}:3: age: 'NA' is not a number; --missing drop leaves such rows out, "
        "--drop age the column",
    )


def test_words_become_numbers_when_asked(people: Path) -> None:
    points = read(people, drop=["name"], encode="one-hot", missing="drop")
    assert points.features == ("sex=female", "sex=male", "member", "age")
    assert points.X.tolist() == [[1, 0, 1, 31], [0, 1, 1, 25]]
    with pytest.raises(DataError) as caught:
        read(people, drop=["name"], encode="yes-no", missing="drop")
    assert ":2: sex: 'female' is not a number (also lines 3, 4); --encode one-hot" in str(
        caught.value
    )


def test_words_of_which_a_row_has_none_are_missing(people: Path) -> None:
    with pytest.raises(DataError, match=r":5: sex: is missing; --missing drop"):
        read(people, features=["sex"], encode="one-hot")


def test_many_different_words_are_no_kinds(tmp_path: Path) -> None:
    rows = "".join(f"n{i},{i % 2}\n" for i in range(200))
    with pytest.raises(
        DataError, match=r":2: name: 200 different words, at most 100 .*; --drop name"
    ):
        read(written(tmp_path, "p.csv", "name,label\n" + rows), encode="one-hot")


def test_a_typo_among_numbers_is_no_kind(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,0\n2x,1\n3,0\n")
    with pytest.raises(DataError, match=r":3: a: '2x' is not a number"):
        read(path, encode="one-hot", missing="drop")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"drop": ["agee"]}, "data.drop: no feature 'agee', did you mean 'age'?"),
        ({"drop": ["name", "sex", "member", "age"]}, "data.drop: no features are left"),
        (
            {"drop": ["age"], "features": ["age"]},
            "data.drop: 'age' is among the features wanted too",
        ),
        ({"features": ["label"]}, "data.features: no feature 'label'"),
    ],
)
def test_a_wrong_choice_is_named(people: Path, keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        read(people, **keys)
    assert sentence in caught.value.lines[0]


def test_the_class_of_built_in_points_is_known() -> None:
    from mlhw.points.load import load_points

    with pytest.raises(
        DataError, match=r"iris: data\.label: the class of built-in points is known"
    ):
        load_points(PointsConfig(name="iris", label=1))
    assert load_points(PointsConfig(name="iris", drop=[0])).X.shape == (150, 3)


def test_keys_of_points_need_points() -> None:
    for key, value in [("drop", [0]), ("missing", "drop"), ("label", "a"), ("encode", "one-hot")]:
        with pytest.raises(ValidationError, match=f"{key} needs a data set: --fit"):
            FitConfig.model_validate({key: value})


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("False,True", ["False", "True"]),
        ('"red, dark",blue', ["red, dark", "blue"]),
        ('"say ""hi""", b', ['say "hi"', "b"]),
        ("0,2", [0, 2]),
        ("01,1", ["01", 1]),
        ("1e3,null,-3.5", ["1e3", "null", -3.5]),
        ("9007199254740993,5", [9007199254740993, 5]),
        ("", []),
    ],
)
def test_classes_are_read_as_identities(text: str, names: list[Any]) -> None:
    if not names:
        with pytest.raises(ValidationError, match="at least one item"):
            PointsConfig.model_validate({"classes": text})
        return
    assert PointsConfig.model_validate({"classes": text}).classes == names


@pytest.mark.parametrize("wanted", [["False", "True"], [False, True], ["false", "true"]])
def test_classes_called_true_and_false_are_chosen(tmp_path: Path, wanted: list[Any]) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,False\n2,True\n3,maybe\n")
    config = PointsConfig.model_validate({"name": None, "file": str(path), "classes": wanted})
    from mlhw.points.load import load_points

    assert load_points(config).labels == ["False", "True"]


def test_a_class_may_be_given_as_another_form_of_its_number(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,1.0\n2,2.0\n3,3.0\n")
    assert read(path, classes=[1.0, 2]).labels == [1, 2]


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1))
def test_whole_numbers_are_exact_labels_at_any_size(values: list[int]) -> None:
    assert as_labels([str(value) for value in values]) == values


@given(
    st.lists(st.from_regex(r"[+-]?[0-9]{1,25}(\.[0-9]{1,3})?(e[0-9])?", fullmatch=True), min_size=1)
)
def test_labels_of_different_value_stay_different(texts: list[str]) -> None:
    from fractions import Fraction

    labels = as_labels(texts)
    for a, x in zip(texts, labels, strict=True):
        for b, y in zip(texts, labels, strict=True):
            if x == y:
                assert Fraction(a) == Fraction(b)


@pytest.mark.parametrize("marker", ["", "?", "NA", "NaN", "nan", "NULL", "#N/A"])
def test_a_missing_class_is_an_error_with_its_line(tmp_path: Path, marker: str) -> None:
    path = written(tmp_path, "p.csv", f"a,label\n5,x\n7,{marker}\n8,y\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.lines[0].startswith(f"{path}:3: label: the class ")
    assert read(path, missing="drop").labels == ["x", "y"]


def test_two_ids_beyond_floats_are_two_classes_in_arrays(tmp_path: Path) -> None:
    for kind in (np.int64, np.uint64):
        y = np.array([2**62, 2**62 + 1], kind)
        np.savez(tmp_path / "p.npz", X=np.array([[2.0], [3.0]]), y=y)
        assert read(tmp_path / "p.npz").classes == [2**62, 2**62 + 1]


# ------------------------------------------------------------------------------------- spreads


def points_of(*columns: list[float]) -> Points:
    names = tuple(f"x{i}" for i in range(1, len(columns) + 1))
    return Points("p", np.column_stack(columns), [0] * len(columns[0]), names)


def test_spreads_that_differ_more_than_a_thousandfold_recommend_scaling() -> None:
    near = spread_ratio(points_of([0, 1], [0, 999]))
    assert near is not None
    assert near.advice is None
    far = spread_ratio(points_of([0, 1], [0, 1001], [5, 5]))
    assert far is not None
    assert far.advice is not None
    assert "'x2' and 'x1' differ by a factor of 1e+03; --standardize" in far.advice


def test_constant_features_are_left_out_and_said() -> None:
    points = without_constants(points_of([0, 1], [5, 5], [2, 3]))
    assert points.features == ("x1", "x3")
    assert points.notes == ("'x2' is constant: left out by standardize",)
    with pytest.raises(DataError, match=r"p: every feature is constant \(x1\)"):
        without_constants(points_of([5, 5]))


def test_the_digest_of_a_table_of_numbers_does_not_depend_on_what_is_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,b,label\n1,2,0\n3,4,1\n")

    digest = hashlib.sha256(np.array([[1.0, 2], [3, 4]]).tobytes() + b"0\n1").hexdigest()
    for keys in ({}, {"features": ["b"]}, {"classes": [0, 1]}):
        assert read(path, **keys).digest == f"sha256:{digest}"
