"""Two gloo processes learn what one does, from the same global batches, and each can be lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.several import Several, Together, several
from tests.vision.training.small_runs import metrics

pytestmark = pytest.mark.slow

EPOCHS, UNFREEZE_AT = 3, 1
# Batches of 64, the last of 39; two make a step. Everything that draws, and all that is summed up.
OPTIONS = [
    *("finetune", "--model", "cifar_resnet20", "--weights", "none", "--image-size", "8"),
    *("--val", "0.4", "--test", "0.4", "--batch-size", "64", "--accumulate", "2"),
    *("--unfreeze-at", str(UNFREEZE_AT), "--backbone-lr", "auto", "--epochs", str(EPOCHS)),
    *("--optim", "sgd", "--lr", "0.02", "--clip", "1", "--ema", "0.9"),
    *("--augment", "flip-crop", "--mixup", "0.4", "--cutmix", "1", "--class-weights", "balanced"),
    *("--hidden", "16", "--dropout", "0.3", "--threads", "1", "--precision", "fp32"),
    *("--layout", "channels-last", "--no-plots", "-q", "--runs-dir", "runs"),
]
EXACT = 1e-5  # relative, of float32


@pytest.fixture(scope="module")
def start() -> Iterator[Several]:
    with several() as server:
        yield server


@pytest.fixture(scope="module")
def alone(start: Several, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert start.run(folder, 1, *OPTIONS).codes == [0]
    return folder / "runs" / "latest"


def record(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def losses(run: Path) -> np.ndarray:
    """Training and validation losses, (epochs, 2)."""
    return np.array([[float(r["train_loss"]), float(r["val_loss"])] for r in metrics(run)])


def assert_as_alone(run: Path, alone: Path) -> None:
    assert record(run)["status"] == "finished"
    found, expected = losses(run), losses(alone)
    assert found.shape == expected.shape == (EPOCHS, 2)
    np.testing.assert_allclose(found, expected, rtol=EXACT)
    # On stored features every process takes the same steps, and sends nothing.
    assert found[:UNFREEZE_AT].tolist() == expected[:UNFREEZE_AT].tolist()


def started(start: Several, folder: Path, *more: str) -> Path:
    """The folder of a run in two processes, once an epoch with an open backbone is done."""
    start.start(folder, 2, *OPTIONS, *more)
    until = time.monotonic() + 240
    while time.monotonic() < until:
        tables = list(folder.glob("runs/2*/metrics.csv"))
        if tables and len(tables[0].read_text().splitlines()) > 1 + UNFREEZE_AT:
            return tables[0].parent
        time.sleep(0.02)
    raise AssertionError((folder / "0.err").read_text())


def step_of(run: Path) -> int:
    saved = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return int(saved["progress"]["step"])


@pytest.fixture(scope="module")
def two(start: Several, tmp_path_factory: pytest.TempPathFactory) -> tuple[Together, Path]:
    folder = tmp_path_factory.mktemp("two")
    return start.run(folder, 2, *OPTIONS), folder


def test_two_processes_have_the_losses_of_one(two: tuple[Together, Path], alone: Path) -> None:
    ended, folder = two
    assert ended.codes == [0, 0], ended.err
    run = folder / "runs" / "latest"
    assert_as_alone(run, alone)
    assert record(run)["processes"] == 2
    assert "processes" not in record(alone)
    rates = [np.loadtxt(r / "rates.csv", delimiter=",", skiprows=1) for r in (run, alone)]
    np.testing.assert_allclose(rates[0], rates[1], rtol=EXACT, atol=1e-6)
    assert "differed" not in (run / "log.txt").read_text()


def test_one_run_folder_is_made_and_one_process_speaks(two: tuple[Together, Path]) -> None:
    ended, folder = two
    assert ended.out[0].count("run folder: ") == 1
    assert ended.out[1] == ended.err[1] == ""
    assert sorted(p.name for p in (folder / "runs").iterdir())[1:] == ["latest"]


def test_every_image_is_evaluated_once(two: tuple[Together, Path], alone: Path) -> None:
    lines = [
        (run / "predictions.csv").read_text().splitlines()
        for run in (two[1] / "runs" / "latest", alone)
    ]
    names = [[line.split(",")[0] for line in part] for part in lines]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_a_signal_to_one_stops_all_and_one_process_ends_the_run(
    start: Several, alone: Path, tmp_path: Path
) -> None:
    run = started(start, tmp_path)
    os.kill(start.pids[1], signal.SIGTERM)
    ended = start.ended()
    assert ended.codes == [143, 143], ended.err
    assert record(run)["status"] == "interrupted"
    assert "which came to process 1 of 2" in ended.err[0]
    assert ended.err[1] == ""
    assert start.run(tmp_path, 1, "finetune", "--resume", str(run), "--no-plots").codes == [0]
    assert_as_alone(run, alone)


def test_a_process_that_is_killed_ends_the_run_and_three_go_on(
    start: Several, alone: Path, tmp_path: Path
) -> None:
    run = started(start, tmp_path)
    before = time.monotonic()
    os.kill(start.pids[1], signal.SIGKILL)
    ended = start.ended()
    assert time.monotonic() - before < 60
    assert ended.codes == [1, -signal.SIGKILL]
    assert record(run)["status"] == "failed"
    assert "process 1 of 2" in record(run)["reason"]
    assert "has died; what was saved is kept" in ended.err[0]
    assert "Traceback" not in ended.err[0]
    # No step was lost but the one under way.
    assert step_of(run) >= 3 * (1 + UNFREEZE_AT)
    again = start.run(tmp_path, 3, "finetune", "--resume", str(run), "--no-plots")
    assert again.codes == [0, 0, 0], again.err
    assert record(run)["processes"] == 3
    assert_as_alone(run, alone)


def test_the_first_process_killed_leaves_no_other_behind(start: Several, tmp_path: Path) -> None:
    run = started(start, tmp_path, "--epochs", "200")
    os.kill(start.pids[0], signal.SIGKILL)
    ended = start.ended()
    assert ended.codes[0] == -signal.SIGKILL
    assert ended.codes[1] in (1, 143)
    assert record(run)["status"] == "running"  # nobody was left to say otherwise
    assert step_of(run) >= 3 * UNFREEZE_AT


def test_what_the_first_process_refuses_ends_all_in_one_line(
    start: Several, tmp_path: Path
) -> None:
    ended = start.run(tmp_path, 2, "finetune", "--lr", "0")
    assert ended.codes == [2, 2]
    assert ended.err == ["error: --lr: must be greater than 0 (got 0)\n", ""]
    ended = start.run(tmp_path, 2, "finetune", "--batch-size", "1")
    assert ended.codes == [2, 2]
    assert ended.err[0].startswith("error: batch_size: is what all processes have together")
    assert ended.err[1] == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [["vanishing"], ["runs", "list"], ["finetune", "--dry-run"]])
def test_what_works_in_one_process_says_so(
    start: Several, tmp_path: Path, command: list[str]
) -> None:
    ended = start.run(tmp_path, 2, *command)
    assert ended.codes[0] == 2
    assert "works in one process" in ended.err[0]
    assert len(ended.err[0].splitlines()) == 1
    assert ended.err[1] == ""


def test_batch_norm_that_learns_has_its_statistics_from_each_process(
    start: Several, tmp_path: Path
) -> None:
    """39 images in the last batch, of which each process needs two; all have the same network after it."""
    ended = start.run(tmp_path, 2, *OPTIONS, "--batch-norm", "train", "--epochs", "2")
    assert ended.codes == [0, 0], ended.err
    run = tmp_path / "runs" / "latest"
    assert "differed" not in (run / "log.txt").read_text()
    results = json.loads((run / "result.json").read_text())
    assert not [c for c in results["claims"] if c["verdict"] == "fails"]
