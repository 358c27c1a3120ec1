"""Preprocessing, against torchvision's own presets, timm's transforms and Pillow."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlhw.errors import ConfigError
from mlhw.vision.networks.preprocessing import PixelScale, Preprocessing
from mlhw.vision.networks.torchvision_import import torchvision

HALF = (0.5, 0.5, 0.5)
LEVEL = 1 / 255  # one step of an 8-bit value


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / 20
    waves = [np.sin(x + y), np.cos(x * y / 9), np.sin(3 * y)]
    return (127.5 + 127.5 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (256, 256), (257, 1000), (230, 224)])
@pytest.mark.parametrize(
    "weights", ["ResNet18_Weights", "EfficientNet_B0_Weights", "Swin_T_Weights"]
)
def test_a_photograph_comes_out_as_torchvision_prepares_it(
    weights: str, shape: tuple[int, int]
) -> None:
    preset = getattr(torchvision().models, weights).DEFAULT.transforms()
    ours = Preprocessing(
        preset.crop_size[0],
        preset.resize_size[0],
        preset.interpolation.value,
        tuple(preset.mean),
        tuple(preset.std),
    )
    image = smooth(*shape)
    expected = preset(Image.fromarray(image))
    # Pillow and torch may round differently, after the rows and again after the columns.
    levels = (ours.to_batch(image[None])[0] - expected).abs() * min(ours.std) / LEVEL
    assert levels.max() < 2.01
    assert (levels > 0.01).float().mean() < 0.01


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_a_photograph_comes_out_as_timm_prepares_it(crop_mode: str) -> None:
    torchvision()
    data = pytest.importorskip("timm.data", reason="timm is an optional extra")
    image = smooth(230, 330)
    transform = data.create_transform(
        (3, 96, 96), interpolation="bicubic", mean=HALF, std=HALF, crop_pct=0.9, crop_mode=crop_mode
    )
    ours = Preprocessing(96, int(96 / 0.9), "bicubic", HALF, HALF, squash=crop_mode == "squash")
    torch.testing.assert_close(
        ours.to_batch(image[None])[0], transform(Image.fromarray(image)), atol=2.02 * LEVEL, rtol=0
    )


@pytest.mark.parametrize(
    ("interpolation", "filter"),
    [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)],
)
@pytest.mark.parametrize("side", [8, 40, 200])
def test_resizing_agrees_with_pillow_to_one_level(
    interpolation: str, filter: Image.Resampling, side: int
) -> None:
    image = noise(side, side, 3)
    expected = np.asarray(Image.fromarray(image).resize((64, 64), filter)).astype(int)
    ours = Preprocessing(64, 64, interpolation, HALF, HALF).fitted(image[None])  # type: ignore[arg-type]
    assert np.abs(ours[0].permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_nothing_is_cut_from_an_image_smaller_than_the_input() -> None:
    digit = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    digit[0, 0, 0] = 255  # a corner that the middle seven eighths would lose
    batch = Preprocessing(64, 73, "nearest", HALF, HALF).fitted(digit)
    assert batch.shape == (1, 3, 64, 64)
    assert (batch[0, :, :8, :8] == 255).all()
    assert int((batch == 255).sum()) == 3 * 64


MEAN = (0.2, 0.4, 0.6)


@pytest.mark.parametrize(
    ("shape", "inside"),
    [((20, 61), (10, 32)), ((61, 20), (32, 10)), ((33, 33), (32, 32)), ((8, 128), (2, 32))],
)
def test_padding_shows_the_whole_image_in_the_middle_of_the_mean_colour(
    shape: tuple[int, int], inside: tuple[int, int]
) -> None:
    """Against Pillow's ImageOps.contain, laid on the colour that is normalised to 0."""
    ours = Preprocessing(32, 37, "bilinear", MEAN, HALF, fit="pad")
    image = smooth(*shape)
    whole = ImageOps.contain(Image.fromarray(image), (32, 32), Image.Resampling.BILINEAR)
    assert whole.size == inside[::-1]
    expected = np.full((32, 32, 3), (51, 102, 153))
    top, left = (32 - inside[0]) // 2, (32 - inside[1]) // 2
    expected[top : top + inside[0], left : left + inside[1]] = np.asarray(whole)
    found = ours.fitted(image[None])[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - expected).max() <= 2  # rows and columns are rounded in another order
    assert float(ours.to_batch(image[None])[0].abs().amin()) < LEVEL


@pytest.mark.parametrize("shape", [(20, 61), (61, 20), (7, 9)])
def test_squashing_shows_the_whole_image_in_another_shape(shape: tuple[int, int]) -> None:
    ours = Preprocessing(32, 37, "bicubic", MEAN, HALF, fit="squash")
    image = smooth(*shape)
    expected = Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)
    found = ours.fitted(image[None])[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - np.asarray(expected).astype(int)).max() <= 2


def test_white_and_black_become_the_extremes_of_the_normalised_range() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.4, 0.25)
    p = Preprocessing(2, 2, "bilinear", mean, std)
    images = np.stack([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8)
    black, white = p.to_batch(images)[:, :, 0, 0]
    torch.testing.assert_close(black, -torch.tensor(mean) / torch.tensor(std))
    torch.testing.assert_close(white, (1 - torch.tensor(mean)) / torch.tensor(std))


def test_images_of_differing_sizes_come_out_as_each_alone() -> None:
    p = Preprocessing(16, 18, "bicubic", HALF, HALF)
    images = [noise(20, 30, 3), noise(50, 17, 3), noise(9, 9, 3)]
    batch = p.to_batch(images)
    assert batch.shape == (3, 3, 16, 16)
    for row, image in zip(batch, images, strict=True):
        assert torch.equal(row, p.to_batch(image[None])[0])
    assert p.to_batch([]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda x: torch.from_numpy(x.copy()),
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1][::-1],
        lambda x: _read_only(x),
    ],
)
def test_tensors_and_arrays_of_any_layout_give_the_same_batch(as_given) -> None:  # type: ignore[no-untyped-def]
    p = Preprocessing(16, 18, "bilinear", HALF, HALF)
    images = noise(3, 20, 24, 3)
    assert torch.equal(p.to_batch(as_given(images)), p.to_batch(images))


def _read_only(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images.flags.writeable = False
    return images


def test_a_batch_is_float32_in_channels_last_memory() -> None:
    batch = Preprocessing(16, 18, "bilinear", HALF, HALF).to_batch(noise(3, 20, 24, 3))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 512),
    margin=st.integers(0, 64),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 1)] * 3),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
    squash=st.booleans(),
    fit=st.sampled_from(["crop", "pad", "squash"]),
    pixels=st.sampled_from([PixelScale(), PixelScale((0, 260.5), False)]),
)
def test_it_survives_json(size, margin, mean, std, interpolation, squash, fit, pixels) -> None:  # type: ignore[no-untyped-def]
    p = Preprocessing(size, size + margin, interpolation, mean, std, squash, fit, pixels)
    assert Preprocessing.from_json(json.loads(json.dumps(p.to_json()))) == p


@pytest.mark.parametrize(
    "break_it",
    [
        {"extra": 1},
        {"mean": [0.5]},
        {"size": 0},
        {"std": [0, 1, 1]},
        {"fit": "cut"},
        {"pixels": {"span": [3, 3]}},
    ],
)
def test_json_that_it_did_not_write_is_refused(break_it: dict[str, object]) -> None:
    values = Preprocessing(224, 256, "bicubic", HALF, HALF).to_json() | break_it
    with pytest.raises((ValueError, TypeError, ConfigError)):
        Preprocessing.from_json(values)


def test_json_of_models_before_there_was_a_fit_or_a_scale_is_read() -> None:
    p = Preprocessing(224, 256, "bicubic", HALF, HALF)
    values = {k: v for k, v in p.to_json().items() if k not in ("fit", "pixels")}
    assert Preprocessing.from_json(values) == p


def test_another_size_keeps_the_margin_in_proportion() -> None:
    p = Preprocessing(224, 256, "bicubic", HALF, HALF)
    assert (p.with_size(112).size, p.with_size(112).resize) == (112, 128)
    assert p.with_size(None) is p


@pytest.mark.parametrize("size", [0, -1, 5000])
def test_a_size_beyond_reason_is_a_configuration_error(size: int) -> None:
    with pytest.raises(ConfigError, match="image_size"):
        Preprocessing(224, 256, "bicubic", HALF, HALF).with_size(size)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 3)), noise(2, 4, 4, 1), noise(4, 4, 3)])
def test_what_is_no_8_bit_rgb_is_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="8-bit"):
        Preprocessing(4, 4, "bilinear", HALF, HALF).to_batch(images)
