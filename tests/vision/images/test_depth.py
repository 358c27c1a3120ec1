"""Pixels of more than 8 bits are read whole, and scaled by the range of the training images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.errors import DataError
from mlhw.result.recorder import Recorder
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from mlhw.vision.images.decode import UnreadableImageError, decode, decode_whole, quiet_pillow
from mlhw.vision.images.depth import DeepImage
from mlhw.vision.images.scales import scale_pixels
from mlhw.vision.networks.preprocessing import EIGHT_BIT, PixelScale
from tests.vision.images.deep import chunk, png, tiff
from tests.vision.images.drawn import picture

DRAWN = np.random.default_rng(0)


def drawn(*shape: int, most: int = 0xFFFF) -> np.ndarray:
    return DRAWN.integers(0, most, shape, dtype=np.uint16, endpoint=True)


def whole(content: bytes) -> DeepImage:
    with quiet_pillow():
        found = decode_whole(content)
    assert isinstance(found, DeepImage)
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "write",
    [
        png,
        tiff,
        lambda v: tiff(v, ">"),
        lambda v: tiff(v, deflated=True),
        lambda v: tiff(v, ">", deflated=True),
    ],
    ids=["png", "tiff", "tiff big-endian", "tiff deflated", "tiff big-endian deflated"],
)
def test_16_bits_are_read_whole_in_grey_and_in_colour(write: Any, channels: int) -> None:
    values = drawn(6, 9, channels).squeeze()
    np.testing.assert_array_equal(whole(write(values)).values, values)


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_of_16_bits_is_read_whole(channels: int) -> None:
    values = drawn(6, 9, channels)
    found = whole(png(values))
    np.testing.assert_array_equal(found.values, values[..., :-1].squeeze())
    assert found.opacity is not None
    np.testing.assert_allclose(found.opacity, values[..., -1] / 65535)
    if channels == 4:
        np.testing.assert_array_equal(whole(tiff(values)).values, values[..., :3])


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.int16, np.float32])
def test_integers_and_floats_of_a_tiff_are_read_as_they_are(kind: Any) -> None:
    values = np.array([[0, 1, 260], [7, 40, 5]]).astype(kind)
    values[0, 0] = 1e6 if values.dtype.kind == "f" else np.iinfo(kind).max
    np.testing.assert_array_equal(whole(tiff(values)).values, values)


def test_an_image_of_16_bits_is_turned_as_its_exif_data_say() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = drawn(6, 9, 3)
    turned = whole(png(values, chunk(b"eXIf", exif.tobytes()[6:]))).values
    np.testing.assert_array_equal(turned, np.rot90(values, -1))


@pytest.mark.parametrize("values", [drawn(2, 3), drawn(2, 3, 3)])
def test_a_transparent_colour_of_16_bits_lies_on_white(values: np.ndarray) -> None:
    clear = np.asarray(values[0, 0], dtype=">u2").tobytes()
    found = whole(png(values, chunk(b"tRNS", clear)))
    assert found.rgb((0, 65535))[0, 0].tolist() == [255, 255, 255]
    assert found.opacity is not None
    assert found.opacity.min() == 0
    assert found.opacity[1].max() == 1


def test_scaling_is_linear_from_0_to_255_and_clips() -> None:
    """Against numpy.interp."""
    values = np.array([[100, 110, 360], [50, 1000, 200]], dtype=np.uint16)
    image = decode(png(values), PixelScale((100, 360)))
    expected = np.rint(np.interp(values, [100, 360], [0, 255])).astype(np.uint8)
    np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=2))
    assert whole(png(values)).beyond((100, 360)) == pytest.approx(2 / 6)


def test_a_tiff_of_a_kind_that_cannot_be_read_is_refused_with_those_that_can() -> None:
    with quiet_pillow(), pytest.raises(UnreadableImageError, match="32-bit floats can"):
        decode_whole(tiff(np.zeros((4, 4))))


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(hole: float) -> None:
    with quiet_pillow(), pytest.raises(UnreadableImageError, match="no numbers"):
        decode_whole(tiff(np.array([[0.5, hole]], dtype=np.float32)))


def test_a_model_takes_the_depths_that_it_was_trained_on() -> None:
    eight = io.BytesIO()
    Image.new("L", (4, 4)).save(eight, "PNG")
    with pytest.raises(UnreadableImageError, match="more than 8 bits"):
        decode(png(drawn(4, 4)), EIGHT_BIT)
    with pytest.raises(UnreadableImageError, match="8-bit pixels"):
        decode(eight.getvalue(), PixelScale((0, 260), eight_bit=False))
    assert decode(eight.getvalue(), PixelScale((0, 260))).shape == (4, 4, 3)


# ------------------------------------------------------------------------------------- data sets


class Listening(Recorder):
    """``said`` holds the log lines and warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def log(self, message: str, *, screen: bool = True) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.said.append(f"warning: {message}")


def folder(root: Path, most: dict[str, int]) -> ImageSplits:
    """Two classes of 4 images a split, values 0 … ``most`` of the split."""
    for split, largest in most.items():
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for i in range(4):
                values = drawn(5, 5, most=largest)
                values[0, :2] = 0, largest
                (root / split / name / f"{i}.png").write_bytes(png(values))
    return load_images(f"folder:{root}")


def test_the_range_is_that_of_the_training_images_alone(tmp_path: Path) -> None:
    splits, recorder = folder(tmp_path, {"train": 260, "val": 4000}), Listening()
    assert scale_pixels(splits, recorder) == PixelScale((0, 260), eight_bit=False)
    images = np.asarray(splits.train.images(np.arange(8)))
    assert (images.min(), images.max()) == (0, 255)
    assert len(np.unique(images)) > 60
    assert "0 … 260, the range of the training images" in recorder.said[0]
    assert "8 of 8 other images go beyond" in recorder.said[0]
    assert len(recorder.said) == 1


def test_what_is_remembered_of_files_has_their_range_and_sizes(tmp_path: Path) -> None:
    for _ in range(2):
        splits = (
            folder(tmp_path, {"train": 260, "val": 99})
            if not (tmp_path / "train").exists()
            else load_images(f"folder:{tmp_path}")
        )
        assert scale_pixels(splits, Recorder()).span == (0, 260)
        assert splits.val.limits[:, 1].tolist() == [99] * 8
        assert splits.val.sizes.tolist() == [[5, 5]] * 8


def test_a_range_that_hot_pixels_have_made_is_warned_of(tmp_path: Path) -> None:
    folder(tmp_path, {"train": 260, "val": 260})
    values = drawn(50, 50, most=260)
    values[3, 3] = 65535
    (tmp_path / "train" / "a" / "hot.png").write_bytes(png(values))
    recorder = Listening()
    scale_pixels(load_images(f"folder:{tmp_path}"), recorder)
    assert "most pixels lie between 0 and 260" in recorder.said[1]
    assert "--pixel-range" in recorder.said[1]


def test_images_of_8_bits_beside_deeper_ones_need_black_and_white_to_be_given(
    tmp_path: Path,
) -> None:
    folder(tmp_path, {"train": 260, "val": 260})
    picture(tmp_path / "train" / "a" / "eight.png")
    splits = load_images(f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"16 of 17 images.*eight\.png.*--pixel-range 0,65535"):
        scale_pixels(splits, Recorder())
    assert scale_pixels(splits, Recorder(), (0, 520)) == PixelScale((0, 520), eight_bit=True)
    assert max(int(image.max()) for image in splits.val.images(np.arange(8))) == 128


def test_training_images_of_one_value_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "0.tif").write_bytes(tiff(np.full((4, 4), 7, np.uint16)))
    with pytest.raises(DataError, match="every pixel of the training images is 7"):
        scale_pixels(load_images(f"folder:{tmp_path}"), Recorder())


def test_a_models_scale_is_used_on_other_data_or_they_are_refused(tmp_path: Path) -> None:
    splits = folder(tmp_path, {"train": 4000, "val": 100})
    scale_pixels(splits, Recorder(), PixelScale((0, 200), eight_bit=False))
    assert int(np.asarray(splits.val.images(np.arange(8))).max()) == 128
    with pytest.raises(DataError, match="on ones of 8"):
        scale_pixels(splits, Recorder(), EIGHT_BIT)
    digits = load_images("digits")
    with pytest.raises(DataError, match="on ones of more"):
        scale_pixels(digits, Recorder(), PixelScale((0, 200), eight_bit=False))


def test_black_and_white_of_images_of_8_bits_change_nothing_and_that_is_said() -> None:
    recorder, digits = Listening(), load_images("digits")
    assert scale_pixels(digits, recorder, (0, 16)) == EIGHT_BIT
    assert "changes nothing" in recorder.said[0]


def test_a_data_set_object_with_deep_images_is_refused() -> None:
    images = [(Image.fromarray(drawn(4, 4)), i % 2) for i in range(8)]
    with pytest.raises(DataError, match=r"sample 0: has pixels of more than 8 bits"):
        from_dataset(images)  # type: ignore[arg-type]
