"""Live figures: the run's own numbers, thinned without losing an extreme, as JSON that any reader takes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import mlhw
from mlhw.experiments.finetune.live import LIVE as OF_FINETUNE
from mlhw.experiments.registry import experiment
from mlhw.result.live import (
    MOST_DOTS,
    MOST_VALUES,
    LiveCurve,
    LiveCurves,
    LivePath,
    LivePlane,
    kept,
)
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.vision.training.columns import EPOCH_COLUMNS
from tests.conftest import ROOT

VALUES = st.floats(-1e9, 1e9) | st.just(np.nan)


@given(arrays(np.float64, st.integers(1, 400), elements=VALUES), st.integers(4, 60))
def test_what_is_kept_has_the_ends_and_the_extremes_of_each_stretch(
    y: np.ndarray, most: int
) -> None:
    places = kept(y, most)
    assert len(places) <= most or len(places) == len(y) <= most
    assert np.all(np.diff(places) > 0)
    assert places[0] == 0
    assert places[-1] == len(y) - 1
    if not np.isnan(y).all():
        assert np.nanmin(y[places]) == np.nanmin(y)
    if not np.isnan(y).any():
        assert y[places].max() == y.max()
    else:
        assert np.isnan(y[places]).any()  # a gap does not vanish


def test_a_curve_of_a_million_values_keeps_its_one_peak_in_few_values() -> None:
    y = np.sin(np.arange(1_000_000) / 1e4)
    y[123_456] = 5.0
    data = LiveCurves("iteration", "NLL", [LiveCurve("a", np.arange(len(y)), y, 0)]).data()
    (series,) = data["series"]
    assert (data["points"], data["shown"]) == (1_000_000, len(series["x"]))
    assert len(series["x"]) <= MOST_VALUES
    assert series["y"][series["x"].index(123_456)] == 5
    assert len(json.dumps(data)) < 250_000


def test_what_is_no_number_becomes_a_gap_that_strict_readers_take() -> None:
    y = np.array([1.5, np.inf, np.nan, -np.inf, 1 / 3])
    data = LiveCurves("k", "y", [LiveCurve("a", np.arange(5), y, 0, low=y, high=y)]).data()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["series"][0]["y"] == [1.5, None, None, None, 0.333333333333]


def test_a_long_path_stops_at_fewer_steps_that_all_paths_share() -> None:
    rng = np.random.default_rng(0)
    paths = [LivePath(str(n), rng.normal(size=(n, 3)), rng.random(n), 0) for n in (20_000, 777, 1)]
    dots = {"a": rng.normal(size=(9_000, 2)), "b": rng.normal(size=(1_000, 2))}
    data = LivePlane(("x", "y"), dots, paths, "iteration", first=1).data()
    steps = np.array(data["steps"]) - 1
    assert steps[:50].tolist() == list(range(50))
    assert {776, 19_999} <= set(steps.tolist())
    for path, shown in zip(paths, data["paths"], strict=True):
        places = steps[steps < len(path.nll)]
        assert places[-1] == len(path.nll) - 1  # where it stopped is among them
        assert np.allclose(shown["w"], path.W[places], rtol=1e-11)
        assert np.allclose(shown["nll"], path.nll[places], rtol=1e-11)
    for name, shown in zip(dots, data["dots"], strict=True):
        xy = np.array(shown["xy"])
        assert np.allclose(xy.min(axis=0), dots[name].min(axis=0), rtol=1e-11)
        assert np.allclose(xy.max(axis=0), dots[name].max(axis=0), rtol=1e-11)
    assert sum(len(shown["xy"]) for shown in data["dots"]) <= MOST_DOTS + 8
    assert len(json.dumps(data)) < 500_000


LIVELY = sorted(path.parent.name for path in ROOT.glob("mlhw/experiments/*/live.py"))


@pytest.mark.parametrize("name", [name for name in LIVELY if name != "sweeps"])
def test_each_live_figure_stands_in_for_a_figure_that_there_is(name: str) -> None:
    found = experiment(name)
    live = found.part("live").LIVE
    assert live.names
    assert set(live.names) <= set(found.figures.names)
    twice = live.figure(live.names[0])
    with pytest.raises(ValueError, match="two live figures"):
        twice(lambda evidence: LiveCurves("k", "y", []))


@pytest.fixture(scope="module")
def swept() -> Result:
    return mlhw.lr_sweep(max_iterations=30)


def test_the_numbers_of_lr_sweep_are_those_of_its_tables(swept: Result) -> None:
    metrics = swept.tables["metrics"].to_pandas()
    nll, plane = (swept.live[name]().data() for name in ("nll", "separators"))
    summary = swept.summary
    assert nll["levels"] == [
        {"label": "optimum", "y": pytest.approx(summary["optimum"]["nll"], rel=1e-11)}
    ]
    for series, path, run in zip(nll["series"], plane["paths"], summary["runs"], strict=True):
        rows = metrics[metrics.eta == run["eta"]]
        assert series["label"] == path["label"] == f"η = {run['eta']:g}"
        assert series["x"] == rows.iteration.tolist()
        assert np.allclose(series["y"], rows.nll, rtol=1e-11)
        assert np.allclose(path["nll"], rows.nll, rtol=1e-11)
        assert np.allclose(path["w"], rows[["w1", "w2", "bias"]], rtol=1e-11)
    points = np.concatenate([dots["xy"] for dots in plane["dots"]])
    assert len(points) == summary["points"]


def test_the_bands_of_sgd_sweep_hold_nine_tenths_of_the_repeats() -> None:
    result = mlhw.sgd_sweep(epochs=4, repeats=3, etas=[0.1])
    metrics = result.tables["metrics"].to_pandas()
    (series,) = result.live["nll"]().data()["series"]
    by_epoch = metrics.groupby("epoch").nll
    assert np.allclose(series["y"], by_epoch.median(), rtol=1e-11)
    assert np.allclose(series["low"], by_epoch.quantile(0.05), rtol=1e-11)
    assert np.allclose(series["high"], by_epoch.quantile(0.95), rtol=1e-11)
    batch = result.live["against_gd"]().data()["series"][1]
    assert batch["label"] == "GD, η = 0.1"
    descended = mlhw.lr_sweep(max_iterations=2, tolerance=0, etas=[0.1]).tables["metrics"]
    # Gradient descent goes on to the last of the passes after which the two are compared, here the first.
    assert batch["x"] == [1]
    assert np.allclose(batch["y"], descended.column("nll")[1], rtol=1e-9)


def test_with_four_features_there_is_no_plane() -> None:
    result = mlhw.lr_sweep(data={"name": "iris", "classes": [0, 2]}, max_iterations=3)
    assert "separators" not in result.live
    assert "nll" in result.live


def test_the_gradients_of_vanishing_are_those_of_its_table() -> None:
    result = mlhw.vanishing(depth=6, draws=40)
    rows = result.tables["gradients"].to_pandas()
    shown = result.live["gradients"]().data()["series"]
    assert len({series["label"] for series in shown}) == len(shown) > 1
    found = [value for series in shown for value in series["y"] if value is not None]
    table = rows.log10_median.dropna()
    assert np.allclose(sorted(found), sorted(table[np.isfinite(table)]), rtol=1e-10)


def test_the_course_of_a_fine_tuning_leaves_out_epochs_without_validation() -> None:
    columns = list(EPOCH_COLUMNS)

    def row(epoch: int, train: float, val: float | None) -> list[object]:
        known = {"epoch": epoch, "train_loss": train, "val_loss": val}
        return [known.get(column, 0.5) for column in columns]

    table = Table("metrics", EPOCH_COLUMNS)
    table.extend([row(1, 2.0, None), row(2, 1.0, 1.5)])
    data = OF_FINETUNE.of(SimpleNamespace(table=table, random=None))["losses"]().data()  # type: ignore[arg-type]
    train, validation = data["series"]
    assert (train["x"], train["y"]) == ([1, 2], [2, 1])
    assert (validation["x"], validation["y"]) == ([2], [1.5])
    assert data["logY"] is True
