"""One image file to 8-bit RGB: every mode Pillow writes, and what cannot be used."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlhw.vision.images import decode as images
from mlhw.vision.images.decode import UnreadableImageError, quiet_pillow
from mlhw.vision.networks.preprocessing import PixelScale

PATTERN = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def decode(content: bytes) -> np.ndarray:
    return images.decode(content, PixelScale())


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def reason(content: bytes) -> str:
    with quiet_pillow(), pytest.raises(UnreadableImageError) as caught:
        decode(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
def test_lossless_formats_come_back_pixel_for_pixel(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    image = decode(saved(Image.fromarray(PATTERN), format, **options))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, PATTERN)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_as_its_exif_data_say(format: str, orientation: int) -> None:
    image = Image.fromarray(np.kron(PATTERN[:3, :4], np.ones((8, 8, 1), dtype=np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = saved(image, format, exif=exif, **options)
    with Image.open(io.BytesIO(content)) as file:
        expected = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    np.testing.assert_array_equal(decode(content), expected)
    assert decode(content).shape == ((24, 32, 3) if orientation < 5 else (32, 24, 3))


def test_the_top_of_a_photograph_taken_sideways_is_up() -> None:
    sideways = np.zeros((16, 32, 3), dtype=np.uint8)
    sideways[:, :16] = 255  # orientation 6: the left of what is stored is the top of what was seen
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(saved(Image.fromarray(sideways), "PNG", exif=exif))
    assert upright.shape == (32, 16, 3)
    assert upright[:16].min() == 255
    assert upright[16:].max() == 0


def test_grey_and_black_and_white_images_have_three_equal_channels() -> None:
    grey = Image.fromarray(PATTERN[..., 0])
    image = decode(saved(grey, "PNG"))
    np.testing.assert_array_equal(image, np.repeat(PATTERN[..., :1], 3, axis=2))
    bits = decode(saved(grey.convert("1", dither=Image.Dither.NONE), "PNG"))
    assert set(bits.ravel()) == {0, 255}


def test_cmyk_becomes_the_colour_that_is_printed() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for content in (saved(cyan, "TIFF"), saved(cyan, "JPEG", quality=95)):
        red, green, blue = decode(content)[4, 4].astype(int)
        assert red < 10
        assert green > 240
        assert blue > 240


def test_what_is_transparent_lies_on_white() -> None:
    rgba = Image.new("RGBA", (4, 4), (255, 0, 0, 0))  # red that nobody sees
    rgba.putpixel((0, 0), (0, 0, 0, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 128))
    for format in ("PNG", "WEBP"):
        image = decode(saved(rgba, format, **({"lossless": True} if format == "WEBP" else {})))
        assert tuple(image[3, 3]) == (255, 255, 255)
        assert tuple(image[0, 0]) == (0, 0, 0)
        assert image[0, 1, 0] == pytest.approx(127, abs=1)
    assert tuple(decode(saved(Image.new("LA", (2, 2), (9, 0)), "PNG"))[0, 0]) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour_lies_on_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert decode(saved(palette, "PNG")).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    for transparency in (0, b"\x00\xff"):
        image = decode(saved(palette, "PNG", transparency=transparency))
        assert image.tolist() == [[[255, 255, 255], [200, 100, 50]]]
    assert decode(saved(palette, "GIF", transparency=0))[0, 0].tolist() == [255, 255, 255]


def test_a_transparent_colour_of_an_rgb_image_lies_on_white() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    found = decode(saved(image, "PNG", transparency=(1, 2, 3)))
    assert found.tolist() == [[[255, 255, 255], [9, 9, 9]]]


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(decode(content)[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_an_image_that_ends_early_is_refused_not_completed(format: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), format)
    assert reason(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(1000), b"GIF89a"]
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    assert "image" in reason(content) or "damaged" in reason(content)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    import tracemalloc

    tracemalloc.start()
    assert "too large" in reason(png_header(side, side))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    import warnings
    from concurrent.futures import ThreadPoolExecutor

    before = list(warnings.filters)

    def decode_quietly(_: int) -> None:
        with quiet_pillow(), pytest.raises(UnreadableImageError, match="too large"):
            decode(png_header(10_000, 10_000))  # Pillow warns of this size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode_quietly, range(100)))
    assert list(warnings.filters) == before


@settings(max_examples=300, deadline=None)
@given(
    format=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
def test_a_damaged_file_is_an_image_or_a_reason_never_a_crash(
    format: str, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(saved(Image.fromarray(PATTERN), format))
    for at, value in changes:
        content[at % len(content)] = value
    with quiet_pillow():
        try:
            image = decode(bytes(content))
        except UnreadableImageError as error:
            assert str(error)
        else:
            assert image.dtype == np.uint8
            assert image.shape[2:] == (3,)


def test_reading_says_what_is_wrong_with_the_file(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImageError, match="is empty"):
        images.read(tmp_path / "empty.jpg")
    with pytest.raises(UnreadableImageError, match="No such file"):
        images.read(tmp_path / "nowhere.jpg")
    monkeypatch.setattr(images, "LARGEST_FILE", 3)
    (tmp_path / "large.jpg").write_bytes(b"1234")
    with pytest.raises(UnreadableImageError, match="larger"):
        images.read(tmp_path / "large.jpg")
