"""More epochs for a finished run, a start from another run's model, data that lie elsewhere now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mlhw.commands.main import main
from mlhw.config.load import from_keywords
from mlhw.vision.config import Config
from mlhw.vision.networks.head import new_head
from mlhw.vision.schedules import Plan, rate_factor
from mlhw.vision.training import loop as training
from mlhw.vision.training.checkpoints import Best
from mlhw.vision.training.going_on import Start
from tests.conftest import Mlhw
from tests.vision.images.drawn import class_folders
from tests.vision.training.small_runs import (
    OPTIONS,
    assert_same,
    finetune,
    metrics,
    resume,
    stops_at_step,
)

FEW = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
FEW += ["--precision", "fp32", "--layout", "channels-last", "--no-plots", "-q"]


def again(run: Path, folder: Path) -> Path:
    """The configuration of ``run``, run from its start in one piece."""
    config = str(run / "config.yaml")
    assert main(["finetune", "-c", config, "--runs-dir", str(folder), "--no-plots", "-q"]) in (0, 3)
    return (folder / "latest").resolve()


def verdicts(run: Path) -> dict[str, str]:
    claims = json.loads((run / "result.json").read_text())["claims"]
    return {claim["id"]: claim["verdict"] for claim in claims}


# ------------------------------------------------------------------------------------- more epochs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs, of which the last trains the backbone."""
    options = ("--epochs", "3", "--val-every", "2", "--patience", "9")
    code, run = finetune(tmp_path_factory.mktemp("finished"), *options)
    assert code == 0
    return run


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))


def test_added_epochs_have_a_schedule_of_their_own_and_the_rows_before_stay(
    finished: Path, copied: Path, tmp_path: Path
) -> None:
    before = (copied / "metrics.csv").read_text()
    assert resume(copied, "--epochs", "6") == 0
    assert (copied / "metrics.csv").read_text().startswith(before)
    rows = metrics(copied)
    assert [row["epoch"] for row in rows] == list("012345")
    steps = 6
    expected = [0.01 * rate_factor("one-cycle", (k + 1) * steps - 1, 3 * steps) for k in range(3)]
    assert [float(row["lr"]) for row in rows[3:]] == pytest.approx(expected, rel=1e-12)
    assert set(verdicts(copied).values()) <= {"holds", "not applicable"}
    assert "3 epochs are added to 3" in (copied / "log.txt").read_text()
    assert_same(copied, again(copied, tmp_path / "again"))


def test_added_epochs_that_are_stopped_go_on_and_end_the_same(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 21)
        assert resume(copied, "--epochs", "5") == 130
    assert resume(copied) == 0
    assert_same(copied, again(copied, tmp_path / "again"))
    assert resume(copied, "--epochs", "6") == 0  # and once more
    assert (copied / "config.yaml").read_text().count("continued: [[3, 3], [5, 5]]") == 1
    assert_same(copied, again(copied, tmp_path / "once more"))


def test_a_run_that_stopped_early_gets_epochs_from_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the second validation is better, so it ends after epoch 2 of 6.
    monkeypatch.setattr(
        training, "is_better", lambda found, progress, metric: progress.best_epoch is None
    )
    code, run = finetune(tmp_path, "--epochs", "6", "--patience", "2", "--unfreeze-at", "1")
    assert (code, len(metrics(run))) == (0, 3)
    assert resume(run, "--epochs", "5") == 0
    assert len(metrics(run)) == 5
    assert "continued: [[3, 6]]" in (run / "config.yaml").read_text()
    assert verdicts(run)["rates-as-scheduled"] == "holds"
    assert_same(run, again(run, tmp_path / "again"))


def test_added_epochs_unfreeze_what_the_ones_before_did_not_come_to(tmp_path: Path) -> None:
    (tmp_path / "late.yaml").write_text("unfreeze_at: 2\nepochs: 1\n")
    options = ["-c", str(tmp_path / "late.yaml"), *FEW, "--val", "0.4", "--runs-dir", str(tmp_path)]
    assert main(["finetune", *options]) == 0
    run = (tmp_path / "latest").resolve()
    assert resume(run, "--epochs", "4") == 0
    assert set(verdicts(run).values()) <= {"holds", "not applicable"}
    assert_same(run, again(run, tmp_path / "again"))


def test_added_epochs_without_a_schedule_of_their_own_are_found_out(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "stretch", lambda self, epoch: (0, self.epochs))
    assert main(["finetune", "--resume", str(copied), "--no-plots", "-q", "--epochs", "6"]) == 3
    assert verdicts(copied)["rates-as-scheduled"] == "fails"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "3"], "has had 3 epochs; give more than 3, for these count too"),
        ([], "is finished; --epochs N makes it longer"),
        (["--data", "digits"], "is finished; --epochs N makes it longer"),
        (["--epochs", "5", "--lr", "1"], "leave --lr out (--epochs, --data"),
        (["--epochs", "5", "--set", "seed=1"], "leave --set out"),
        (["--epochs", "5", "--data", "cifar100"], "cifar100"),
    ],
)
def test_what_cannot_go_on_says_why_and_leaves_all_as_it_was(
    copied: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    assert resume(copied, *options) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_run_that_has_not_had_its_epochs_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 8)
        _, run = finetune(tmp_path)
    capsys.readouterr()
    assert resume(run, "--epochs", "9") == 2
    assert "has had 1 of its 4 epochs; first end it with" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- what is kept


def test_a_finished_run_keeps_the_best_and_the_last_or_the_best_alone(
    mlhw: Mlhw, finished: Path, tmp_path: Path
) -> None:
    kept = {path.name for path in (finished / "checkpoints").iterdir()}
    assert kept == {"best.safetensors", "last.pt", "manifest.json"}
    found = mlhw("finetune", *FEW, "--epochs", "1", "--unfreeze-at", "null", "--keep", "best")
    assert found.returncode == 0, found.stderr
    run = (tmp_path / "runs" / "latest").resolve()
    files = json.loads((run / "checkpoints" / "manifest.json").read_text())["files"]
    assert set(files) == {"best.safetensors"}
    assert not list((run / "checkpoints").glob("*.pt"))
    found = mlhw("finetune", "--resume", "latest", "--epochs", "3")
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "checkpoints/last.pt is missing (keep: best drops it)" in line
    assert f"--weights {run}" in line


@pytest.mark.parametrize("gone", ["last.pt", "."])
def test_a_finished_run_without_its_state_is_not_begun_anew(
    copied: Path, capsys: pytest.CaptureFixture[str], gone: str
) -> None:
    path = copied / "checkpoints" / gone
    path.unlink() if path.is_file() else shutil.rmtree(path)
    assert resume(copied, "--epochs", "9") == 2
    assert "last.pt is missing" in capsys.readouterr().err


def test_a_stopped_run_keeps_the_state_before_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stops_at_step(patch, 14)
        _, run = finetune(tmp_path, "--keep", "best")
    assert (run / "checkpoints" / "prev.pt").exists()
    assert resume(run) == 0
    assert not list((run / "checkpoints").glob("*.pt"))


# ------------------------------------------------------------------------------------- moved data


def test_data_that_lie_elsewhere_now_are_taken_from_there_if_they_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = class_folders(tmp_path / "photos", {"ant": 12, "bee": 12})
    options = [*FEW, "--data", f"folder:{photos}", "--epochs", "3", "--batch-size", "4"]
    options += ["--unfreeze-at", "1", "--runs-dir", str(tmp_path / "runs"), "--no-check"]
    with monkeypatch.context() as patch:
        stops_at_step(patch, 6)
        assert main(["finetune", *options]) == 130
    run = (tmp_path / "runs" / "latest").resolve()
    photos.rename(tmp_path / "moved")
    class_folders(tmp_path / "others", {"ant": 12, "bee": 13})
    assert resume(run) == 2
    assert resume(run, "--data", f"folder:{tmp_path / 'others'}") == 2
    assert "the data have changed since this run" in capsys.readouterr().err
    assert resume(run, "--data", f"folder:{tmp_path / 'moved'}") == 0
    assert f"name: folder:{tmp_path / 'moved'}" in (run / "config.yaml").read_text()
    assert_same(run, again(run, tmp_path / "again"))
    assert resume(run, "--epochs", "4") == 0


def test_a_run_that_had_saved_nothing_yet_is_held_to_its_data_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = class_folders(tmp_path / "photos", {"ant": 12, "bee": 12})
    with monkeypatch.context() as patch:
        stops_at_step(patch, 0)
        patch.setattr(training, "state", lambda *_: 1 / 0)
        main(["finetune", *FEW, "--data", f"folder:{photos}", "--runs-dir", str(tmp_path)])
    class_folders(tmp_path / "others", {"ant": 12, "bee": 13})
    assert resume(tmp_path / "latest", "--data", f"folder:{tmp_path / 'others'}") == 2
    assert "the data have changed since this run" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- another run


def test_a_new_run_starts_from_the_head_and_the_backbone_of_another(
    finished: Path, tmp_path: Path
) -> None:
    """At a rate that moves nothing the first epoch ends with the accuracy that the other run had."""
    options = ["--weights", str(finished), "--epochs", "2", "--unfreeze-at", "1", "--lr", "1e-12"]
    options += ["--augment", "none", "--batch-norm", "eval"]
    code, run = finetune(tmp_path, *options)
    assert code == 0
    best = json.loads((finished / "result.json").read_text())["summary"]
    for row in metrics(run):
        assert float(row["val_loss"]) == pytest.approx(best["best_val_loss"], rel=1e-4)
        assert float(row["val_acc"]) == pytest.approx(best["best_val_acc"], abs=2e-3)
    assert (
        f"weights: {finished / 'checkpoints' / 'best.safetensors'}"
        in (run / "config.yaml").read_text()
    )
    assert "starts from the backbone and the head of" in (run / "log.txt").read_text()


def test_the_claims_about_a_run_that_starts_from_another_hold(finished: Path) -> None:
    options = ["--weights", str(finished), "--hidden", "16", "--augment", "none", "--dropout", "0"]
    options += ["--compare", "random"]  # after the first open epoch both still guess
    code = main(["finetune", *OPTIONS, *options, "--runs-dir", str(finished.parent / "from")])
    found = verdicts(finished.parent / "from" / "latest")
    assert code == 0, found
    assert found["first-epochs-again"] == "holds"


def test_other_classes_get_a_new_head_on_the_backbone_of_the_other_run(
    finished: Path, tmp_path: Path
) -> None:
    photos = class_folders(tmp_path / "photos", {"ant": 12, "bee": 12})
    options = ["--weights", str(finished / "checkpoints" / "best.safetensors")]
    options += ["--data", f"folder:{photos}", "--epochs", "1", "--image-size", "auto"]
    code = main(["finetune", *FEW, *options, "--runs-dir", str(tmp_path), "--no-check"])
    assert code == 0
    run = tmp_path / "latest"
    assert "its head is for something else" in (run / "log.txt").read_text()
    assert "image_size: 8\n" in (run / "config.yaml").read_text()
    old, new = (load_file(r / "checkpoints" / "best.safetensors") for r in (finished, run))
    backbone = [name for name in old if name.startswith("backbone.")]
    assert all(torch.equal(old[name], new[name]) for name in backbone)


def test_the_rows_of_the_head_follow_the_order_of_the_classes() -> None:
    head = new_head(5, 3, hidden=[4], seed=1)
    tensors = {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    facts: dict[str, Any] = {"classes": ["a", "b", "c"], "head": {"hidden": [4], "dropout": 0.0}}
    start = Start(Path("best.safetensors"), Best(tensors, facts))
    config = from_keywords(Config, {"head": {"hidden": [4]}})
    taken = start.head_for(config, ["c", "a", "b"])
    assert taken is not None
    other = new_head(5, 3, hidden=[4], seed=2)
    other.load_state_dict(dict(zip(other.state_dict(), taken, strict=True)))
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 5))).float()
    assert torch.equal(other(x), head(x)[:, [2, 0, 1]])
    assert start.head_for(config, ["a", "b", "d"]) is None
    assert start.head_for(from_keywords(Config, {}), ["a", "b", "c"]) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "efficientnet_lite0"], "holds a cifar_resnet20; give --model cifar_resnet20"),
        (["--weights", "."], "has no checkpoints/best.safetensors; give the run folder of"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_one_line(
    finished: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["finetune", *FEW, "--weights", str(finished), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
