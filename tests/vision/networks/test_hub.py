"""Models of the Hugging Face hub by name, from its cache; without a network one line says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from mlhw.commands.main import main
from mlhw.errors import DataError
from mlhw.vision.networks.backbones import load_backbone
from tests.vision.networks.inputs import timm

FEW = ["--image-size", "32", "--val", "0.4", "--test", "0.4", "--threads", "1", "--no-plots", "-q"]
FEW += [
    "--precision",
    "fp32",
    "--layout",
    "channels-last",
    "--epochs",
    "1",
    "--unfreeze-at",
    "null",
]
FEW += ["--compare", "none", "--no-check"]


def cached(home: Path, repository: str, config: str, weights: dict[str, torch.Tensor]) -> None:
    """A model as the hub's own client keeps it."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text(config)
    if weights:
        save_file(weights, snapshot / "model.safetensors")


@pytest.fixture
def offline_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network, for this process."""
    timm()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hf"


def test_a_model_of_the_hub_is_taken_from_its_cache(
    offline_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = timm().create_model("test_resnet", num_classes=7)
    facts = {
        "input_size": [3, 160, 160],
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.2],
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "classifier": "fc",
    }
    config = {"architecture": "test_resnet", "num_classes": 7, "pretrained_cfg": facts}
    cached(offline_cache, "me/tiny", json.dumps(config), whole.state_dict())
    words = ["--model", "timm:hf-hub:me/tiny", *FEW, "--json", "--runs-dir", str(offline_cache)]
    assert main(["finetune", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["weights"].endswith("model.safetensors")
    best = load_file(Path(found["run"]) / "checkpoints" / "best.safetensors")
    assert torch.equal(best["backbone.conv1.0.weight"], whole.state_dict()["conv1.0.weight"])


@pytest.mark.parametrize(
    ("config", "model", "message"),
    [
        (
            None,
            "me/tiny",
            "model: hf-hub:me/tiny: its config.json is neither in the cache of the hub",
        ),
        ('{"architecture": "my_own"}', "me/tiny", "model: hf-hub:me/tiny is no model of timm's"),
        ('{"architecture": "test_resnet"}', "me/tiny", "HF_HUB_OFFLINE is set; unset it once"),
        ('{"architecture": "test_resnet"}', "me/tiny@v2", "is neither in the cache"),
        (None, "tiny tiny", "is neither in the cache"),
    ],
)
def test_what_is_not_to_be_had_is_one_line(
    offline_cache: Path,
    capsys: pytest.CaptureFixture[str],
    config: str | None,
    model: str,
    message: str,
) -> None:
    if config is not None:
        cached(offline_cache, "me/tiny", config, {})
    runs = str(offline_cache / "runs")
    assert main(["finetune", "--model", f"hf-hub:{model}", *FEW, "--runs-dir", runs]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path(runs).exists()


def test_a_hub_that_nobody_knows_of_is_one_line_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    timm()

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DataError, match=r"nor to be had: .*Name or service not known"):
        load_backbone("hf-hub:someone/something")
