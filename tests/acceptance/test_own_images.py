"""Which images ``mlhw finetune`` reads, from where, into which split, as a user meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Mlhw
from tests.vision.images.drawn import class_folders, picture

QUICK = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
QUICK += ["--precision", "fp32", "--layout", "contiguous", "--features", "memory", "--epochs", "1"]
QUICK += ["--unfreeze-at", "null", "--json", "--no-plots", "--no-check"]


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["summary"]
    return found


def refusal_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_the_folders_of_others_call_their_splits_is_understood(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    for split in ("Train", "VALID", "testing"):
        class_folders(tmp_path / "pets" / split, {"cat": 3, "dog": 2})
    done = mlhw("finetune", *QUICK, "--data", "folder:pets")
    found = summary_of(done)
    assert found["classes"] == ["cat", "dog"]
    assert found["images"] == {"train": 5, "val": 5, "test": 5, "skipped": 0}
    assert "val: 5 images, VALID/: cat 3, dog 2" in done.stderr
    # The drawn images of the three splits are the same ones.
    assert found["duplicates"]["leaked"] == {"val": 5, "test": 5}
    assert "warning: 5 of 5 val images are in train too, pixel for pixel" in done.stderr
    line = refusal_of(mlhw("finetune", *QUICK, "--data", "folder:pets", "--on-leak", "fail"))
    assert "5 of 5 test images are in train too" in line
    assert len([p for p in (tmp_path / "runs").iterdir() if not p.is_symlink()]) == 1


def test_an_unused_folder_beside_the_splits_ends_before_work_begins(
    mlhw_here: Mlhw, tmp_path: Path
) -> None:
    for folder in ("train", "extra"):
        class_folders(tmp_path / "pets" / folder, {"cat": 3, "dog": 3})
    line = refusal_of(mlhw_here("finetune", *QUICK, "--data", "folder:pets"))
    assert "extra/ beside train/ would be used for nothing" in line
    assert not (tmp_path / "runs").exists()


def listed(folder: Path, header: str, rows: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "labels.csv"


def test_a_list_with_places_splits_and_groups_is_read(mlhw_here: Mlhw, tmp_path: Path) -> None:
    pets = class_folders(tmp_path / "pets", {"cat": 12, "dog": 12})
    files = sorted(pets.rglob("*.png"))
    names = [f"{p.relative_to(pets)},{p.parent.name}" for p in files]
    parts = ["Train", "Train", "dev"]
    path = listed(
        tmp_path / "lists",
        "file_name,label,split",
        [f"{row},{parts[i % 3]}" for i, row in enumerate(names)],
    )
    options = ["--data", f"csv:{path}", "--image-root", "pets"]
    found = summary_of(mlhw_here("finetune", *QUICK, *options))
    assert found["images"] == {"train": 16, "val": 8, "test": 0, "skipped": 0}
    config = tmp_path / "runs" / "latest" / "config.yaml"
    assert f"image_root: {pets}" in config.read_text()
    absolute = [f"{p},{p.parent.name},{i // 3}" for i, p in enumerate(files)]
    path = listed(tmp_path / "lists", "file_name,label,patient", absolute)
    options = ["--data", f"csv:{path}", "--group", "patient", "--folds", "4", "--fold", "3"]
    found = summary_of(mlhw_here("finetune", *QUICK, *options, "--test", "0"))
    assert found["images"] == {"train": 18, "val": 6, "test": 0, "skipped": 0}
    with open(tmp_path / "runs" / "latest" / "predictions.csv") as file:
        rows = [line.split(",")[0] for line in file.read().splitlines()[1:]]
    numbers = sorted(files.index(Path(row)) // 3 for row in rows)
    assert len(rows) == 6
    assert len(set(numbers)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fold", "1"], "there are no folds (data.folds is null)"),
        (["--folds", "3", "--fold", "3"], "fold: must be below folds, 3"),
        (["--folds", "1"], "--folds"),
        (["--folds", "3", "--val", "5"], "validation is one of 3 folds (data.folds)"),
        (["--max-skipped", "2"], "--max-skipped: must be at most 1"),
        (["--on-leak", "stop"], "--on-leak: must be one of warn, fail"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    mlhw_here: Mlhw, options: list[str], message: str
) -> None:
    assert message in refusal_of(mlhw_here("finetune", *QUICK, *options))


def test_a_few_unreadable_images_of_few_are_skipped(mlhw_here: Mlhw, tmp_path: Path) -> None:
    pets = class_folders(tmp_path / "pets", {"cat": 21, "dog": 22})
    (pets / "cat" / "bad.jpg").write_bytes(b"no image")
    skip = ["--data", "folder:pets", "--on-error", "skip"]
    assert summary_of(mlhw_here("finetune", *QUICK, *skip))["images"]["skipped"] == 1
    (pets / "dog" / "bad.jfif").write_bytes(b"")
    line = refusal_of(mlhw_here("finetune", *QUICK, *skip))
    assert "more than 1% of 45 images cannot be read; --max-skipped (data.max_skipped)" in line


def test_linked_images_are_read_and_several_labels_refused(mlhw_here: Mlhw, tmp_path: Path) -> None:
    store = class_folders(tmp_path / "store", {"x": 12})
    for i, path in enumerate(sorted(store.rglob("*.png"))):
        link = tmp_path / "linked" / ("ants" if i % 2 else "bees") / f"{i}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    found = summary_of(mlhw_here("finetune", *QUICK, "--data", "folder:linked"))
    assert sum(found["images"].values()) == 12
    picture(tmp_path / "linked" / "a.png")
    path = listed(tmp_path / "linked", "file_name,label", ['a.png,"ants,wing"'])
    line = refusal_of(mlhw_here("finetune", *QUICK, "--data", f"csv:{path}"))
    assert "labels.csv:2: several labels for one image are not supported: 'ants,wing'" in line
