"""``mlhw finetune`` with changed and mixed images, and with classes of very different size."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.test_finetune import SMALL, summary
from tests.conftest import Mlhw

OPTIONS = [*SMALL, "--data", "folder:own", "--val", "0.25", "--test", "0"]
OPTIONS += ["--batch-size", "8", "--lr", "0.003", "--json"]


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """40 images of one class and 8 of another, a little brighter."""
    random = np.random.default_rng(0)
    for name, count, more in (("common", 40, 0), ("rare", 8, 60)):
        folder = tmp_path / "own" / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(more, 190 + more, (12, 15, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return tmp_path


def test_images_are_changed_and_mixed_from_unfreezing_on(mlhw: Mlhw, uneven: Path) -> None:
    options = ["--epochs", "4", "--unfreeze-at", "2"]
    assert mlhw("finetune", *OPTIONS, *options, "--no-plots").returncode == 0
    changes = ["--augment", "light,jitter,erase", "--mixup", "0.4", "--cutmix", "1"]
    changed = mlhw("finetune", *OPTIONS, *options, *changes)
    summary(changed)
    run = uneven / "runs" / "latest"
    assert "random changes of the images: from epoch 2 on; the frozen epochs" in changed.stderr
    logs = [p.read_text() for p in sorted((uneven / "runs").glob("2*-finetune*/log.txt"))]
    assert len(logs) == 2
    lines = [re.findall(r"Training Loss: (.*)", log) for log in logs]
    assert lines[0][:2] == lines[1][:2]
    assert lines[0][2] != lines[1][2]
    with Image.open(run / "plots" / "augmented.png") as sheet:
        assert sheet.width > 300
    saved = ("-c", run / "config.yaml", "--json", "--no-plots", "--workers", "2")
    again = mlhw("finetune", *saved, fresh=True)
    assert summary(again) == summary(changed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--augment", "flipp"], "must be none, flip-crop, light, strong, or some of"),
        (["--augment", "crop,light"], "resized-crop and crop, not both"),
        (["--mixup", "-1"], "--mixup"),
        (["--cutmix", "nan"], "--cutmix"),
        (["--mixup", "1", "--batch-size", "1"], "need a batch_size of 2 or more"),
        (["--sampler", "even"], "must be one of shuffle, balanced"),
        (["--sampler", "balanced", "--class-weights", "balanced"], "count small classes twice"),
        (["--fit", "cut"], "must be one of crop, pad, squash"),
    ],
)
def test_what_contradicts_itself_is_refused_in_a_line(
    mlhw: Mlhw, tmp_path: Path, options: list[str], message: str
) -> None:
    done = mlhw("finetune", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("balance", [["--sampler", "balanced"], ["--class-weights", "balanced"]])
def test_a_rare_class_is_found_where_classes_count_the_same(
    mlhw: Mlhw, uneven: Path, balance: list[str]
) -> None:
    """Under the same training without it nearly every image is taken for the common class."""
    options = ["--epochs", "3", "--unfreeze-at", "2", "--no-plots"]
    shares = []
    for given in ([], balance):
        done = mlhw("finetune", *OPTIONS, *options, *given)
        summary(done)
        run = uneven / "runs" / "latest"
        with open(run / "predictions.csv", newline="") as file:
            shares.append(np.mean([float(row["p_rare"]) for row in csv.DictReader(file)]))
        claims = {c["id"]: c["verdict"] for c in json.loads(done.stdout)["claims"]}
        assert claims["first-epochs-again"] == "holds"
        assert claims["classes-alike"] == ("holds" if given else "not applicable")
    assert shares[1] > 2 * shares[0]
