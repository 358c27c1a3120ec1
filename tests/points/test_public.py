"""Public data sets as people download them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import arff
from sklearn.datasets import load_svmlight_file

import mlhw
from mlhw.errors import DataError
from tests.conftest import shared
from tests.points.reading import read


def public(name: str) -> Path:
    return shared(f"data/points/{name}")


READ: list[tuple[str, dict[str, Any], tuple[int, int], list[Any]]] = [
    (
        "default.csv",
        {"label": "default", "features": ["balance", "income"]},
        (10_000, 2),
        ["No", "Yes"],
    ),
    ("default.csv", {"label": 1, "encode": "yes-no"}, (10_000, 3), ["No", "Yes"]),
    ("diabetes.arff", {}, (768, 8), [0, 1]),
    ("ex2data1.txt", {}, (100, 2), [0, 1]),
    ("head_injury.csv", {}, (3121, 10), [0, 1]),
    ("heart.csv", {"encode": "one-hot"}, (918, 19), [0, 1]),
    ("heart_scale", {}, (270, 13), [0, 1]),
    ("horse_colic.csv", {"missing": "drop"}, (6, 27), [1, 2]),
    ("horse_colic.csv", {"label": 22, "missing": "drop", "features": [3, 4]}, (233, 2), [1, 2, 3]),
    ("penguins.csv", {"label": "species", "missing": "drop", "encode": "one-hot"}, (333, 10), None),  # type: ignore[list-item]
    (
        "penguins.csv",
        {"label": "sex", "missing": "drop", "drop": ["species", "island"]},
        (333, 5),
        ["female", "male"],
    ),
    ("wdbc.data", {"missing": "drop", "drop": ["x1"]}, (683, 9), [2, 4]),
    ("winequality.csv", {}, (1599, 11), [3, 4, 5, 6, 7, 8]),
]


@pytest.mark.parametrize(("name", "keys", "shape", "classes"), READ)
def test_a_public_file_is_read(
    name: str, keys: dict[str, Any], shape: tuple[int, int], classes: list[Any] | None
) -> None:
    points = read(public(name), **keys)
    assert points.X.shape == shape
    assert classes is None or points.classes == classes


@pytest.mark.parametrize(
    "name", ["default.csv", "heart.csv", "horse_colic.csv", "penguins.csv", "wdbc.data"]
)
def test_a_public_file_that_needs_a_decision_says_which(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read(public(name))
    assert len(caught.value.lines) <= 6
    assert all(
        "--encode" in line or "--missing" in line or line == "… and more"
        for line in caught.value.lines
    )


def test_a_file_of_svmlight_is_as_scikit_learn_reads_it() -> None:
    path = public("heart_scale")
    X, y = load_svmlight_file(str(path))
    points = read(path)
    np.testing.assert_array_equal(points.X, X.toarray())
    assert points.labels == y.tolist()


def test_a_file_of_arff_is_as_scipy_reads_it() -> None:
    path = public("diabetes.arff")
    data, meta = arff.loadarff(path)
    points = read(path)
    assert points.features == tuple(meta.names()[:-1])
    for i, name in enumerate(points.features):
        np.testing.assert_array_equal(points.X[:, i], data[name])


def test_row_numbers_written_by_r_are_no_feature() -> None:
    found = mlhw.lr_sweep(data=str(public("head_injury.csv")), etas=[1.0], max_iterations=5).summary
    assert found["monotone_eta"] == pytest.approx(6.729, abs=5e-4)
    assert found["critical_eta"] == pytest.approx(22.68, abs=5e-3)
    assert found["optimum"]["nll"] == pytest.approx(0.192460344, abs=5e-10)
    assert "Unnamed: 0" not in found["features"]


def test_columns_that_nobody_asked_for_do_not_matter() -> None:
    points = read(public("default.csv"), label="default", features=["balance", "income"])
    assert points.features == ("balance", "income")
    assert points.labels.count("Yes") == 333
