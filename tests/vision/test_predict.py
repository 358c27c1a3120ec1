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
from mlhw.commands.predict import TableWriter
from mlhw.vision.images.datasets import load_images
from mlhw.vision.predict import Prediction
from tests.conftest import PROGRAM

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
    table = TableWriter(3, [])
    table.row(Prediction("a\x1b[2J.png", [("cat\x07", 0.9), ("dog\u202e\n", 0.1)]))
    assert table.end() == "a\\x1b[2J.png  cat\\x07  0.900  (dog\\u202e  0.100)\n"


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


def test_top_k_and_all_probabilities_are_those_of_the_runs_own_test(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(run / "predictions.csv", newline="") as file:
        expected = next(csv.DictReader(file))
    shares = {k.removeprefix("p_"): float(v) for k, v in expected.items() if k.startswith("p_")}
    picture = images / "00.png"
    wanted = [picture, "--top-k", "5", "--probabilities"]
    _, text, _ = predict(capsys, run, *wanted, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert len(row) == 1 + 2 * 5 + 10
    assert {k: float(row[f"p_{k}"]) for k in shares} == pytest.approx(shares, abs=1e-4)
    ranked = [row["class"], *(row[f"class{n}"] for n in range(2, 6))]
    assert ranked == sorted(shares, key=lambda k: -float(row[f"p_{k}"]))[:5]
    _, text, _ = predict(capsys, run, *wanted, "--format", "jsonl")
    entry = json.loads(text)
    assert {k: float(row[f"p_{k}"]) for k in shares} == entry["probabilities"]
    assert [label["class"] for label in entry["top"]] == ranked
    _, text, _ = predict(capsys, run, *wanted)
    everything = ", ".join(f"{k} {share:.3f}" for k, share in entry["probabilities"].items())
    assert text.endswith(f"  ({everything})\n")
    _, text, _ = predict(capsys, run, picture, "--top-k", "99", "--json")
    assert len(json.loads(text)["predictions"][0]["top"]) == 10


def test_below_the_threshold_no_class_is_named(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = predict(capsys, run, images, "--json")
    shares = {p["file"]: p["probability"] for p in json.loads(text)["predictions"]}
    middle = sorted(shares.values())[10]
    options = ["--threshold", str(middle)]
    code, text, err = predict(capsys, run, images, *options, "--json")
    assert code == 0
    for entry in json.loads(text)["predictions"]:
        assert (entry["class"] is None) == (shares[entry["file"]] < middle)
        assert entry["top"][0]["probability"] == entry["probability"]
    assert "10 of 20 images: no class is as probable as" in err
    _, text, _ = predict(capsys, run, images, *options, "--format", "csv")
    for row in csv.DictReader(io.StringIO(text)):
        assert (row["class"] == "") == (float(row["probability"]) < middle)
    _, text, _ = predict(capsys, run, images, *options)
    assert sum(line.split()[1] == "unsure" for line in text.splitlines()) == 10
    for wrong in ("1.5", "-1", "nan", "much"):
        code, _, err = predict(capsys, run, images, "--threshold", wrong)
        assert (code, "--threshold" in err, "Traceback" in err) == (2, True, False)


def test_strict_is_strict(run: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = predict(capsys, run, images, "--strict", "--format", "csv")
    assert (code, len(out.splitlines())) == (1, 21)
    assert err.splitlines()[-1] == "error: 3 of the 23 files cannot be read as an image"
    assert predict(capsys, run, images / "more", "--strict")[0] == 0


def test_what_is_passed_over_in_a_folder_is_counted(
    run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "more" / ".hidden.png").write_bytes(b"")
    _, out, err = predict(capsys, run, images, "--json")
    line = f"{images}: passed over 1 .txt, 1 hidden"
    assert line in err
    assert "passed over" not in out
    assert "passed over" not in predict(capsys, run, images, "-q")[2]


def test_paths_from_a_pipe_are_answered_one_by_one(run: Path, images: Path) -> None:
    """The first answer is there before the second path is written."""
    with subprocess.Popen(
        [PROGRAM, "predict", run, "-", "--format", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for name in ("00.png", "cut.png", "more/01.png"):
            child.stdin.write(f"{images / name}\n")
            answer = json.loads(child.stdout.readline())
            assert answer["file"] == str(images / name)
            assert ("reason" in answer) == (name == "cut.png")
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0
        assert "cut.png: is damaged or cut off" in err


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
