"""``mlhw finetune`` on images that are no 8-bit squares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.test_finetune import SMALL, summary
from tests.conftest import Mlhw
from tests.vision.images.deep import png, tiff

OPTIONS = [*SMALL, "--data", "folder:own", "--epochs", "2", "--unfreeze-at", "1", "--no-plots"]


def draw(root: Path, kind: str, most: float) -> None:
    """Two classes, bright above or below; all values from 0 to ``most`` in the training images."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for k, name in enumerate(("above", "below")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                values = random.random((16, 16, 3)) * most / 3
                values[8 * k : 8 * k + 8] += most / 2
                values[8, 8], values[0, 0] = most, 0
                if kind == "png":
                    content = png(values.astype(np.uint16))
                else:
                    content = tiff(values[..., 0].astype(kind))
                (folder / f"{i}.{'png' if kind == 'png' else 'tif'}").write_bytes(content)


@pytest.mark.parametrize(("kind", "most"), [("png", 260), ("float32", 0.5)])
def test_deep_images_keep_their_contrast_in_training_and_in_prediction(
    mlhw: Mlhw, tmp_path: Path, kind: str, most: float
) -> None:
    draw(tmp_path / "own", kind, most)
    done = mlhw("finetune", *OPTIONS, "--json")
    assert summary(done)["images"]["train"] == 24  # type: ignore[index]
    assert f"0 … {most:g}, the range of the training images" in done.stderr
    if kind == "png":
        run = tmp_path / "runs" / "latest"
        again = mlhw("finetune", "-c", run / "config.yaml", "--no-plots", "--json", fresh=True)
        assert summary(again) == summary(done)

    inside, beyond = np.zeros((9, 9), np.uint16), np.full((9, 9), 999, np.uint16)
    beyond[0] = min(most, 65_535)
    (tmp_path / "inside.png").write_bytes(png(inside))
    (tmp_path / "beyond.png").write_bytes(png(beyond))
    Image.new("L", (9, 9)).save(tmp_path / "eight.png")
    found = mlhw("predict", "runs/latest", "inside.png", "beyond.png", "eight.png", "--json")
    assert found.returncode == 0
    assert "eight.png: has 8-bit pixels" in found.stderr
    listed = json.loads(found.stdout)
    assert len(listed["predictions"]) == 2
    assert "1 of 2 images have pixels beyond" in found.stderr
    assert "beyond.png: 88.9%" in found.stderr

    if kind == "float32":
        judged = mlhw("evaluate", "runs/latest", "--data", "folder:own/val", "--json")
        assert judged.returncode == 0, judged.stderr
        assert json.loads(judged.stdout)["metrics"]["accuracy"] == summary(done)["best_val_acc"]
        for name in ("above", "below"):
            (tmp_path / "eight" / name).mkdir(parents=True)
            Image.new("L", (9, 9)).save(tmp_path / "eight" / name / "0.png")
        judged = mlhw("evaluate", "runs/latest", "--data", "folder:eight")
        assert judged.returncode == 2
        assert "above/0.png has pixels of 8 bits, the model was trained on ones" in judged.stderr


def test_two_depths_in_one_data_set_need_black_and_white(mlhw: Mlhw, tmp_path: Path) -> None:
    draw(tmp_path / "own", "png", 260)
    Image.new("L", (16, 16)).save(tmp_path / "own" / "train" / "above" / "eight.png")
    done = mlhw("finetune", *OPTIONS)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "--pixel-range 0,65535" in done.stderr
    assert not (tmp_path / "runs").exists()
    summary(mlhw("finetune", *OPTIONS, "--pixel-range", "0,260", "--json"))
    assert "is no" not in mlhw("predict", "runs/latest", "own/train/above/eight.png").stderr
    wrong = mlhw("finetune", *OPTIONS, "--pixel-range", "260,0")
    assert wrong.returncode == 2
    assert "black below white" in wrong.stderr


def test_a_hole_in_a_float_image_is_refused_by_name(mlhw: Mlhw, tmp_path: Path) -> None:
    draw(tmp_path / "own", "float32", 1)
    (tmp_path / "own" / "train" / "above" / "hole.tif").write_bytes(
        tiff(np.array([[1, np.nan]], dtype=np.float32))
    )
    done = mlhw("finetune", *OPTIONS)
    assert done.returncode == 2
    assert "hole.tif: has pixels that are no numbers" in done.stderr


def test_wide_images_are_warned_of_and_fit_shows_all_of_them(mlhw: Mlhw, tmp_path: Path) -> None:
    """What tells the classes lies at the left end, which the centre crop cuts off."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 12)):
        for name, end in (("bright", 255), ("dark", 0)):
            folder = tmp_path / "own" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 256, (16, 48, 3), dtype=np.uint8)
                pixels[:, :12] = end
                Image.fromarray(pixels).save(folder / f"{i}.png")
    options = [*OPTIONS, "--lr", "0.02", "--epochs", "12", "--unfreeze-at", "null", "--json"]
    cropped = mlhw("finetune", *options)
    assert "100% of the images are more than 1.5 times as long as wide (up to 3)" in cropped.stderr
    for fit in ("pad", "squash"):
        done = mlhw("finetune", *options, "--fit", fit)
        config = (tmp_path / "runs" / "latest" / "config.yaml").read_text()
        assert f"fit: {fit}" in config
        assert "as long as wide" not in done.stderr
        assert summary(done)["best_val_acc"] == 1.0
        found = mlhw("predict", "runs/latest", "own/val", "--format", "csv").stdout.splitlines()
        right = [Path(line.split(",")[0]).parent.name == line.split(",")[1] for line in found[1:]]
        assert len(right) == 24
        assert all(right)
    assert summary(cropped)["best_val_acc"] < 0.9  # type: ignore[operator]
