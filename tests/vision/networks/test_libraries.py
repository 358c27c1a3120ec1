"""Networks of torchvision and timm by name: their own logits, their own preprocessing and weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mlhw.errors import ConfigError, DataError
from mlhw.vision.networks import libraries, published
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.torchvision_import import torchvision
from tests.vision.networks.inputs import assert_partition, assert_stages_partition, images, timm

# ----------------------------------------------------------------------------- torchvision

FAMILIES = [
    "mnasnet0_5",
    "mobilenet_v3_small",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
]
SLOW_FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "regnet_y_400mf",
    "swin_t",
    "vgg11",
    "vit_b_32",
    "wide_resnet50_2",
]


@pytest.mark.parametrize(
    "name", [*FAMILIES, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW_FAMILIES)]
)
def test_a_torchvision_network_gives_its_own_logits(name: str, tmp_path: Path) -> None:
    models = torchvision().models
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if extra:
        extra["transform_input"] = True  # as torchvision does with pre-trained weights
    size = {"maxvit_t": 224, "vit_b_32": 224, "inception_v3": 128}.get(name, 64)
    torch.manual_seed(0)
    whole = models.get_model(name, weights=None, **extra).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(f"torchvision:{name}", str(tmp_path / "w.pth"), image_size=size)
    batch = images(2, 3, size, size)
    with torch.inference_mode():
        features = backbone.module(batch)
        assert features.shape == (2, backbone.features)
        if not name.startswith("squeezenet"):  # its head comes before the mean over the pixels
            head = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
            torch.testing.assert_close(head(features), whole(batch))
    assert_stages_partition(backbone)


def test_a_transformer_at_another_size_has_its_positions_resized() -> None:
    network = libraries.torchvision_network("vit_b_32", "none", 96)
    positions = torch.randn((1, 50, 768), generator=torch.Generator().manual_seed(0))
    state = {
        name: positions if "pos_embedding" in name else tensor
        for name, tensor in network.module.state_dict().items()
    }
    adapted = network.adapt(state)
    assert adapted["encoder.pos_embedding"].shape == (1, 10, 768)  # 3 × 3 patches and the class


def test_every_torchvision_classifier_has_preprocessing_and_weights() -> None:
    models = torchvision().models
    names = libraries.torchvision_names()
    assert len(names) >= 80
    for name in names:
        for entry in models.get_model_weights(name):
            ours = libraries.preprocessing_of_preset(entry.transforms())
            assert [ours.size] == entry.transforms().crop_size
            assert published.checksum_in_name(entry.url.rsplit("/", 1)[1]) is not None


@pytest.mark.slow
def test_every_torchvision_classifier_can_be_built() -> None:
    for name in libraries.torchvision_names():
        if name.startswith("regnet"):  # computes its widths with tensors while it is built
            if name not in ("regnet_x_400mf", "regnet_y_800mf"):
                continue
            network = libraries.torchvision_network(name, "none", None)
        else:
            with torch.device("meta"):
                network = libraries.torchvision_network(name, "none", None)
        (head,) = network.heads
        is_linear = isinstance(network.module.get_submodule(head), nn.Linear)
        assert is_linear or name.startswith("squeezenet"), name
        network.take_off_head()
        assert_partition(network.module)


def test_a_name_of_the_weights_enum_chooses_preprocessing_and_file(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torchvision().models.mobilenet_v2()
    offline.mkdir(parents=True)
    for file in ("mobilenet_v2-b0353104.pth", "mobilenet_v2-7ebf99e0.pth"):
        torch.save(whole.state_dict(), offline / file)
    monkeypatch.setattr(libraries, "checksum_in_name", lambda file: None)
    first = load_backbone("torchvision:mobilenet_v2", "IMAGENET1K_V1")
    second = load_backbone("torchvision:mobilenet_v2")
    assert (first.preprocessing.resize, second.preprocessing.resize) == (256, 232)
    assert first.weights.endswith("mobilenet_v2-b0353104.pth")
    assert second.weights.endswith("mobilenet_v2-7ebf99e0.pth")
    assert first.weights_digest == second.weights_digest
    by_file = load_backbone("torchvision:mobilenet_v2", str(offline / "mobilenet_v2-b0353104.pth"))
    assert by_file.preprocessing == first.preprocessing


def test_weights_that_cannot_be_had_say_what_where_and_how(tmp_path: Path, offline: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_backbone("torchvision:resnet18", data_dir=tmp_path)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    for part in (
        "resnet18-f37072fd.pth",
        str(offline),
        str(tmp_path / "weights"),
        "sha256 f37072fd…",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "--weights FILE",
    ):
        assert part in text
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_torchvision_is_imported_beside_a_cpu_build_of_torch() -> None:
    """In a fresh process, with a forward pass; with every warning an error."""
    code = """
import torch
from mlhw.vision.networks.torchvision_import import torchvision
module = torchvision()
assert torchvision() is module
model = module.models.resnet18().eval()
with torch.inference_mode():
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
module.datasets.CIFAR10, module.models.detection
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------ timm


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 64),
        ("mobilenetv3_small_050", 64),
        ("vit_tiny_patch16_224", 96),
        pytest.param("vit_tiny_patch16_224", None, marks=pytest.mark.slow),
    ],
)
def test_a_timm_network_gives_its_own_features(name: str, size: int | None, tmp_path: Path) -> None:
    extra = {"img_size": size} if size and name.startswith("vit") else {}
    whole = timm().create_model(name, **extra).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(f"timm:{name}", str(tmp_path / "w.pth"), image_size=size)
    config = timm().data.resolve_data_config({}, model=whole)
    assert backbone.preprocessing.mean == config["mean"]
    assert backbone.preprocessing.interpolation == config["interpolation"]
    batch = images(2, 3, size or 224, size or 224)
    with torch.inference_mode():
        head = whole.get_classifier()
        torch.testing.assert_close(head(backbone.module(batch)), whole(batch))
    assert_stages_partition(backbone)


def test_published_timm_weights_are_read_from_a_local_copy(tmp_path: Path, offline: Path) -> None:
    from safetensors.torch import save_file

    whole = timm().create_model("resnet18").eval()
    (tmp_path / "weights").mkdir()
    save_file(whole.state_dict(), tmp_path / "weights" / "timm-resnet18.a1_in1k.safetensors")
    backbone = load_backbone("timm:resnet18", data_dir=tmp_path)
    with torch.inference_mode():
        batch = images(1, 3, 64, 64)
        torch.testing.assert_close(whole.get_classifier()(backbone.module(batch)), whole(batch))


def test_timm_weights_that_cannot_be_had_fail_fast(tmp_path: Path, offline: Path) -> None:
    timm()
    with pytest.raises(DataError, match=r"timm-resnet18\.a1_in1k\.safetensors"):
        load_backbone("timm:resnet18", data_dir=tmp_path)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install mlhw\[timm\]"):
        load_backbone("timm:resnet18", "none")
