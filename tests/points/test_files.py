"""Points from files; every error names file, line and column."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.errors import DataError
from mlhw.points.points import two_classes
from mlhw.points.row_files import open_rows
from tests.points.reading import read, written


def test_the_courses_text_format_has_its_bias_column_recognised(tmp_path: Path) -> None:
    path = written(tmp_path, "data.txt", "4.5 1.25 1.0 0.0\n\n# a comment\n6 2 1 1\n")
    points = read(path)
    np.testing.assert_array_equal(points.X, [[4.5, 1.25], [6.0, 2.0]])
    assert points.labels == [0, 1]
    assert points.features == ("x1", "x2")
    assert points.notes == (
        "there is no header; the class is the last column; 2 features: x1, x2",
        "column 3 is one throughout: taken as the bias column",
    )


def test_the_courses_own_file_is_read(course_points: Path) -> None:
    X, t, classes = two_classes(read(course_points))
    assert X.shape == (200, 3)
    assert (X[:, 2] == 1).all()
    assert classes == [0, 1]
    assert t.sum() == 100


def test_csv_with_a_label_column_anywhere_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "\ufeffa,label,b\r\n1,yes,2\r\n3,no,4\r\n")
    points = read(path)
    assert points.features == ("a", "b")
    assert points.labels == ["yes", "no"]
    assert points.classes == ["no", "yes"]
    np.testing.assert_array_equal(points.X, [[1, 2], [3, 4]])


def test_tsv_takes_the_last_column_as_the_class(tmp_path: Path) -> None:
    points = read(written(tmp_path, "p.tsv", "a\tb\tkind\n1\t2\t10\n3\t4\t9\n"))
    assert points.classes == [9, 10]  # as numbers, not as text


def test_csv_without_a_header_is_read_and_said_so(tmp_path: Path) -> None:
    points = read(written(tmp_path, "p.csv", "1,2,A\n3,4,B\n"))
    assert points.features == ("x1", "x2")
    assert "there is no header" in points.notes[0]


def test_npz_with_numbers_or_texts_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, X=np.array([[1, 5], [1, 6], [1, 7]]), y=np.array(["b", "a", "b"]))
    points = read(path)
    assert points.classes == ["a", "b"]
    np.testing.assert_array_equal(points.X, [[5], [6], [7]])


@pytest.mark.parametrize(
    ("name", "content", "sentences"),
    [
        ("p.txt", "1 2 0\n1 2\n", ["p.txt:2: 2 columns, 3 expected"]),
        ("p.txt", "1 2 0\n1 x 1\n", ["p.txt:2: x2: 'x' is not a number"]),
        ("p.csv", "a,b,label\n1,,0\n", ["p.csv:2: b: is empty"]),
        ("p.csv", "a,b,label\n1,nan,0\n", ["p.csv:2: b: nan is not a finite number"]),
        ("p.csv", "a,b,label\n1,1e999,0\n", ["p.csv:2: b: 1e999 is not a finite number"]),
        ("p.csv", "a,b,label\n1,2,\n", ["p.csv:2: label: the class is empty; --missing drop"]),
        ("p.csv", "a,a,label\n1,2,0\n", ["p.csv:1: two columns are called 'a'"]),
        ("p.csv", "a,b,label\n1,1_0,0\n", ["p.csv:2: b: '1_0' is not a number"]),
        ("p.csv", 'a,b,label\n1,"2,0\n', ['p.csv:2: a quote (") is opened and not closed']),
        ("p.csv", "a,b,label\n", ["p.csv: no rows below the header"]),
        ("p.txt", "", ["p.txt: no rows"]),
        ("p.txt", "# nothing\n\n", ["p.txt: no rows"]),
        ("p.txt", "1\n2\n", ["p.txt:1: one column only"]),
        ("p.txt", "1 0\n1 1\n", ["p.txt: no features beside the bias column"]),
        (
            "p.txt",
            b"1 2 0\n\xe9 2 1\n",
            ["p.txt:2: not UTF-8 text (byte 0xe9); say the file's encoding"],
        ),
        ("p.npz", b"PK\x03\x04 broken", ["p.npz: not a readable NPZ file"]),
        ("p.npz", "1 2 3", ["p.npz: is no NPZ file; save arrays X and y with numpy.savez"]),
        ("p.npz", bytes(range(200)), ["p.npz: is no NPZ file"]),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, sentences: list[str]
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read(path)
    for sentence in sentences:
        assert any(f"{tmp_path}/{sentence}" in line for line in caught.value.lines)
    assert all("\n" not in line for line in caught.value.lines)


def test_several_bad_lines_are_named_at_once_and_many_are_cut_short(tmp_path: Path) -> None:
    wrong = ["".join(f"{'x' if i == j else i}," for i in range(9)) + "0" for j in range(9)]
    path = written(tmp_path, "p.csv", "a,b,c,d,e,f,g,h,i,label\n" + "\n".join(wrong))
    with pytest.raises(DataError) as caught:
        read(path)
    assert len(caught.value.lines) == 6
    assert ":2: a: 'x' is not a number" in caught.value.lines[0]
    assert ":6: e: " in caught.value.lines[4]
    assert caught.value.lines[5] == "… and more"


def test_the_same_fault_on_many_lines_is_one_error_that_names_the_first_of_them(
    tmp_path: Path,
) -> None:
    words = written(tmp_path, "w.csv", "a,label\n" + "x,0\n" * 50)
    with pytest.raises(DataError) as caught:
        read(words)
    (line,) = caught.value.lines
    assert (
        ":2: a: 'x' is not a number (also lines 3, 4, 5, 6 and 45 more); --encode one-hot" in line
    )
    ragged = written(tmp_path, "r.csv", "a,b,label\n" + "1,2,0\n3,4,5,1\n" * 9)
    with pytest.raises(DataError) as caught:
        read(ragged)
    (line,) = caught.value.lines
    assert ":3: 4 columns, 3 expected (also lines 5, 7, 9, 11 and 4 more)" in line


class Marker:
    """Writes a file if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_pickled_content_is_refused_and_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "run"
    array = np.empty(1, object)
    array[0] = Marker(marker)
    np.savez(tmp_path / "p.npz", X=array, y=np.zeros(1))
    (tmp_path / "q.npz").write_bytes(pickle.dumps(Marker(marker)))
    for name in ("p.npz", "q.npz"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    assert not marker.exists()


def test_an_npz_file_that_holds_one_array_or_none_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.zeros(3))
    single = (tmp_path / "p.npy").rename(tmp_path / "p.npz")
    with pytest.raises(
        DataError, match=r"p\.npz: X must be numbers of shape .* save arrays X and y"
    ):
        read(single)
    with zipfile.ZipFile(tmp_path / "q.npz", "w") as archive:
        archive.writestr("X", "no array")
        archive.writestr("y", "none either")
    with pytest.raises(DataError, match=r"q\.npz: X must be numbers"):
        read(tmp_path / "q.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"X": np.zeros((2, 1))}, "no array 'y' (it holds X)"),
        ({"X": np.zeros(3), "y": np.zeros(3)}, "X must be numbers of shape (n, d)"),
        ({"X": np.zeros((3, 1)), "y": np.zeros(2)}, "y must hold 3 labels"),
        (
            {"X": np.array([[1.0], [np.nan]]), "y": np.zeros(2)},
            "X[1, 0]: nan is not a finite number",
        ),
        ({"X": np.array([["a"]]), "y": np.zeros(1)}, "X must be numbers"),
        ({"X": np.zeros((0, 2)), "y": np.zeros(0)}, "no rows"),
    ],
)
def test_an_npz_file_of_the_wrong_shape_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError) as caught:
        read(path)
    assert sentence in caught.value.lines[0]


def test_a_missing_file_names_its_neighbour_and_a_folder_is_no_file(tmp_path: Path) -> None:
    written(tmp_path, "points.csv", "a,label\n1,0\n")
    with pytest.raises(DataError, match=r"no such file, did you mean '.*points\.csv'\?"):
        read(tmp_path / "point.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_a_link_that_leads_nowhere_is_one_and_suggests_no_file(tmp_path: Path) -> None:
    for name, target in (("loop.csv", "loop.csv"), ("broken.csv", "nosuch.csv")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(DataError, match=rf"{name}: is a link that leads nowhere$"):
            read(tmp_path / name)


def test_what_a_message_quotes_of_a_file_is_bounded(tmp_path: Path) -> None:
    long = "9" * 5000
    for text in (
        f"a,b,label\n1,2,0\n{long},3,1\n4,4,0\n",
        f"a{long},b,label\n1,2,0\nx,3,1\n4,4,0\n",
        f"a{long},a{long},label\n1,2,0\n",
        f"a,b,label\n1,2,x{long}\n1,3,y{long}\n1,4,NA\n",
        f"1 1:{long}\n0 1:2\n",
    ):
        with pytest.raises(DataError) as caught:
            read(written(tmp_path, "p.txt", text))
        assert all(len(line) < 600 + len(str(tmp_path)) for line in caught.value.lines)


@pytest.mark.parametrize("cell", ["\u0661", "3.\uff11", "\uff19e2", "1_000"])
def test_digits_of_other_scripts_are_no_numbers(tmp_path: Path, cell: str) -> None:
    rows = "".join(f"{i}.5,{i % 3},{i % 2}\n" for i in range(30))
    path = written(tmp_path, "p.csv", f"a,b,label\n{rows}{cell},2,1\n\u22122,1,0\n\xa04,1,0\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.lines == (
        f"{path}:32: a: '{cell}' is not a number; --drop a leaves the column out",
    )


def test_what_a_wider_kind_holds_beyond_float64_is_refused_without_a_warning(
    tmp_path: Path,
) -> None:
    if np.finfo(np.longdouble).max == np.finfo(float).max:
        pytest.skip("long doubles are float64 here")
    huge = np.full((4, 2), np.longdouble("1e600"))
    y = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "X.npz", X=huge, y=y)
    np.savez(tmp_path / "y.npz", X=np.eye(4), y=huge[:, 0] * y)
    np.save(tmp_path / "both.npy", np.column_stack([huge, y]))
    for name, words in {
        "X.npz": "X[0, 0]: inf is not a finite number",
        "y.npz": "y[1]: the class '1e+600' is missing",
        "both.npy": "array[0, 0]: inf is not a finite number",
    }.items():
        with pytest.raises(DataError) as caught:
            read(tmp_path / name)
        assert words in caught.value.lines[0]


def test_a_damaged_npy_file_is_called_one_and_no_address_is_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.eye(9))
    content = (tmp_path / "whole.npy").read_bytes()
    cut = written(tmp_path, "cut.npy", content[:200])
    with pytest.raises(DataError, match="not a readable NPY file"):
        read(cut)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': exit(1)}".ljust(117) + b"\n"
    called = written(
        tmp_path, "called.npy", content[:8] + len(header).to_bytes(2, "little") + header
    )
    with pytest.raises(DataError) as caught:
        read(called)
    (line,) = caught.value.lines
    assert line == f"{called}: not a readable NPY file (malformed node or string on line 1: Call)"
    with pytest.raises(DataError, match=r"malformed node or string on line 1: Call\)"):
        open_rows(str(called))


@given(
    st.binary(max_size=200),
    st.sampled_from([".txt", ".csv", ".tsv", ".npz", ".arff", ".gz", ".npy"]),
)
def test_any_bytes_are_points_or_plain_errors(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes(content)
    try:
        points = read(path)
    except DataError as error:
        assert all(line and "\n" not in line for line in error.lines)
    else:
        assert np.isfinite(points.X).all()
