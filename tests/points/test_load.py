"""Points by configuration: built-in sets, what is kept of them, and whether they have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mlhw.errors import DataError
from mlhw.experiments.softmax_regions.fit import FitConfig
from mlhw.points.config import PointsConfig
from mlhw.points.load import change_warning, load_points
from mlhw.points.points import two_classes
from tests.points.reading import read, written


def test_labels_are_any_two_values_and_the_second_is_one(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "a,label\n1,20\n2,-3.5\n3,20\n")
    _, t, classes = two_classes(read(path))
    assert classes == [-3.5, 20]
    assert t.tolist() == [1.0, 0.0, 1.0]


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
