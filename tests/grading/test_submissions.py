"""Whose a file is, in folders, archives and downloads, whatever the names are."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from mlhw.errors import DataError
from mlhw.grading.submissions.finding import HandedIn, find_submissions
from mlhw.grading.submissions.names import file_names, shown_name

WORK = "def backprop(w, x, t): ...\n"


def put(folder: Path, *names: str, text: str = WORK) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def found(*items: Path, **more: object) -> HandedIn:
    return find_submissions([str(item) for item in items], function="backprop", **more)  # type: ignore[arg-type]


def mains(handed: HandedIn) -> dict[str, str]:
    return {one.student: one.main for one in handed.submissions}


def test_the_student_is_the_first_folder_or_the_stem(tmp_path: Path) -> None:
    put(tmp_path, "anna/src/backprop.py", "ben.py", "carl/hw.py", ".hidden/x.py", "dora/notes.txt")
    put(tmp_path, "carl/helper.py", "carl/__pycache__/hw.py", text="x = 1\n")
    handed = found(tmp_path)
    assert mains(handed) == {
        "anna": "src/backprop.py",
        "ben": "ben.py",
        "carl": "hw.py",
        "dora": "",
    }
    carl = handed.submissions[2]
    assert sorted(carl.files) == ["helper.py", "hw.py"], "modules of the same student come along"


def test_moodles_and_canvas_names_are_read(tmp_path: Path) -> None:
    put(
        tmp_path,
        "Anna M_101_assignsubmission_file_/backprop.py",
        "Ben O_102_assignsubmission_file/deep/er/backprop.py",
        "Carl P_103_assignsubmission_file_hw.py",
        "doeeve_7_99_my_hw.py",
        "fayfred_LATE_8_98_hw-1.py",
        "fayfred_LATE_8_99_hw-12.py",
    )
    handed = found(tmp_path)
    assert mains(handed) == {
        "Anna M": "backprop.py",
        "Ben O": "deep/er/backprop.py",
        "Carl P": "hw.py",
        "doeeve": "my_hw.py",
        "fayfred": "hw-12.py",
    }
    owners = {one.student: (one.owner.id, one.owner.folder) for one in handed.submissions}
    assert owners["Anna M"] == ("101", "Anna M_101_assignsubmission_file")
    assert owners["doeeve"] == ("7", "")


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, "anna.py", "anna/hw.py", "Anna_5_assignsubmission_file_/hw.py", "b/anna.py")
    names = [one.student for one in found(tmp_path).submissions]
    assert len(names) == len({name.casefold() for name in names}) == 4
    assert "Anna (5)" in names
    two = found(put(tmp_path / "one", "x.py"), put(tmp_path / "two", "x.py"))
    assert [one.student for one in two.submissions] == ["x", "x (2)"]
    files = [one.file_name for one in found(tmp_path).submissions]
    assert len({name.casefold() for name in files}) == len(files)


def test_archives_are_read_and_a_wrapping_folder_is_taken_off(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep/backprop.py", WORK)
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.writestr("hw3/anna/backprop.py", WORK)
        archive.writestr("hw3/ben/work.zip", inner.getvalue())
        archive.writestr("__MACOSX/hw3/anna/._backprop.py", "x")
    assert mains(found(tmp_path / "class.zip")) == {
        "anna": "backprop.py",
        "ben": "work.zip/deep/backprop.py",
    }
    with tarfile.open(tmp_path / "carl.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("backprop.py")
        info.size = len(WORK)
        tar.addfile(info, io.BytesIO(WORK.encode()))
    (tmp_path / "class.zip").rename(tmp_path / "class.old")
    assert mains(found(tmp_path)) == {"carl": "backprop.py"}


def test_names_that_lead_out_or_lie_do_no_harm(tmp_path: Path) -> None:
    names = ["../../evil.py", "/abs.py", "C:\\win.py", "a\u202egnp.py", "<img src=x>.py", "=1+1.py"]
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for name in names:
            archive.writestr(name, WORK)
        link = zipfile.ZipInfo("link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    handed = found(tmp_path / "class.zip")
    students = [one.student for one in handed.submissions]
    assert students == ["<img src=x>", "=1+1", "a\N{REPLACEMENT CHARACTER}gnp"]
    assert len(handed.notes) == 4
    assert all("left out" in note for note in handed.notes)
    for one in handed.submissions:
        assert os.sep not in one.file_name
        assert one.file_name.strip("._-") == one.file_name != ""


@pytest.mark.parametrize("name", ["a\0b", "\x1b[31mred", "a\nb", "\u2066x", "", "\ud800"])
def test_a_name_is_shown_without_what_is_unseen(name: str) -> None:
    shown = shown_name(name)
    assert shown.isprintable()
    assert shown
    assert "\x1b" not in shown


def test_names_of_files_differ_whatever_the_names_are() -> None:
    names = file_names(["../x", "x", "X", "...", "", "a" * 300, "a" * 299, "ü b", "CON"])
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert all(0 < len(name) <= 64 and "/" not in name for name in names.values())


def test_who_handed_in_nothing_to_judge_is_told_so_and_what_lies_beside_is_nobodys(
    tmp_path: Path,
) -> None:
    put(tmp_path, "ada/b.py", "bob/backprop.txt", "cyd/backprop.PY", "cyd/Net.PY", "dan.IPYNB")
    put(tmp_path, "eve.txt", "Fay_7_assignsubmission_file_hw.md", "gil/.hidden.py", "hal/README.md")
    put(
        tmp_path, "README", "readme.txt", "points.csv", "rubric.yaml", ".DS_Store", "__MACOSX/x.txt"
    )
    (tmp_path / "idle").mkdir()
    (tmp_path / "joe").mkdir()
    (tmp_path / "joe/hw.py").symlink_to(tmp_path / "ada/b.py")
    put(tmp_path, "cyd/Net.PY", text="x = 1\n")
    with zipfile.ZipFile(tmp_path / "kim.zip", "w"):
        pass
    handed = found(tmp_path)
    assert mains(handed) == {
        "ada": "b.py",
        "bob": "",
        "cyd": "backprop.py",
        "dan": "dan.ipynb",
        "eve": "",
        "Fay": "",
        "joe": "",
        "kim": "",
    }
    problems = {one.student: one.problem for one in handed.submissions if one.problem}
    assert problems["bob"] == (
        "nothing to judge: found backprop.txt; wanted is a file *.py or *.ipynb"
    )
    assert problems["kim"] == "kim.zip: holds no files"
    assert "it is a link" in problems["joe"]
    assert handed.submissions[2].files.keys() == {"backprop.py", "Net.py"}
    put(tmp_path, "other.py")
    chosen = mains(found(tmp_path, pattern=["b.py"]))
    assert "other" not in chosen, "programs beside each other are left out by the pattern"
    assert (chosen["ada"], chosen["cyd"]) == ("b.py", "")


def test_links_and_devices_in_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "class", "anna.py")
    put(tmp_path, "secret.py")
    (tmp_path / "class" / "ben.py").symlink_to(tmp_path / "secret.py")
    (tmp_path / "class" / "carl").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "class" / "dora.py")
    handed = found(tmp_path / "class")
    assert mains(handed) == {"anna": "anna.py"}
    assert len(handed.notes) == 2


def test_of_several_files_the_one_with_the_function_counts(tmp_path: Path) -> None:
    put(tmp_path, "anna/a.py", "anna/b.py")
    put(tmp_path, "ben/a.py", "ben/b.py", text="x = 1\n")
    put(tmp_path, "carl/hw.py", "carl/hw-1.py", "carl/hw-2.py")
    put(tmp_path, "dora/a.py", text="if True:\n    backprop = print\n")
    put(tmp_path, "dora/b.py", text="class A:\n    def backprop(self): ...\n")
    put(tmp_path, "eve/a.py", text="def backprop(w, x, t):\n    print 1\n")
    put(tmp_path, "eve/b.py", text="x = 1\n")
    put(tmp_path, "fay/main.py", text="import net\nfrom net import backprop\n")
    put(tmp_path, "fay/net.py")
    by_name = {one.student: one for one in found(tmp_path).submissions}
    assert "2 files define backprop (a.py, b.py)" in by_name["anna"].problem
    assert "--pattern" in by_name["anna"].problem
    assert "no function backprop in any of 2 files" in by_name["ben"].problem
    assert by_name["carl"].main == "hw-2.py"
    assert by_name["dora"].main == "a.py"
    assert by_name["eve"].main == "a.py", "Python 2 is told when it is run"
    assert by_name["fay"].main == "main.py", "what another one imports is a module of it"
    assert mains(found(tmp_path, pattern=["b.py"]))["anna"] == "b.py"
    assert list(mains(found(tmp_path, only=["carl"]))) == ["carl"]


def test_a_notebook_is_its_code(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "# def backprop"},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "def backprop(w, x, t):\n", "    ..."],
        },
    ]
    put(tmp_path, "anna/hw.ipynb", text=json.dumps({"cells": cells}))
    put(tmp_path, "anna/helper.py", text="x = 1\n")
    assert mains(found(tmp_path)) == {"anna": "hw.ipynb"}


def test_large_files_and_broken_archives_are_named(tmp_path: Path) -> None:
    put(tmp_path, "anna/hw.py")
    (tmp_path / "anna/data.csv").write_bytes(b"1" * (1 << 21))
    (tmp_path / "ben.py").write_bytes(b"#" * (1 << 21))
    (tmp_path / "carl.zip").write_bytes(b"PK no archive")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("hw.py", b"#" * (40 << 20))
    by_name = {one.student: one for one in found(tmp_path).submissions}
    assert by_name["anna"].main == "hw.py"
    assert "left out: 2.1 MB" in by_name["anna"].notes[0]
    assert "2.1 MB" in by_name["ben"].problem
    assert "no archive that can be read" in by_name["carl"].problem
    assert "larger than" in by_name["bomb"].problem


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path / "texts", "a.txt")
    put(tmp_path / "class", "anna.py")
    cases = {
        ("nosuch",): "no such file or folder",
        ("empty",): "nothing to grade: no files at all",
        ("texts",): "nothing to grade: 1 file, none of which matches *.py, *.ipynb",
    }
    for items, words in cases.items():
        with pytest.raises(DataError) as caught:
            found(*(tmp_path / item for item in items))
        assert len(caught.value.lines) == 1
        assert words in caught.value.lines[0]
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=r"loop: is a link that leads nowhere$"):
        found(tmp_path / "loop")
    with pytest.raises(DataError, match="nobody of this name, did you mean 'anna'"):
        found(tmp_path / "class", only=["ana"])


@pytest.mark.slow
def test_ten_thousand_files_are_found_quickly(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for number in range(10_000):
            archive.writestr(f"student {number}/backprop.py", WORK)
    began = time.process_time()
    handed = found(tmp_path / "class.zip")
    assert len(handed.submissions) == len({one.file_name for one in handed.submissions}) == 10_000
    assert time.process_time() - began < 60


def test_the_digest_changes_with_any_file_and_with_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, "anna/hw.py")
    put(tmp_path, "anna/helper.py", text="x = 1\n")

    def digest() -> str:
        return found(tmp_path).submissions[0].digest

    first = digest()
    os.utime(tmp_path / "anna/hw.py", (1, 1))
    assert digest() == first
    put(tmp_path, "anna/helper.py", text="x = 2\n")
    assert digest() != first
