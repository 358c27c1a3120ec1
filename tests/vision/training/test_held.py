"""Batches made of images that a GPU holds are those of images that come from memory, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.images.transforms import Changes
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.training import held
from mlhw.vision.training.batches import Loader, feature_batches
from mlhw.vision.training.device import Compute
from mlhw.vision.training.sharing import Share

CPU = Compute(torch.device("cpu"), "fp32", "channels-last")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
PLACES = [
    pytest.param(torch.device("cpu"), id="cpu"),
    pytest.param(torch.device("cuda"), id="cuda", marks=GPU),
]


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.1, test=0.8)


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are held wherever they would be, and few batches are made in one go."""
    monkeypatch.setattr("mlhw.vision.training.held.fits", lambda device, size: True)
    monkeypatch.setattr("mlhw.vision.training.batches.fits", lambda device, size: True)
    monkeypatch.setattr(held, "BYTES_AT_ONCE", 3 * 16**2 * 4 * 50)
    monkeypatch.setattr(held, "FITTED_AT_ONCE", 32)


@given(sizes=st.lists(st.integers(1, 200), max_size=30))
def test_groups_hold_every_part_in_order_and_more_than_one_only_within_the_limit(
    sizes: list[int],
) -> None:
    unit = held.BYTES_AT_ONCE // 100
    groups = held.in_groups(range(len(sizes)), [size * unit for size in sizes])
    assert [part for group in groups for part in group] == list(range(len(sizes)))
    totals = [sum(sizes[part] for part in group) for group in groups]
    assert all(len(group) == 1 or total <= 100 for group, total in zip(groups, totals, strict=True))
    # Each is as large as it can be.
    following = [sizes[group[0]] for group in groups[1:]]
    assert all(total + more > 100 for total, more in zip(totals, following, strict=False))


@pytest.mark.parametrize("device", PLACES)
@pytest.mark.parametrize("layout", ["channels-last", "contiguous"])
@pytest.mark.parametrize("names", [None, (), ("flip",), ("flip", "crop")])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("share", [None, Share(1, 3, 2), Share(2, 3, 2)])
def test_held_images_make_the_same_batches(
    splits: ImageSplits,
    holding: None,
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    layout: str,
    names: tuple[str, ...] | None,
    mixup: float,
    share: Share | None,
) -> None:
    images = splits.train
    backbone = load_backbone("cifar_resnet20", "none", image_size=16, seed=0)
    changes = None
    if names is not None:
        changes = Changes(names, 3, 1, len(images), mixup, mixup, 10)
    order = np.random.default_rng(0).permutation(len(images))
    keys = {"start": 2, "least": 2, "changes": changes, "share": share}
    compute = replace(CPU, layout=layout)
    with monkeypatch.context() as patch:
        patch.setattr(Loader, "_held", lambda self, count, changes: None)
        expected = list(
            Loader(images, backbone.preprocessing, compute, 0).batches(order, 8, **keys)
        )
    loader = Loader(images, backbone.preprocessing, replace(compute, device=device), 2)
    found = list(loader.batches(order, 8, **keys))
    assert loader.all_held is not None
    assert len(found) == len(expected)
    for (pixels, labels), (others, theirs) in zip(found, expected, strict=True):
        assert pixels.device.type == labels.device.type == device.type
        assert pixels.stride() == others.stride() or not len(pixels)
        if mixup and device.type == "cuda":
            torch.testing.assert_close(pixels.cpu(), others)
            torch.testing.assert_close(labels.cpu(), theirs)
        else:
            assert torch.equal(pixels.cpu(), others)
            assert torch.equal(labels.cpu(), theirs)


def test_what_v2_changes_one_by_one_and_a_few_images_are_not_held(
    splits: ImageSplits, holding: None
) -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=16)
    loader = Loader(splits.train, backbone.preprocessing, CPU, 0)
    order = np.arange(len(splits.train))
    changes = Changes(("flip", "jitter"), 0, 0, len(order))
    next(loader.batches(order, 8, changes=changes))
    next(loader.batches(order[: len(order) // 2 - 1], 8))
    assert "all_held" not in vars(loader)
    next(loader.batches(order, 8))
    assert "all_held" in vars(loader)


def test_a_cpu_holds_none(splits: ImageSplits) -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=16)
    assert held.held_images(splits.train, backbone.preprocessing, torch.device("cpu")) is None


@GPU
def test_images_that_are_too_many_are_not_held(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=16)
    device = torch.device("cuda")
    assert held.held_images(splits.train, backbone.preprocessing, device) is not None
    monkeypatch.setattr(held, "MEMORY_SHARE", 1e-9)
    assert held.held_images(splits.train, backbone.preprocessing, device) is None


@pytest.mark.parametrize("device", PLACES)
def test_held_features_make_the_same_batches(holding: None, device: torch.device) -> None:
    generator = np.random.default_rng(1)
    features = generator.standard_normal((101, 7)).astype(np.float32)
    features.flags.writeable = False
    labels, order = generator.integers(0, 3, 101), generator.permutation(101)
    found = list(feature_batches(features, labels, order, 10, device, start=1, least=2))
    assert [len(targets) for _, targets in found] == [10] * 8 + [11]
    assert all(rows.device.type == device.type for rows, _ in found)
    assert np.array_equal(torch.cat([rows.cpu() for rows, _ in found]), features[order[10:]])
    assert np.array_equal(torch.cat([targets.cpu() for _, targets in found]), labels[order[10:]])
