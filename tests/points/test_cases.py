"""Small files, each for a kind on which a reader can go wrong, and what has to come out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhw.errors import DataError
from mlhw.maths import logistic
from mlhw.maths.centring import Centred
from mlhw.maths.optimum import solve
from mlhw.points.points import two_classes
from tests.points.reading import CASES, case, read


def optimum_of(name: str, **keys: Any) -> float:
    X, t, _ = two_classes(read(case(name), **keys))
    found = solve(Centred.of(X[:, :-1].copy()), t).optimum
    assert found is not None
    return found.nll


PLAIN = read(case("plain.csv"))
EIGHT = [
    *("Label_caps.csv", "MiXeD.CSV", "blanklines.csv", "comma.data", "comma.txt", "comment.csv"),
    *("cr.csv", "crlf.csv", "fortran.txt", "index.csv", "leading_blanks.txt", "nbsp.csv"),
    *("plain.csv.gz", "plain.zip", "rtable.txt", "savetxt.txt", "sci.csv", "semicolon.csv"),
    *("semicolon_decimal_comma.csv", "sep.csv", "tab.csv", "trailing.csv", "trailing_header.csv"),
    *("utf16.csv", "numheader.csv", "svmlight.txt", "yesno.csv", "label_ws.csv", "spaces.csv"),
    *("leadzero.csv", "bigint.csv", "boolean.csv", "pm1.csv", "pm1plus.txt"),
    *("twofeat_noheader.csv", "twofeat_numheader.csv"),
]


@pytest.mark.parametrize("name", EIGHT)
def test_the_same_eight_points_are_read_in_every_form(name: str) -> None:
    points = read(case(name))
    np.testing.assert_array_equal(points.X, PLAIN.X)
    assert len(points.labels) == 8
    assert len(points.classes) == 2


@pytest.mark.parametrize(
    ("name", "keys", "nll"),
    [
        ("twofeat_noheader.csv", {}, 0.686241863412),
        ("twofeat_numheader.csv", {}, 0.686241863412),
        ("index.csv", {}, 0.686241863412),
        ("index.csv", {"features": ["Unnamed: 0", "a", "b"]}, 0.682956408617),
        ("pair.csv", {}, 0.634422734169),
        ("pair_noblank.csv", {}, 0.634422734169),
    ],
)
def test_the_optimum_is_that_of_the_points_in_the_file(
    name: str, keys: dict[str, Any], nll: float
) -> None:
    assert optimum_of(name, **keys) == pytest.approx(nll, abs=1e-12)


def test_row_numbers_no_longer_set_the_largest_rate() -> None:
    X, _, _ = two_classes(read(case("index.csv")))
    assert logistic.monotone_eta(X) == pytest.approx(1.882, abs=5e-4)
    with_them, _, _ = two_classes(read(case("index.csv"), features=["Unnamed: 0", "a", "b"]))
    assert logistic.monotone_eta(with_them) == pytest.approx(0.392, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("bigint.csv", [2**53, 2**53 + 1]),
        ("bigint3.csv", [5, 2**53, 2**53 + 1]),
        ("big.npz", [2**53, 2**53 + 1]),
        ("leadzero.csv", ["01", "1"]),
        ("boolean.csv", ["False", "True"]),
        ("case.csv", ["No", "Yes", "yes"]),
        ("label_ws.csv", ["No", "Yes"]),
        ("multi3.csv", ["$green$", "blue", "red, dark"]),
        ("pm1plus.txt", [-1, 1]),
        ("spaces.csv", ["Iris setosa", "Iris virginica"]),
        ("bool.npz", [0, 1]),
        ("neg0.npz", [0]),
        ("oneclass.csv", [1]),
    ],
)
def test_labels_are_identities(name: str, classes: list[Any]) -> None:
    assert read(case(name)).classes == classes


def test_three_classes_that_floats_would_merge_are_three() -> None:
    with pytest.raises(DataError, match="3 classes, two needed"):
        two_classes(read(case("bigint3.csv")))


@pytest.mark.parametrize(
    "name",
    ["col", "f32", "fortran", "keys", "longdouble", "single", "train", "xy_lower"],
)
def test_arrays_are_found_by_other_names_and_in_other_forms(name: str) -> None:
    points = read(case(f"{name}.{'npy' if name == 'single' else 'npz'}"))
    assert points.X.shape == (40, 2)
    assert points.classes == [0, 1]
    np.testing.assert_allclose(points.X, read(case("fortran.npz")).X, rtol=1e-7)


def test_arrays_that_are_not_read_are_named() -> None:
    assert "not read: X_test, y_test" in read(case("train.npz")).notes[0]


ERRORS = {
    "missing_first.csv": ":1: x1: '?' is not a number; --missing drop",
    "missing_first_empty.csv": ":1: x1: is empty; --missing drop",
    "missing_label.csv": ": label: the class 'NaN' is missing",
    "missing_label_only1.csv": ":2: label: the class 'NaN' is missing (also lines 4, 6, 9)",
    "boolfeature.csv": ":2: smoker: 'True' is not a number (also lines 3, 4, 5, 6 and 3 more); --encode",
    "cp1252.csv": ":1: not UTF-8 text (byte 0xf6); say the file's encoding: --encoding cp1252",
    "dup_header.csv": ":1: two columns are called 'a'; rename one",
    "empty.csv": ": no rows",
    "headeronly.csv": ": no rows below the header",
    "quote_open.csv": ':2: a quote (") is opened and not closed; take it out',
    "nul.csv": ":3: a: '\0' is not a number",
    "percent.csv": "; write it without the % sign",
    "thousands.csv": "; write thousands without separators",
    "complex.npz": ": X must be numbers of shape (n, d), not complex128 (40, 2); save X.real",
    "img.npz": "save X.reshape(len(X), -1)",
    "onehot.npz": "save y.argmax(axis=1)",
    "object.npz": ": holds pickled objects, which are refused",
    "sparse.npz": ": is a sparse matrix of SciPy's, without classes; save X.toarray() and y",
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_read_is_one_line_with_place_and_remedy(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read(case(name))
    assert len(caught.value.lines) == 1
    assert caught.value.lines[0].startswith(str(case(name)))
    assert ERRORS[name] in caught.value.lines[0]


def test_a_minus_sign_of_typography_is_one() -> None:
    np.testing.assert_array_equal(read(case("unicode_minus.csv")).X[:, 0], -PLAIN.X[:, 0])


def test_a_tab_file_with_trailing_tabs_is_read() -> None:
    for name in ("trailing_tab.tsv", "trailing_tab.txt"):
        points = read(case(name))
        assert points.X.shape == (4, 3)
        assert points.labels == [0, 1, 1, 0]


def test_columns_of_one_throughout_are_the_bias_column() -> None:
    assert read(case("onevalue_ones.csv")).features == ("flag",)
    assert read(case("dup_both.csv")).features == ("b",)


def test_truth_values_become_numbers_when_asked() -> None:
    points = read(case("boolfeature.csv"), encode="yes-no")
    assert points.X[:, 1].tolist() == [1, 0, 1, 1, 1, 0, 1, 0]
    assert "yes and true are 1, no and false are 0 in smoker" in points.notes


def test_the_class_is_named_or_numbered() -> None:
    for name, label in [("target.csv", "target"), ("labelfirst_header.csv", "survived")]:
        np.testing.assert_array_equal(read(case(name), label=label).X, PLAIN.X)
        np.testing.assert_array_equal(read(case(name), label=0).X, PLAIN.X)
    assert read(case("labelfirst.csv"), label=0).classes == [0, 1]
    with pytest.raises(DataError, match=r"8 classes, two needed .* with --label"):
        two_classes(read(case("target.csv")))


def test_an_encoding_is_said() -> None:
    assert read(case("cp1252.csv"), encoding="cp1252").features == ("größe", "b")


@pytest.mark.parametrize("path", sorted(CASES.iterdir()), ids=lambda p: p.name)
def test_every_case_is_points_or_at_most_five_plain_errors(path: Path) -> None:
    try:
        points = read(path)
    except DataError as error:
        assert 1 <= len(error.lines) <= 6
        assert all(line and "\n" not in line for line in error.lines)
    else:
        assert len(points.X) == len(points.labels)
        assert np.isfinite(points.X).all()


def test_a_file_is_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    for name, other in [("plain.csv.gz", "p.csv"), ("plain.zip", "p.data"), ("keys.npz", "p.bin")]:
        shutil.copy(case(name), tmp_path / other)
        assert read(tmp_path / other).X.shape[1] == 2
