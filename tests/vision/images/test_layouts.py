"""Which folders are splits, which are classes, which are neither; nothing is used or left out in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlhw.result.recorder import Recorder
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.images.inventory import tell_origins
from mlhw.vision.images.listing import SPLIT_WORDS
from tests.vision.images.drawn import errors_of, everything, picture


def tree(root: Path, **folders: dict[str, int]) -> Path:
    """Folders of class folders, each image another one."""
    for number, (name, classes) in enumerate(folders.items()):
        for k, (label, count) in enumerate(classes.items()):
            for i in range(count):
                picture(root / name / label / f"{i}.png", 10_000 * number + 100 * k + i)
    return root


def read(root: Path) -> tuple[ImageSplits, list[str]]:
    recorder = Recorder()
    splits = load_images(f"folder:{root}", recorder=recorder)
    tell_origins(splits, recorder)
    return splits, recorder.log_lines


# --------------------------------------------------------------------------------- words


@pytest.mark.parametrize("word", SPLIT_WORDS)
@pytest.mark.parametrize("spelt", [str.lower, str.title, str.upper])
def test_a_split_is_known_by_every_word_for_it_in_any_case(
    tmp_path: Path, word: str, spelt
) -> None:  # type: ignore[no-untyped-def]
    names = {"train": "train", "val": "val", "test": "test"} | {SPLIT_WORDS[word]: spelt(word)}
    splits, lines = read(tree(tmp_path, **{name: {"a": 3, "b": 2} for name in names.values()}))
    assert splits.classes == ["a", "b"]
    for part, name in zip(everything(splits), names.values(), strict=True):
        assert {n.split("/")[0] for n in part.names} == {name}
    for split, name in names.items():
        assert f"{split}: 5 images, {name}/: a 3, b 2" in lines


@pytest.mark.parametrize(
    "pair",
    [("val", "valid"), ("val", "Val"), ("dev", "eval"), ("train", "training"), ("test", "TESTING")],
)
def test_two_folders_for_one_split_are_an_error(tmp_path: Path, pair: tuple[str, str]) -> None:
    tree(tmp_path, **{name: {"a": 3, "b": 2} for name in {"train", *pair}})
    (line,) = errors_of(f"folder:{tmp_path}")
    assert line == f"{tmp_path}: has both {' and '.join(sorted(pair))}; which one is meant?"


@pytest.mark.parametrize("names", [("training_set", "test_set"), ("Train Data", "test-images")])
def test_a_set_of_a_split_is_that_split(tmp_path: Path, names: tuple[str, str]) -> None:
    splits, lines = read(tree(tmp_path, **{name: {"a": 4, "b": 4} for name in names}))
    assert splits.classes == ["a", "b"]
    assert f"test: 8 images, {names[1]}/: a 4, b 4" in lines


def test_classes_may_have_a_split_in_their_names(tmp_path: Path) -> None:
    tree(tmp_path, **{"steam train": {"": 4}, "diesel train": {"": 4}})
    assert read(tmp_path)[0].classes == ["diesel train", "steam train"]


# --------------------------------------------------------------------------------- siblings


def test_images_beside_the_splits_that_none_would_use_are_an_error(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 3, "b": 2}, val={"a": 1, "b": 1}, extra={"a": 3})
    (line,) = errors_of(f"folder:{tmp_path}")
    assert "extra/ beside train/ would be used for nothing" in line
    picture(tmp_path / "unlabelled" / "deep" / "x.png")
    assert "extra/, unlabelled/ beside" in errors_of(f"folder:{tmp_path}")[0]


def test_hidden_and_image_free_siblings_are_no_error(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 3, "b": 2}, val={"a": 1, "b": 1})
    picture(tmp_path / ".cache" / "x.png")
    picture(tmp_path / "__MACOSX" / "x.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.xml").write_text("<x/>")
    (tmp_path / "valid").mkdir()
    (tmp_path / "README.md").write_text("about")
    splits, _ = read(tmp_path)
    assert [len(part) for part in everything(splits)] == [5, 2]


# --------------------------------------------------------------------------------- test/


def test_a_test_folder_without_class_folders_is_passed_over_with_a_note(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 3, "b": 2}, val={"a": 1, "b": 1})
    picture(tmp_path / "Test" / "x.png")
    splits, lines = read(tmp_path)
    assert splits.test is None
    assert any(line.startswith(f"{tmp_path / 'Test'}: passed over") for line in lines)


def test_classes_beside_test_are_trained_and_test_tests(tmp_path: Path) -> None:
    tree(tmp_path, **{".": {"a": 8, "b": 8}, "test": {"a": 2, "b": 1}})
    splits, lines = read(tmp_path)
    assert splits.classes == ["a", "b"]
    assert splits.test is not None
    assert splits.test.names == ["test/a/0.png", "test/a/1.png", "test/b/0.png"]
    assert "test: 3 images, test/: a 2, b 1" in lines
    assert any(line.startswith("val: 2 images, cut out of the folders of ") for line in lines)


def test_classes_beside_a_flat_test_folder_are_the_classes_and_it_is_said(tmp_path: Path) -> None:
    tree(tmp_path, **{".": {"a": 8, "b": 8}})
    picture(tmp_path / "test" / "x.png")
    splits, lines = read(tmp_path)
    assert splits.classes == ["a", "b"]
    assert not any("test/x.png" in part.names for part in everything(splits))
    assert any("passed over" in line for line in lines)
    assert any("if 'test' is a class itself, put all classes into train/" in x for x in lines)


def test_a_class_may_be_called_test_inside_train(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 8, "test": 8})
    assert read(tmp_path)[0].classes == ["a", "test"]


# --------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"val": {"a": 3, "b": 3}, "Test": {"a": 1}}, "has Test, val but no train"),
        ({"train": {"train": 3, "val": 3}}, "the classes train, val are all named like splits"),
        ({".": {"seg_train": 3, "seg_test": 3}}, "seg_test, seg_train are all named like splits"),
        ({".": {"trainA": 3, "trainB": 3, "testA": 3}}, "are all named like splits"),
        ({"data": {"a": 3, "b": 3}}, "data/ is the only class; did you mean folder:"),
        ({"data": {"train": 3, "b": 3}}, "data/ is the only class; did you mean folder:"),
        (
            {"a": {"train": 3, "val": 2}, "b": {"train": 3, "val": 2}},
            "a/ holds the splits train, val",
        ),
        ({"set": {"Train": 3, "valid": 2}}, "did you mean folder:"),
        ({".": {"a": 3, "b": 3}, "val": {"a": 1, "c": 1}}, "val has classes that train lacks: 'c'"),
        ({".": {"a": 3, "b": 3}, "train": {"a": 1, "b": 1}}, "a/, b/ beside train/ would be used"),
    ],
)
def test_layouts_that_cannot_be_meant_are_refused(
    tmp_path: Path, folders: dict[str, dict[str, int]], words: str
) -> None:
    (line,) = errors_of(f"folder:{tree(tmp_path, **folders)}")
    assert words in line


@pytest.mark.parametrize("name", ["train", "valid"])
def test_images_of_train_and_val_without_class_folders_are_refused(
    tmp_path: Path, name: str
) -> None:
    tree(tmp_path, **{"train" if name != "train" else "val": {"a": 3, "b": 3}})
    picture(tmp_path / name / "x.png")
    (line,) = errors_of(f"folder:{tmp_path}")
    assert line.startswith(f"{tmp_path / name}: holds images but no folders of classes")


def test_an_empty_val_folder_is_no_split_to_be_cut_in_silence(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 3, "b": 3})
    (tmp_path / "val").mkdir()
    assert errors_of(f"folder:{tmp_path}") == [
        f"{tmp_path / 'val'}: there is no image in this folder"
    ]


# --------------------------------------------------------------------------------- log


def test_many_classes_are_summed_up_on_the_screen(tmp_path: Path) -> None:
    tree(tmp_path, train={f"c{k:02}": 1 + k % 3 for k in range(20)}, val={"c00": 1})
    _, lines = read(tmp_path)
    assert "train: 39 images, train/: 20 classes of 1 to 3" in lines
    assert any(line.startswith("train: 39 images, train/: c00 1, c01 2, c02 3") for line in lines)
    assert any("warning: val has no image of c01, c02, c03 and 16 more" in line for line in lines)


# --------------------------------------------------------------------------------- kinds of files


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "avif", "jp2", "JPG", "apng", "tga"])
def test_images_of_every_kind_are_found(tmp_path: Path, suffix: str) -> None:
    tree(tmp_path, a={"x": 2}, b={"x": 3})
    picture(tmp_path / "a" / f"odd.{suffix}", 5, size=(40, 40))
    splits = load_images(f"folder:{tmp_path}", val=2, test=0)
    found = [
        part.images([part.names.index(n)])
        for part in everything(splits)
        for n in part.names
        if suffix in n
    ]
    assert len(found) == 1
    assert found[0][0].shape == (40, 40, 3)


def test_images_beside_train_are_counted(tmp_path: Path) -> None:
    tree(tmp_path, train={"a": 3, "b": 2}, val={"a": 1, "b": 1})
    for name in ("x.png", "y.png"):
        picture(tmp_path / name)
    splits, lines = read(tmp_path)
    assert [len(part) for part in everything(splits)] == [5, 2]
    assert f"{tmp_path}: passed over: 2 images beside train/" in lines


def test_names_that_are_not_utf8_are_refused_by_name(tmp_path: Path) -> None:
    tree(tmp_path, a={"x": 3}, b={"x": 3})
    try:
        (tmp_path / "b").rename(tmp_path / os.fsdecode(b"b\xff"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    lines = errors_of(f"folder:{tmp_path}")
    assert len(lines) == 3
    assert all(
        line.endswith("is not UTF-8, which tables and reports are; rename it") for line in lines
    )
