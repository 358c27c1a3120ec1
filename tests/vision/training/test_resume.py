"""A run that was stopped and goes on ends bit for bit as the one that never stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlhw.commands.main import main
from mlhw.vision.training import checkpoints, probe
from mlhw.vision.training import loop as training
from mlhw.vision.training.features import FeatureStore
from tests.conftest import PROGRAM
from tests.vision.training.small_runs import (
    EPOCHS,
    OPTIONS,
    assert_same,
    finetune,
    metrics,
    resume,
    stops_at_step,
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    code, run = finetune(tmp_path_factory.mktemp("whole"), "--workers", "0")
    assert code == 0
    assert len(metrics(run)) == EPOCHS
    assert json.loads((run / "result.json").read_text())["summary"]["epochs"] == EPOCHS
    return run


# The last step of each epoch (the signal then comes before its validation), and steps in mid-epoch,
# frozen and not; the first and the last of all.
@pytest.mark.parametrize("step", [0, 5, 8, 11, 12, 15, 17, 23])
def test_stopped_at_any_step_it_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path, step: int
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, step)
        code, run = finetune(tmp_path, "--workers", "2" if step % 2 else "0")
    assert code == 130
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    saved = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    assert saved["progress"]["step"] == step + 1  # the batch was finished
    assert resume(run) == 0
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], len(record["resumed"])) == ("finished", 1)
    assert_same(run, uninterrupted)


def test_images_that_v2_changes_are_the_same_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, which draws from the generator that v2 would draw from."""
    options = ["--augment", "strong,jitter", "--sampler", "shuffle", "--epochs", "3"]
    code, whole = finetune(tmp_path / "whole", *options, "--workers", "0")
    assert code == 0
    with monkeypatch.context() as patch:
        stops_at_step(patch, 14)
        code, run = finetune(tmp_path / "stopped", *options, "--workers", "2")
    assert code == 130
    assert resume(run) == 0
    assert_same(run, whole)


def test_stopped_again_and_again_it_still_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Path
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 3)
        code, run = finetune(tmp_path)
    for step in (9, 13, 20):
        with monkeypatch.context() as patch:
            stops_at_step(patch, step)
            code = resume(run)
        assert code == 130
    assert resume(run) == 0
    assert_same(run, uninterrupted)


def test_a_run_that_falls_back_to_the_state_before_ends_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 20)
        _, run = finetune(tmp_path)
    last = run / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-100])
    assert resume(run) == 0
    assert "going on from prev.pt" in capsys.readouterr().err
    assert_same(run, uninterrupted)


def once(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """``function`` that sends SIGTERM at its ``call``-th call."""
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGTERM)
        return function(*arguments, **options)

    return wrapped


PHASES = {
    "features": (FeatureStore, "compute", 1),
    "validation": (training.Task, "validate", 3),
    "rates": (probe, "trained_copy", 2),
    "saving": (checkpoints, "write_whole", 6),
    "testing": (training.Task, "validate", 6),
}


@pytest.mark.parametrize(("owner", "name", "call"), PHASES.values(), ids=list(PHASES))
def test_sigterm_in_any_phase_saves_and_the_run_ends_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: Path,
    owner: Any,
    name: str,
    call: int,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # no features are stored yet
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, once(getattr(owner, name), call))
        code, run = finetune(tmp_path)
    assert code == 143
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert resume(run) == 0
    assert_same(run, uninterrupted)


def test_a_run_on_other_data_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 3)
        _, run = finetune(tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("val: 0.4", "val: 0.3"))
    capsys.readouterr()
    assert resume(run) == 2
    assert f"{config}: has changed since its run wrote it" in capsys.readouterr().err
    record = json.loads((run / "run.json").read_text())
    del (
        record["digests"],
        record["format"],
    )  # a run of before there were digests: nothing tells that it was edited
    (run / "run.json").write_text(json.dumps(record))
    assert resume(run) == 2
    assert "the data have changed since this run" in capsys.readouterr().err


def test_resume_takes_no_other_options_and_no_finished_run(
    uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finetune", "--resume", str(uninterrupted), "--lr", "9"]) == 2
    assert "leave --lr out (--epochs, --data" in capsys.readouterr().err
    assert resume(uninterrupted) == 2
    assert "is finished" in capsys.readouterr().err
    assert main(["finetune", "--resume", str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_running_one_is_left_alone(
    tmp_path: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = subprocess.Popen(
        [str(PROGRAM), "finetune", *OPTIONS, "--runs-dir", str(tmp_path), "--no-check"],
        env=os.environ,
    )
    saved = tmp_path / "latest" / "checkpoints" / "prev.pt"
    deadline = time.monotonic() + 120
    while not saved.exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run = (tmp_path / "latest").resolve()
    code = resume(run)
    if child.poll() is None:
        assert code == 2
        assert "another process is working on this run" in capsys.readouterr().err
    child.kill()
    child.wait()
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    assert resume(run) == 0
    assert_same(run, uninterrupted)
