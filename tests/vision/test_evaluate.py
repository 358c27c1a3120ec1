"""``mlhw evaluate``: a saved model on labelled images, its own and others'."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from mlhw.commands.main import main
from tests.conftest import Mlhw, shared

OPTIONS = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
OPTIONS += ["--precision", "fp32", "--layout", "channels-last", "--features", "memory"]
OPTIONS += ["--epochs", "3", "--unfreeze-at", "1", "--lr", "0.01", "--batch-norm", "train"]
OPTIONS += ["--no-plots", "-q", "--no-check"]
COLOURS = {"blue": (40, 40, 190), "green": (40, 190, 40), "red": (190, 40, 40)}


def draw(folder: Path, counts: dict[str, int], seed: int) -> Path:
    """Noisy pictures of a colour, in a folder a class."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.normal(0, 250, (10, 10 + i % 2, 3))
            pixels = np.clip(COLOURS.get(name, (90, 90, 90)) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, (split, count) in enumerate({"train": 40, "val": 20, "test": 8}.items()):
        draw(folder / split, dict.fromkeys(COLOURS, count), seed)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    assert main(["finetune", "--data", f"folder:{data}", *OPTIONS, "--runs-dir", str(runs)]) == 0
    return (runs / "latest").resolve()


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_runs_own_test_images_give_the_runs_own_numbers(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json.loads((run / "result.json").read_text())["summary"]
    kept = ("metrics", "per_class", "confusion", "calibration")
    for number, given in enumerate(([], ["--data", f"folder:{data}"])):
        out = tmp_path / str(number)
        code, text, err = evaluate(capsys, run, *given, "--json", "--out", out, "--no-plots")
        found = json.loads(text)
        assert (code, found["split"]) == (0, "test")
        assert "warning" not in err
        for key in kept:
            assert found[key] == own[key]
        for name in ("classes.csv", "confusion.csv", "coverage.csv", "predictions.csv"):
            assert (out / name).read_bytes() == (run / name).read_bytes()
        assert json.loads((out / "result.json").read_text())["summary"] == found
        assert not (out / "plots").exists()
        assert not (out / "gallery.html").exists()


def test_the_numbers_are_scikit_learns_of_the_predictions(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = evaluate(
        capsys, run, "--data", f"folder:{data}", "--split", "val", "--json", "--out", tmp_path
    )
    found = json.loads(text)
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    label, predicted = ([row[key] for row in rows] for key in ("label", "predicted"))
    assert found["metrics"]["accuracy"] == metrics.accuracy_score(label, predicted)
    assert found["metrics"]["macro"]["f1"] == pytest.approx(
        metrics.f1_score(label, predicted, average="macro")
    )
    assert found["confusion"] == metrics.confusion_matrix(label, predicted).tolist()
    p = np.array([[float(row[f"p_{name}"]) for name in found["classes"]] for row in rows])
    assert found["metrics"]["macro"]["auc"] == pytest.approx(
        metrics.roc_auc_score(label, p / p.sum(1, keepdims=True), multi_class="ovr"), abs=1e-6
    )
    figures = {
        f"{n}.{kind}"
        for n in ("confusion", "reliability", "coverage", "worst")
        for kind in ("png", "svg")
    }
    assert {path.name for path in (tmp_path / "plots").iterdir()} == figures


def test_the_three_formats_say_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = evaluate(capsys, run, "--json")
    rows = json.loads(text)["per_class"]
    _, text, _ = evaluate(capsys, run, "--format", "csv")
    assert text == (run / "classes.csv").read_text()
    _, text, _ = evaluate(capsys, run)
    for row in rows:
        line = next(line for line in text.splitlines() if line.startswith(row["class"]))
        assert line.split()[1:3] == [str(row["images"]), str(row["predicted"])]
        assert f"{row['recall']:.4f}" in line
    assert "with 95 % intervals" in text
    assert "calibration error" in text


def test_a_folder_of_some_classes_of_one_and_of_one_image_can_be_judged(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, counts in enumerate(({"red": 3, "blue": 2}, {"green": 4}, {"green": 1})):
        folder = draw(tmp_path / str(number), counts, seed=5)
        out = tmp_path / f"out {number}"
        code, text, _ = evaluate(capsys, run, "--data", f"folder:{folder}", "--json", "--out", out)
        found = json.loads(text)
        assert (code, found["split"], found["classes"]) == (0, "all", list(COLOURS))
        by_class = {row["class"]: row for row in found["per_class"]}
        for name in COLOURS:
            assert by_class[name]["images"] == counts.get(name, 0)
            assert (by_class[name]["recall"] is None) == (name not in counts)
        assert found["metrics"]["without_images"] == [n for n in COLOURS if n not in counts]
        assert (out / "plots" / "confusion.png").exists()
        page = (out / "gallery.html").read_text()
        assert "report.html" not in page  # there is none to link to
        data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
        shown = [(name.split("/")[0], data["classes"][own]) for name, own, *_ in data["images"]]
        assert len(shown) == sum(counts.values())
        assert all(folder_name == own for folder_name, own in shown)
        assert "nan" not in text.lower()


def test_classes_that_the_model_does_not_know_are_an_error_that_names_them(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw(tmp_path / "other", {"Red": 1, "blue": 1, "violet": 1}, seed=0)
    code, out, err = evaluate(capsys, run, "--data", f"folder:{folder}")
    assert (code, out) == (2, "")
    assert "does not know 2 of its 3 classes: 'Red', did you mean 'red'?" in err
    assert "'violet'" in err
    assert "the model's are blue, green, red" in err


def test_a_list_of_files_and_a_folder_of_a_test_split_alone_can_be_judged(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json.loads((run / "result.json").read_text())["summary"]["metrics"]["accuracy"]
    shutil.copytree(data / "test", tmp_path / "alone" / "test")
    lines = [
        f"{path.relative_to(tmp_path / 'alone')},{path.parent.name}\n"
        for path in sorted((tmp_path / "alone").rglob("*.png"))
    ]
    (tmp_path / "alone" / "list.csv").write_text("file_name,label\n" + "".join(lines))
    for spec in (f"csv:{tmp_path / 'alone' / 'list.csv'}", f"folder:{tmp_path / 'alone'}"):
        code, text, _ = evaluate(capsys, run, "--data", spec, "--json")
        assert (code, json.loads(text)["metrics"]["accuracy"]) == (0, own), spec


def test_what_was_trained_on_is_said_to_flatter(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = run / "checkpoints" / "best.safetensors"
    words = {
        "trained": "the model was trained on some of these images",
        "picked": "the model was picked and its temperature fitted on these images",
    }
    for place, split, use in (
        (data, "train", "trained"),
        (data, "all", "trained"),
        (data, "val", "picked"),
        (data, "test", None),
        (data / "train", "auto", "trained"),
        (data / "val", "auto", "picked"),
        (None, "train", "trained"),
        (None, "val", "picked"),
        (None, "auto", None),
    ):
        for saved in (run, model):
            if place is None and saved == model:
                continue
            arguments = [] if place is None else ["--data", f"folder:{place}"]
            code, text, err = evaluate(capsys, saved, *arguments, "--split", split, "--json")
            assert code == 0
            assert json.loads(text)["used_by_run"] == use
            said = [each for each, line in words.items() if line in err]
            assert said == ([] if use is None else [use]), (place, split)
            assert ("without --data its own" in err) == (place is not None and use is not None)


def test_unreadable_images_fail_or_are_left_out_and_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw(tmp_path / "some", {"red": 3}, seed=0)
    (folder / "red" / "01.png").write_bytes(b"no image")
    code, _, err = evaluate(capsys, run, "--data", f"folder:{folder}")
    assert code == 2
    assert "01.png" in err
    code, text, err = evaluate(
        capsys, run, "--data", f"folder:{folder}", "--on-error", "skip", "--json"
    )
    found = json.loads(text)
    assert (code, found["metrics"]["images"]) == (0, 2)
    assert [entry["file"] for entry in found["skipped"]] == ["red/01.png"]
    assert "left out" in err


def test_the_models_file_alone_is_enough_and_an_old_one_has_temperature_1(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlhw.vision.training.checkpoints import Best, read_best, safetensors_bytes

    path = run / "checkpoints" / "best.safetensors"
    best = read_best(path, path.read_bytes())
    assert best.metadata["temperature"] != 1
    old = tmp_path / "old.safetensors"
    facts = {key: value for key, value in best.metadata.items() if key != "temperature"}
    old.write_bytes(safetensors_bytes(Best(best.tensors, facts)))
    for file, temperature in ((path, best.metadata["temperature"]), (old, 1.0)):
        code, text, _ = evaluate(capsys, file, "--data", f"folder:{data}", "--json")
        assert (code, json.loads(text)["calibration"]["temperature"]) == (0, temperature)
    assert (
        json.loads(text)["calibration"]["ece_before"]
        == json.loads(text)["calibration"]["ece_after"]
    )


def test_what_cannot_be_used_is_named(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    model = run / "checkpoints" / "best.safetensors"
    for arguments, message in (
        ([model], "give --data"),
        ([run, "--data", "folder:nowhere"], "no such folder"),
        ([run, "--data", "digit"], "did you mean 'digits'?"),
        ([run, "--data", f"folder:{tmp_path / 'empty'}"], "no image"),
        ([run, "--data", "digits", "--split", "test"], "--split test: digits has no splits"),
        ([run, "--out", run], "is the folder of a run"),
        ([run, "--out", tmp_path / "file"], f"--out {tmp_path / 'file'}"),
        ([run, "--split", "all"], "--split all"),
        ([run, "--no-plots"], "--no-plots: changes nothing without --out"),
        ([run, "--on-error", "skip"], "--on-error: changes nothing without --data"),
        ([run, "--data", f"folder:{data}", "--image-root", data], "--image-root: changes nothing"),
        ([run, "--data", f"folder:{data}", "--data-dir", data], "--data-dir: changes nothing"),
        ([tmp_path, "--data", "digits"], "best.safetensors"),
    ):
        code, out, err = evaluate(capsys, *arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert "Traceback" not in err


def test_help_costs_no_torch() -> None:
    code = (
        "import sys; from mlhw.commands.main import main; main(['evaluate', '--help']); "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--split" in done.stdout


@pytest.mark.slow
def test_photographs_are_judged_by_the_installed_command(mlhw: Mlhw, tmp_path: Path) -> None:
    photos = shared("data/photos")
    # In bfloat16 a run may judge single images otherwise than evaluate, which works in float32.
    options = ["--data", f"folder:{photos}", "--image-size", "32", "--epochs", "2"]
    options += ["--precision", "fp32"]
    done = mlhw("finetune", *options, "--unfreeze-at", "null", "--no-plots", "--no-check", "-q")
    assert done.returncode == 0, done.stderr
    own = json.loads((tmp_path / "runs" / "latest" / "result.json").read_text())["summary"]
    done = mlhw("evaluate", "latest", "--data", f"folder:{photos}", "--json")
    found = json.loads(done.stdout)
    assert found["split"] == "val"
    assert found["metrics"]["accuracy"] == own["metrics"]["accuracy"]
    assert found["calibration"] == pytest.approx(own["calibration"], rel=1e-4)
