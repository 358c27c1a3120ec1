"""The figure of a grid shows every setting, whatever the keys and their values are."""

from __future__ import annotations

from typing import Any

import pytest

from mlhw.grids.config import GridConfig
from mlhw.grids.plan import GridPlan, Point
from mlhw.grids.report import grid_result
from mlhw.grids.rows import Row
from mlhw.grids.values import settings_of
from mlhw.result.plots import draw
from mlhw.result.result import Result

LONG = ["none", "flip,crop,colour,rotate,blur,erase", "a$very^long_name with words and more"]


def found(over: dict[str, list[Any]], repeats: int = 1, without: tuple[int, ...] = ()) -> Result:
    asked = GridConfig(experiment="finetune", over=over, repeats=repeats)
    points, rows = [], {}
    for setting in settings_of(asked, over):
        for repeat in range(repeats):
            number = len(points) + 1
            points.append(Point(number, setting, repeat, {}, str(number)))
            value = (number * 37 % 101) / 100 + 0.01
            rows[number] = (
                Row("timeout", None, reason="not finished within 1 s (--timeout)")
                if setting.number in without
                else Row("finished", 0, {"best validation loss": value, "note": "some text"})
            )
    return grid_result(GridPlan(asked, points, "cpu"), rows)


@pytest.mark.parametrize(
    ("over", "repeats", "without"),
    [
        ({"optim.lr": [1e-3]}, 1, ()),
        ({"optim.lr": [10 ** (-4 + i * 0.06) for i in range(50)]}, 3, (4,)),
        ({"augment": LONG}, 2, (2,)),
        ({"optim.lr": [1e-4], "epochs": [1]}, 1, ()),
        ({"optim.lr": [1e-4, 1e-2], "augment": LONG}, 1, (3,)),
        ({"optim.lr": [1e-4 + i / 50 for i in range(50)], "epochs": list(range(1, 31))}, 1, (7,)),
        ({"optim.lr": [1e-4, 1e-2], "augment": LONG, "head.hidden": [[], [32]]}, 1, (3,)),
        ({"optim.lr": [1e-4], "augment": ["none"], "epochs": [1]}, 1, ()),
    ],
)
def test_a_grid_is_drawn_whatever_its_keys_are(
    over: dict[str, list[Any]], repeats: int, without: tuple[int, ...]
) -> None:
    result = found(over, repeats, without)
    (plot,) = result.plots
    axes = draw(plot).axes[0]
    assert "best validation loss" in plot.title
    if len(over) == 2:
        (image,) = axes.images
        assert image.get_array().shape == tuple(map(len, over.values()))
        assert image.get_array().count() == result.summary["finished"] // repeats
    if without:
        assert "without a number" in plot.alt


def test_without_a_number_there_is_no_figure_and_all_else_is_told() -> None:
    result = found({"optim.lr": [1e-3, 1e-2]}, without=(1, 2))
    assert result.plots == []
    assert result.answers[0] == "0 of 2 points finished; 2 timeout"
    assert "not finished within 1 s" in result.answers[1]
    assert result.codes == (1, 1)
