"""The default recipe on photographs (none in the project): it does no harm, and says where a rate does."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from tests.conftest import Mlhw, shared

EPOCHS = ["--epochs", "7"]  # the last two with the backbone open


def accuracies(run: Path) -> list[float]:
    with open(run / "metrics.csv", newline="") as file:
        return [float(row["val_acc"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_the_rate_that_is_found_harms_no_photographs_and_the_heads_does(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    """Half the epochs and half the side of what docs/finetune.md has a table of, which takes minutes."""
    photos = shared("data/photos")
    words = ["--data", f"folder:{photos}", "--image-size", "64", *EPOCHS, "--no-plots", "--json"]
    done = mlhw("finetune", *words)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert summary["backbone_lr"] == summary["probe"]["chosen"] < 3e-4
    found = accuracies(tmp_path / "runs" / "latest")
    best = max(found[:5])
    error = math.sqrt(best * (1 - best) / summary["images"]["val"])
    assert found[-1] > best - 2 * error
    assert "may help" not in done.stderr

    done = mlhw("finetune", *words, "--backbone-lr", "null")
    assert done.returncode == 0, done.stderr  # what a user's own images show is no claim
    assert accuracies(tmp_path / "runs" / "latest")[-1] < found[-1] - 2 * error
