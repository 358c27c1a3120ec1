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


def test_links_that_lead_out_of_the_folder_are_refused(animals: Path, tmp_path: Path) -> None:
    secret = picture(tmp_path / "secret" / "s.png")
    (animals / "cat" / "link.png").symlink_to(secret)
    (animals / "bird").symlink_to(secret.parent)
    lines = errors_of(f"folder:{animals}")
    assert any(str(animals / "cat" / "link.png") in line and "leads out" in line for line in lines)
    assert any(str(animals / "bird") in line and "leads out" in line for line in lines)


def test_links_that_lead_in_circles_end(animals: Path) -> None:
    (animals / "cat" / "again").symlink_to(animals / "cat")
    splits = load_images(f"folder:{animals}")
    assert sum(len(part) for part in everything(splits)) == 24


def test_a_pipe_is_no_image(animals: Path) -> None:
    os.mkfifo(animals / "cat" / "pipe.png")
    assert any("is no file" in line for line in errors_of(f"folder:{animals}"))


def test_a_broken_link_is_named(animals: Path) -> None:
    (animals / "cat" / "gone.png").symlink_to(animals / "cat" / "nowhere.png")
    assert any("gone.png" in line for line in errors_of(f"folder:{animals}"))


# --------------------------------------------------------------------------------- csv


def table(root: Path, text: str) -> str:
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return f"csv:{root / 'labels.csv'}"


@pytest.mark.parametrize(
    "header", ["file_name,label", "filename,class", "\ufeffPath, Label ", "image,x,label"]
)
def test_a_csv_lists_files_and_labels(animals: Path, header: str) -> None:
    middle = ",extra" if ",x," in header else ""
    rows = [f"{p.relative_to(animals)}{middle},{p.parent.name}" for p in animals.rglob("*.png")]
    splits = load_images(table(animals, "\n".join([header, *rows])))
    assert splits.classes == ["cat", "dog"]
    for part in everything(splits):
        assert all(
            name.startswith(splits.classes[k])
            for name, k in zip(part.names, part.labels, strict=True)
        )
    shuffled = load_images(table(animals, "\n".join([header, *rows[::-1]])))
    assert shuffled.digest == splits.digest
    as_folder = load_images(f"folder:{animals}")
    assert as_folder.digest == splits.digest  # the same names, classes and contents


def test_labels_that_are_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    rows = []
    for label in (10, 9, 2):
        for i in range(4):
            picture(tmp_path / f"{label}_{i}.png", label * 10 + i)
            rows.append(f"{label}_{i}.png,{label}")
    splits = load_images(table(tmp_path, "\n".join(["file_name,label", *rows])), val=3, test=0)
    assert splits.classes == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nowhere.png,cat", ":3: there is no file nowhere.png"),
        ("cat,cat", ":3: there is no file cat"),
        ("../outside.png,cat", ":3: ../outside.png leads out of the folder"),
        ("/etc/passwd,cat", ":3: /etc/passwd leads out of the folder"),
        ("cat/link.png,cat", ":3: cat/link.png leads out of the folder"),
        ("cat/001.png,", ":3: has no label"),
        (",cat", ":3: has no file name"),
        ("cat/001.png", ":3: 1 values for 2 columns"),
        ("cat/001.png,cat,more", ":3: 3 values for 2 columns"),
        ("cat/000.png,dog", ":3: cat/000.png is listed already in line 2"),
        ("./cat/../cat/000.png,cat", "is listed already in line 2"),
        ('"cat/001.png,cat', "labels.csv:3: "),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(animals: Path, row: str, words: str) -> None:
    picture(animals.parent / "outside.png")
    (animals / "cat" / "link.png").symlink_to(animals.parent / "outside.png")
    spec = table(animals, f"file_name,label\ncat/000.png,cat\n{row}\ndog/000.png,dog\n")
    lines = errors_of(spec)
    assert any(words in line for line in lines)
    assert all(line.startswith(str(animals / "labels.csv")) for line in lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the header needs one column named file_name"),
        (b"a,b\n1,2\n", "the header needs one column named file_name"),
        (b"file_name,b\n1,2\n", "the header needs one column named label or class"),
        (b"file_name,label,label\n", "the header needs one column named label"),
        (b"file_name,label\n", "lists no images"),
        (b"file_name,label\ncat/000.png,cat\n", "at least two classes"),
        (b"file_name,label\n\xff\xfe,cat\n", "is not UTF-8"),
    ],
)
def test_csv_files_that_are_no_data_set(animals: Path, content: bytes, words: str) -> None:
    (animals / "labels.csv").write_bytes(content)
    assert any(words in line for line in errors_of(f"csv:{animals / 'labels.csv'}"))


def test_a_csv_that_is_missing_is_named(tmp_path: Path) -> None:
    (line,) = errors_of(f"csv:{tmp_path / 'no.csv'}")
    assert line == f"{tmp_path / 'no.csv'}: cannot be read: No such file or directory"


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
