"""Several runs in one folder, each with a seed or a fold of its own, and their means."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mlhw as package
from mlhw.commands.main import main
from mlhw.experiments.finetune.repeats import common, mean_and_error
from mlhw.vision.saved import load_model
from mlhw.vision.training import session
from mlhw.vision.training.checkpoints import BEST
from tests.conftest import Mlhw
from tests.vision.training.small_runs import assert_equal, finetune, metrics, resume, stops_at_step

FEW = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
FEW += ["--precision", "fp32", "--layout", "channels-last", "--no-plots", "-q"]
FEW += ["--val", "0.4", "--test", "0.4", "--lr", "0.01"]


def rows(run: Path) -> list[dict[str, str]]:
    with open(run / "repeats.csv", newline="") as file:
        return list(csv.DictReader(file))


def same_numbers(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    for name in ("checkpoints/" + BEST, "predictions.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ["--repeats", "3", "--seed", "5", "--epochs", "3"]
    code, run = finetune(tmp_path_factory.mktemp("repeated"), *options)
    assert code == 0
    return run


def test_each_repeat_is_the_run_of_its_seed(repeated: Path, tmp_path: Path) -> None:
    assert [row["folder"] for row in rows(repeated)] == ["seed-5", "seed-6", "seed-7"]
    code, alone = finetune(tmp_path, "--seed", "6", "--epochs", "3")
    assert code == 0
    same_numbers(repeated / "seed-6", alone)
    found, expected = ((r / "result.json").read_text() for r in (repeated / "seed-6", alone))
    assert json.loads(found) == json.loads(expected)


def test_one_of_them_predicts_and_is_a_start(
    repeated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["predict", str(repeated), str(repeated / "repeats.csv")],
        ["finetune", "--weights", str(repeated)],
    ):
        assert main(words) == 2
        found = capsys.readouterr().err
        assert f"is made of 3 runs; give one of them, such as {repeated / 'seed-5'}" in found
    saved = load_model(repeated / "seed-6", "cpu")
    assert saved.classes == [str(k) for k in range(10)]


def test_the_summary_has_means_and_standard_errors_and_claims_of_each(repeated: Path) -> None:
    result = json.loads((repeated / "result.json").read_text())
    summary = result["summary"]
    for name in ("test_acc", "val_loss", "macro_f1"):
        values = [float(row[name]) for row in rows(repeated)]
        assert summary["mean"][name] == pytest.approx(np.mean(values), rel=1e-12)
        assert summary["standard_error"][name] == pytest.approx(stats.sem(values), rel=1e-12)
    assert summary["test_acc"] == summary["mean"]["test_acc"]
    assert summary["repeats"] == 3
    assert summary["classes"] == [str(k) for k in range(10)]
    ids = [claim["id"] for claim in result["claims"]]
    for name in ("seed-5", "seed-6", "seed-7"):
        assert f"{name}/rates-as-scheduled" in ids
    assert len(ids) == len(set(ids)) == 3 * len([i for i in ids if i.startswith("seed-5/")])
    judged = [claim for claim in result["claims"] if claim["id"].startswith("seed-6/")]
    held = sum(claim["verdict"] == "holds" for claim in judged)
    assert int(rows(repeated)[1]["claims_held"]) == held


def test_repeats_that_were_stopped_go_on_with_the_one_they_were_stopped_in(
    repeated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--repeats", "3", "--seed", "5", "--epochs", "3"]
    real, calls = session.train, 0

    def in_the_second(*given: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        with monkeypatch.context() as patch:
            if calls == 2:
                stops_at_step(patch, 8)
            real(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(session, "train", in_the_second)
        code, run = finetune(tmp_path, *options)
    assert code == 130
    assert [row["folder"] for row in rows(run)] == ["seed-5"]
    assert resume(run) == 0
    assert rows(run) == rows(repeated)
    for name in ("seed-5", "seed-6", "seed-7"):
        same_numbers(run / name, repeated / name)
    results = [json.loads((r / "result.json").read_text()) for r in (run, repeated)]
    assert_equal(results[0], results[1])


def test_repeats_get_more_epochs_too(tmp_path: Path) -> None:
    options = [*FEW, "--repeats", "2", "--epochs", "1", "--unfreeze-at", "null"]
    assert main(["finetune", *options, "--runs-dir", str(tmp_path), "--no-check"]) == 0
    run = (tmp_path / "latest").resolve()
    assert resume(run, "--epochs", "3") == 0
    for name in ("seed-0", "seed-1"):
        assert len(metrics(run / name)) == 3
        assert "continued: [[1, 1]]" in (run / name / "config.yaml").read_text()
    again = ["-c", str(run / "config.yaml"), "--runs-dir", str(tmp_path / "again"), "-q"]
    assert main(["finetune", *again, "--no-plots", "--no-check"]) == 0
    assert rows(tmp_path / "again" / "latest") == rows(run)


def test_repeats_go_over_the_folds_where_there_are_some(
    mlhw: Mlhw, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*(w for w in FEW if w not in ("--val", "0.4", "--test")), "--test", "0.4"]
    words += ["--folds", "3", "--repeats", "3", "--epochs", "1", "--unfreeze-at", "null"]
    done = mlhw("finetune", *words, "--json", "--no-check")
    assert done.returncode == 0, done.stderr
    run = Path(json.loads(done.stdout)["run"])
    found = rows(run)
    assert [(row["folder"], row["fold"], row["seed"]) for row in found] == [
        (f"fold-{k}", str(k), "0") for k in range(3)
    ]
    assert len({row["val_acc"] for row in found}) > 1
    assert main(["finetune", *words, "--repeats", "4"]) == 2
    assert "repeats: there are 3 folds (got 4)" in capsys.readouterr().err


def test_a_notebook_repeats_in_memory_and_gets_the_figure() -> None:
    result = package.finetune(
        model="cifar_resnet20",
        weights="none",
        image_size=8,
        threads=1,
        precision="fp32",
        layout="channels-last",
        data={"name": "digits", "val": 0.4, "test": 0},
        epochs=1,
        unfreeze_at=None,
        repeats=2,
    )
    assert result.tables["repeats"].column("seed").tolist() == [0, 1]
    assert "test_acc" not in result.summary["mean"]
    axes = result.figures["repeats"].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("run", "accuracy")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["seed-0", "seed-1"]


def test_means_and_what_values_have_in_common() -> None:
    assert mean_and_error([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, stats.sem([1, 2, 4])))
    assert math.isnan(mean_and_error([1.0])[1])
    given = [
        {"a": 1, "b": {"c": 0.5, "d": "x"}, "e": True, "f": None, "g": [1]},
        {"a": 2, "b": {"c": 1.5, "d": "y"}, "e": False, "f": None, "g": [1]},
    ]
    expected = {"a": 1.5, "b": {"c": 1.0, "d": None}, "e": None, "f": None, "g": [1]}
    assert common(given) == expected
