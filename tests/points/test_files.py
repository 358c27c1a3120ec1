"""Points by name and from files; every error names file, line and column."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlhw.errors import DataError
from mlhw.experiments.softmax_regions.fit import FitConfig, fit_planes
from mlhw.points.config import PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import Points, two_classes


def read(path: Path, **keys: Any) -> Points:
    return load_points(PointsConfig(name=None, file=str(path), **keys))


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_courses_text_format_has_its_bias_column_recognised(tmp_path: Path) -> None:
    path = written(tmp_path, "data.txt", "4.5 1.25 1.0 0.0\n\n# a comment\n6 2 1 1\n")
    points = read(path)
    np.testing.assert_array_equal(points.X, [[4.5, 1.25], [6.0, 2.0]])
    assert points.labels == [0, 1]
    assert points.features == ("x1", "x2")
    assert points.notes == ("column 3 is one throughout: taken as the bias column",)


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
    assert "no header" in points.notes[0]


def test_npz_with_numbers_or_texts_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, X=np.array([[1, 5], [1, 6], [1, 7]]), y=np.array(["b", "a", "b"]))
    points = read(path)
    assert points.classes == ["a", "b"]
    np.testing.assert_array_equal(points.X, [[5], [6], [7]])


def test_labels_are_any_two_values_and_the_second_is_one(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,20\n2,-3.5\n3,20\n")
    _, t, classes = two_classes(read(path))
    assert classes == [-3.5, 20]
    assert t.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "content", "sentences"),
    [
        ("p.txt", "1 2 0\n1 2\n", ["p.txt:2: 2 columns, 3 expected"]),
        ("p.txt", "1 2 0\n1 x 1\n", ["p.txt:2: x2: 'x' is not a number"]),
        ("p.csv", "a,b,label\n1,,0\n", ["p.csv:2: b: is empty"]),
        ("p.csv", "a,b,label\n1,nan,0\n", ["p.csv:2: b: nan is not a finite number"]),
        ("p.csv", "a,b,label\n1,1e999,0\n", ["p.csv:2: b: 1e999 is not a finite number"]),
        ("p.csv", "a,b,label\n1,2,\n", ["p.csv:2: label: the class is empty"]),
        ("p.csv", "a,a,label\n1,2,0\n", ["p.csv:1: two columns are called 'a'"]),
        ("p.csv", "a,b,label\n1,1_0,0\n", ["p.csv:2: b: '1_0' is not a number"]),
        ("p.csv", 'a,b,label\n1,"2,0\n', ["p.csv:2: unexpected end of data"]),
        ("p.csv", "a,b,label\n", ["p.csv: no rows below the header"]),
        ("p.txt", "", ["p.txt: no rows"]),
        ("p.txt", "# nothing\n\n", ["p.txt: no rows"]),
        ("p.txt", "1\n2\n", ["p.txt:1: one column only"]),
        ("p.txt", "1 0\n1 1\n", ["p.txt: no features beside the bias column"]),
        ("p.txt", b"\xff\xfe\x00\x01", ["p.txt: not a UTF-8 text file"]),
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
    path = written(tmp_path, "p.csv", "a,label\n" + "x,0\n" * 50)
    with pytest.raises(DataError) as caught:
        read(path)
    assert len(caught.value.lines) == 6
    assert ":2: " in caught.value.lines[0]
    assert ":6: " in caught.value.lines[4]


def test_one_class_and_three_classes_are_errors_that_say_what_to_do(tmp_path: Path) -> None:
    one = written(tmp_path, "one.csv", "a,label\n1,x\n2,x\n")
    with pytest.raises(DataError, match="only one class"):
        two_classes(read(one))
    three = written(tmp_path, "three.csv", "a,label\n1,x\n2,y\n3,z\n")
    with pytest.raises(DataError, match=r"3 classes, two needed \(x, y, z\); choose"):
        two_classes(read(three))
    assert two_classes(read(three, classes=["x", "z"]))[2] == ["x", "z"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"classes": [0, 7]}, "no class '7' (there are 0, 1, 2)"),
        ({"features": [9]}, "no feature '9'"),
        ({"features": ["petal lenght (cm)"]}, "did you mean 'petal length (cm)'?"),
        ({"features": [0, 0]}, "a feature stands twice"),
    ],
)
def test_a_class_or_feature_that_is_not_there_is_named(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        load_points(PointsConfig(name="iris", **keys))
    assert sentence in caught.value.lines[0]


@pytest.mark.parametrize("key", ["classes", "features"])
def test_an_empty_selection_is_refused_rather_than_taken_for_all_or_nothing(key: str) -> None:
    for model in (PointsConfig, FitConfig):
        with pytest.raises(ValidationError, match="at least one item, or be null for all"):
            model(name="iris", **{key: []})


def test_neither_name_nor_file_is_said_in_words() -> None:
    with pytest.raises(ValidationError, match="give a name or a file"):
        PointsConfig(name=None)


def test_classes_and_features_are_selected_by_number_and_by_name() -> None:
    by_number = load_points(PointsConfig(name="iris", classes=[1, 2], features=[0, 2]))
    by_name = load_points(
        PointsConfig(
            name="iris", classes=[1, 2], features=["sepal length (cm)", "petal length (cm)"]
        )
    )
    assert by_number.X.shape == (100, 2)
    np.testing.assert_array_equal(by_number.X, by_name.X)


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
    np.save(tmp_path / "p.npy", np.zeros((3, 2)))
    single = (tmp_path / "p.npy").rename(tmp_path / "p.npz")
    with pytest.raises(DataError, match=r"p\.npz: is a single array \(NPY\); save arrays X and y"):
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
        ({"X": np.array([[1.0], [np.nan]]), "y": np.zeros(2)}, "X[1, 0] is nan"),
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


@pytest.mark.parametrize(("scale", "size"), [(1e-300, "small"), (1e200, "large"), (1e308, "large")])
def test_a_feature_beyond_what_float64_can_scale_is_refused_without_a_warning(
    scale: float, size: str, tmp_path: Path
) -> None:
    rows = "".join(f"{x * scale!r},{y},{y % 2}\n" for y, x in enumerate((-1.0, 0.5, 1.0, 0.25)))
    path = written(tmp_path, "p.csv", "a,b,label\n" + rows)
    with pytest.raises(DataError, match=rf"p\.csv: the feature 'a' is too {size} to work with"):
        fit_planes(FitConfig(file=str(path)))


def test_a_missing_file_names_its_neighbour_and_a_folder_is_no_file(tmp_path: Path) -> None:
    written(tmp_path, "points.csv", "a,label\n1,0\n")
    with pytest.raises(DataError, match=r"no such file, did you mean '.*points\.csv'\?"):
        read(tmp_path / "point.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_the_built_in_gaussians_are_the_same_for_ever() -> None:
    points = load_points(PointsConfig())
    assert points.X.shape == (200, 2)
    # The stream of RandomState is frozen by NumPy; the Cholesky factors may differ in their last
    # bit between LAPACKs, so the numbers are compared and not the digest.
    np.testing.assert_allclose(
        points.X.sum(axis=0), [1188.999916895265, -14.829171610863627], rtol=1e-12
    )
    assert load_points(PointsConfig()).digest == points.digest


def test_the_digest_tells_of_changed_data(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,0\n2,1\n")
    before = read(path)
    config = PointsConfig(name=None, file=str(path), digest=before.digest)
    assert change_warning(config, before) is None
    path.write_text("a,label\n1,0\n3,1\n")
    after = read(path)
    warning = change_warning(config, after)
    assert warning is not None
    assert before.digest in warning
    assert after.digest in warning


@given(st.binary(max_size=200), st.sampled_from([".txt", ".csv", ".tsv", ".npz"]))
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
