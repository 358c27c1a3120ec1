"""Image files: unreadable ones named or skipped, contents kept in memory or read when asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlhw.errors import RunError
from mlhw.result.recorder import Recorder
from mlhw.vision.images import file_images
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.own_files import Reading
from tests.vision.images.drawn import class_folders, errors_of, everything, picture
from tests.vision.watching import Watching

# ------------------------------------------------------------------------- unreadable images


def test_every_unreadable_image_is_named_with_its_reason(animals: Path) -> None:
    (animals / "cat" / "000.png").write_bytes(b"")
    whole = (animals / "dog" / "003.png").read_bytes()
    (animals / "dog" / "003.png").write_bytes(whole[: len(whole) // 2])
    lines = errors_of(f"folder:{animals}")
    assert lines[0] == f"{animals / 'cat' / '000.png'}: is empty"
    assert lines[1].startswith(f"{animals / 'dog' / '003.png'}: is damaged or cut off")
    assert errors_of(f"folder:{animals}") == lines  # the second time from what was remembered


def test_a_hundred_bad_images_do_not_flood_the_screen(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    for i in range(100):
        (tmp_path / "a" / f"bad{i}.png").write_bytes(b"x")
    lines = errors_of(f"folder:{tmp_path}")
    assert len(lines) == 21
    assert lines[-1] == "… and 80 more"


def test_up_to_one_percent_of_bad_images_can_be_skipped(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 100, "b": 98})
    (tmp_path / "a" / "bad.png").write_bytes(b"no image")
    (tmp_path / "b" / "worse.png").write_bytes(b"")
    recorder = Recorder()
    for _ in range(2):  # read, then remembered
        splits = load_images(f"folder:{tmp_path}", reading=Reading("skip"), recorder=recorder)
        assert sum(len(part) for part in everything(splits)) == 198
        assert [name for name, _ in splits.skipped] == ["a/bad.png", "b/worse.png"]
        assert splits.skipped[1][1] == "is empty"
        assert "skipping 2 of 200 images that cannot be read" in recorder.log_lines
        assert f"{tmp_path / 'b' / 'worse.png'}: is empty" in recorder.log_lines
        assert not any("bad.png" in name for part in everything(splits) for name in part.names)
    (tmp_path / "a" / "third.png").write_bytes(b"")
    errors = errors_of(f"folder:{tmp_path}", reading=Reading("skip"))
    assert "more than 1% of 201 images" in errors[0]
    assert len(errors) == 4
    more = load_images(f"folder:{tmp_path}", reading=Reading("skip", 0.015))
    assert len(more.skipped) == 3
    assert errors_of(f"folder:{tmp_path}", reading=Reading("skip", 0)) != []


def test_one_bad_image_of_few_can_be_skipped(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 21, "b": 22})
    (tmp_path / "a" / "bad.png").write_bytes(b"no image")
    skipped = load_images(f"folder:{tmp_path}", reading=Reading("skip")).skipped
    assert [name for name, _ in skipped] == ["a/bad.png"]


def test_a_class_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 150, "b": 150})
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "bad.png").write_bytes(b"")
    errors = errors_of(f"folder:{tmp_path}", reading=Reading("skip"))
    assert errors == [f"folder:{tmp_path}: no image of class 'c' is left"]


# ------------------------------------------------------------------------------ memory and files


def test_images_of_one_size_are_kept_and_others_are_read_when_asked_for(animals: Path) -> None:
    assert load_images(f"folder:{animals}").train.resident
    on_demand = load_images(f"folder:{animals}", reading=Reading(resident=False)).train
    assert (on_demand.resident, on_demand.image_shape) == (False, (6, 9))
    pixels = on_demand.images([1, 0])
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (2, 6, 9, 3)
    picture(animals / "dog" / "wide.png", 5, size=(20, 3))
    mixed = load_images(f"folder:{animals}")
    assert (mixed.train.resident, mixed.train.image_shape) == (False, None)
    for part in everything(mixed):
        images = part.images(range(len(part)))
        assert isinstance(images, list)
        for name, image in zip(part.names, images, strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(animals / name)))
    (line,) = errors_of(f"folder:{animals}", reading=Reading(resident=True))
    assert "data.resident" in line
    assert "wide.png" in line


def test_too_many_pixels_are_not_kept(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_images, "RESIDENT_BYTES", 1000)
    splits = load_images(f"folder:{animals}")
    assert not splits.train.resident
    assert load_images(f"folder:{animals}", reading=Reading(resident=True)).train.resident


def test_a_second_run_knows_the_files_without_reading_them(
    animals: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    first = load_images(f"folder:{animals}")
    reads: list[Path] = []
    genuine = file_images.read
    monkeypatch.setattr(file_images, "read", lambda path: reads.append(path) or genuine(path))
    second = load_images(f"folder:{animals}")
    assert reads == []
    assert second.digest == first.digest
    every = range(len(first.train))
    assert np.array_equal(first.train.images(every), second.train.images(every))
    for file in (cache / "mlhw" / "images").iterdir():
        file.write_bytes(b"damaged")
    assert load_images(f"folder:{animals}").digest == first.digest


def test_a_file_that_becomes_unreadable_later_fails_the_run_by_name(animals: Path) -> None:
    train = load_images(f"folder:{animals}", reading=Reading(resident=False)).train
    (animals / train.names[2]).write_bytes(b"gone")
    with pytest.raises(RunError, match=f"{train.names[2]}: .* when it was checked"):
        train.images([2])
    picture(animals / train.names[3], size=(4, 4))
    with pytest.raises(RunError, match="has changed its size"):
        train.images([3])


def test_large_files_are_decoded_in_threads_and_in_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(8):
            picture(tmp_path / name / f"{i}.png", i, size=(90, 80))
    splits = load_images(f"folder:{tmp_path}", reading=Reading(resident=False), val=2, test=2)
    images = splits.train.images(range(12))
    for name, image in zip(splits.train.names, images, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / name)))


def test_many_threads_may_ask_at_once(animals: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    first = load_images(f"folder:{animals}").train
    again = load_images(f"folder:{animals}").train  # remembered: decoded when asked for
    expected = first.images(range(len(first)))
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: again.images([i]), list(range(len(first))) * 20))
    for i, image in enumerate(parts):
        assert np.array_equal(image[0], expected[i % len(first)])


def test_progress_ends_at_the_whole(animals: Path) -> None:
    recorder = Watching()
    load_images(f"folder:{animals}", recorder=recorder)
    assert recorder.steps[0][:2] == (0, 24)
    assert recorder.steps[-1][:2] == (24, 24)
