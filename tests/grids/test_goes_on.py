"""A point that can go on goes on: the next try begins where the last one has stopped."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlhw.config.load import load_config
from mlhw.errors import Interrupted
from mlhw.experiments.registry import experiment
from mlhw.grids.tasks import PointTask
from mlhw.grids.work import own_version, work
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from tests.conftest import smoke

pytestmark = pytest.mark.slow


class Stopped:
    """Fine-tuning that a signal ends as soon as there is something to go on from."""

    def __init__(self) -> None:
        self.of = experiment("finetune")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def run(self, config: Any, recorder: Recorder) -> Result:
        said = recorder.log

        def log(message: str, *, screen: bool = True) -> None:
            said(message, screen=screen)
            if recorder.folder and (recorder.folder / "checkpoints" / "last.pt").exists():
                raise Interrupted(signal.SIGTERM)

        recorder.log = log  # type: ignore[method-assign]
        return self.of.run(config, recorder)


def test_a_stopped_point_goes_on_to_the_numbers_of_one_that_was_not(tmp_path: Path) -> None:
    config = load_config(experiment("finetune").Config, smoke("finetune"), ["compare=none"])
    task = PointTask(
        1, 1, "finetune", config.model_dump(), str(tmp_path / "whole"), "a" * 64, own_version(),
        {"plots": False}, keep="best",
    )  # fmt: skip
    assert work(task).status == "finished"
    again = replace(task, folder=str(tmp_path / "stopped"))
    stopped = work(again, Stopped())  # type: ignore[arg-type]
    assert (stopped.status, stopped.exit_code) == ("interrupted", 143)
    assert work(replace(again, attempt=2)).status == "finished"
    assert "going on at epoch" in (tmp_path / "stopped" / "log.txt").read_text()
    found, expected = (
        json.loads((tmp_path / name / "result.json").read_text())["summary"]
        for name in ("stopped", "whole")
    )
    for key in ("best_epoch", "best_val_loss", "test_loss", "test_acc"):
        assert found[key] == expected[key], key
    kept = sorted(path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir())
    assert kept == sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert not [name for name in kept if name.endswith(".pt")]
    none = replace(task, folder=str(tmp_path / "whole"), identity="b" * 64, keep="none")
    assert work(none).status == "finished"
    assert not (tmp_path / "whole" / "checkpoints").exists()
