"""Which functions of which files ``--implementation`` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhw.errors import DataError
from mlhw.grading.implementations import find_implementations


def test_files_folders_and_functions_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def backprop(w, x, t): ...\ndef other(w, x, t): ...\n")
    (tmp_path / "b.py").write_text("from a import *\n")
    (tmp_path / "c.py").write_text("def back_prop(w, x, t): ...\n")
    (tmp_path / ".d.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    found = find_implementations([str(tmp_path)])
    assert [(i.path.name, i.missing is None) for i in found] == [
        ("a.py", True),
        ("b.py", True),
        ("c.py", False),
    ]
    assert "did you mean 'c.py:back_prop'?" in str(found[2].missing)
    (one,) = find_implementations([f"{tmp_path}/a.py:other"])
    assert (one.function, one.name) == ("other", "a.py:other")


def test_what_is_missing_is_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "backprop_ann.py").write_text("x = 1\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        find_implementations(
            [f"{tmp_path}/backprop_anne.py", f"{tmp_path}/backprop_ann.py", f"{tmp_path}/empty"]
        )
    missing, function, empty = caught.value.lines
    assert missing.endswith("no such file, did you mean 'backprop_ann.py'?")
    assert function.endswith("no function backprop in this file")
    assert empty.endswith("no .py or .ipynb files in this folder")


@pytest.mark.parametrize(
    "text",
    [
        "backprop = lambda w, x, t: None",
        "from helpers import gradient as backprop",
        "if True:\n    def backprop(w, x, t): ...",
        "globals()['back' + 'prop'] = print",
        "def make():\n    global backprop\n    backprop = print\nmake()",
    ],
)
def test_a_function_may_come_into_being_in_any_way(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert len(find_implementations([str(tmp_path / "a.py")])) == 1
