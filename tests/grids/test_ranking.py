"""The best is called so only where the paired differences show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlhw.errors import ConfigError
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.grids.by import By, by_of, typed_by
from mlhw.grids.plan import Point
from mlhw.grids.ranking import Ranking, ranking_of
from mlhw.grids.rows import Row
from mlhw.grids.values import Combination
from mlhw.maths.paired import against_each, interval, p_value

BY = By("loss", "min")


def ranking(*numbers: list[float | None], by: By = BY) -> Ranking:
    """Of settings with these numbers by repeat; None for a run that did not finish."""
    points, rows = [], {}
    for i, mine in enumerate(numbers, 1):
        for repeat, value in enumerate(mine):
            number = len(points) + 1
            points.append(Point(number, Combination(i, {"key": i}), repeat, {}, str(number)))
            rows[number] = (
                Row("killed", None) if value is None else Row("finished", 0, {"loss": value})
            )
    return ranking_of(points, rows, by)


@pytest.mark.parametrize("seed", range(3))
def test_p_values_and_intervals_are_those_of_scipy(seed: int) -> None:
    d = np.random.default_rng(seed).normal(0.3, 1, 3 + seed)
    assert p_value(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-12)
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert interval(d, 0.05) == pytest.approx(tuple(expected), rel=1e-12)


def test_equal_differences_decide_by_being_zero_or_not() -> None:
    assert p_value(np.array([0.1, 0.1, 0.1])) == 0
    assert p_value(np.zeros(3)) == 1
    assert interval(np.full(3, 0.1), 0.05) == (0.1, 0.1)


def test_holm_tests_the_smallest_p_hardest_and_stops_at_the_first_that_fails() -> None:
    rng = np.random.default_rng(1)
    # Two clear, one not, one that would pass by itself but comes after it.
    raw = [rng.normal(m, 1, 12) for m in (9.0, 7.0, 0.75, 0.9)]
    found = against_each(raw)
    order = sorted(range(4), key=lambda i: found[i].p)
    assert [found[i].alpha for i in order] == pytest.approx([0.05 / k for k in (4, 3, 2, 1)])
    going = True
    for i in order:
        going = going and found[i].p < found[i].alpha
        assert found[i].excludes_zero == going
        outside = found[i].low > 0 or found[i].high < 0
        assert outside == (found[i].p < found[i].alpha)


def test_the_first_is_the_best_only_beside_differences_that_exclude_zero() -> None:
    clear = ranking([0.1, 0.11, 0.12], [0.5, 0.52, 0.51], [0.9, 0.93, 0.91])
    assert clear.best
    assert clear.ranked[0].setting.number == 1
    close = ranking([0.1, 0.3, 0.2], [0.2, 0.15, 0.31])
    assert not close.best
    assert "cannot be told from it" in close.why_not


def test_common_seeds_are_what_is_compared() -> None:
    """Seeds differ more than settings do; in pairs the settings are apart all the same."""
    paired = ranking([1.0, 2.0, 3.0, 4.0], [1.1, 2.11, 3.1, 4.12])
    assert paired.best
    assert stats.ttest_ind([1.0, 2.0, 3.0, 4.0], [1.1, 2.11, 3.1, 4.12]).pvalue > 0.9


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        (([0.1], [0.5]), "that takes 3 repeats"),
        (([0.1, 0.1], [0.5, 0.5]), "that takes 3 repeats"),
        (([0.1, 0.1, 0.1],), "nothing to compare"),
        (([0.1, 0.11, 0.1], [0.5, None, 0.5], [0.6, 0.6, 0.61]), "key 2 has fewer than 3 seeds"),
        (([0.1, 0.11, 0.1], [0.6, 0.6, 0.61], [None, None, None]), "key 3 has no number"),
    ],
)
def test_without_enough_runs_nothing_is_the_best(numbers: Any, why: str) -> None:
    found = ranking(*numbers)
    assert not found.best
    assert why in found.why_not


def test_more_is_better_where_it_is() -> None:
    found = ranking([0.1, 0.11, 0.12], [0.5, 0.52, 0.51], by=By("loss", "max"))
    assert found.best
    assert [one.setting.number for one in found.ranked] == [2, 1]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_what_is_better(name: str) -> None:
    assert set(experiment(name).better.values()) <= {"min", "max"}
    assert experiment(name).better


def test_a_number_is_asked_for_by_its_name_or_its_beginning() -> None:
    names = ["best validation loss", "test accuracy", "macro F1"]
    assert by_of(None, "finetune", names) == By("best validation loss", "min")
    assert by_of("test-accuracy", "finetune", names) == By("test accuracy", "max")
    assert by_of("macro F1:min", "finetune", names) == By("macro F1", "min")
    assert by_of(None, "finetune", []) is None
    with pytest.raises(ConfigError, match="did you mean 'test accuracy'"):
        by_of("test acuracy:max", "finetune", names)
    with pytest.raises(ConfigError, match="vertices:min or vertices:max"):
        typed_by("vertices", "softmax-regions")
