"""Data sets by name, from folders, CSV files and Dataset objects; every error names its file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.errors import ConfigError
from mlhw.result.recorder import Recorder
from mlhw.vision.images import folders
from mlhw.vision.images.datasets import load_images
from tests.vision.images.drawn import class_folders, errors_of, everything, picture


def test_a_cache_folder_that_is_a_file_costs_nothing_but_time(
    animals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "file.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file.png"))
    assert load_images(f"folder:{animals}").classes == ["cat", "dog"]


# --------------------------------------------------------------------------------- digits


def test_the_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    splits = load_images("digits", seed=3)
    digits = load_digits()
    assert splits.classes == [str(k) for k in range(10)]
    assert [len(part) for part in everything(splits)] == [1257, 270, 270]
    seen = []
    for part in everything(splits):
        pixels = part.images(np.arange(len(part)))
        rows = [int(name) for name in part.names]
        seen += rows
        assert isinstance(pixels, np.ndarray)
        np.testing.assert_array_equal(part.labels, digits.target[rows])
        back = pixels.astype(float)[..., 0] * 16 / 255
        np.testing.assert_allclose(back, digits.images[rows], atol=0.04)
        assert np.array_equal(pixels[..., 0], pixels[..., 2])
        assert (part.image_shape, part.resident) == ((8, 8), True)
    assert sorted(seen) == list(range(1797))


def test_no_test_split_is_cut_where_none_is_wanted() -> None:
    splits = load_images("digits", val=0.2, test=0)
    assert splits.test is None
    assert len(splits.val) == 359
    assert len(splits.train) + len(splits.val) == 1797


def test_splits_and_digests_follow_the_seed() -> None:
    first, again, other = (load_images("digits", seed=seed) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    assert first.train.names == again.train.names != other.train.names


# --------------------------------------------------------------------------------- folders


def test_one_level_of_folders_is_cut_into_three_splits(animals: Path) -> None:
    splits = load_images(f"folder:{animals}", val=4, test=4)
    assert splits.classes == ["cat", "dog"]
    assert [len(part) for part in everything(splits)] == [16, 4, 4]
    for part in everything(splits):
        pixels = part.images(range(len(part)))
        for name, label, image in zip(part.names, part.labels, pixels, strict=True):
            assert name.startswith(f"{splits.classes[label]}/")
            np.testing.assert_array_equal(image, np.asarray(Image.open(animals / name)))


def test_train_alone_is_cut_and_may_lack_a_test_split(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 6, "b": 6})
    splits = load_images(f"folder:{tmp_path}", val=4, test=0)
    assert (len(splits.train), len(splits.val), splits.test) == (8, 4, None)
    assert splits.train.names[0].startswith("train/a/")


@pytest.mark.parametrize("val", ["val", "validation"])
def test_splits_that_the_folder_has_are_taken_as_they_are(tmp_path: Path, val: str) -> None:
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    class_folders(tmp_path / val, {"a": 2, "b": 1})
    class_folders(tmp_path / "test", {"b": 2})
    splits = load_images(f"folder:{tmp_path}")
    assert splits.val.names == [f"{val}/a/000.png", f"{val}/a/001.png", f"{val}/b/000.png"]
    assert splits.test is not None
    assert splits.test.labels.tolist() == [1, 1]
    assert load_images(f"folder:{tmp_path}", test=0).test is None
    for what in ("val", "test"):
        (line,) = errors_of(f"folder:{tmp_path}", **{what: 2})
        assert f"data.{what}" in line
        assert "has its own" in line


def test_a_folder_with_val_has_no_test_images_cut_out_unasked(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 9, "b": 9})
    class_folders(tmp_path / "val", {"a": 2, "b": 1})
    assert load_images(f"folder:{tmp_path}").test is None
    cut = load_images(f"folder:{tmp_path}", test=4)
    assert cut.test is not None
    assert (len(cut.train), len(cut.val), len(cut.test)) == (14, 3, 4)


def test_hidden_files_and_what_is_no_image_are_passed_over_and_said(animals: Path) -> None:
    (animals / "cat" / ".DS_Store").write_bytes(b"x")
    (animals / "cat" / "Thumbs.db").write_bytes(b"x")
    (animals / ".git").mkdir()
    (animals / "README.md").write_text("about cats")
    picture(animals / "dog" / "puppies" / "1.png", 99)
    recorder = Recorder()
    splits = load_images(f"folder:{animals}", recorder=recorder)
    assert sum(len(part) for part in everything(splits)) == 25
    assert any("dog/puppies/1.png" in part.names for part in everything(splits))
    assert any(".db (1)" in line and ".md (1)" in line for line in recorder.log_lines)


def test_the_place_of_a_folder_and_the_order_of_its_files_change_nothing(
    animals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_images(f"folder:{animals}")
    moved = tmp_path / "elsewhere"
    shutil.copytree(animals, moved)
    genuine = folders.entries_of
    monkeypatch.setattr(
        folders,
        "entries_of",
        lambda path: sorted(genuine(path), key=lambda e: e.name, reverse=True),
    )
    second = load_images(f"folder:{moved}")
    assert second.digest == first.digest
    assert second.train.names == first.train.names


def test_the_digest_sees_a_changed_pixel_a_renamed_file_and_another_class(animals: Path) -> None:
    digests = {load_images(f"folder:{animals}").digest}
    picture(animals / "cat" / "000.png", 12345)
    digests.add(load_images(f"folder:{animals}").digest)
    (animals / "cat" / "000.png").rename(animals / "cat" / "zero.png")
    digests.add(load_images(f"folder:{animals}").digest)
    (animals / "cat" / "zero.png").rename(animals / "dog" / "zero.png")
    digests.add(load_images(f"folder:{animals}").digest)
    (animals / "cat").rename(animals / "lion")
    digests.add(load_images(f"folder:{animals}").digest)
    assert len(digests) == 5


def test_an_empty_class_is_named(animals: Path) -> None:
    (animals / "bird").mkdir()
    (line,) = errors_of(f"folder:{animals}")
    assert line.startswith(f"{animals / 'bird'}: class 'bird' is empty")


def test_a_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    class_folders(tmp_path / "val", {"a": 1, "c": 1})
    (line,) = errors_of(f"folder:{tmp_path}")
    assert "val has classes that train lacks: 'c'" in line


def test_classes_that_differ_in_case_alone_are_named(animals: Path) -> None:
    class_folders(animals, {"Cat": 2})
    assert any("'Cat' and 'cat' differ in case alone" in e for e in errors_of(f"folder:{animals}"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.mkdir(), "at least two classes are needed, there is none"),
        (lambda root: class_folders(root, {"a": 3}), "there is only 'a'"),
        (lambda root: class_folders(root / "val", {"a": 3, "b": 3}), "has val but no train"),
        (lambda root: root.write_text("x"), "is no folder"),
    ],
)
def test_folders_that_are_no_data_set(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "data")
    assert any(words in line for line in errors_of(f"folder:{tmp_path / 'data'}"))


def test_a_split_that_would_leave_a_class_empty_is_refused(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 30, "b": 2})
    (line,) = errors_of(f"folder:{tmp_path}")
    assert "each class needs 3 images" in line
    assert "'b' has 2" in line


def test_links_lead_to_images_and_folders_elsewhere(animals: Path, tmp_path: Path) -> None:
    store = class_folders(tmp_path / "store", {"parrot": 8})
    object_file = picture(tmp_path / "cache" / "x.png", 77).rename(tmp_path / "cache" / "a1b2")
    (animals / "cat" / "linked.png").symlink_to(object_file)
    (animals / "bird").symlink_to(store / "parrot")
    recorder = Recorder()
    splits = load_images(f"folder:{animals}", recorder=recorder)
    names = {name for part in everything(splits) for name in part.names}
    assert splits.classes == ["bird", "cat", "dog"]
    assert {"cat/linked.png", "bird/000.png"} <= names
    assert f"{animals}: 9 links lead to images outside of the folder" in recorder.log_lines


def test_links_that_lead_in_circles_end(animals: Path) -> None:
    (animals / "cat" / "again").symlink_to(animals / "cat")
    splits = load_images(f"folder:{animals}")
    assert sum(len(part) for part in everything(splits)) == 24


@pytest.mark.parametrize("above", [".", ".."])
def test_a_link_to_what_holds_it_is_refused(animals: Path, above: str) -> None:
    (animals / "cat" / "up").symlink_to(animals / above)
    (line,) = errors_of(f"folder:{animals}")
    assert line.startswith(f"{animals / 'cat' / 'up'}: is a link to")
    assert line.endswith("in which it lies itself")


def test_a_pipe_is_no_image(animals: Path) -> None:
    os.mkfifo(animals / "cat" / "pipe.png")
    assert any("is no file" in line for line in errors_of(f"folder:{animals}"))


def test_a_broken_link_is_named(animals: Path) -> None:
    (animals / "cat" / "gone.png").symlink_to("nowhere.png")
    (line,) = errors_of(f"folder:{animals}")
    assert line == f"{animals / 'cat' / 'gone.png'}: is a link to nowhere.png, where no file is"


# --------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digit", "did you mean 'digits'"),
        ("cifar", "did you mean 'cifar10"),
        ("labels.csv", "did you mean 'csv:labels.csv'"),
        ("folder:", "unknown data set"),
        ("zip:x", "unknown data set"),
        ("", "unknown data set"),
    ],
)
def test_unknown_data_sets_are_configuration_errors(spec: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_images(spec)


def test_a_bare_folder_is_told_how_to_be_named(animals: Path) -> None:
    with pytest.raises(ConfigError, match=f"did you mean 'folder:{animals}'"):
        load_images(str(animals))


@pytest.mark.parametrize("spec", ["digits", "folder"])
def test_without_validation_images_there_is_no_best_epoch(spec: str, animals: Path) -> None:
    (line,) = errors_of(f"folder:{animals}" if spec == "folder" else spec, val=0)
    assert "data.val: must be above 0" in line
