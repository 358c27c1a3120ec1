"""The temperature of a run: fitted on its validation, in the model's file, in all probabilities."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from mlhw.commands.main import main

OPTIONS = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
OPTIONS += ["--precision", "fp32", "--layout", "channels-last", "--features", "memory"]
OPTIONS += ["--test", "0.3", "--epochs", "3", "--unfreeze-at", "1", "--lr", "0.01"]
OPTIONS += ["--no-plots", "--no-check"]


def finetune(folder: Path, *options: str) -> Path:
    assert main(["finetune", *OPTIONS, *options, "--runs-dir", str(folder)]) == 0
    return (folder / "latest").resolve()


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())["summary"]  # type: ignore[no-any-return]


def stored(run: Path) -> float:
    """The temperature in the model's file, as any reader of safetensors finds it."""
    with safe_open(run / "checkpoints" / "best.safetensors", "np") as file:
        return float(json.loads(file.metadata()["temperature"]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(tmp_path_factory.mktemp("runs"), "--val", "0.3", "-q")


def test_it_is_in_the_models_file_and_mends_what_smoothed_labels_leave(run: Path) -> None:
    found = summary(run)["calibration"]
    assert found["temperature"] == stored(run) < 1  # smoothed labels make a network too modest
    assert found["ece_after"] < found["ece_before"] / 2
    assert (found["bins"], found["images"]) == (15, summary(run)["images"]["test"])
    assert "temperature" in (run / "log.txt").read_text()


def test_predictions_have_it_and_float32s_digits(run: Path) -> None:
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [[row[f"p_{k}"] for k in range(10)] for row in rows]
    # The shortest decimal that is read as the same float32, and not all the digits of a float64.
    assert all(float(str(np.float32(t))) == float(t) for row in texts for t in row)
    p = np.array(texts, float)
    assert p.sum(1) == pytest.approx(np.ones(len(p)), abs=1e-5)
    right = np.array([row["label"] == row["predicted"] for row in rows])
    confidence = p.max(1)
    bins = np.ceil(confidence * 15).astype(int)
    error = sum(
        abs(right[bins == m].sum() - confidence[bins == m].sum()) for m in range(1, 16)
    ) / len(p)
    assert error == pytest.approx(summary(run)["calibration"]["ece_after"], abs=1e-6)


def test_too_few_validation_images_leave_it_at_1_and_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finetune(tmp_path, "--val", "40")
    found = summary(run)["calibration"]
    assert found["temperature"] == stored(run) == 1
    assert found["ece_before"] == found["ece_after"]
    captured = capsys.readouterr()
    assert "40 validation images are too few" in captured.err
    assert "too few validation images to fit a temperature" in captured.out


@pytest.mark.parametrize("best", ["loss", "balanced-accuracy", "macro-f1", "auto"])
def test_the_model_is_picked_by_what_best_names(
    best: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finetune(tmp_path, "--val", "0.3", "--best", best, "--json", "-q")
    found = json.loads(capsys.readouterr().out)
    verdicts = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert verdicts["best-is-best"] == verdicts["temperature-fitted"] == "holds"
    column, sign = {
        "loss": ("val_loss", -1),
        "balanced-accuracy": ("val_balanced_acc", 1),
        "macro-f1": ("val_macro_f1", 1),
        "auto": ("val_acc", 1),
    }[best]
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    order = sorted(
        rows, key=lambda r: (-sign * float(r[column]), float(r["val_loss"]), int(r["epoch"]))
    )
    assert found["summary"]["best_epoch"] == int(order[0]["epoch"])
    recorded = (run / "config.yaml").read_text()
    assert f"best: {'accuracy' if best == 'auto' else best}" in recorded
