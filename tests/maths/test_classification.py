"""Scores of a classifier, against scikit-learn, SciPy and formulas written down directly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu
from sklearn import metrics

from mlhw.maths.classification import (
    auc,
    balanced_accuracy,
    class_scores,
    confusion_matrix,
    coverage,
    interval_of_mean,
    macro_f1,
    mean_of_known,
    ranks,
    wilson,
)

Labels = tuple[np.ndarray, np.ndarray, int]


def draws() -> list[Labels]:
    """Labels, predictions and the number of classes: ordinary, one-sided, one class, one image."""
    rng = np.random.default_rng(0)
    many = rng.integers(0, 100, 3000)
    mostly = np.where(rng.random(3000) < 0.7, many, rng.integers(0, 100, 3000))
    return [
        (rng.integers(0, 3, 200), rng.integers(0, 3, 200), 3),
        (rng.integers(0, 2, 50), np.zeros(50, np.int64), 2),
        (np.full(20, 1), rng.integers(0, 4, 20), 4),
        (np.array([1]), np.array([1]), 2),
        (np.array([0]), np.array([1]), 2),
        (many, mostly, 100),
    ]


@pytest.mark.parametrize("drawn", draws())
def test_scores_of_classes_are_scikit_learns_and_nan_where_it_is_told_to_say_so(
    drawn: Labels,
) -> None:
    t, predicted, classes = drawn
    counts = confusion_matrix(t, predicted, classes)
    np.testing.assert_array_equal(
        counts, metrics.confusion_matrix(t, predicted, labels=np.arange(classes))
    )
    scores = class_scores(counts)
    options = {"labels": np.arange(classes), "zero_division": np.nan}
    expected = metrics.precision_recall_fscore_support(t, predicted, average=None, **options)
    for ours, theirs in zip(
        (scores.precision, scores.recall, scores.f1, scores.images), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for average, weights in (("macro", None), ("weighted", scores.images)):
        found = metrics.precision_recall_fscore_support(t, predicted, average=average, **options)
        for ours, theirs in zip((scores.precision, scores.recall, scores.f1), found, strict=False):
            if np.isnan(ours[scores.images > 0]).all():
                continue  # scikit-learn gives 0 for a mean of nothing; ours is undefined too
            assert mean_of_known(ours, weights) == pytest.approx(theirs, rel=1e-12)
    assert mean_of_known(scores.recall, scores.images) == pytest.approx((t == predicted).mean())


@pytest.mark.parametrize("drawn", draws())
def test_balanced_accuracy_and_macro_f1_are_scikit_learns(drawn: Labels) -> None:
    t, predicted, classes = drawn
    counts = confusion_matrix(t, predicted, classes)
    recalls = [(predicted[t == k] == k).mean() for k in np.unique(t)]
    assert balanced_accuracy(counts) == pytest.approx(np.mean(recalls), rel=1e-12)
    assert macro_f1(counts) == pytest.approx(
        metrics.f1_score(t, predicted, average="macro", zero_division=0), rel=1e-12
    )


def test_a_class_that_is_never_predicted_has_no_precision_and_an_absent_one_no_recall() -> None:
    scores = class_scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert np.isnan(scores.precision).tolist() == [False, False, True]
    assert np.isnan(scores.recall).tolist() == [False, False, True]
    assert np.isnan(scores.f1).tolist() == [False, False, True]
    never = class_scores(np.array([[3, 0], [2, 0]]))
    assert np.isnan(never.precision[1])
    assert (never.recall[1], never.f1[1]) == (0, 0)
    assert np.isnan(mean_of_known(np.array([np.nan])))


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_wilsons_interval_is_scipys(count: int) -> None:
    for right in {0, 1, count // 2, count}:
        expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
        low, high = wilson(np.array(right), np.array(count))
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low <= right / count <= high <= 1


def test_nothing_seen_has_no_interval() -> None:
    low, high = wilson(np.array([0, 3]), np.array([0, 3]))
    assert np.isnan([low[0], high[0]]).all()
    assert high[1] == 1


def test_the_interval_of_one_classes_mean_is_wilsons_and_of_many_equals_narrower() -> None:
    one = class_scores(np.array([[7, 3], [0, 0]]))
    low, high = map(float, wilson(np.array(7), np.array(10)))
    assert interval_of_mean(one) == pytest.approx((low, high))
    counts = np.kron(
        np.eye(4, dtype=int), np.array([[7, 3], [3, 7]])
    )  # eight classes, each 7 of 10
    narrow = interval_of_mean(class_scores(counts))
    assert narrow == pytest.approx(
        (0.7 - (0.7 - low) / np.sqrt(8), 0.7 + (high - 0.7) / np.sqrt(8))
    )


def test_the_interval_of_the_mean_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    p, n = np.array([0.95, 0.8, 0.6]), np.array([30, 20, 12])
    inside = 0
    for right in rng.binomial(n, p, (2000, 3)):
        counts = np.diag(right)
        counts[:, 2] += n - right  # the wrong ones are taken for the last class
        counts[2] = [n[2] - right[2], 0, right[2]]
        low, high = interval_of_mean(class_scores(counts))
        inside += low <= p.mean() <= high
    # Four standard errors of 2,000 draws are 2 %; the method is known to err on the wide side.
    assert 0.93 <= inside / 2000 <= 0.99


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_ranks_give_scikit_learns_top_k_accuracy(classes: int) -> None:
    rng = np.random.default_rng(classes)
    t, scores = rng.integers(0, classes, 300), rng.dirichlet(np.ones(classes), 300)
    found = ranks(scores, t)
    for k in range(1, classes):
        given = scores[:, 1] if classes == 2 else scores
        expected = metrics.top_k_accuracy_score(t, given, k=k, labels=np.arange(classes))
        assert (found < k).mean() == pytest.approx(expected)


def test_of_equal_scores_the_first_class_comes_first() -> None:
    assert ranks(np.zeros((3, 3)), np.array([0, 1, 2])).tolist() == [0, 1, 2]
    tied = np.array([[1.0, 2.0, 2.0]])
    assert (ranks(tied, tied.argmax(1)) == 0).all()


def test_the_area_is_scikit_learns_and_mann_and_whitneys_also_with_ties() -> None:
    rng = np.random.default_rng(1)
    positive, scores = rng.random(400) < 0.3, rng.integers(0, 12, 400) / 12
    found = auc(scores, positive)
    assert found == pytest.approx(metrics.roc_auc_score(positive, scores), rel=1e-12)
    u = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert found == pytest.approx(u / (positive.sum() * (~positive).sum()), rel=1e-12)
    assert np.isnan(auc(scores, np.ones(400, bool)))
    assert np.isnan(auc(scores, np.zeros(400, bool)))


def test_coverage_counts_who_reaches_the_threshold() -> None:
    rng = np.random.default_rng(2)
    confidence, right = rng.integers(1, 30, 100) / 30, rng.random(100) < 0.5
    thresholds = np.array([0.0, 0.1, 0.5, 14 / 30, 0.99, 1.0])
    found = coverage(confidence, right, thresholds)
    for threshold, images, hits in zip(*found, strict=True):
        assert images == (confidence >= threshold).sum()
        assert hits == right[confidence >= threshold].sum()
    whole = coverage(confidence, right)
    assert (whole.images[-1], whole.right[-1]) == (100, right.sum())
    assert (np.diff(whole.images) > 0).all()
