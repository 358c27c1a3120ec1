"""Options of finetune that are rarely typed, in one run of the installed command, and what uses it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tests.conftest import mlhw_in

SMALL = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
SMALL += ["--precision", "fp32", "--layout", "contiguous"]
COLOURS = {"amber": (230, 160, 20), "jade": (20, 160, 90), "rust": (170, 60, 20)}
SUFFIXES = [".jfif", ".jpe", ".png", *([".avif"] if features.check("avif") else [])]
SUFFIXES += [".jp2"] if features.check("jpg_2000") else []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of pictures with a column ``is_valid``, one that cannot be read and two that look alike."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,label,is_valid"]
    formats = {".jfif": "JPEG", ".jpe": "JPEG", ".avif": "AVIF", ".jp2": "JPEG2000", ".png": "PNG"}
    for kind, colour in COLOURS.items():
        for number in range(24):
            suffix = SUFFIXES[number % len(SUFFIXES)]
            name = f"photos/{kind}{number:02}{suffix}"
            smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
                (40, 40)
            )
            pixels = 0.5 * np.array(colour) + 0.5 * np.asarray(smooth)
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / name, format=formats[suffix])
            rows.append(f"{name},{kind},{number % 4 == 3}")
            if kind == "jade" and number == 2:  # the same picture, saved again
                image.save(folder / "photos" / "twin.jpg", quality=90)
                rows.append(f"photos/twin.jpg,{kind},False")
    for number in range(3):
        (folder / "photos" / f"broken{number}.png").write_bytes(b"x")
        rows.append(f"photos/broken{number}.png,rust,False")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    mlhw = mlhw_in(place)
    words = [
        "--data",
        "csv:list.csv",
        "--on-error",
        "skip",
        "--max-skipped",
        "0.2",
        "--epochs",
        "3",
    ]
    words += ["--unfreeze-at", "1", "--batch-size", "8", "--find-lr", "--backbone-lr", "1e-3"]
    words += ["--augment", "light,randaugment", "--ema", "0.9", "--clip", "1", "--accumulate", "2"]
    done = mlhw("finetune", *SMALL, *words)
    assert done.returncode == 0, done.stderr
    assert "3 unreadable images are left out" in done.stderr
    return (place / "runs" / "latest").resolve()


def test_is_valid_decides_and_files_of_every_kind_are_read(run: Path) -> None:
    images = json.loads((run / "result.json").read_text())["summary"]["images"]
    assert images == {"train": 54 + 1, "val": 18, "test": 0, "skipped": 3}


def test_pictures_that_look_alike_are_counted_and_named(run: Path) -> None:
    summary = json.loads((run / "result.json").read_text())["summary"]
    assert summary["duplicates"]["near"]["pairs"] == 1
    log = (run / "log.txt").read_text()
    twin = f"jade02{SUFFIXES[2 % len(SUFFIXES)]}"
    assert re.search(rf"nearly the same: .*{re.escape(twin)}.*twin\.jpg", log)


def test_the_rates_that_were_tried_are_a_table_and_a_figure(run: Path) -> None:
    with open(run / "rates.csv", newline="") as file:
        rates = [float(row["rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([1e-3, 3e-4, 1e-4, 3e-5, 1e-5])
    assert (run / "plots" / "find-lr.png").stat().st_size > 10_000
    summary = json.loads((run / "result.json").read_text())["summary"]
    assert summary["backbone_lr"] == 1e-3  # as given, whatever was found


def test_what_picked_the_model_is_said_where_it_judges(place: Path, run: Path) -> None:
    done = mlhw_in(place)("evaluate", str(run))
    assert done.returncode == 0, done.stderr
    assert "the model was picked and its temperature fitted on these images" in done.stderr


def test_a_list_of_files_is_predicted(place: Path, run: Path) -> None:
    mlhw = mlhw_in(place)
    names = ["photos/amber03.png", "photos/jade07.png"]
    names = [
        str(next((place / "photos").glob(Path(n).stem + ".*")).relative_to(place)) for n in names
    ]
    (place / "those.txt").write_text("\n".join(names) + "\n")
    done = mlhw("predict", str(run), "@those.txt", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == names
    quiet = mlhw("predict", str(run), "@those.txt", "--format", "csv", "-q")
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_an_onnx_file_is_exported_and_judges_and_predicts_alike(place: Path, run: Path) -> None:
    pytest.importorskip("onnxruntime")
    mlhw = mlhw_in(place)
    done = mlhw("export", str(run), "--format", "onnx", "--out", "model.onnx", "--json")
    assert done.returncode == 0, done.stderr
    exported = json.loads(done.stdout)
    assert exported["logits_off"] < 1e-4
    image = str(next((place / "photos").glob("rust00.*")))
    answers = []
    for model in (str(run), "model.onnx"):
        done = mlhw("predict", model, image, "--json")
        answers.append(json.loads(done.stdout)["predictions"][0])
        judged = mlhw("evaluate", model, "--data", "csv:list.csv", "--split", "val", "--json")
        answers[-1]["accuracy"] = json.loads(judged.stdout)["metrics"]["accuracy"]
    assert answers[0]["accuracy"] == answers[1]["accuracy"]
    assert answers[0]["class"] == answers[1]["class"]
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=1e-4)


def test_the_report_shows_tables_of_classes_whole(run: Path) -> None:
    page = (run / "report.html").read_text()
    with open(run / "coverage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11  # a row more than of other tables is shown
    assert re.search(rf"<td[^>]*>\s*{re.escape(rows[-1]['threshold'])}\s*</td>", page)
