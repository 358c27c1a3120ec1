"""JPEG files decoded past Pillow: the same pixels, the same errors, and Pillow wherever there is doubt."""

from __future__ import annotations

import io
import random
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.vision.images import decode as images
from mlhw.vision.images import plain_jpeg
from mlhw.vision.images.decode import LARGEST_PIXELS, UnreadableImageError, quiet_pillow
from mlhw.vision.images.plain_jpeg import decode_plain, plain_size


def jpeg(height: int, width: int, mode: str = "RGB", **options: Any) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_orientation(content: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def by_pillow(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Pillow alone makes of a file: pixels, or why there are none."""
    with monkeypatch.context() as patch:
        patch.setattr(images, "decode_plain", lambda content, most_pixels: None)
        return pixels_or_reason(content)


def pixels_or_reason(content: bytes) -> Any:
    with quiet_pillow():
        try:
            return images.decode_whole(content)
        except UnreadableImageError as error:
            return str(error)


PLAIN = {
    "a single pixel": jpeg(1, 1),
    "colours at full resolution": jpeg(19, 30, subsampling=0),
    "colours at half of the columns": jpeg(19, 31, subsampling=1),
    "colours at half of both": jpeg(33, 47, subsampling=2),
    "progressive": jpeg(33, 47, progressive=True),
    "grey": jpeg(21, 22, "L"),
    "grey and progressive": jpeg(21, 22, "L", progressive=True),
    "restarts": jpeg(64, 64, restart_marker_blocks=3),
    "best codes": jpeg(40, 40, optimize=True, quality=3),
    "a profile of colours in two segments": jpeg(16, 16, icc_profile=bytes(70_000)),
    "a comment": jpeg(16, 16, comment=b"nothing"),
    "bytes after its end": jpeg(16, 16) + b"and more",
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_has_the_pixels_that_pillow_gives(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")
    content = PLAIN[kind]
    found = decode_plain(content, LARGEST_PIXELS)
    assert found is not None, "Pillow would decode it"
    assert found.shape == (*(plain_size(content) or ()), 3)
    assert found.flags.writeable
    np.testing.assert_array_equal(found, by_pillow(content, monkeypatch))


FRAME = jpeg(8, 8)[jpeg(8, 8).index(b"\xff\xc0") :][:19]
NOT_PLAIN = {
    "turned": with_orientation(jpeg(8, 16), 6),
    "four channels": jpeg(8, 8, "CMYK"),
    "two pictures": jpeg(8, 8)[:2] + b"\xff\xe2\x00\x10MPF\0" + bytes(10) + jpeg(8, 8)[2:],
    "12 bits": jpeg(8, 8).replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "no height": jpeg(8, 8).replace(b"\x11\x08\x00\x08", b"\x11\x08\x00\x00"),
    "arithmetic codes": jpeg(8, 8).replace(b"\xff\xc0", b"\xff\xc9"),
    "two frames": jpeg(8, 8).replace(b"\xff\xc0", FRAME + b"\xff\xc0"),
    "a short segment of JFIF": b"\xff\xd8\xff\xe0\x00\x07JFIF\0" + jpeg(8, 8)[20:],
    "a fill byte": jpeg(8, 8).replace(b"\xff\xdb", b"\xff\xff\xdb", 1),
    "a header alone": jpeg(8, 8)[:200],
    "nothing": b"\xff\xd8\xff",
    "a PNG file": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_pillow_has_what_is_not_plain(kind: str) -> None:
    assert plain_size(NOT_PLAIN[kind]) is None
    assert decode_plain(NOT_PLAIN[kind], LARGEST_PIXELS) is None


def test_an_enormous_or_damaged_file_is_left_to_pillow() -> None:
    content = jpeg(33, 47)
    assert decode_plain(content, 33 * 47 - 1) is None
    assert decode_plain(content[:-2], LARGEST_PIXELS) is None  # lacks its end
    assert decode_plain(content[: len(content) // 2], LARGEST_PIXELS) is None


def test_a_changed_file_gives_what_pillow_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    draw = random.Random(0)
    files = list(PLAIN.values())
    taken = 0
    for _ in range(600):
        content = bytearray(draw.choice(files))
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.choice((0, 255, draw.randrange(256)))
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        taken += decode_plain(bytes(content), LARGEST_PIXELS) is not None
        found, expected = pixels_or_reason(bytes(content)), by_pillow(bytes(content), monkeypatch)
        np.testing.assert_array_equal(found, expected)
    assert taken > 50


def test_another_library_that_gives_other_pixels_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OneOff:
        @staticmethod
        def decode_jpeg(content: bytes, colours: str) -> np.ndarray:
            image = np.array(Image.open(io.BytesIO(content)).convert(colours))
            image[-1, -1, -1] ^= 1
            return image

    assert not any(plain_jpeg.agrees(OneOff, sample) for sample in plain_jpeg.samples())
    monkeypatch.setitem(__import__("sys").modules, "simplejpeg", OneOff)
    plain_jpeg.equal_decoder.cache_clear()
    try:
        assert decode_plain(jpeg(8, 8), LARGEST_PIXELS) is None
    finally:
        plain_jpeg.equal_decoder.cache_clear()


def test_the_samples_are_plain() -> None:
    assert all(plain_size(sample) == (27, 45) for sample in plain_jpeg.samples())


def test_other_threads_go_on_while_one_decodes() -> None:
    pytest.importorskip("simplejpeg")
    content = jpeg(3000, 4000)
    decode_plain(jpeg(1, 1), LARGEST_PIXELS)
    rounds, done = 0, threading.Event()

    def decode() -> None:
        decode_plain(content, LARGEST_PIXELS)
        done.set()

    worker = threading.Thread(target=decode)
    worker.start()
    while not done.is_set():
        time.sleep(0.001)
        rounds += 1
    worker.join()
    assert rounds > 5
