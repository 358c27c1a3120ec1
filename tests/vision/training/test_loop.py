"""The training loop, against a plain PyTorch loop and against its own rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional
from torch.utils.data import TensorDataset

import mlhw
from mlhw.config.load import from_keywords
from mlhw.errors import ConfigError, RunError
from mlhw.experiments.finetune import experiment
from mlhw.result.live import LiveCurves
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.vision import schedules
from mlhw.vision.config import Config
from mlhw.vision.images import augment
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.training import loop as training
from mlhw.vision.training.loop import validates
from mlhw.vision.training.objective import smoothed
from tests.vision.training.small_runs import SMALL


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.4, test=0.4)


def run(splits: ImageSplits, **keys: Any) -> tuple[Result, Recorder]:
    recorder = Recorder()
    config = from_keywords(Config, SMALL | keys)
    return experiment.run(config, recorder, splits), recorder


def plain_loop(splits: ImageSplits, epochs: int, lr: float) -> tuple[list[float], list[float]]:
    """The same training written down directly: all layers, SGD, constant rate, flip and crop."""
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    network = TunedNetwork(backbone.module, new_head(backbone.features, 10))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": others}], lr, momentum=0.9
    )
    train, val = [], []
    for epoch in range(epochs):
        network.train()
        total = 0.0
        order = augment.order(0, epoch, len(splits.train))
        uniform = augment.random_numbers(0, epoch, len(splits.train))
        for start in range(0, len(order), 64):
            indices = order[start : start + 64]
            pixels = backbone.preprocessing.fitted(splits.train.images(indices))
            pixels = augment.change(pixels, uniform[indices], "flip-crop")
            labels = torch.from_numpy(splits.train.labels[indices])
            loss = functional.cross_entropy(
                network(backbone.preprocessing.normalize(pixels)), labels
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
        train.append(total / len(order))
        network.eval()
        with torch.no_grad():
            images = backbone.preprocessing.to_batch(splits.val.images(np.arange(len(splits.val))))
            loss = functional.cross_entropy(network(images), torch.from_numpy(splits.val.labels))
        val.append(loss.item())
    return train, val


def test_the_losses_are_those_of_a_plain_loop(splits: ImageSplits) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train, val = plain_loop(splits, epochs=3, lr=0.05)
    finally:
        torch.set_num_threads(threads)
    result, _ = run(
        splits,
        epochs=3,
        unfreeze_at=0,
        batch_norm="train",
        augment="flip-crop",
        optim={
            "name": "sgd",
            "lr": 0.05,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "label_smoothing": 0.0,
        },
        schedule={"name": "constant"},
    )
    table = result.tables["metrics"]
    assert table.column("train_loss") == pytest.approx(train, rel=1e-4)
    assert table.column("val_loss") == pytest.approx(val, rel=2e-3)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_label_smoothing_is_torchs(share: float) -> None:
    logits = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 5
    expected = functional.cross_entropy(logits, labels, label_smoothing=share)
    found = smoothed(functional.cross_entropy(logits, labels), logits, share)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_stored_features_change_no_loss(splits: ImageSplits) -> None:
    """The same epochs of the head with stored and with recomputed features."""
    tables = [
        run(splits, epochs=3, unfreeze_at=None, features=features)[0].tables["metrics"]
        for features in ("memory", "off")
    ]
    for column in ("train_loss", "val_loss"):
        stored, recomputed = (table.column(column) for table in tables)
        assert stored == pytest.approx(recomputed, abs=1e-5)


def test_stored_views_train_on_changed_images_in_turn(splits: ImageSplits) -> None:
    """With as many views as epochs they are those that recomputing would make."""
    losses = [
        run(splits, epochs=2, unfreeze_at=None, augment="flip-crop", views=views)[0]
        .tables["metrics"]
        .column("train_loss")
        for views in (2, 0, 1)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[2][0] == pytest.approx(losses[0][0], abs=1e-5)
    assert abs(losses[2][1] - losses[0][1]) > 1e-4


def test_the_same_configuration_gives_the_same_bits(splits: ImageSplits) -> None:
    found = [
        run(splits, epochs=2, unfreeze_at=1, head={"dropout": 0.5}, workers=workers)[0]
        for workers in (0, 2)
    ]
    assert found[0].summary == found[1].summary
    assert found[0].tables["predictions"].rows == found[1].tables["predictions"].rows


def test_another_seed_gives_another_run(splits: ImageSplits) -> None:
    losses = {run(splits, epochs=1, seed=seed)[0].summary["best_val_loss"] for seed in (0, 1)}
    assert len(losses) == 2


def test_the_log_has_the_courses_form(splits: ImageSplits) -> None:
    _, recorder = run(splits, epochs=3, val_every=2, unfreeze_at=None)
    lines = [line for line in recorder.log_lines if line.startswith("INFO:root:")]
    assert [line.split(":")[2] for line in lines] == [
        *("Epoch No", "Training Loss"),
        *("Epoch No", "Training Loss", "Validation Loss"),
        *("Epoch No", "Training Loss", "Validation Loss"),
    ]
    assert lines[0] == "INFO:root:Epoch No: 0"
    values = recorder.tables["metrics"].column("val_loss")
    assert lines[4] == f"INFO:root:Validation Loss: {values[1]:.4f}"
    assert np.isnan(values[0])


@pytest.mark.parametrize(
    ("every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3, 4]), (5, [4]), (9, [4])]
)
def test_validation_comes_every_few_epochs_and_always_after_the_last(
    every: int, expected: list[int]
) -> None:
    assert [e for e in range(5) if validates(e, 5, every)] == expected


def test_the_run_ends_early_after_so_many_validations_without_a_better_one(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training, "is_better", lambda found, progress, metric: progress.best_epoch is None
    )
    result, recorder = run(splits, epochs=20, val_every=2, patience=2, unfreeze_at=None)
    assert result.summary["epochs"] == 6  # validated after 1 (the best), 3 and 5
    assert result.summary["best_epoch"] == 1
    assert result.summary["stopped_early"] is True
    assert "stopped early: 2 validations without a better one" in recorder.log_lines


def test_patience_waits_for_the_backbone_to_be_unfrozen(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training, "is_better", lambda found, progress, metric: progress.best_epoch is None
    )
    result, _ = run(splits, epochs=8, patience=2, unfreeze_at=4)
    assert result.summary["epochs"] == 6


def test_a_loss_that_is_not_finite_ends_the_run_with_step_rate_and_a_hint(
    splits: ImageSplits,
) -> None:
    with pytest.raises(RunError) as error:
        run(splits, epochs=3, unfreeze_at=0, optim={"name": "sgd", "lr": 1e30})
    message = str(error.value)
    assert "the training loss is" in message
    assert "epoch 0, step 1" in message
    assert "--lr" in message
    assert "--clip" in message


def test_clipping_bounds_what_a_step_can_do(splits: ImageSplits) -> None:
    result, _ = run(splits, epochs=1, unfreeze_at=0, optim={"name": "sgd", "lr": 1.0, "clip": 1e-6})
    assert result.summary["best_val_loss"] < 50


def test_without_a_test_split_its_values_are_null_and_the_validation_is_shown() -> None:
    splits = load_images("digits", val=0.5, test=0)
    result, recorder = run(splits, epochs=1, unfreeze_at=None)
    assert result.summary["test_loss"] is result.summary["test_acc"] is None
    assert result.summary["predictions"] == "val"
    assert len(recorder.tables["predictions"]) == len(splits.val)


def test_predictions_hold_what_the_summary_says(splits: ImageSplits) -> None:
    result, _ = run(splits, epochs=2, unfreeze_at=None)
    table = result.tables["predictions"]
    label, predicted = table.column("label"), table.column("predicted")
    assert splits.test is not None
    assert table.column("name").tolist() == splits.test.names
    assert np.mean(label == predicted) == pytest.approx(result.summary["test_acc"])
    p = np.stack([table.column(f"p_{name}") for name in splits.classes], axis=1)
    assert p.sum(1) == pytest.approx(np.ones(len(p)), abs=1e-5)
    # The probabilities are tempered, softmax(a / T); the loss is of softmax(a).
    plain = log_softmax(result.summary["calibration"]["temperature"] * np.log(p), axis=1)
    own = plain[np.arange(len(p)), [splits.classes.index(name) for name in label]]
    assert -own.mean() == pytest.approx(result.summary["test_loss"], rel=1e-4)


def test_any_torch_dataset_can_be_fine_tuned_on() -> None:
    generator = np.random.default_rng(0)
    bright = torch.from_numpy(generator.integers(150, 256, (40, 3, 8, 8), dtype=np.uint8))
    dark = torch.from_numpy(generator.integers(0, 100, (40, 3, 8, 8), dtype=np.uint8))
    dataset = TensorDataset(torch.cat([bright, dark]), torch.arange(80) // 40)
    splits = from_dataset(dataset, val=0.25, test=0.25, classes=["bright", "dark"])  # type: ignore[arg-type]
    result, _ = run(splits, epochs=8, batch_size=8, unfreeze_at=None, optim={"lr": 0.05})
    assert result.summary["classes"] == ["bright", "dark"]
    assert result.summary["test_acc"] == 1.0


def test_a_notebook_finds_its_own_settings_back_and_gets_figures() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    result = mlhw.finetune(
        **SMALL, data={"name": "digits", "val": 0.4, "test": 0.4}, epochs=2, unfreeze_at=None
    )
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert set(result.figures) == {
        *("losses", "accuracy", "learning-rate"),
        *("confusion", "reliability", "coverage", "worst", "random"),
    }


def test_layers_learn_only_from_unfreeze_at_on(splits: ImageSplits) -> None:
    result, recorder = run(splits, epochs=4, unfreeze_at=2, unfreeze_stages=1)
    verdicts = {claim.id: claim.verdict for claim in result.claims}
    assert verdicts["frozen-unchanged"] == "holds"
    assert "the head alone is trained until epoch 2, then the backbone too" in recorder.log_lines
    rates = result.tables["metrics"].column("lr")
    steps = -(-len(splits.train) // 64)
    assert rates[1] == pytest.approx(
        1e-3 * schedules.rate_factor("one-cycle", 2 * steps - 1, 2 * steps)
    )


def test_a_last_batch_of_one_joins_the_one_before_where_batch_norm_is_trained(
    splits: ImageSplits,
) -> None:
    count = len(splits.train)
    keys = {"batch_size": count // 2, "epochs": 2, "unfreeze_at": 1, "image_size": 4}
    assert count % 2 == 1
    for batch_norm, steps in (("eval", 3), ("train", 2)):
        result, _ = run(splits, **keys, batch_norm=batch_norm)
        assert math.isfinite(result.summary["best_val_loss"])
        rates = result.tables["metrics"].column("lr")
        assert rates[0] == pytest.approx(
            1e-3 * schedules.rate_factor("one-cycle", steps - 1, steps)
        )
    result, _ = run(splits, **keys, compare="random")
    assert 0 <= result.summary["random_weights"]["val_acc"] <= 1


@pytest.mark.parametrize(
    ("unfreeze_at", "val_every", "epochs"), [(0, 1, 1), (1, 1, 2), (2, 2, 4), (None, 1, 4)]
)
def test_the_comparison_may_end_with_the_first_validated_epoch_of_all_layers(
    splits: ImageSplits, unfreeze_at: int | None, val_every: int, epochs: int
) -> None:
    """Its epochs are those of the whole comparison, on the way."""
    keys = {"epochs": 4, "unfreeze_at": unfreeze_at, "val_every": val_every}
    early, _ = run(splits, **keys, compare="first-open")
    whole, _ = run(splits, **keys, compare="random")
    assert early.summary["random_weights"]["epochs"] == epochs
    assert whole.summary["random_weights"]["epochs"] == 4
    curves = [result.live["accuracy"]() for result in (early, whole)]
    assert all(isinstance(drawn, LiveCurves) for drawn in curves)
    short, full = (list(drawn.curves[-1].y) for drawn in curves)  # type: ignore[attr-defined]
    assert short == full[: len(short)]
    if epochs < 4:
        assert early.summary["random_weights"]["test_acc"] is None
        assert early.summary["random_weights"]["val_acc"] == max(short)
        assert any(f"after {epochs} epoch" in line for line in early.answers)
        (claim,) = (claim for claim in early.claims if claim.id == "beats-random")
        own = early.tables["metrics"].column("val_acc").astype(float)[:epochs]
        assert claim.measured == np.nanmax(own)
        assert (claim.verdict == "holds") == (np.nanmax(own) > max(short))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"continued": [[3, 2]]}, r"continued: must be \[epochs done, planned\] in order"),
        ({"continued": [[2, 2]], "epochs": 2}, "all done before the 2 epochs are"),
        ({"image_size": 0}, r"image_size: must be auto or at least 1 \(got 0\)"),
        ({"threads": 100_000}, r"threads: must be auto or 1 to 1024 \(got 100000\)"),
        ({"workers": -1}, r"workers: must be auto or 0 to 1024 \(got -1\)"),
        (
            {"batch_size": 1, "image_size": 4, "unfreeze_at": 0, "batch_norm": "train"},
            "batch_size: batch norm finds no variance in one image of 4 × 4 .* or batch_norm: eval",
        ),
        (
            {"batch_size": 1, "image_size": 4, "unfreeze_at": 0, "compare": "random"},
            "batch_size: batch norm finds no variance in one image .* or compare: none",
        ),
        ({"head": {"hidden": "3,x"}}, "must be whole numbers such as 64,32"),
        ({"epochs": 0}, "must be at least 1"),
        ({"device": "gpu"}, "--device: must be auto, cpu, cuda"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_plain_line(
    splits: ImageSplits, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(splits, **keys)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_gives_the_same_result_within_tolerance(splits: ImageSplits, precision: str) -> None:
    keys: dict[str, Any] = {"epochs": 4, "unfreeze_at": 2, "optim": {"lr": 0.01}}
    cpu, _ = run(splits, **keys)
    gpu, _ = run(splits, **(keys | {"device": "cuda", "precision": precision}))
    assert gpu.summary["device"].startswith("cuda")
    assert gpu.summary["best_val_loss"] == pytest.approx(
        cpu.summary["best_val_loss"], rel=0.05 if precision == "fp32" else 0.2
    )
    assert not gpu.fails


def test_float16_trains_and_a_step_whose_gradients_overflow_is_skipped_and_counted(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.amp.GradScaler

    def eager(device: str, enabled: bool) -> torch.amp.GradScaler:
        return real(device, init_scale=2.0**40, enabled=enabled)

    monkeypatch.setattr(torch.amp, "GradScaler", eager)
    keys: dict[str, Any] = {"epochs": 2, "unfreeze_at": 0, "batch_norm": "train"}
    result, recorder = run(splits, **keys, precision="fp16", optim={"lr": 0.01})
    assert math.isfinite(result.summary["best_val_loss"])
    assert [line for line in recorder.log_lines if "steps so far were skipped: float16" in line]
    result, recorder = run(splits, **keys, precision="bf16", optim={"lr": 0.01})
    assert math.isfinite(result.summary["best_val_loss"])
    assert not [line for line in recorder.log_lines if "skipped" in line]
