"""Images of Dataset objects of any kind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.errors import DataError
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from tests.vision.images.drawn import everything

# --------------------------------------------------------------------------------- Dataset


def pairs(images: list[Any]) -> list[tuple[Any, int]]:
    """A list is a map-style data set."""
    return [(image, i % 2) for i, image in enumerate(images)]


def from_list(images: list[Any], **options: Any) -> ImageSplits:
    return from_dataset(pairs(images), **options)  # type: ignore[arg-type]


NOISE = np.random.default_rng(2).integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)


def test_images_of_every_kind_that_data_sets_return_are_the_same() -> None:
    import torch
    from torch.utils.data import TensorDataset

    kinds: list[list[Any]] = [
        list(NOISE),
        [Image.fromarray(image) for image in NOISE],
        [torch.from_numpy(image).permute(2, 0, 1) for image in NOISE],
        [torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in NOISE],
    ]
    digests = {from_list(images, val=2, test=2).digest for images in kinds}
    tensors = TensorDataset(torch.from_numpy(NOISE).permute(0, 3, 1, 2), torch.arange(12) % 2)
    digests.add(from_dataset(tensors, val=2, test=2).digest)
    assert len(digests) == 1
    splits = from_list(kinds[0], val=2, test=2)
    rows = [int(name) for name in splits.train.names]
    np.testing.assert_array_equal(splits.train.images(range(8)), NOISE[rows])
    assert splits.classes == ["0", "1"]


def test_grey_images_and_images_of_differing_sizes_are_taken() -> None:
    import torch

    grey = from_list([image[..., 0] for image in NOISE], val=2, test=0)
    assert np.asarray(grey.train.images([0])).shape == (1, 5, 7, 3)
    drawn = torch.rand((9, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    assert from_list(list(drawn), val=2).train.image_shape == (4, 4)
    mixed = from_list([image[: 3 + i % 3] for i, image in enumerate(NOISE)], val=2, test=2)
    assert mixed.train.image_shape is None
    images = mixed.train.images([0, 1])
    assert isinstance(images, list)
    np.testing.assert_array_equal(images[0], NOISE[int(mixed.train.names[0])][: len(images[0])])


def test_a_torchvision_data_set_brings_its_classes(animals: Path) -> None:
    from mlhw.vision.networks.torchvision_import import torchvision

    folder = torchvision().datasets.ImageFolder(str(animals))
    splits = from_dataset(folder)
    assert splits.classes == ["cat", "dog"]
    ours = load_images(f"folder:{animals}")
    assert [len(part) for part in everything(splits)] == [len(part) for part in everything(ours)]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            [np.zeros((4, 4, 3))] * 5 + [np.full((4, 4, 3), 2.0)],
            "sample 5: has values outside 0 … 1",
        ),
        ([np.zeros((4, 4, 2), dtype=np.uint8)] * 6, "sample 0: is no image"),
        (["text"] * 6, "sample 0: is no image"),
        ([np.zeros((4, 4), dtype=np.int32)] * 6, "sample 0: is no image"),
        ([], "at least two classes"),
    ],
)
def test_what_is_no_image_is_named_by_its_index(images: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_list(images)


def test_labels_beyond_the_classes_and_endless_data_sets_are_refused() -> None:
    with pytest.raises(DataError, match="labels beyond"):
        from_list(list(NOISE), classes=["only"])
    with pytest.raises(DataError, match="needs a length"):
        from_dataset(iter([]))  # type: ignore[arg-type]


def test_an_image_set_travels_to_worker_processes(animals: Path) -> None:
    import pickle

    train = load_images(f"folder:{animals}").train
    again = pickle.loads(pickle.dumps(train))
    assert np.array_equal(again.images(range(3)), train.images(range(3)))
    assert again.digest == train.digest


def test_reading_images_needs_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from mlhw.vision.images.datasets import load_images; load_images('digits'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
