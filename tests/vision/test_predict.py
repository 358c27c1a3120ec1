"""``mlhw predict``: the saved network, its preprocessing and its class names, on files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlhw.commands.main import main
from mlhw.commands.predict import predictions_table
from mlhw.vision.images.datasets import load_images
from mlhw.vision.predict import Prediction

OPTIONS = ["--val", "0.3", "--test", "0.3", "--image-size", "32", "--threads", "1"]
OPTIONS += ["--epochs", "2", "--unfreeze-at", "null", "--lr", "0.02", "--compare", "none"]
OPTIONS += ["--hidden", "32", "--dropout", "0.1", "--precision", "fp32", "--no-plots", "-q"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert main(["finetune", *OPTIONS, "--runs-dir", str(folder)]) == 0
    return (folder / "latest").resolve()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 20 test images of the run, as files, and three that cannot be read."""
    folder = tmp_path_factory.mktemp("images")
    splits = load_images("digits", val=0.3, test=0.3)
    assert splits.test is not None
    for i, pixels in enumerate(splits.test.images(np.arange(20))):
        below = folder / "more" if i % 2 else folder
        below.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(below / f"{i:02}.png")
    (folder / "text.png").write_text("no image")
    (folder / "empty.jpg").write_bytes(b"")
    whole = (folder / "00.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not looked at")
    return folder


def predict(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["predict", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_predictions_are_those_of_the_runs_own_test(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = predict(capsys, run, images, "--json")
    assert code == 0
    found = json.loads(out)
    with open(run / "predictions.csv", newline="") as file:
        expected = list(csv.DictReader(file))[:20]
    by_number = {int(Path(p["file"]).stem): p for p in found["predictions"]}
    assert len(by_number) == 20
    for i, row in enumerate(expected):
        assert by_number[i]["class"] == row["predicted"]
        assert by_number[i]["probability"] == pytest.approx(
            float(row[f"p_{row['predicted']}"]), abs=1e-4
        )
        shares = [entry["probability"] for entry in by_number[i]["top"]]
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)


def test_unreadable_files_are_listed_and_do_not_stop_the_others(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = predict(capsys, run, images, "--json")
    listed = {Path(entry["file"]).name for entry in json.loads(out)["unreadable"]}
    assert (code, listed) == (0, {"text.png", "empty.jpg", "cut.png"})
    assert all(str(images / name) in err for name in listed)


def test_without_one_readable_file_the_last_line_is_an_error(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = predict(capsys, run, images / "text.png", "--json")
    assert (code, json.loads(out)["predictions"]) == (1, [])
    assert err.splitlines()[-1] == "error: the file cannot be read as an image"
    code, out, err = predict(capsys, run, images / "text.png", images / "cut.png", "-q")
    assert (code, out, err) == (1, "", "error: none of the 2 files can be read as an image\n")


def test_names_cannot_command_the_terminal() -> None:
    found = [Prediction("a\x1b[2J.png", [("cat\x07", 0.9), ("dog\u202e\n", 0.1)])]
    assert predictions_table(found, []) == "a\\x1b[2J.png  cat\\x07  0.900  (dog\\u202e  0.100)\n"


def test_the_three_formats_say_the_same(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = images / "00.png"
    _, text, _ = predict(capsys, run, picture, "--json")
    (entry,) = json.loads(text)["predictions"]
    _, text, _ = predict(capsys, run, picture, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["file"], row["class"], row["class3"]) == (
        str(picture),
        entry["class"],
        entry["top"][2]["class"],
    )
    assert float(row["probability"]) == entry["probability"]
    _, text, _ = predict(capsys, run, picture)
    assert text.split()[:3] == [str(picture), entry["class"], f"{entry['probability']:.3f}"]


def test_the_models_file_alone_is_enough(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "model.safetensors"
    alone.write_bytes((run / "checkpoints" / "best.safetensors").read_bytes())
    by_folder = predict(capsys, run, images / "00.png")
    assert predict(capsys, alone, images / "00.png") == by_folder


def test_what_cannot_be_used_is_named(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = predict(capsys, tmp_path, images)
    assert code == 2
    assert "has no checkpoints/best.safetensors" in err
    code, _, err = predict(capsys, run, tmp_path / "none.png")
    assert code == 2
    assert "no such file or folder" in err
    code, _, err = predict(capsys, run, tmp_path)
    assert code == 2
    assert "holds no image" in err
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"<!doctype html>")
    code, _, err = predict(capsys, bad, images)
    assert code == 2
    assert str(bad) in err
    assert "Traceback" not in err
    code, _, err = predict(capsys, run, images, "--device", "gpu")
    assert code == 2
    assert "--device" in err


def test_help_costs_no_torch(capsys: pytest.CaptureFixture[str]) -> None:

    code = (
        "import sys; from mlhw.commands.main import main; main(['predict', '--help']); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "IMAGE|FOLDER" in done.stdout
