"""What the first line is, which column is the class, and what of it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.errors import DataError
from tests.points.reading import read, written


@pytest.mark.parametrize(
    ("content", "features", "points"),
    [
        ("0,1,label\n5,1,0\n1,2,1\n", ("0", "1"), 2),  # pandas names columns by number
        ("label,0,1,2,3\n5,0,0,0,9\n4,0,0,0,8\n", ("0", "1", "2", "3"), 2),
        (",0,1,2\n0,5,1,0\n1,1,2,1\n2,4,2,1\n", ("0", "1"), 3),  # and writes its index
        ("RI,Na,Mg,kind\n1.5,13,4,1\n1.6,12,3,2\n", ("RI", "Na", "Mg"), 2),  # sodium is not missing
        ("#a,label,b\n1,0,2.5\n3,1,4.5\n", ("a", "b"), 2),
        ("1,1.5,0\n2,2.5,1\n3,1.7,0\n", ("x1", "x2"), 3),
        ("1,2,A\n3,4,B\n", ("x1", "x2"), 2),
        ("a;b;label;;\n1;2;0;;\n3;4;1;;\n;;;;\n;;;;\n", ("a", "b"), 2),  # as spreadsheets leave it
        ("a,b,label,\n1,2,0\n3,4,1\n", ("a", "b"), 2),
        ("a,b,label\n1,2,0,\n3,4,1,\n", ("a", "b"), 2),
        ('a,"b\nc",label\n1,2,0\n3,4,1\n', ("a", "b\nc"), 2),
    ],
)
def test_a_header_is_told_from_a_point(
    tmp_path: Path, content: str, features: tuple[str, ...], points: int
) -> None:
    found = read(written(tmp_path, "p.csv", content))
    assert found.features == features
    assert len(found.X) == points
    assert "\n" not in found.notes[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "0,1,2\n5,1,0\n1,2,1\n",
            ":1: 0,1,2 may be a header of numbers or a point; say which: --header",
        ),
        (
            "abc,5,3,0\n1,2,3,1\n",
            ":1: 'abc' is not a number; if the line is the header, say --header",
        ),
        ("male,abc,1\nmale,23,0\n", ":1: 'abc' is not a number; if the line is the header"),
        ("NA,1.2,yes\n1.5,0.2,no\n2.5,1.9,yes\n", ":1: x1: 'NA' is not a number"),
        (
            "My data\na,b,label\n1,2,0\n",
            ":1: 1 column, 3 below; begin lines above the header with #",
        ),
        ("a,b,label\n1,2,0\n,,\n3,4,1\n", ":3: a: is empty"),
    ],
)
def test_a_first_line_that_may_be_either_is_named_with_the_way_out(
    tmp_path: Path, content: str, line: str
) -> None:
    path = written(tmp_path, "p.csv", content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"{path}{line}" in caught.value.lines[0]


def test_header_and_no_header_decide(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "0,1,2\n5,1,0\n1,2,1\n")
    assert read(path, header=True).X.tolist() == [[5, 1], [1, 2]]
    assert read(path, header=False).X.tolist() == [[0, 1], [5, 1], [1, 2]]


@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.integers(-5, 5), st.sampled_from([0, 1])),
        min_size=2,
        max_size=9,
    ),
    st.sampled_from(["a,b,label", "", "# note"]),
    st.sampled_from([",", ";", "\t", " "]),
    st.sampled_from([".csv", ".txt", ".tsv", ".dat"]),
)
@settings(max_examples=150)
def test_every_row_is_a_point_or_the_line_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[float, int, int]],
    header: str,
    delimiter: str,
    suffix: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"law{suffix}"
    lines = [header] if header.startswith("#") else [header.replace(",", delimiter)] * bool(header)
    lines += [delimiter.join(map(repr, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    try:
        points = read(path)
    except DataError as error:
        assert any(line.startswith(f"{path}:1:") or "bias" in line for line in error.lines)
    else:
        assert points.labels == [label for _, _, label in rows]
        kept = [i for i in range(2) if not all(row[i] == 1.0 for row in rows)]
        np.testing.assert_array_equal(points.X, [[float(row[i]) for i in kept] for row in rows])


def test_row_numbers_are_left_out_and_brought_back(tmp_path: Path) -> None:
    for name, first in [("rownames", 1), ("Unnamed: 0", 0), ("", 1)]:
        rows = "".join(f"{i + first},{i * i},{i % 2}\n" for i in range(4))
        path = written(tmp_path, "p.csv", f"{name},a,label\n{rows}")
        points = read(path)
        assert points.features == ("a",)
        assert any("row numbers" in note and "--features" in note for note in points.notes)
        back = name or "Unnamed: 0"
        assert read(path, features=[back, "a"]).features == (back, "a")
        assert read(path, features=[0]).features == ("a",)


def test_row_numbers_count_all_rows_also_those_that_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "rownames,a,label\n1,5,0\n2,NA,1\n3,7,1\n")
    assert read(path, missing="drop").features == ("a",)


@pytest.mark.parametrize("name", ["day", "id"])
def test_a_column_that_counts_under_a_name_of_its_own_stays_and_is_said(
    tmp_path: Path, name: str
) -> None:
    path = written(tmp_path, "p.csv", f"{name},a,label\n1,5,0\n2,6,1\n3,8,1\n")
    points = read(path)
    assert points.features == (name, "a")
    assert (
        f"'{name}' counts the rows and is taken as a feature (--drop '{name}' if not)"
        in points.notes
    )
    assert read(path, drop=[name]).features == ("a",)


def test_an_unnamed_column_that_does_not_count_is_a_feature(tmp_path: Path) -> None:
    points = read(written(tmp_path, "p.csv", ",a,label\n5,1,0\n2,2,1\n3,1,0\n"))
    assert points.features == ("Unnamed: 0", "a")


def test_header_class_and_features_are_one_line(tmp_path: Path) -> None:
    points = read(written(tmp_path, "p.csv", "kind,a,b\nx,1,2\ny,3,4\n"), label="kind")
    assert points.notes == ("line 1 is the header; the class is 'kind'; 2 features: a, b",)


@pytest.mark.parametrize("label", ["kimd", 7, -4])
def test_a_class_that_is_not_there_is_named(tmp_path: Path, label: int | str) -> None:
    path = written(tmp_path, "p.csv", "kind,a,b\nx,1,2\ny,3,4\n")
    with pytest.raises(DataError, match=r"label: no column") as caught:
        read(path, label=label)
    assert ("did you mean 'kind'?" in caught.value.lines[0]) == (label == "kimd")
