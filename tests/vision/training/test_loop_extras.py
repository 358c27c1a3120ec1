"""Accumulated gradients, averaged weights, a compiled backbone, settings that give the same bits."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mlhw.commands.main import main
from mlhw.config.load import from_keywords
from mlhw.errors import RunError
from mlhw.experiments.finetune import experiment
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.training import averaging, preparation
from mlhw.vision.training import loop as training
from mlhw.vision.training.averaging import Average, decay_at
from mlhw.vision.training.device import deterministic_errors, torch_settings
from tests.conftest import Mlhw
from tests.vision.training.small_runs import (
    OPTIONS,
    SMALL,
    assert_same,
    finetune,
    resume,
    stops_at_step,
)

BRIEF: dict[str, Any] = SMALL | {
    "epochs": 3,
    "unfreeze_at": 1,
}


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.4, test=0.4)


def run(splits: ImageSplits, **keys: Any) -> Result:
    return experiment.run(from_keywords(Config, BRIEF | keys), Recorder(), splits)


def verdict(result: Result, id: str) -> str:
    return next(claim.verdict for claim in result.claims if claim.id == id)


# ------------------------------------------------------------------------------------- accumulated


@pytest.mark.parametrize(
    ("keys", "batch_size", "accumulate"),
    [
        ({}, 16, 4),
        ({"class_weights": "balanced"}, 16, 4),
        ({"optim": {"clip": 0.05, "name": "sgd", "lr": 0.1}}, 32, 2),
        # 359 images: the last step has 59, in batches of 50 and 9. A rate is tried by batches: it is given.
        ({"batch_size": 150, "optim": {"backbone_lr": 1e-3}}, 50, 3),
    ],
)
def test_accumulated_batches_are_one_large_one(
    splits: ImageSplits, keys: dict[str, Any], batch_size: int, accumulate: int
) -> None:
    """Where batch norm keeps its statistics; a last batch counts by the images that it has."""
    large = run(splits, **keys)
    small = run(splits, **(keys | {"batch_size": batch_size, "accumulate": accumulate}))
    for column in ("train_loss", "val_loss", "lr"):
        found, expected = (r.tables["metrics"].column(column) for r in (small, large))
        # The order of additions differs. AdamW divides a gradient near zero by its own size, which enlarges
        # that from epoch to epoch: the third was seen 5e-5 off. Other weights are off by some per cent.
        np.testing.assert_allclose(found, expected, rtol=2e-4)
        np.testing.assert_allclose(found[:2], expected[:2], rtol=2e-5)
    assert verdict(small, "first-epochs-again") == verdict(small, "rates-as-scheduled") == "holds"


def test_a_batch_that_is_weighted_wrongly_is_found_out(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if every batch of a step had as many images as the first."""
    monkeypatch.setattr(training, "divisor", lambda labels, weights: 25.0)
    keys = {"batch_size": 25, "accumulate": 9, "optim": {"name": "sgd", "lr": 0.1}}
    assert (
        verdict(run(splits, **keys, schedule={"name": "constant"}), "first-epochs-again") == "fails"
    )


@pytest.mark.parametrize("step", [1, 4])
def test_a_run_that_accumulates_and_averages_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    options = ["--accumulate", "3", "-b", "50", "--ema", "0.9", "--epochs", "3"]
    code, whole = finetune(tmp_path / "whole", *options)
    assert code == 0
    with monkeypatch.context() as patch:
        stops_at_step(patch, step)
        code, run = finetune(tmp_path / "stopped", *options)
    assert code == 130
    saved = torch.load(run / "checkpoints" / "last.pt", weights_only=True)["progress"]
    assert saved["step"] == step + 1
    assert saved["batch"] % 3 in (0, 8 % 3)  # between steps, of which an epoch has three
    assert resume(run) == 0
    assert_same(run, whole)


# ------------------------------------------------------------------------------------- averaged


def test_the_average_is_torchs() -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    network = TunedNetwork(backbone.module, new_head(backbone.features, 3)).train()
    average = Average(network, 0.75)
    other = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.75), use_buffers=True)
    other.n_averaged += 1  # torch's first update would copy
    for step in range(40, 45):  # from here on the decay is the one asked for
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.is_floating_point():
                    tensor.add_(torch.randn(tensor.shape) * 0.1)
        average.update(network, step)
        other.update_parameters(network)
    expected = other.module.state_dict()
    for name, tensor in average.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


def test_what_is_frozen_is_the_same_in_the_average_bit_for_bit() -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    network = TunedNetwork(backbone.module, new_head(backbone.features, 3)).eval()
    network.backbone.requires_grad_(False)
    average = Average(network, 0.9)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        network.head[0].weight.add_(1.0)  # type: ignore[index]
    average.update(network, 1000)
    after = average.network.state_dict()
    assert all(torch.equal(after[n], before[n]) for n in before if n.startswith("backbone."))
    torch.testing.assert_close(after["head.0.weight"], before["head.0.weight"] + 0.1)


def test_the_decay_grows_to_what_was_asked_for() -> None:
    found = [decay_at(0.9, step) for step in range(200)]
    assert found[0] == 0.1
    assert found == sorted(found)
    assert found[-1] == 0.9


def test_the_average_is_judged_and_kept_and_the_training_is_as_without(
    splits: ImageSplits,
) -> None:
    plain, averaged = run(splits), run(splits, ema=0.95)
    columns = [r.tables["metrics"].column("train_loss") for r in (plain, averaged)]
    assert columns[0].tolist() == columns[1].tolist()
    columns = [r.tables["metrics"].column("val_loss") for r in (plain, averaged)]
    assert not set(columns[0]) & set(columns[1])
    verdicts = {claim.id: claim.verdict for claim in averaged.claims}
    assert set(verdicts.values()) == {"holds", "not applicable"}, verdicts
    assert verdicts["first-epochs-again"] == verdicts["best-reloads"] == "holds"


def test_an_average_that_is_off_is_found_out(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(averaging, "decay_at", lambda decay, step: decay)
    keys: dict[str, Any] = {"ema": 0.95, "optim": {"lr": 0.01}}
    assert verdict(run(splits, **keys), "first-epochs-again") == "fails"


def test_the_saved_model_is_the_average(mlhw: Mlhw, tmp_path: Path) -> None:
    """By the command: what is saved as best gives the validation that the table has for the average."""
    words = ["--ema", "0.9", "--accumulate", "2", "--augment", "none", "--json"]
    done = mlhw("finetune", *OPTIONS, *words)
    assert done.returncode == 0, done.stderr
    run = Path(json.loads(done.stdout)["run"])
    best = load_file(run / "checkpoints" / "best.safetensors")
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    if json.loads(done.stdout)["summary"]["best_epoch"] == 3:
        assert all(torch.equal(best[name], state["average"][name]) for name in best)
    assert not torch.equal(state["average"]["head.0.weight"], state["network"]["head.0.weight"])


# ------------------------------------------------------------------------------------- compiled


@pytest.mark.filterwarnings("ignore")  # of modules of torch.compile's own
def test_a_compiled_backbone_gives_the_losses_of_the_plain_one(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a compiler that hands back what it is given: the real one takes minutes."""
    shapes = set()

    def compiler(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        shapes.add(tuple(inputs[-1].shape))
        return graph.forward

    real = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **more: real(self, backend=compiler, **more)
    )
    monkeypatch.setattr(preparation, "require_compiling", lambda compute: None)
    keys = {"epochs": 2, "ema": 0.5}
    plain, compiled = run(splits, **keys), run(splits, **keys, compile=True)
    assert shapes
    for column in ("train_loss", "val_loss"):
        found, expected = (r.tables["metrics"].column(column) for r in (compiled, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert not compiled.fails


def test_where_nothing_compiles_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: Any, **more: Any) -> Any:
        raise RuntimeError("\nInvalidCxxCompiler: no working C++ compiler\nSet TORCH_LOGS")

    monkeypatch.setattr(torch, "compile", fails)
    code = main(["finetune", *OPTIONS, "--compile", "--runs-dir", str(tmp_path / "runs")])
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no working C++ compiler" in line
    assert line.startswith("error: compile: torch.compile does not work here (")
    assert line.endswith("leave --compile out")
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------------------------- the same bits


def test_deterministic_settings_hold_inside_and_are_given_back() -> None:
    cpu = torch.device("cpu")

    def settings() -> tuple[Any, ...]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.allow_tf32,
            torch.backends.cuda.matmul.allow_tf32,
            os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        )

    before = settings()
    with torch_settings(1, cpu):
        assert settings() == before
    with torch_settings(1, cpu, deterministic=True):
        assert settings() == (True, False, False, ":4096:8")
    assert settings() == before


def test_a_run_says_that_it_is_deterministic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = training.apply_gradients

    def watching(*given: Any) -> None:
        seen.append(torch.are_deterministic_algorithms_enabled())
        real(*given)

    monkeypatch.setattr(training, "apply_gradients", watching)
    code, run = finetune(tmp_path, "--deterministic", "--epochs", "3")
    assert code == 0
    assert set(seen) == {True}
    assert "deterministic: no TF32" in (run / "log.txt").read_text()


def test_an_operation_that_may_give_other_bits_is_named() -> None:
    said = "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you"
    named = "deterministic: adaptive_avg_pool2d_backward_cuda on this"
    with pytest.raises(RunError, match=named), deterministic_errors():
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="something else"), deterministic_errors():
        raise RuntimeError("something else")


def test_main_refuses_a_decay_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--ema", "1"]) == 2
    assert "--ema: must be less than 1 (got 1)" in capsys.readouterr().err
