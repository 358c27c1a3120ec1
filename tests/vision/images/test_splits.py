"""Stratified splits: exact, in proportion, and independent of the order of files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlhw.errors import ConfigError
from mlhw.vision.images.splits import stratified

counts = st.lists(st.integers(3, 60), min_size=2, max_size=6)


def data_of(sizes: list[int]) -> tuple[np.ndarray, list[str], list[str]]:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labels, [f"img{i}" for i in range(len(labels))], [f"c{k}" for k in range(len(sizes))]


@settings(max_examples=200, deadline=None)
@given(sizes=counts, seed=st.integers(0, 2**40), data=st.data())
def test_counts_are_exact_and_every_split_has_every_class_in_proportion(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    labels, names, classes = data_of(sizes)
    n, k = len(labels), len(sizes)
    val = data.draw(st.integers(k, n - 2 * k))
    test = data.draw(st.integers(k, max(k, n - k - val)) | st.just(0))
    assume(val + test <= n - k)
    cut = stratified(labels, names, classes, val=val, test=test, seed=seed)
    assert (len(cut.val), len(cut.test)) == (val, test)
    parts = np.concatenate([cut.train, cut.val, cut.test])
    assert sorted(parts) == list(range(n))
    for part in (cut.train, cut.val, *([cut.test] if test else [])):
        assert set(labels[part]) == set(range(k))
        assert (np.diff(part) > 0).all()


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(20, 80), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_a_class_gets_its_share_to_within_one_image(sizes: list[int], seed: int) -> None:
    labels, names, classes = data_of(sizes)
    val = len(labels) // 5
    cut = stratified(labels, names, classes, val=val, test=0, seed=seed)
    found = np.bincount(labels[cut.val], minlength=len(sizes))
    assert (np.abs(found - np.array(sizes) * val / len(labels)) < 1).all()


@settings(max_examples=50, deadline=None)
@given(sizes=counts, seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_the_order_of_files_has_no_say(sizes: list[int], seed: int, order) -> None:  # type: ignore[no-untyped-def]
    labels, names, classes = data_of(sizes)
    shuffled = list(range(len(labels)))
    order.shuffle(shuffled)
    one = stratified(labels, names, classes, val=0.2, test=0.2, seed=seed)
    other = stratified(
        labels[shuffled], [names[i] for i in shuffled], classes, val=0.2, test=0.2, seed=seed
    )
    for part in ("train", "val", "test"):
        a, b = getattr(one, part), getattr(other, part)
        assert {names[i] for i in a} == {names[shuffled[i]] for i in b}


def test_the_seed_draws_another_split_and_the_test_images_do_not_depend_on_val() -> None:
    labels, names, classes = data_of([50, 50])
    cut = stratified(labels, names, classes, val=10, test=10, seed=0)
    assert set(cut.test) == set(stratified(labels, names, classes, val=30, test=10, seed=0).test)
    assert set(cut.test) != set(stratified(labels, names, classes, val=10, test=10, seed=1).test)


def test_the_split_is_the_same_on_every_machine() -> None:
    labels, names, classes = data_of([10, 10])
    cut = stratified(labels, names, classes, val=4, test=2, seed=0)
    assert (cut.val.tolist(), cut.test.tolist()) == EXPECTED


# Written down once: a change here changes every result that anybody has kept.
EXPECTED = ([5, 9, 18, 19], [7, 17])


@pytest.mark.parametrize(
    ("val", "test", "words"),
    [
        (1, 0, "leave a class empty"),
        (0.2, 1, "leave a class empty"),
        (1.5, 0, "fraction below 1"),
        (-0.1, 0, "fraction below 1"),
        (-3, 0, "at least 0"),
        (20, 0, "below the number of images"),
        (19, 0, "leave too few to train"),
        (10, 9, "leave too few to train"),
    ],
)
def test_amounts_that_cannot_be_are_configuration_errors(
    val: float, test: float, words: str
) -> None:
    labels, names, classes = data_of([10, 10])
    with pytest.raises(ConfigError, match=words):
        stratified(labels, names, classes, val=val, test=test, seed=0)


def test_a_class_with_too_few_images_is_named() -> None:
    labels, names, classes = data_of([10, 2])
    with pytest.raises(ConfigError, match=r"needs 3 images.*'c1' has 2"):
        stratified(labels, names, classes, val=2, test=2, seed=0)
