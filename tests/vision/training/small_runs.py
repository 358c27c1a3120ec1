"""Runs of seconds that go on, and what it means that two of them are the same."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlhw.commands.main import main
from mlhw.vision.schedules import Plan

EPOCHS, UNFREEZE_AT = 4, 2  # of 6 batches each: 24 steps

# Everything that has a state: dropout, momentum, augmentation, batch norm that learns.
OPTIONS = [
    *("--model", "cifar_resnet20", "--weights", "none", "--image-size", "8"),
    *("--val", "0.4", "--test", "0.4", "--batch-size", "64"),
    *("--epochs", str(EPOCHS), "--unfreeze-at", str(UNFREEZE_AT), "--batch-norm", "train"),
    *("--mixup", "0.4", "--cutmix", "1", "--sampler", "balanced"),
    *("--augment", "flip-crop", "--hidden", "16", "--dropout", "0.3", "--lr", "0.01"),
    *("--threads", "1", "--precision", "fp32", "--layout", "channels-last", "--no-plots", "-q"),
]


# The same network and speed by keywords, for runs that write no file.
SMALL: dict[str, Any] = {
    "model": "cifar_resnet20",
    "weights": "none",
    "image_size": 8,
    "batch_size": 64,
    "threads": 1,
    "precision": "fp32",
    "layout": "channels-last",
    "compare": "none",
}


def finetune(folder: Path, *options: str) -> tuple[int, Path]:
    """Exit code and run folder of a run in this process."""
    code = main(["finetune", *OPTIONS, "--runs-dir", str(folder), "--no-check", *options])
    return code, (folder / "latest").resolve()


def resume(run: Path, *options: str) -> int:
    return main(["finetune", "--resume", str(run), "--no-plots", "-q", "--no-check", *options])


def metrics(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if k not in ("images_per_s", "seconds")} for r in rows]


def assert_same(run: Path, other: Path) -> None:
    """Weights, optimizer, generators, tables and results are the same bits."""
    states = [torch.load(r / "checkpoints" / "last.pt", weights_only=True) for r in (run, other)]
    for state in states:
        state["progress"].pop("rows")
        # A run whose configuration has the rate that another chose tries the same ones, and keeps it.
        (state["progress"]["probe"] or {}).pop("given", None)
    assert_equal(states[0], states[1])
    assert_equal(*(load_file(r / "checkpoints" / "best.safetensors") for r in (run, other)))
    assert metrics(run) == metrics(other)
    for name in ("predictions.csv", "rates.csv"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    assert configuration(run) == configuration(other)
    results = [json.loads((r / "result.json").read_text()) for r in (run, other)]
    assert results[0] == results[1]


def configuration(run: Path) -> list[str]:
    """The lines of ``config.yaml``; what is in a batch does not depend on the number of workers."""
    lines = (run / "config.yaml").read_text().splitlines()
    return [line for line in lines if not line.startswith("workers")]


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    elif one == one:  # NaN stands for nothing yet
        assert one == other


def stops_at_step(patch: pytest.MonkeyPatch, step: int, signum: int = signal.SIGINT) -> None:
    """Send a signal while the given step is computed."""
    real = Plan.factor

    def factor(self: Plan, now: int) -> float:
        if now == step and patched.pop("armed", False):
            signal.raise_signal(signum)
        return real(self, now)

    patched = {"armed": True}
    patch.setattr(Plan, "factor", factor)
