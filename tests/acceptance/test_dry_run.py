"""``mlhw finetune --dry-run``: everything read, checked and measured; nothing written unless asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Mlhw, shared
from tests.vision.images.drawn import class_folders, picture

QUICK = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "16", "--threads", "1"]
QUICK += ["--precision", "fp32", "--layout", "contiguous", "--epochs", "3", "--unfreeze-at", "2"]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A cache folder of its own, so that what is written there is seen."""
    (tmp_path / "cache").mkdir()
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "MPLCONFIGDIR": str(tmp_path / "mpl")}


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_it_says_what_would_be_done_and_writes_nothing(
    mlhw: Mlhw, tmp_path: Path, home: dict[str, str]
) -> None:
    pets = class_folders(tmp_path / "pets" / "train", {"cat": 9, "dog": 7}).parent
    picture(pets / "valid" / "cat" / "wide.png", 500, size=(40, 10))
    picture(pets / "valid" / "dog" / "copy.png", 1)  # train/cat/000.png
    before = files_below(tmp_path)
    done = mlhw(
        "finetune", *QUICK, "--data", "folder:pets", "--dry-run", "--augment", "flip", env=home
    )
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path) == before
    assert "warning: 1 of 2 val images are in train too" in done.stderr
    assert "1 picture in more than one class" in done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:4] == [
        f"folder:{pets}: 2 classes",
        "split images cat dog from",
        "train 16 9 7 train/",
        "val 2 1 1 valid/",
    ]
    assert "sizes: 9 × 6 to 40 × 10 pixels, the median 9 × 6" in lines
    assert any(line.endswith("1 of 18 images beyond 1.5") for line in lines)
    assert "duplicates: 1 copy; 1 of val in an earlier split too; 1 picture in two classes" in lines
    assert any(
        line.startswith("epochs 3: 2 of the head alone and 1 of the backbone too; 1 step of 32")
        for line in lines
    )
    assert any(re.match(r"time (about )?.+: .*open epochs", line) for line in lines)


def test_the_report_goes_into_the_folder_that_is_named(mlhw_here: Mlhw, tmp_path: Path) -> None:
    class_folders(tmp_path / "pets", {"cat": 15, "dog": 20})
    for number in range(5):
        picture(tmp_path / "pets" / "cat" / f"again{number}.png", number + 1)
    options = ["--data", "folder:pets", "--json", "--augment", "flip-crop"]
    done = mlhw_here("finetune", *QUICK, *options, "--dry-run", "report")
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "report") == {"dry-run.txt", "dry-run.json", "augmented.png"}
    assert not (tmp_path / "runs").exists()
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "report" / "dry-run.json").read_text())
    copies = found["data"]["copies"]["identical"]
    assert len(copies) == 5
    text = (tmp_path / "report" / "dry-run.txt").read_text()
    for number in range(5):  # named one by one, which the screen does not
        assert any(f"cat/again{number}.png" in line for line in copies)
        assert f"cat/again{number}.png" in text
    splits = found["data"]["splits"]
    # 70, 15 and 15 % of 40, within the one image that copies, which stay together, may shift.
    for (name, split), share in zip(splits.items(), (28, 6, 6), strict=True):
        assert abs(split["images"] - share) <= 1, name
        assert abs(split["classes"]["cat"] - split["classes"]["dog"]) <= 1
    plan = found["plan"]
    assert (plan["epochs"], plan["frozen_epochs"], plan["steps_per_epoch"]) == (3, 2, 1)
    assert plan["rates"]["head"] == 1e-3
    assert plan["seconds"]["total"] == pytest.approx(
        sum(s for name, s in plan["seconds"].items() if name != "total")
    )
    with Image.open(tmp_path / "report" / "augmented.png") as sheet:
        assert min(sheet.size) > 300


def test_data_that_cannot_be_used_end_as_in_a_run(mlhw_here: Mlhw, tmp_path: Path) -> None:
    class_folders(tmp_path / "pets", {"cat": 6, "dog": 6})
    (tmp_path / "pets" / "cat" / "000.png").write_bytes(b"x")
    done = mlhw_here("finetune", *QUICK, "--data", "folder:pets", "--dry-run")
    assert done.returncode == 2
    assert "000.png: is not an image that can be read" in done.stderr
    done = mlhw_here("finetune", "--dry-run", "--resume", "latest")
    assert done.returncode == 2
    assert "--dry-run and --resume: only one can be given" in done.stderr


def test_the_photographs_are_counted_by_class_and_split(mlhw_here: Mlhw) -> None:
    photos = shared("data/photos")
    done = mlhw_here("finetune", *QUICK, "--data", f"folder:{photos}", "--dry-run", "--json")
    data = json.loads(done.stdout)["data"]
    assert data["splits"]["train"] == {
        "images": 244,
        "from": "train/",
        "classes": {"ants": 123, "bees": 121},
    }
    assert data["splits"]["val"]["classes"] == {"ants": 70, "bees": 83}
    assert data["duplicates"]["near"] == {"pairs": 0, "across_splits": 0, "in_two_classes": 0}
    assert data["aspects"]["largest"] > 3
