"""Groups kept whole and folds, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mlhw.errors import ConfigError
from mlhw.vision.images.grouped import folded, grouped, share_out
from mlhw.vision.images.splits import Cut, Fold


def drawn(seed: int, count: int, classes: int, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups; a group leans towards one class."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, groups, count)
    leaning = rng.integers(0, classes, groups)[member]
    labels = np.where(rng.random(count) < 0.6, leaning, rng.integers(0, classes, count))
    labels[:classes] = np.arange(classes)
    return labels, member


def names_of(count: int) -> list[str]:
    return [f"img{i}" for i in range(count)]


def worst_share(labels: np.ndarray, number: np.ndarray, folds: int) -> float:
    """The largest distance of a class's share in a fold from 1/K."""
    sizes = np.bincount(labels)
    shares = [np.bincount(labels[number == f], minlength=len(sizes)) / sizes for f in range(folds)]
    return float(np.abs(np.array(shares) - 1 / folds).max())


def folds_of(
    labels: np.ndarray, k: int, *, groups: np.ndarray | None = None, seed: int = 0
) -> list[Cut]:
    classes = [f"c{i}" for i in range(labels.max() + 1)]
    return [
        folded(
            *(labels, names_of(len(labels)), classes),
            fold=Fold(i, k),
            test=0,
            seed=seed,
            groups=groups,
        )
        for i in range(k)
    ]


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_are_as_even_as_scikit_learns(folds: int) -> None:
    labels = np.repeat([0, 1, 2], [31, 17, 9])
    cuts = folds_of(labels, folds)
    held = np.concatenate([cut.val for cut in cuts])
    assert sorted(held) == list(range(57))
    theirs = StratifiedKFold(folds).split(labels, labels)
    ours = sorted(sorted(np.bincount(labels[cut.val]).tolist()) for cut in cuts)
    assert ours == sorted(sorted(np.bincount(labels[v]).tolist()) for _, v in theirs)
    sizes = [len(cut.val) for cut in cuts]
    assert max(sizes) - min(sizes) <= 1
    for cut in cuts:
        assert sorted([*cut.train, *cut.val]) == list(range(57))


def test_the_test_images_and_the_folds_do_not_depend_on_the_fold() -> None:
    labels = np.repeat([0, 1], [40, 30])
    cuts = [
        folded(labels, names_of(70), ["a", "b"], fold=Fold(k, 3), test=0.2, seed=4)
        for k in range(3)
    ]
    assert all(np.array_equal(cut.test, cuts[0].test) for cut in cuts)
    assert sorted(np.concatenate([cuts[0].test, *(cut.val for cut in cuts)])) == list(range(70))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 4),
    groups=st.integers(12, 60),
    folds=st.integers(2, 4),
)
def test_folds_of_groups_are_whole_and_hardly_less_even_than_scikit_learns(
    seed: int, classes: int, groups: int, folds: int
) -> None:
    labels, member = drawn(seed, 300, classes, groups)
    number = share_out(labels, names_of(300), member, np.full(folds, 1 / folds), seed)
    for group in np.unique(member):
        assert len(set(number[member == group])) == 1
    theirs = np.empty(300, dtype=int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    for k, (_, held) in enumerate(splitter.split(labels, labels, member)):
        theirs[held] = k
    assert worst_share(labels, number, folds) <= 1.25 * worst_share(labels, theirs, folds) + 0.02


def test_over_many_draws_folds_of_groups_are_more_even_than_scikit_learns() -> None:
    ours, theirs = [], []
    for seed in range(40):
        labels, member = drawn(seed, 200, 3, 25)
        number = share_out(labels, names_of(200), member, np.full(4, 0.25), seed)
        other = np.empty(200, dtype=int)
        for k, (_, held) in enumerate(StratifiedGroupKFold(4).split(labels, labels, member)):
            other[held] = k
        ours.append(worst_share(labels, number, 4))
        theirs.append(worst_share(labels, other, 4))
    assert np.mean(ours) <= np.mean(theirs)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), groups=st.integers(20, 80))
def test_a_grouped_split_comes_near_its_counts(seed: int, groups: int) -> None:
    labels, member = drawn(seed, 400, 3, groups)
    largest = np.bincount(member).max()
    cut = grouped(labels, names_of(400), ["a", "b", "c"], member, val=0.2, test=0.15, seed=seed)
    assert sorted(np.concatenate([cut.train, cut.val, cut.test])) == list(range(400))
    kinds = [set(member[part]) for part in (cut.train, cut.val, cut.test)]
    assert sum(map(len, kinds)) == len(set.union(*kinds))
    assert abs(len(cut.val) - 80) <= largest
    assert abs(len(cut.test) - 60) <= largest
    assert set(labels[cut.train]) == {0, 1, 2}


def test_the_order_of_files_has_no_say() -> None:
    labels, member = drawn(1, 120, 2, 15)
    names = names_of(120)
    first = grouped(labels, names, ["a", "b"], member, val=0.2, test=0.2, seed=3)
    order = np.random.default_rng(0).permutation(120)
    renamed = 100 - member[order]
    other = grouped(
        labels[order], [names[i] for i in order], ["a", "b"], renamed, val=0.2, test=0.2, seed=3
    )
    for part in ("train", "val", "test"):
        assert set(getattr(first, part)) == set(order[getattr(other, part)])


def test_a_class_in_one_group_stays_in_train() -> None:
    labels = np.array([0] * 40 + [1] * 20)
    member = np.array([i // 4 for i in range(40)] + [99] * 20)
    cut = grouped(labels, names_of(60), ["a", "b"], member, val=0.2, test=0.2, seed=0)
    assert set(member[cut.train]) >= {99}
    assert len(cut.val)
    assert len(cut.test)


def cut_by(
    labels: np.ndarray, names: list[str], groups: np.ndarray | None, fold: Fold | None
) -> Cut:
    if fold is not None:
        return folded(labels, names, ["a", "b"], fold=fold, test=0, seed=0, groups=groups)
    assert groups is not None
    return grouped(labels, names, ["a", "b"], groups, val=0.2, test=0, seed=0)


@pytest.mark.parametrize(
    ("member", "fold", "words"),
    [
        ([0] * 20, None, "too few groups to divide"),
        ([0] * 10 + [1] * 10, Fold(0, 2), "all images of"),
        (None, Fold(0, 11), "each class needs 11 images, one for each fold; 'a' has 10"),
    ],
)
def test_what_cannot_be_divided_is_a_configuration_error(
    member: list[int] | None, fold: Fold | None, words: str
) -> None:
    labels, names = np.repeat([0, 1], 10), names_of(20)
    groups = None if member is None else np.array(member)
    with pytest.raises(ConfigError, match=words):
        cut_by(labels, names, groups, fold)
