"""The sheet of training images shows them as the network sees them, and as the epochs change them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.vision.config import Config
from mlhw.vision.training.preparation import prepare
from mlhw.vision.training.sheet import augmented_sheet, sheet_pictures
from mlhw.vision.training.task import Task


def task(**keys: Any) -> Task:
    small = {"model": "cifar_resnet20", "weights": "none", "image_size": 8, "epochs": 4}
    fixed = {"threads": 1, "precision": "fp32", "layout": "channels-last", "compare": "none"}
    config = from_keywords(Config, {**small, **fixed, **keys})
    prepared = prepare(config, Recorder(), torch.device("cpu"), 1)
    return prepared.task(Recorder(), on_disk=False)


def test_without_changes_it_shows_thirty_images_of_every_class() -> None:
    plain = task()
    (shown,) = sheet_pictures(plain)
    assert len(shown) == 30
    assert {picture.words for picture in shown} == {str(k) for k in range(10)}
    assert {picture.when for picture in shown} == {"unchanged"}
    images = plain.train.images
    seen = plain.train.preprocessing.fitted(images.images(np.arange(len(images))))
    stored = {image.permute(1, 2, 0).numpy().tobytes() for image in seen}
    assert all(np.ascontiguousarray(picture.pixels).tobytes() in stored for picture in shown)


@pytest.mark.parametrize(
    ("keys", "epochs"),
    [
        ({"unfreeze_at": 2}, ["epoch 2", "epoch 3"]),
        ({"unfreeze_at": 0}, ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]),
        ({"unfreeze_at": 2, "views": 2}, ["epoch 0", "epoch 1"]),
        ({"unfreeze_at": 2, "features": "off", "epochs": 3}, ["epoch 0", "epoch 1", "epoch 2"]),
        ({"unfreeze_at": None, "epochs": 2}, ["epoch 0", "epoch 1"]),
    ],
)
def test_images_are_shown_beside_what_the_first_changed_epochs_make_of_them(
    keys: dict[str, Any], epochs: list[str]
) -> None:
    columns = sheet_pictures(task(augment="flip", **keys))
    assert [column[0].when for column in columns] == ["unchanged", *epochs]
    flips = 0
    for plain, *changed in zip(*columns, strict=True):
        for picture in changed:
            flipped = np.array_equal(picture.pixels, plain.pixels[:, ::-1])
            assert flipped or np.array_equal(picture.pixels, plain.pixels)
            flips += flipped
    assert 0 < flips < 5 * len(epochs)


def test_mixed_images_have_their_classes_shares_above_them() -> None:
    _, mixed, *_ = sheet_pictures(task(cutmix=1.0, unfreeze_at=0))
    for picture in mixed:
        shares = [float(part.split()[0]) for part in picture.words.split(" + ")]
        assert sum(shares) == pytest.approx(1, abs=0.011)
    assert any("+" in picture.words for picture in mixed)


def test_the_figure_has_a_panel_for_each_picture() -> None:
    figure = augmented_sheet(task(augment="flip", unfreeze_at=2))
    assert sum(bool(axes.images) for axes in figure.axes) == 5 * 3
