"""One picture twice: in two splits, in two classes, as another file, and nearly."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mlhw.errors import DataError
from mlhw.result.recorder import Recorder
from mlhw.vision.images.datasets import ImageSplits, from_dataset, load_images
from mlhw.vision.images.duplicates import MOST_BITS, near_pairs
from mlhw.vision.images.fingerprints import fingerprints_of
from mlhw.vision.images.inventory import tell_duplicates
from mlhw.vision.images.splits import Fold
from tests.conftest import shared
from tests.vision.images.drawn import everything, picture

NOTHING = {"copies": 0, "same_file": 0, "leaked": {"val": 0, "test": 0}, "in_two_classes": 0}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Ten images to train, four to validate, four to test, all of them different."""
    seed = 0
    for split, count in (("train", 5), ("val", 2), ("test", 2)):
        for label in ("cat", "dog"):
            for i in range(count):
                picture(tmp_path / "pets" / split / label / f"{i}.png", seed := seed + 1)
    return tmp_path / "pets"


def told(pets: Path) -> tuple[ImageSplits, list[str]]:
    splits, recorder = load_images(f"folder:{pets}"), Recorder()
    tell_duplicates(splits, "warn", recorder)
    return splits, recorder.log_lines


def copy(pets: Path, source: str, target: str) -> None:
    (pets / target).write_bytes((pets / source).read_bytes())


def test_different_images_are_no_duplicates(pets: Path) -> None:
    splits, lines = told(pets)
    assert splits.duplicates.summary() == {**NOTHING, "near": None}
    assert lines == []


def test_the_same_file_in_two_splits_is_named(pets: Path) -> None:
    copy(pets, "train/cat/0.png", "val/cat/copy.png")
    splits, lines = told(pets)
    found = splits.duplicates.summary()
    assert found == {
        **NOTHING,
        "copies": 1,
        "same_file": 1,
        "leaked": {"val": 1, "test": 0},
        "near": None,
    }
    assert lines[0] == (
        "warning: 1 of 5 val images are in train too, pixel for pixel, 1 byte for byte: "
        "train/cat/0.png (train) = val/cat/copy.png (val)"
    )
    with pytest.raises(DataError, match="1 of 5 val images are in train too"):
        tell_duplicates(splits, "fail", Recorder())


def test_the_same_pixels_in_another_file_are_the_same_picture(pets: Path) -> None:
    Image.open(pets / "train/cat/0.png").save(pets / "test/cat/copy.bmp")
    Image.open(pets / "val/dog/0.png").save(pets / "test/dog/other.tif")
    found = told(pets)[0].duplicates.summary()
    assert found["leaked"] == {"val": 0, "test": 2}
    assert (found["copies"], found["same_file"]) == (2, 0)


def test_one_image_in_two_classes_is_named(pets: Path) -> None:
    copy(pets, "train/cat/0.png", "train/dog/x.png")
    splits, lines = told(pets)
    assert splits.duplicates.summary()["in_two_classes"] == 1
    assert lines[0] == (
        "warning: 1 picture in more than one class: train/cat/0.png (cat) = train/dog/x.png (dog)"
    )
    with pytest.raises(DataError, match="more than one class"):
        tell_duplicates(splits, "fail", Recorder())


def test_copies_in_one_split_and_class_are_told_and_never_fail(pets: Path) -> None:
    copy(pets, "train/cat/0.png", "train/cat/x.png")
    copy(pets, "train/cat/0.png", "train/cat/y.png")
    splits = load_images(f"folder:{pets}")
    recorder = Recorder()
    tell_duplicates(splits, "fail", recorder)
    assert recorder.log_lines[0] == "2 copies of images in the same split and class"
    assert recorder.log_lines[1].startswith("identical: train/cat/0.png (train) = train/cat/x.png")


def test_a_cut_does_not_divide_copies(tmp_path: Path) -> None:
    for label, first in (("a", 0), ("b", 100)):
        for i in range(30):
            for name in ("", "-copy"):
                picture(tmp_path / label / f"{i}{name}.png", first + i)
    recorder = Recorder()
    splits = load_images(f"folder:{tmp_path}", val=30, test=30, recorder=recorder)
    assert splits.duplicates.summary()["copies"] == 60
    assert splits.duplicates.leaks == []
    assert sum(len(part) for part in everything(splits)) == 120
    assert [len(part) for part in everything(splits)] == pytest.approx([60, 30, 30], abs=12)
    assert any("images go where others with the same pixels are" in x for x in recorder.log_lines)


@pytest.mark.parametrize("fold", range(3))
def test_a_fold_does_not_divide_copies(tmp_path: Path, fold: int) -> None:
    for label, first in (("a", 0), ("b", 100)):
        for i in range(12):
            for name in ("", "-copy"):
                picture(tmp_path / label / f"{i}{name}.png", first + i)
    splits = load_images(f"folder:{tmp_path}", fold=Fold(fold, 3), test=0)
    assert splits.duplicates.leaks == []
    assert len(splits.val) == pytest.approx(16, abs=10)


def test_groups_with_a_picture_in_common_are_one(tmp_path: Path) -> None:
    rows = []
    for i in range(40):
        picture(tmp_path / f"{i}.png", i // 4)  # four copies of each picture, in two groups
        rows.append(f"{i}.png,{'ab'[i % 8 > 3]},{i // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(["file_name,label,group", *rows]))
    splits = load_images(f"csv:{tmp_path / 'labels.csv'}", val=0.2, test=0.2)
    assert splits.duplicates.leaks == []
    assert [len(part) for part in everything(splits)] == [24, 8, 8]


def test_arrays_of_a_data_set_are_compared_too() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    samples = [(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), i % 2) for i in range(20)]
    splits = from_dataset([*samples, (image, 0), (image, 1)], val=0.3, test=0)  # type: ignore[arg-type]
    found = splits.duplicates
    assert len(found.contradictions) == 1
    assert found.near is None


def test_the_digits_are_all_different() -> None:
    assert load_images("digits").duplicates.summary() == {**NOTHING, "near": None}


# --------------------------------------------------------------------------------- near


def scene(seed: int, side: int = 96) -> Image.Image:
    """Blobs of colour, smooth as photographs are."""
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    smooth = ndimage.gaussian_filter(noise, (9, 9, 0))
    scaled = 128 + 60 * smooth / smooth.std()
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def changed(image: Image.Image, way: str) -> Image.Image:
    if way == "smaller":
        return image.resize((48, 48), Image.Resampling.BICUBIC)
    if way == "wider":
        return image.resize((140, 96), Image.Resampling.BICUBIC)
    if way == "brighter":
        return Image.fromarray((np.asarray(image) * 0.96).astype(np.uint8))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=40)
    return Image.open(content).convert("RGB")


@pytest.mark.parametrize("way", ["smaller", "wider", "brighter", "jpeg"])
def test_a_changed_copy_is_nearly_the_same_and_other_scenes_are_not(way: str) -> None:
    scenes = [scene(seed) for seed in range(60)]
    every = [np.asarray(image) for image in (*scenes, *(changed(s, way) for s in scenes))]
    found = near_pairs(fingerprints_of(every, 120).thumbnails)
    assert {tuple(pair) for pair in found.tolist()} <= {(i, i + 60) for i in range(60)}
    assert len(found) >= 57


def test_near_pairs_are_those_of_all_pairs() -> None:
    """Held against every pair by itself, with the bits and colours worked out once more."""
    scenes = [
        np.asarray(changed(scene(seed % 40), "jpeg" if seed < 40 else "smaller"))
        for seed in range(80)
    ]
    small = fingerprints_of(scenes, 80).thumbnails
    bits = [(np.diff(t.astype(float).mean(2), axis=1) > 0) for t in small]
    expected = [
        [i, j]
        for i in range(80)
        for j in range(i + 1, 80)
        if (bits[i] ^ bits[j]).sum() <= MOST_BITS
        and np.abs(small[i].astype(float) - small[j]).mean() <= 12
    ]
    assert near_pairs(small).tolist() == expected
    assert expected


def test_plain_images_are_not_taken_for_each_other() -> None:
    rng = np.random.default_rng(0)
    plain = [np.full((40, 40, 3), 100 + i, dtype=np.uint8) for i in range(10)]
    noisy = [rng.integers(120, 124, (40, 40, 3), dtype=np.uint8) for _ in range(10)]
    assert len(near_pairs(fingerprints_of([*plain, *noisy], 20).thumbnails)) == 0


def test_near_duplicates_are_counted_and_never_fail(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 50)):
        for k, label in enumerate(("a", "b")):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(3):
                scene(first + 10 * k + i).save(tmp_path / split / label / f"{i}.png")
    scene(1).save(tmp_path / "val" / "b" / "near.jpg", quality=60)
    splits, recorder = load_images(f"folder:{tmp_path}"), Recorder()
    tell_duplicates(splits, "fail", recorder)
    assert splits.duplicates.summary()["near"] == {
        "pairs": 1,
        "across_splits": 1,
        "in_two_classes": 1,
    }
    assert recorder.log_lines[0] == (
        "1 pair of images that look nearly the same, 1 across splits, 1 in two classes: "
        "train/a/1.png (train) ~ val/b/near.jpg (val)"
    )


def test_photographs_of_other_things_are_not_nearly_the_same() -> None:
    photos = shared("data/photos")
    found = load_images(f"folder:{photos}").duplicates.summary()
    assert found == {**NOTHING, "near": {"pairs": 0, "across_splits": 0, "in_two_classes": 0}}
