"""Fine-tuning on a GPU: what it waits for, that it goes on bit for bit, what its files are without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from mlhw.commands.main import main
from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.system.news import Centre
from mlhw.system.ranks import ProcessGroup
from mlhw.system.torchrun import Ranks
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.training import loop as training
from mlhw.vision.training import session
from mlhw.vision.training.device import find_device, torch_settings
from mlhw.vision.training.loop import STEPS_BETWEEN_CHECKS, train_epoch
from mlhw.vision.training.preparation import prepare
from mlhw.vision.training.progress import Progress
from tests.conftest import Mlhw
from tests.vision.training.small_runs import (
    SMALL,
    assert_same,
    finetune,
    resume,
    stops_at_step,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.1, test=0.1)


def waits(splits: ImageSplits, epoch: int, **keys: Any) -> tuple[int, int]:
    """How often the second epoch of its kind makes this process wait for the GPU, and its steps."""
    config = from_keywords(Config, SMALL | {"device": "cuda", "batch_size": 8} | keys)
    device = find_device("cuda")
    with torch_settings(1, device):
        task = prepare(config, Recorder(), device, 1, splits).task(Recorder())
        progress = Progress(epoch=epoch)
        for _ in range(2):  # the first gets what stays there
            progress.step, progress.batch = epoch * task.plan.steps_per_epoch, 0
            task.sums.zero_()
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with warnings.catch_warnings(record=True) as found:
                    warnings.simplefilter("always")
                    train_epoch(task, progress, Recorder())
            finally:
                torch.cuda.set_sync_debug_mode("default")
    said = [str(warning.message) for warning in found]
    return sum("synchronizing" in message for message in said), task.plan.steps_per_epoch


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"augment": "flip-crop"},
        {"augment": "flip-crop", "precision": "bf16", "optim": {"name": "adamw", "clip": 1.0}},
        {"precision": "fp16", "optim": {"clip": 1.0}},
        {"head": {"dropout": 0.3}, "ema": 0.9, "class_weights": "balanced"},
        {"accumulate": 2, "mixup": 0.4, "augment": "flip"},
        {"augment": "jitter", "workers": 2},
    ],
    ids=lambda keys: "-".join(keys) or "plain",
)
def test_an_epoch_of_all_layers_waits_for_the_gpu_only_to_check_the_loss(
    splits: ImageSplits, keys: dict[str, Any]
) -> None:
    found, steps = waits(splits, 0, unfreeze_at=0, epochs=4, batch_norm="train", **keys)
    assert steps > STEPS_BETWEEN_CHECKS
    assert found <= -(-steps // STEPS_BETWEEN_CHECKS) + 1


def test_an_epoch_on_stored_features_waits_for_the_gpu_only_to_check_the_loss(
    splits: ImageSplits,
) -> None:
    found, steps = waits(splits, 0, unfreeze_at=None, epochs=4)
    assert found <= -(-steps // STEPS_BETWEEN_CHECKS) + 1


# ------------------------------------------------------------------------------------- same bits


@pytest.mark.parametrize(
    "options",
    [
        ("--deterministic",),
        (),
        ("--precision", "bf16"),
        ("--augment", "strong,jitter", "--workers", "2"),
        ("--features", "off", "--precision", "fp16"),
    ],
    ids=lambda options: "".join(options) or "default",
)
@pytest.mark.parametrize("step", [8, 14])
def test_a_run_on_a_gpu_that_was_stopped_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], step: int
) -> None:
    options = ("--device", "cuda", *options)
    code, whole = finetune(tmp_path / "whole", *options)
    assert code == 0
    with monkeypatch.context() as patch:
        stops_at_step(patch, step)
        code, run = finetune(tmp_path / "stopped", *options)
    assert code == 130
    assert resume(run) == 0
    assert_same(run, whole)


def test_a_compiled_network_learns_what_another_does(splits: ImageSplits) -> None:
    losses = []
    for compiled in (False, True):
        config = from_keywords(
            Config,
            SMALL
            | {"device": "cuda", "unfreeze_at": 0, "epochs": 1, "batch_norm": "train"}
            | {"augment": "flip-crop", "compile": compiled},
        )
        device = find_device("cuda")
        with torch_settings(1, device):
            task = prepare(config, Recorder(), device, 1, splits).task(Recorder())
            train_epoch(task, Progress(), Recorder())
            losses.append(task.sums[0].item() / len(splits.train))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


# ------------------------------------------------------------------------------------- errors


def test_a_gpu_that_is_not_there_is_an_error_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = torch.cuda.device_count()
    code = main(["finetune", "--device", f"cuda:{count}", "--runs-dir", str(tmp_path)])
    assert code == 2
    assert f"--device cuda:{count}: there are {count}, counted from cuda:0" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.glob("2*"))


def test_too_little_memory_is_told_with_what_needs_less(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.cuda.empty_cache()
    real = training.part_loss

    def hungry(*arguments: Any) -> torch.Tensor:
        free, _ = torch.cuda.mem_get_info()
        torch.empty(2 * free, dtype=torch.uint8, device="cuda")
        return real(*arguments)

    monkeypatch.setattr(training, "part_loss", hungry)
    code, run = finetune(tmp_path, "--device", "cuda")
    assert code == 1
    err = capsys.readouterr().err
    assert "the GPU is out of memory at batch size 64; a smaller --batch-size" in err
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    monkeypatch.setattr(training, "part_loss", real)
    assert resume(run) == 0


# ------------------------------------------------------------------------------------- processes


def torchrun(folder: Path, processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    programs = Path(sys.executable).parent
    return subprocess.run(
        [
            *(str(programs / "torchrun"), "--standalone", f"--nproc-per-node={processes}"),
            *("--no-python", str(programs / "mlhw"), *arguments),
        ],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MLHW_RUNS_DIR": "runs"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


BRIEF = [
    *("finetune", "--device", "cuda", "--model", "cifar_resnet20", "--weights", "none"),
    *("--image-size", "8", "--val", "0.1", "--test", "0.1", "--batch-size", "64", "--epochs", "3"),
    *("--unfreeze-at", "1", "--batch-norm", "train", "--lr", "0.01", "--no-plots", "-q"),
    *("--precision", "fp32", "--no-check", "--compare", "none"),
]


@pytest.mark.parametrize("shared_norm", [False, True])
def test_a_process_that_sums_over_nccl_gives_what_one_without_it_does(
    splits: ImageSplits, shared_norm: bool
) -> None:
    keys: dict[str, Any] = {
        **(SMALL | {"device": "cuda", "unfreeze_at": 1, "epochs": 3, "batch_norm": "train"}),
        "augment": "flip-crop",
        "optim": {"lr": 0.01},
    }
    alone = session.finetune(from_keywords(Config, keys), Recorder(), splits)
    # torchrun's own single process needs no group; one of a GPU each takes as many GPUs as processes.
    store = distributed.HashStore()
    distributed.init_process_group("cpu:gloo,cuda:nccl", store=store, rank=0, world_size=1)
    news = Centre(1, lambda event: None)
    try:
        recorder = Recorder()
        alone_in_it = Ranks(0, 1, 0, 1, "127.0.0.1", 0)
        recorder.group = ProcessGroup(alone_in_it, news, threading.Event(), nccl=True)
        config = from_keywords(Config, keys | {"sync_batch_norm": shared_norm})
        found = session.finetune(config, recorder, splits)
    finally:
        news.close()
        distributed.destroy_process_group()
    for column in ("train_loss", "val_loss"):
        assert found.table.column(column) == pytest.approx(alone.table.column(column), rel=1e-3)


@pytest.mark.slow
def test_torchrun_with_one_process_is_a_single_process(tmp_path: Path) -> None:
    ended = torchrun(tmp_path, 1, *BRIEF)
    assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / "runs" / "latest" / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("finished", 0)
    ended = torchrun(tmp_path, 1, *BRIEF, "--sync-batch-norm")
    assert "sync_batch_norm: one process sees the whole batch" in ended.stderr


@pytest.mark.slow
def test_more_processes_than_gpus_are_refused_in_a_line(tmp_path: Path) -> None:
    count = torch.cuda.device_count()
    ended = torchrun(tmp_path, count + 1, *BRIEF)
    assert ended.returncode == 1  # torchrun's own
    assert f"{count + 1} processes on a machine with {count} GPU" in ended.stderr
    assert not list(tmp_path.glob("runs/2*"))


# ------------------------------------------------------------------------------------- afterwards


@pytest.mark.slow
def test_what_a_gpu_has_trained_works_on_a_cpu(tmp_path: Path, mlhw: Mlhw) -> None:
    ran = mlhw(*BRIEF)
    assert ran.returncode == 0, ran.stderr
    run = tmp_path / "runs" / "latest"
    record = json.loads((run / "run.json").read_text())
    assert record["device"].startswith("cuda")
    assert torch.cuda.get_device_name() in record["device"]
    accuracy = json.loads((run / "result.json").read_text())["summary"]["test_acc"]
    without = {"CUDA_VISIBLE_DEVICES": ""}
    found = {}
    for device, env in (("cuda", {}), ("cpu", without)):
        judged = mlhw(
            "evaluate", "latest", "--data", "digits", "--device", device, "--json", env=env
        )
        assert judged.returncode == 0, judged.stderr
        found[device] = json.loads(judged.stdout)["metrics"]["accuracy"]
    assert found["cuda"] == pytest.approx(found["cpu"], abs=0.01)
    assert 0 < accuracy <= 1
    exported = mlhw("export", "latest", "--format", "safetensors", env=without)
    assert exported.returncode == 0, exported.stderr


@pytest.mark.slow
def test_doctor_names_the_gpu_and_works_on_it(mlhw: Mlhw) -> None:
    ended = mlhw("doctor", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert torch.cuda.get_device_name() in ended.stdout


def test_predictions_do_not_depend_on_where_they_are_made(splits: ImageSplits) -> None:
    """The validation after an epoch, which a GPU answers in one go, against the same on a CPU."""
    found = []
    for name in ("cpu", "cuda"):
        config = from_keywords(Config, SMALL | {"device": name, "epochs": 1, "unfreeze_at": None})
        device = find_device(name)
        with torch_settings(1, device):
            task = prepare(config, Recorder(), device, 1, splits).task(Recorder())
            found.append(task.validate(0))
    assert np.array_equal(found[0].labels, found[1].labels)
    # cuDNN multiplies in TF32 unless a run is deterministic: 11 bits of each number, over twenty layers.
    assert found[0].logits == pytest.approx(found[1].logits, rel=1e-2, abs=1e-2)
    assert found[0].loss == pytest.approx(found[1].loss, rel=1e-3)
