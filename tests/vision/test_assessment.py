"""What is reported of a classifier on labelled images: all of it, and nothing that is not there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics

from mlhw.maths.softmax import softmax
from mlhw.text.values import to_json
from mlhw.vision.assessment import (
    CLASS_COLUMNS,
    COVERAGE_COLUMNS,
    Assessment,
    class_lines,
    confusion_columns,
    overview,
)


def assessed(count: int, classes: int, *, only: int | None = None, seed: int = 0) -> Assessment:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count) if only is None else np.full(count, only)
    logits = (rng.standard_normal((count, classes)) + 2 * np.eye(classes)[labels]).astype("f4")
    return Assessment([f"c{k}" for k in range(classes)], labels, logits, 0.7)


def test_the_areas_are_scikit_learns_of_the_tempered_probabilities() -> None:
    found = assessed(400, 5)
    p = softmax(found.logits / 0.7)
    for k in range(5):
        assert found.aucs[k] == pytest.approx(
            metrics.roc_auc_score(found.labels == k, p[:, k]), rel=1e-12
        )
    for average in ("macro", "weighted"):
        expected = metrics.roc_auc_score(found.labels, p, multi_class="ovr", average=average)
        assert found.metrics()[average]["auc"] == pytest.approx(expected, rel=1e-12)


def test_the_loss_is_of_the_plain_probabilities_and_the_rest_of_the_tempered_ones() -> None:
    found = assessed(200, 3)
    assert found.metrics()["loss"] == pytest.approx(
        metrics.log_loss(found.labels, softmax(found.logits)), rel=1e-9
    )
    np.testing.assert_allclose(found.probabilities, softmax(found.logits / 0.7), rtol=1e-12)
    calibration = found.calibration()
    assert calibration["temperature"] == 0.7
    assert calibration["ece_before"] != calibration["ece_after"]
    assert (calibration["bins"], calibration["images"]) == (15, 200)


def test_the_numbers_of_a_summary_are_those_of_the_tables() -> None:
    found = assessed(300, 4)
    m, rows = found.metrics(), list(found.class_rows())
    assert m["accuracy"] == metrics.accuracy_score(found.labels, found.predicted)
    assert m["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(found.labels, found.predicted)
    )
    recall = list(CLASS_COLUMNS).index("recall")
    assert m["macro"]["recall"] == pytest.approx(np.mean([row[recall] for row in rows]))
    assert m["weighted"]["recall"] == pytest.approx(m["accuracy"])
    low, high = m["accuracy_interval"]
    assert low < m["accuracy"] < high
    assert m["top_k"].keys() == {"2", "3"}
    for k, share in m["top_k"].items():
        expected = metrics.top_k_accuracy_score(found.labels, found.logits, k=int(k))
        assert share == pytest.approx(expected)
    confusion = np.array([row[1:] for row in found.confusion_rows()])
    np.testing.assert_array_equal(
        confusion, metrics.confusion_matrix(found.labels, found.predicted)
    )
    assert found.per_class()[2] == dict(zip(CLASS_COLUMNS, rows[2], strict=True))
    assert {len(row) for row in found.coverage_rows()} == {len(COVERAGE_COLUMNS)}


@pytest.mark.parametrize(
    ("count", "classes", "only"), [(1, 2, 0), (1, 2, 1), (20, 2, 1), (5, 100, 7), (150, 101, None)]
)
def test_one_image_one_class_two_classes_and_a_hundred_all_have_numbers(
    count: int, classes: int, only: int | None
) -> None:
    found = assessed(count, classes, only=only)
    summary = {"m": found.metrics(), "c": found.per_class(), "t": found.calibration()}
    values = json.loads(json.dumps(to_json(summary), allow_nan=False))
    assert 0 <= values["m"]["accuracy"] <= 1
    assert set(values["m"]["top_k"]) == {k for k in ("2", "3", "5") if int(k) < classes}
    for row in values["c"]:
        assert (row["recall"] is None) == (row["images"] == 0)
        assert (row["precision"] is None) == (row["predicted"] == 0)
        assert (row["auc"] is None) == (row["images"] in (0, count))
        assert (row["f1"] is None) == (row["images"] + row["predicted"] == 0)
    assert values["m"]["without_images"] == [r["class"] for r in values["c"] if not r["images"]]
    assert (found.confusion_list() is None) == (classes > 100)
    lines = [*overview(found), *class_lines(found)]
    assert not [line for line in lines if "nan" in line.lower()]


def test_classes_that_are_not_there_are_named_and_not_counted_as_0() -> None:
    logits = np.array([[2, 1, 0], [2, 1, 0], [0, 1, 0]], np.float32)
    found = Assessment(["ant", "bee", "cat"], np.array([0, 1, 1]), logits, 1.0)
    text = "\n".join([*overview(found), *class_lines(found)])
    assert "never predicted, so without a precision (left out of its mean): cat" in text
    assert "without an image here, so without a recall (left out of its mean): cat" in text
    assert found.metrics()["macro"]["precision"] == (0.5 + 1) / 2
    line = next(line for line in class_lines(found) if line.startswith("cat"))
    assert line.split() == ["cat", "0", "0", "-", "-", "-", "-", "-"]


def test_a_threshold_that_no_image_reaches_has_no_accuracy() -> None:
    found = Assessment(["a", "b"], np.array([0, 1]), np.array([[1, 0], [1, 0]], "f4"), 1.0)
    rows = {row[0]: row[1:] for row in found.coverage_rows()}
    assert rows[0.5][:3] == (2, 1.0, 0.5)
    assert rows[0.8] == (0, 0.0, None, None, None)


def test_a_class_called_class_does_not_hide_the_first_column() -> None:
    columns = list(confusion_columns(["class", "other"]))
    assert columns[1:] == ["class", "other"]
    assert len(set(columns)) == 3
