"""Which values a key runs over, and which points they make."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mlhw.errors import ConfigError
from mlhw.experiments.registry import experiment
from mlhw.grids.config import GridConfig
from mlhw.grids.plan import plan_of
from mlhw.grids.values import expanded, first_with_each, items_of, settings_of


def values(name: str, over: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], list[str]]:
    errors: list[str] = []
    return expanded(items_of(experiment(name).Config, over, errors), errors), errors


def grid(name: str, *over: str, **keys: Any) -> GridConfig:
    return GridConfig(experiment=name, over=list(over), **keys)


def test_what_stands_behind_the_equals_sign_is_the_inside_of_a_list_in_yaml() -> None:
    found = grid(
        "finetune", "head.hidden=[],[32]", "optim.lr=1e-1,0.03", "optim.name=sgd,adamw"
    ).over
    assert found == {
        "head.hidden": [[], [32]],
        "optim.lr": [0.1, 0.03],
        "optim.name": ["sgd", "adamw"],
    }
    assert grid("finetune", "ema=null,0.9", "compile=true,false").over == {
        "ema": [None, 0.9],
        "compile": [True, False],
    }


def test_ranges_are_those_of_etas_for_number_keys_only() -> None:
    found, errors = values(
        "finetune",
        {
            "optim.lr": ["0.01:1:log9"],
            "optim.weight_decay": ["0:0.4:lin5", 0.9],
            "epochs": ["1:9:lin5"],
            "augment": ["0:1:lin3"],
        },
    )
    assert errors == []
    assert found["optim.lr"] == experiment("lr-sweep").Config(etas="0.01:1:log9").etas
    assert found["optim.weight_decay"] == [0, 0.1, 0.2, 0.3, 0.4, 0.9]
    assert found["epochs"] == [1, 3, 5, 7, 9]
    assert all(isinstance(value, int) for value in found["epochs"])
    assert found["augment"] == ["0:1:lin3"]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"etas": [0.5]}, "value 1 must be a list, as the key is one"),
        ({"etas": ["0.1:1:log3"]}, "value 1 must be a list, as the key is one"),
        ({"tolerance": ["0:1:log3"]}, "greater than 0 at both ends"),
        ({"tolerance": ["0:x:lin3"]}, "must be a range of numbers"),
        ({"tolerance": ["0:1:lin1"]}, "must be a range of 2 to"),
        ({"data": [3]}, "is a section; give one of its keys: data.name, data.file"),
        ({"max_iterations": [1, 2, 1]}, "1 stands twice"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(over: dict[str, list[Any]], said: str) -> None:
    _, (line,) = values("lr-sweep", over)
    assert line.startswith(f"--over {next(iter(over))}: ")
    assert said in line


def test_the_last_key_runs_fastest_and_repeats_have_the_next_seeds() -> None:
    plan = plan_of(grid("vanishing", "depth=4,5", "width=2,3", repeats=2, seed=7))
    assert [tuple(p.setting.values.values()) for p in plan.points[::2]] == [
        (4, 2), (4, 3), (5, 2), (5, 3),
    ]  # fmt: skip
    assert [(p.number, p.repeat, p.config["seed"]) for p in plan.points[:3]] == [
        (1, 0, 7), (2, 1, 8), (3, 0, 7),
    ]  # fmt: skip
    assert {p.folder for p in plan.points[:2]} == {"0001", "0002"}


def test_random_draws_different_points_by_the_seed_from_more_than_fit_in_memory() -> None:
    over = {"tolerance": ["1e-9:1:log9999"], "max_iterations": ["1:9999:lin9999"]}
    found, _ = values("lr-sweep", {**over, "standardize": [True, False]})
    assert math.prod(map(len, found.values())) > 10**8
    asked = grid("lr-sweep", "max_iterations=1", random=50)
    drawn = [tuple(s.values.values()) for s in settings_of(asked, found)]
    assert len(set(drawn)) == 50
    again = [tuple(s.values.values()) for s in settings_of(asked, found)]
    assert drawn == again
    other = settings_of(asked.model_copy(update={"seed": 1}), found)
    assert drawn != [tuple(s.values.values()) for s in other]
    assert len(settings_of(asked, {"max_iterations": [1, 2, 3]})) == 3


def test_a_grid_beyond_all_measure_is_refused_before_it_is_written_out() -> None:
    found, _ = values(
        "lr-sweep", {"max_iterations": ["1:9999:lin9999"], "tolerance": ["0:1:lin9999"]}
    )
    with pytest.raises(ConfigError, match="a grid has at most 100,000"):
        settings_of(grid("lr-sweep", "max_iterations=1"), found)


def test_every_value_of_every_key_comes_before_combinations_of_known_ones() -> None:
    found = settings_of(grid("lr-sweep", "max_iterations=1"), {"a": [1, 2, 3], "b": [1, 2]})
    order = [tuple(s.values.values()) for s in first_with_each(found)]
    assert order == [(1, 1), (1, 2), (2, 1), (3, 1), (2, 2), (3, 2)]


def test_more_than_a_thousand_points_are_asked_about() -> None:
    many = grid("lr-sweep", "max_iterations=1:2000:lin1500")
    with pytest.raises(ConfigError, match="1,500 points are more than 1,000: --yes"):
        plan_of(many)
