"""Images listed in a CSV file: columns, splits, groups, places; every error names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhw.result.recorder import Recorder
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.own_files import Reading
from tests.vision.images.drawn import class_folders, errors_of, everything, picture


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
        ("cat/../../outside.png,cat", "outside.png leads out of the folder"),
        ("/nowhere/a.png,cat", ":3: there is no file /nowhere/a.png"),
        ("cat/link.png,cat", ":3: cat/link.png is a link to nowhere.png, where no file is"),
        ('cat/001.png,"cat,dog"', ":3: several labels for one image are not supported: 'cat,dog'"),
        ("cat/001.png,cat;dog", ":3: several labels"),
        ("cat/001.png,cat|dog", ":3: several labels"),
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
    (animals / "cat" / "link.png").symlink_to("nowhere.png")
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


# --------------------------------------------------------------------------------- places


def test_absolute_names_and_linked_files_are_read(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(animals / "cat" / "000.png")
    rows = [f"{p},{p.parent.name}" for p in sorted(animals.rglob("*.png"))[1:]]
    spec = table(tmp_path, "\n".join(["file_name,label", "link.png,cat", *rows]))
    splits = load_images(spec)
    names = [name for part in everything(splits) for name in part.names]
    assert len(names) == 24
    assert {"link.png", "animals/dog/000.png"} <= set(names)


def test_relative_names_begin_at_the_image_root(animals: Path, tmp_path: Path) -> None:
    rows = [f"{p.relative_to(animals)},{p.parent.name}" for p in animals.rglob("*.png")]
    spec = table(tmp_path / "lists", "\n".join(["file_name,label", *rows]))
    assert any("there is no file" in line for line in errors_of(spec))
    inside = load_images(spec, reading=Reading(image_root=animals))
    absolute = [f"{animals / row}" for row in rows]
    again = table(tmp_path / "lists", "\n".join(["file_name,label", *absolute]))
    assert load_images(again, reading=Reading(image_root=animals)).digest == inside.digest
    assert inside.digest == load_images(f"folder:{animals}").digest


# --------------------------------------------------------------------------------- splits


def with_column(animals: Path, name: str, words: list[str]) -> str:
    """Every image of ``animals``, cats first, with ``words`` in turn in a column more."""
    files = sorted(animals.rglob("*.png"))
    rows = [
        f"{p.relative_to(animals)},{p.parent.name},{words[i % len(words)]}"
        for i, p in enumerate(files)
    ]
    return table(animals, "\n".join([f"file_name,label,{name}", *rows]))


@pytest.mark.parametrize("name", ["split", "Split", "subset"])
@pytest.mark.parametrize("words", [["train", "val", "test"], ["Training", " DEV ", "TESTING"]])
def test_a_split_column_is_read(animals: Path, name: str, words: list[str]) -> None:
    splits = load_images(with_column(animals, name, words))
    assert [len(part) for part in everything(splits)] == [8, 8, 8]
    assert splits.train.names[:2] == ["cat/000.png", "cat/003.png"]
    assert splits.val.names[0] == "cat/001.png"
    assert f"column {name.lower()} of labels.csv" in splits.origins["val"]


@pytest.mark.parametrize("words", [["False", "TRUE"], ["0", "1"], ["no", "Yes"], ["0.0", "1.0"]])
def test_is_valid_says_which_images_validate(animals: Path, words: list[str]) -> None:
    splits = load_images(with_column(animals, "is_valid", words))
    assert (len(splits.train), len(splits.val), splits.test) == (12, 12, None)
    assert splits.val.names[0] == "cat/001.png"


def test_without_val_rows_validation_is_cut_out_of_train(animals: Path) -> None:
    splits = load_images(with_column(animals, "split", ["train", "train", "test"]), val=4)
    assert [len(part) for part in everything(splits)] == [12, 4, 8]
    assert splits.origins["val"].startswith("cut out of")


def test_an_empty_split_column_is_none(animals: Path) -> None:
    recorder = Recorder()
    splits = load_images(with_column(animals, "split", [""]), recorder=recorder, val=4, test=4)
    assert [len(part) for part in everything(splits)] == [16, 4, 4]
    assert any("column split is empty" in line for line in recorder.log_lines)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("split", ["train", ""], "labels.csv:3: has no split in column split"),
        ("is_valid", ["0", ""], "labels.csv:3: has no split in column is_valid"),
        ("split", ["train", "holdout"], "labels.csv:3: split 'holdout' is none of train, val"),
        ("is_valid", ["0", "maybe"], "labels.csv:3: 'maybe' in column is_valid is neither"),
        ("is_valid", ["0", "2"], "labels.csv:3: '2' in column is_valid is neither"),
        ("split", ["val", "test"], "no row is in train"),
        ("is_valid", ["1"], "no row is in train"),
        ("split,is_valid", ["train,0"], ":1: the columns split, is_valid all say"),
        ("is_valid,is_test", ["0,0", "1,1"], ":3: is in val and in test"),
        ("is_train", ["1", "0"], ":1: column is_train does not say whether the others"),
        ("split,split", ["train,val"], ":1: the columns split, split all say"),
    ],
)
def test_splits_that_a_column_does_not_say_are_named(
    animals: Path, name: str, words: list[str], message: str
) -> None:
    assert any(message in line for line in errors_of(with_column(animals, name, words)))


def test_a_class_that_the_train_rows_lack_is_named(animals: Path) -> None:
    words = ["train"] * 10 + ["val"] * 14
    assert any("'dog'" in line for line in errors_of(with_column(animals, "split", words)))


def test_columns_that_are_not_read_are_said(animals: Path) -> None:
    recorder = Recorder()
    load_images(with_column(animals, "width,height", ["3,1"]), recorder=recorder)
    assert any("columns that are not read: width, height" in x for x in recorder.log_lines)


# --------------------------------------------------------------------------------- groups


def test_a_group_is_in_one_split(animals: Path) -> None:
    groups = [str(i // 2) for i in range(24)]
    by_name = with_column(animals, "patient", groups)
    recorder = Recorder()
    reading = Reading(group="Patient")
    splits = load_images(by_name, val=0.3, test=0.2, reading=reading, recorder=recorder)
    assert any("same value in column Patient stay in one split" in x for x in recorder.log_lines)
    files = [str(p.relative_to(animals)) for p in sorted(animals.rglob("*.png"))]
    kinds = [{groups[files.index(name)] for name in part.names} for part in everything(splits)]
    assert sum(map(len, kinds)) == len(set.union(*kinds)) == 12
    assert [len(part) for part in everything(splits)] == pytest.approx([12, 7, 5], abs=2)
    assert load_images(with_column(animals, "group", groups), val=0.3, test=0.2).digest == (
        splits.digest
    )


def test_a_group_column_that_is_not_there_is_an_error(animals: Path) -> None:
    spec = with_column(animals, "patient", ["1"])
    (line,) = errors_of(spec, reading=Reading(group="person"))
    assert "data.group: the header needs one column named person" in line


def test_groups_that_the_splits_of_the_file_divide_are_counted(animals: Path) -> None:
    words = ["train,1", "val,1", "train,2", "val,3"]
    assert load_images(with_column(animals, "split,group", words)).divided == 1
    class_folders(animals / "more", {"x": 1})  # not listed, so of no account
    assert load_images(with_column(animals, "split", ["train", "val"])).divided == 0
