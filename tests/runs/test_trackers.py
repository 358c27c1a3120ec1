"""TensorBoard and MLflow, read back through their own readers; a tracker that fails stops nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.experiments.curves import Curves
from mlhw.result.tables import Table
from mlhw.runs.trackers import Careful, scalars

QUICK = ["lr-sweep", "--etas", "0.5,0.1", "--max-iterations", "6", "-q"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)


def test_a_rows_numbers_become_curves_by_rate_and_only_the_first_repeat_is_tracked() -> None:
    table = Table("metrics", ["eta", "repeat", "epoch", "nll", "note", "w1"])
    rows = [(0.5, 0, 3, 0.25, "x", None), (0.5, 1, 3, 0.3, "x", 1.0)]
    curves = Curves("metrics", "epoch", ("nll",), "NLL", {"eta": "η = "}, repeats="repeat")
    assert scalars(table, rows, curves) == [("nll", "eta=0.5", 0.25, 3)]
    assert scalars(Table("t", ["a"]), [(1.0,)], curves) == []
    assert scalars(table, rows, None) == []
    assert scalars(table, rows, dataclasses.replace(curves, steps=False)) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboards_own_reader_finds_every_number_and_figure_with_a_run_a_rate(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra mlhw[tensorboard]")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    assert main([*QUICK, "--tensorboard"]) == 0
    (folder,) = tmp_path.glob("runs/2*")
    assert (tmp_path / "runs" / "latest").resolve() == folder
    # As ``tensorboard --logdir runs`` reads it, links followed: no run is there twice.
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "runs")).Reload()
    run = f"tensorboard/{folder.name}"
    assert set(events.Runs()) == {run, f"{run}/eta=0.5", f"{run}/eta=0.1"}
    results = json.loads((folder / "result.json").read_text())["summary"]["runs"]
    for rate, found in zip(("eta=0.5", "eta=0.1"), results, strict=True):
        curve = events.Scalars(f"{run}/{rate}", "metrics/nll")
        assert [event.step for event in curve] == list(range(6))
        assert curve[-1].value == pytest.approx(found["nll"], rel=1e-6)
    assert "plots/nll" in events.Runs()[run]["images"]
    assert main(["runs", "clean", "--keep", "0"]) == 0
    assert list(tmp_path.glob("runs/tensorboard/*")) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflows_own_client_finds_parameters_metrics_claims_and_files(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlhw[mlflow]")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'store.db'}"
    assert main([*QUICK, "--mlflow", uri]) == 0
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("mlhw")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["etas"] == "[0.5, 0.1]"
    assert run.data.tags["claim.above-optimum"] == "holds"
    history = client.get_metric_history(run.info.run_id, "metrics/nll/eta 0.1")
    assert [point.step for point in history] == list(range(6))
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "metrics.csv", "plots"} <= names


def test_a_tracker_that_fails_warns_once_and_stops_no_run() -> None:
    class Broken:
        def rows(self, *_: Any) -> None:
            raise ConnectionError("no route\nto host")

        def finish(self, *_: Any) -> None:
            raise AssertionError("asked again")

    warnings: list[str] = []
    tracker = Careful("MLflow", Broken, warnings.append)
    table = Table("metrics", ["epoch", "nll"])
    tracker.rows(table, [(0, 1.0)])
    tracker.rows(table, [(1, 1.0)])
    tracker.finish(None, "finished")
    assert warnings == ["MLflow is not kept up to date any more: no route"]


def test_a_tracker_that_cannot_be_reached_costs_a_warning_and_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: Any) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr("mlhw.runs.trackers.TensorBoard", unreachable)
    monkeypatch.setattr("mlhw.runs.trackers.check_installed", lambda *_: None)
    assert main([*QUICK, "--tensorboard", "--no-plots"]) == 0
    assert capsys.readouterr().err == (
        "warning: TensorBoard is not kept up to date any more: read-only file system\n"
    )


def test_what_is_not_installed_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for option in ("tensorboard", "mlflow"):
        assert main([*QUICK, f"--{option}"]) == 2
        assert capsys.readouterr().err == (
            f"error: --{option}: {option} is not installed; pip install 'mlhw[{option}]' brings it\n"
        )
    assert not (tmp_path / "runs").exists()
