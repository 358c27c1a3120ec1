"""Where a network looked: Grad-CAM held against its formula, and in the gallery of a run."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.vision.gradcam import evidence, laid_over, to_explain
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.feature_maps import feature_maps
from mlhw.vision.networks.head import TunedNetwork, new_head

SMALL = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "16", "--threads", "1"]
SMALL += ["--precision", "fp32", "--epochs", "1", "--unfreeze-at", "null", "--compare", "none"]
SMALL += ["--val", "20", "--test", "20", "--no-check", "-q"]


def network_of(model: str, size: int) -> TunedNetwork:
    backbone = load_backbone(model, "none", image_size=size)
    return TunedNetwork(backbone.module, new_head(backbone.features, 3)).eval()


@pytest.mark.parametrize(
    ("model", "size"),
    [("cifar_resnet20", 32), ("efficientnet_lite0", 64), ("torchvision:resnet18", 64)],
)
def test_the_evidence_is_the_papers_formula_written_down(model: str, size: int) -> None:
    network = network_of(model, size)
    layer = feature_maps(network, size)
    batch = torch.randn(3, 3, size, size)
    classes = np.array([0, 2, 1])
    found = evidence(network, batch, classes, layer)
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output)
        return output.clone()  # for a layer behind it that works in place

    handle = layer.register_forward_hook(keep)
    logits = network(batch.requires_grad_())
    handle.remove()
    (A,) = kept
    (gradient,) = torch.autograd.grad(logits[range(3), classes].sum(), A)
    alpha = gradient.mean((2, 3), keepdim=True)  # eq. 1
    maps = (alpha * A).sum(1, keepdim=True).relu()  # eq. 2
    expected = nn.functional.interpolate(maps, (size, size), mode="bilinear")[:, 0].detach()
    assert A.shape[2] == A.shape[3] > 1
    assert found == pytest.approx(expected.numpy(), abs=1e-5 * max(1.0, float(expected.max())))
    assert expected.max() > 0


def test_a_network_that_looks_at_one_corner_is_seen_to() -> None:
    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 4, stride=4)
            nn.init.ones_(self.maps.weight)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.maps(images)[:, :, 0, :1].flatten(1)

    head = nn.Linear(1, 2, bias=False)
    nn.init.constant_(head.weight, 1.0)
    network = TunedNetwork(Corner(), head).eval()
    bright = torch.ones(1, 3, 16, 16)
    bright[:, :, :4, :4] = 5
    found = evidence(network, bright, np.array([1]), feature_maps(network, 16))[0]
    assert np.unravel_index(found.argmax(), found.shape) < (4, 4)
    assert found[:2, :2].min() > 2 * found[8:, 8:].max()


@pytest.mark.parametrize("model", ["torchvision:vit_b_32"])
def test_a_transformer_has_no_feature_maps(model: str) -> None:
    with pytest.raises(ConfigError, match="ends in no feature maps"):
        feature_maps(network_of(model, 32), 32)


def test_the_brightest_colour_lies_where_the_evidence_is() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    shares = np.zeros((4, 4), np.float32)
    shares[1, 2] = 0.3
    found = laid_over(image, shares)
    assert found.shape == (128, 128, 3)
    brightness = found.sum(2)
    assert np.argwhere(brightness == brightness.max()).min(0).tolist() == [32, 64]
    dark = laid_over(image, np.zeros((4, 4), np.float32))  # nothing speaks for the class
    assert len(np.unique(dark.reshape(-1, 3), axis=0)) == 1


def test_the_worst_and_as_many_others_are_chosen_once_each() -> None:
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet([1, 1], 50), rng.integers(0, 2, 50)
    chosen = to_explain(p, labels, 8, seed=1)
    own = p[np.arange(50), labels]
    assert len(np.unique(chosen)) == 16
    assert set(np.argsort(own)[:8]) <= set(chosen.tolist())
    assert np.array_equal(chosen, to_explain(p, labels, 8, seed=1))
    assert not np.array_equal(chosen, to_explain(p, labels, 8, seed=2))
    assert np.array_equal(to_explain(p, labels, 40, seed=1), np.arange(50))


def test_a_run_shows_them_in_its_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["finetune", *SMALL, "--explain", "3", "--runs-dir", str(tmp_path / "runs")])
    assert code == 0, capsys.readouterr().err
    text = (tmp_path / "runs" / "latest" / "gallery.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["looks"]) == 6
    own = {}
    for place, (_, k, _, scores, _) in enumerate(data["images"]):
        own[place] = dict(zip(scores[::2], scores[1::2], strict=True))[k]
    least = sorted(own.values())[:3]
    assert sorted(own[int(place)] for place in data["looks"])[:3] == least
    for picture in data["looks"].values():
        with Image.open(io.BytesIO(base64.b64decode(picture))) as shown:
            assert shown.size == (128, 128)
    assert 'name="looks"' in text


def test_a_network_without_feature_maps_is_refused_before_it_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["finetune", *SMALL, "--model", "torchvision:vit_b_32", "--image-size", "32"]
    code = main([*words, "--explain", "3", "--runs-dir", str(tmp_path / "runs")])
    assert code == 2
    assert "error: explain: this network ends in no feature maps" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_without_captum_the_run_does_not_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    code = main(["finetune", *SMALL, "--explain", "3", "--runs-dir", str(tmp_path / "runs")])
    assert code == 2
    assert "pip install 'mlhw[explain]'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
