"""Points are validated before the first starts, and known by what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlhw.errors import ConfigError
from mlhw.grids.config import GridConfig
from mlhw.grids.plan import GridPlan, plan_of, with_absolute_paths
from mlhw.grids.rows import cells_of

POINTS = "x1,x2,label\n0,1,0\n1,0,1\n2,1,0\n1,3,1\n"


def planned(name: str, over: dict[str, list[Any]], folder: Path = Path(), **keys: Any) -> GridPlan:
    asked = GridConfig(experiment=name, over=over, **keys)
    return plan_of(with_absolute_paths(asked, str(folder.absolute())))


def identities(plan: GridPlan) -> list[str]:
    return [point.identity for point in plan.points]


def test_all_mistakes_of_all_points_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        planned(
            "finetune",
            {"optim.lr": [-1, 0.1, -2], "lr": [1], "epochs": [0.5, "0:1:log3"]},
            by="nothing",
        )
    text = "\n".join(caught.value.lines)
    for said in (
        "--over optim.lr: must be greater than 0 (got -1)",
        "--over optim.lr: must be greater than 0 (got -2)",
        "unknown key 'lr', did you mean 'optim.lr'?",
        "--over epochs: must be a whole number (got 0.5)",
        "greater than 0 at both ends",
        "--by nothing: say which is better",
    ):
        assert said in text
    assert len(caught.value.lines) == len(set(caught.value.lines)) == 6


def test_the_input_of_every_value_is_read_before_the_first_point_starts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(POINTS)
    over = {"data.file": ["a.csv", "b.csv"], "data.name": [None], "etas": [[0.1], [0.2]]}
    with pytest.raises(ConfigError, match=r"b\.csv: no such file"):
        planned("lr-sweep", over, tmp_path)


def test_data_are_values_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(POINTS)
    plan = planned("lr-sweep", {"data": ["gaussians", "a.csv"]})
    assert [p.config["data"]["file"] for p in plan.points] == [None, str(tmp_path / "a.csv")]
    assert plan.grid.over["data"] == ["gaussians", str(tmp_path / "a.csv")]
    assert list(cells_of(plan).values()) == [["gaussians"], ["a.csv"]]


def test_a_key_that_does_nothing_in_any_point_is_refused_and_in_some_it_may() -> None:
    with pytest.raises(ConfigError, match=r"--over optim\.momentum: would do nothing"):
        planned("finetune", {"optim.momentum": [0.1, 0.2]})


@pytest.mark.parametrize("name", ["lr-sweep", "softmax-regions"])
def test_repeats_of_what_draws_nothing_are_refused(name: str) -> None:
    key = {"lr-sweep": {"max_iterations": [3]}, "softmax-regions": {"W": [[[1, 0], [0, 1]]]}}[name]
    with pytest.raises(ConfigError, match="draws nothing at random"):
        planned(name, key, repeats=3)


def test_seeds_are_chosen_once() -> None:
    with pytest.raises(ConfigError, match="both choose the seeds"):
        planned("vanishing", {"seed": [1, 2]}, repeats=2)
    plan = planned("vanishing", {"seed": [1, 2], "depth": [4]})
    assert [point.config["seed"] for point in plan.points] == [1, 2]


def test_points_that_read_the_standard_input_are_refused() -> None:
    with pytest.raises(ConfigError, match="standard input can be read once"):
        planned("lr-sweep", {"max_iterations": [1, 2]}, config={"data": {"file": "-"}})


def test_a_point_is_known_by_what_it_computes_and_not_by_where(tmp_path: Path) -> None:
    places = []
    for name in ("one/points.csv", "two/renamed.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(POINTS)
        places.append(str(tmp_path / name))
    config = {"data": {"name": None, "file": places[0]}}
    over = {"max_iterations": [5, 6]}
    here = identities(planned("lr-sweep", over, config=config))
    assert len(set(here)) == 2
    assert all(len(one) == 64 for one in here)
    moved = {"data": {"name": None, "file": places[1]}}
    assert identities(planned("lr-sweep", over, config=moved)) == here
    # What figures look like, how many threads there are and which engine works change no number.
    assert identities(planned("lr-sweep", over, config=config | {"log_axis": "none"})) != []
    assert identities(planned("lr-sweep", over, config=config, engine="local:3", threads=2)) == here
    assert identities(planned("lr-sweep", over, config=config | {"tolerance": 0.5})) != here
    Path(places[0]).write_text(POINTS.replace("2,1,0", "2,2,0"))
    assert identities(planned("lr-sweep", over, config=config)) != here


def test_a_seed_is_a_part_of_what_a_point_computes() -> None:
    first = identities(planned("vanishing", {"depth": [4, 5]}, repeats=2))
    assert len(set(first)) == 4
    # Point r of seed s is point 0 of seed s + r.
    shifted = identities(planned("vanishing", {"depth": [4, 5]}, seed=1))
    assert shifted == [first[1], first[3]]


def test_device_precision_and_threads_are_resolved_once_and_recorded() -> None:
    plan = planned(
        "finetune",
        {"optim.lr": [0.01, 0.02]},
        threads=2,
        config={"model": "cifar_resnet20", "weights": "none", "image_size": 8, "device": "cpu"},
    )
    assert plan.grid.fixed.keys() >= {"precision", "layout"}
    assert "auto" not in plan.grid.fixed.values()
    for point in plan.points:
        assert point.config["threads"] == 2
        assert point.config["precision"] == plan.grid.fixed["precision"]
    # A grid that goes on takes what was fixed, and its points are the same.
    again = plan_of(plan.grid)
    assert again.grid == plan.grid
    assert identities(again) == identities(plan)
