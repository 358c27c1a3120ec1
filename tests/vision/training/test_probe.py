"""The rates tried for the backbone: what they measure, what they lead to, and that nothing else notices."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional

from mlhw.commands.main import main
from mlhw.config.load import from_keywords
from mlhw.errors import ConfigError, RunError
from mlhw.experiments.finetune import experiment
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.vision.config import Config
from mlhw.vision.images import augment
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.schedules import Plan
from mlhw.vision.training import loop as training
from mlhw.vision.training import probe as module
from mlhw.vision.training.probe import MOST_IMAGES, Probe, choice, harm, paired
from tests.vision.training.small_runs import SMALL, assert_equal, metrics

PROBED: dict[str, Any] = SMALL | {"optim": {"lr": 0.01}}
RATES = [0.01, 0.003, 0.001, 0.0003, 0.0001]


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.4, test=0.4)


def run(splits: ImageSplits, **keys: Any) -> tuple[Result, Recorder]:
    recorder = Recorder()
    result = experiment.run(from_keywords(Config, PROBED | keys), recorder, splits)
    return result, recorder


# ------------------------------------------------------------------------------------- the losses


def plain_probe(splits: ImageSplits, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The losses before and after three steps of all layers at ``rate``, written down directly."""
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    network = TunedNetwork(backbone.module, new_head(backbone.features, 10))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = augment.order(0, 0, len(splits.train))
    chosen = np.random.default_rng([0, *b"probe"]).choice(order[192:], 256 if len(order) > 448 else
                                                          len(order) - 192, replace=False)  # fmt: skip

    def batch(indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = backbone.preprocessing.to_batch(splits.train.images(indices))
        return pixels, torch.from_numpy(splits.train.labels[indices])

    def judged() -> np.ndarray:
        network.eval()
        with torch.no_grad():
            images, labels = batch(np.sort(chosen))
            return functional.cross_entropy(network(images), labels, reduction="none").numpy()

    groups = [
        {"params": [p for p in part.parameters() if (p.ndim > 1) == decays], "lr": lr,
         "weight_decay": 0.01 if decays else 0.0}
        for part, lr in ((network.backbone, rate), (network.head, 0.01))
        for decays in (True, False)
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups)
    before = judged()
    for start in (0, 64, 128):
        network.train()
        images, labels = batch(order[start : start + 64])
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels, label_smoothing=0.1).backward()
        optimizer.step()
    return before, judged()


def test_the_losses_are_those_of_three_plain_steps_at_each_rate(splits: ImageSplits) -> None:
    _, recorder = run(splits, epochs=1, unfreeze_at=0, batch_norm="train")
    table = recorder.tables["rates"]
    assert table.column("rate") == pytest.approx(RATES, rel=1e-12)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = [plain_probe(splits, rate) for rate in RATES]
    finally:
        torch.set_num_threads(threads)
    for row, (before, after) in zip(table.rows, found, strict=True):
        assert row[1] == pytest.approx(after.mean(), rel=1e-4)
        assert row[2] == pytest.approx((after - before).mean(), abs=1e-4)
        assert row[3] == pytest.approx(scipy.stats.sem(after - before), rel=1e-3)


def test_a_standard_error_is_that_of_the_paired_differences() -> None:
    generator = np.random.default_rng(0)
    before, after = generator.exponential(size=(2, 256))
    means, errors = paired([after, before], before)
    assert means[0] == pytest.approx((after - before).mean())
    assert errors[0] == pytest.approx(scipy.stats.sem(after - before))
    assert (means[1], errors[1]) == (0.0, 0.0)


def test_only_other_training_images_judge_and_never_those_of_the_validation(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []
    real = module.other_images

    def watched(seed: int, others: np.ndarray) -> np.ndarray:
        drawn.extend([others, real(seed, others)])
        return drawn[-1]

    monkeypatch.setattr(module, "other_images", watched)
    keys: dict[str, Any] = {"epochs": 2, "unfreeze_at": 1, "batch_size": 32}
    _, one = run(splits, **keys)
    used = set(augment.order(0, 1, len(splits.train))[:96].tolist())
    assert not used & set(drawn[1].tolist())
    assert len(set(drawn[1].tolist())) == min(MOST_IMAGES, len(drawn[0]))
    # Other images to validate: the same rates, loss by loss.
    assert splits.test is not None
    _, other = run(replace(splits, val=splits.test), **keys)
    assert one.tables["rates"].rows == other.tables["rates"].rows
    _, other = run(splits, **keys, seed=1)
    assert not np.array_equal(drawn[1], drawn[-1])


# ------------------------------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    ("excess", "errors", "expected"),
    [
        ([0.5, 0.2, 0.01, 0.0, -0.1], [0.1, 0.1, 0.02, 0.1, 0.1], 0.001),
        ([-0.1, 0.2, 0.01, 0.0, -0.1], [0.1, 0.1, 0.02, 0.1, 0.1], 0.01),  # rates are not in order
        ([0.5, 0.1, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1, 0.1], 0.003),  # one error is no more
        ([0.5, 0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1, 0.1], 0.0001),
        ([math.nan, math.inf, -0.1, -0.1, -0.1], [math.nan, math.nan, 0.1, 0.1, 0.1], 0.001),
        ([-math.inf, 0.5, 0.5, 0.5, 0.5], [math.nan, 0.1, 0.1, 0.1, 0.1], 0.0001),
        ([math.nan] * 5, [math.nan] * 5, 0.0001),
    ],
)
def test_the_largest_rate_within_a_standard_error_is_chosen_else_the_smallest(
    excess: list[float], errors: list[float], expected: float
) -> None:
    assert choice(RATES, excess, errors) == expected


def test_too_few_batches_try_nothing_and_say_so(splits: ImageSplits) -> None:
    batch_size = -(-len(splits.train) // 3)
    result, recorder = run(splits, epochs=2, unfreeze_at=1, batch_size=batch_size)
    assert result.summary["backbone_lr"] == 0.03 * 0.01
    assert recorder.tables["rates"].rows == []
    line = next(line for line in recorder.log_lines if line.startswith("learning rate of the back"))
    assert line == (
        "learning rate of the backbone: 0.0003; 0.03 × lr, untried: an epoch of 3 batches is too short"
    )
    assert "find-lr" not in result.figures
    assert {c.id: c.verdict for c in result.claims}["rate-as-tried"] == "holds"


def test_batches_count_and_not_steps_that_gather_several(splits: ImageSplits) -> None:
    batch_size = -(-len(splits.train) // 5)
    result, recorder = run(splits, epochs=2, unfreeze_at=1, batch_size=batch_size, accumulate=5)
    assert result.summary["probe"]["images"] > 1
    assert len(recorder.tables["rates"]) == len(RATES)
    assert {c.id: c.verdict for c in result.claims}["rate-as-tried"] == "holds"


def test_a_run_that_opens_nothing_tries_nothing(splits: ImageSplits) -> None:
    result, recorder = run(splits, epochs=2, unfreeze_at=None)
    assert "rates" not in recorder.tables
    assert result.summary["backbone_lr"] is result.summary["probe"] is None
    assert {c.id: c.verdict for c in result.claims}["rate-as-tried"] == "not applicable"


def test_on_the_built_in_digits_a_pre_trained_backbone_learns_at_the_full_rate(
    splits: ImageSplits, tmp_path: Path
) -> None:
    """Photographs' features are far from digits, so that a backbone has to change much."""
    weights = tmp_path / "weights.pth"
    torch.save(load_backbone("cifar_resnet20", "none", seed=3).module.state_dict(), weights)
    keys: dict[str, Any] = {"epochs": 2, "unfreeze_at": 1, "weights": str(weights)}
    result, recorder = run(splits, **keys)
    assert "rates" not in recorder.tables
    assert result.summary["backbone_lr"] == 0.01
    assert isinstance(recorder.config, Config)
    assert recorder.config.optim.backbone_lr is None
    _, recorder = run(replace(splits, name="folder:digits"), **keys)
    assert len(recorder.tables["rates"]) == len(RATES)


@pytest.mark.parametrize("rate", ["fast", 0, -1e-3, True])
def test_a_rate_is_auto_null_or_above_0(rate: object) -> None:
    with pytest.raises(ConfigError, match="backbone_lr"):
        from_keywords(Config, {"optim": {"backbone_lr": rate}})


@pytest.mark.parametrize(
    ("epochs", "first"),
    [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (13, 10), (20, 15), (26, 20), (100, 77)],
)
def test_without_another_word_the_last_3_of_13_epochs_train_the_backbone(
    epochs: int, first: int
) -> None:
    assert from_keywords(Config, {"epochs": epochs}).first_open_epoch == first


# ------------------------------------------------------------------------------------- without a trace

OPTIONS = [
    *("--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--batch-size", "64"),
    *("--val", "0.4", "--test", "0.4", "--epochs", "3", "--unfreeze-at", "1", "--lr", "0.01"),
    *("--augment", "flip-crop", "--hidden", "16", "--dropout", "0.3", "--batch-norm", "train"),
    *("--threads", "1", "--precision", "fp32", "--layout", "channels-last", "--features", "memory"),
    *("--no-plots", "-q"),
]


def finetuned(folder: Path, *options: str) -> Path:
    assert main(["finetune", *OPTIONS, *options, "--no-check", "--runs-dir", str(folder)]) == 0
    return (folder / "latest").resolve()


def state(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    del found["progress"]
    return found


def test_a_run_is_bit_for_bit_the_one_with_its_rate_written_down(tmp_path: Path) -> None:
    one = finetuned(tmp_path / "one")
    rate = json.loads((one / "result.json").read_text())["summary"]["backbone_lr"]
    assert f"backbone_lr: {rate}\n" in (one / "config.yaml").read_text()
    other = finetuned(tmp_path / "other", "--backbone-lr", repr(rate))
    assert not (other / "rates.csv").exists()
    assert_equal(state(one), state(other))
    assert metrics(one) == metrics(other)
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()


def test_a_given_rate_is_kept_and_find_lr_shows_what_others_would_have_done(tmp_path: Path) -> None:
    one = finetuned(tmp_path / "one", "--backbone-lr", "2e-3")
    other = finetuned(tmp_path / "other", "--backbone-lr", "2e-3", "--find-lr")
    assert_equal(state(one), state(other))
    assert len((other / "rates.csv").read_text().splitlines()) == 1 + len(RATES)
    result = json.loads((other / "result.json").read_text())
    assert result["summary"]["backbone_lr"] == 2e-3
    assert result["summary"]["probe"]["rates"] == pytest.approx(RATES)
    assert "0.002 as given, where the trial would take" in (other / "log.txt").read_text()


def test_the_generators_stand_afterwards_where_they_stood(splits: ImageSplits) -> None:
    states: list[Any] = []
    real = training.find_rate

    def all_states() -> list[Any]:
        return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]

    def watched(*arguments: Any) -> None:
        states.append(all_states())
        real(*arguments)
        states.append(all_states())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "find_rate", watched)
        # A user's layer may draw from any of them.
        patch.setattr(module, "losses_of", lambda *a: _drawing(len(states)))
        run(splits, epochs=2, unfreeze_at=1, head={"hidden": [8], "dropout": 0.5})
    assert states[0] == states[1]


def _drawing(_: int) -> np.ndarray:
    torch.rand(3), np.random.random(3), random.random()
    return np.arange(5.0)


def test_the_rerun_of_a_configuration_is_identical_table_of_rates_included(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = finetuned(tmp_path)
    assert "backbone_lr: auto" not in (one / "config.yaml").read_text()
    capsys.readouterr()
    assert main(["runs", "rerun", one.name, "--runs-dir", str(tmp_path), "--no-plots"]) == 0
    assert "identical: every number" in capsys.readouterr().out
    other = (tmp_path / "latest").resolve()
    assert other != one
    assert (one / "rates.csv").read_bytes() == (other / "rates.csv").read_bytes()
    assert (one / "config.yaml").read_bytes() == (other / "config.yaml").read_bytes()


def test_a_run_that_ends_between_checkpoint_and_configuration_goes_on_with_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetuned(tmp_path / "whole")

    def dies(*_: Any) -> None:
        raise RunError("no further")

    with monkeypatch.context() as patch:
        patch.setattr(training, "record_rate", dies)
        assert main(["finetune", *OPTIONS, "--no-check", "--runs-dir", str(tmp_path / "died")]) == 1
    run = (tmp_path / "died" / "latest").resolve()
    assert "backbone_lr: auto" in (run / "config.yaml").read_text()
    # It takes the rate from the checkpoint and tries none again.
    monkeypatch.setattr(training, "probe", dies)
    assert main(["finetune", "--resume", str(run), "--no-plots", "-q", "--no-check"]) == 0
    for name in ("config.yaml", "rates.csv", "predictions.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert_equal(state(run), state(whole))


# ------------------------------------------------------------------------------------- claims, warnings


def broken_copy(found: Any) -> Any:
    return found


@pytest.mark.parametrize(
    "keys", [{}, {"optim": {"name": "sgd", "lr": 0.1}}, {"batch_norm": "train", "batch_size": 32}]
)
def test_a_trial_that_leaves_a_trace_fails_the_claim(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    monkeypatch.setattr(module.copy, "deepcopy", broken_copy)
    result, _ = run(splits, epochs=2, unfreeze_at=1, **keys)
    claim = next(c for c in result.claims if c.id == "rate-as-tried")
    assert claim.verdict == "fails"
    assert claim.measured["changed tensors"] > 0


@pytest.mark.parametrize("field", ["chosen", "excess", "before"])
@pytest.mark.parametrize("lr", [0.01, 0.1])
def test_a_choice_that_does_not_follow_from_the_losses_fails_the_claim(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch, field: str, lr: float
) -> None:
    real = module.probe

    def wrong(*arguments: Any) -> Probe:
        found = real(*arguments)
        value = getattr(found, field)
        off = [v + 1e-6 for v in value] if isinstance(value, list) else value * (1 + 1e-6)
        return replace(found, **{field: off})

    monkeypatch.setattr(training, "probe", wrong)
    result, _ = run(splits, epochs=2, unfreeze_at=1, optim={"lr": lr})
    assert {c.id: c.verdict for c in result.claims}["rate-as-tried"] == "fails"


def rows(*accuracies: float | None) -> list[list[Any]]:
    return [[epoch, 0.1, 0.9, 0.1, found, 1e-3] for epoch, found in enumerate(accuracies)]


PLAN = Plan(5, 10, 2, 3, None, "one-cycle", None, 1e-3, 1e-3, 1.0)


@pytest.mark.parametrize(
    ("accuracies", "warned"),
    [
        ((0.9, 0.902, 0.471), True),
        ((0.9, 0.902, None), False),
        ((None, None, 0.1), False),
        ((0.902, 0.4), False),  # still frozen
        ((0.9, 0.902, 0.89), False),
        ((0.902, 0.1, 0.80), False),  # 2.5 standard errors: 153 images
        ((0.902, 0.1, 0.76), True),
    ],
)
def test_an_open_epoch_far_below_the_best_frozen_one_is_worth_a_warning(
    accuracies: tuple[float | None, ...], warned: bool
) -> None:
    line = harm(rows(*accuracies), PLAN, 153)
    assert (line is not None) == warned
    if line:
        assert "--backbone-lr 0.0001 may help" in line


def test_the_warning_comes_once_and_a_run_that_goes_on_does_not_repeat_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--hidden", "", "--dropout", "0", "--augment", "none", "--epochs", "8"]
    finetuned(tmp_path, *options, "--unfreeze-at", "5", "--backbone-lr", "3", "--clip", "1")
    err = capsys.readouterr().err
    assert err.count("may help") == 1
    assert "epoch 5, with the backbone open, has a validation accuracy of" in err
    assert "--backbone-lr 0.3 may help" in err
