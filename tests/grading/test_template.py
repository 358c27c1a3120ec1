"""``mlhw backprop-check --write-template FILE``: where to begin, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.errors import UsageError
from mlhw.grading import template
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation
from mlhw.maths.network import Network


def test_the_template_runs_and_says_that_nothing_is_derived_yet(tmp_path: Path) -> None:
    network = Network((4, 3, 2), ("relu",), "softmax", "cross_entropy", True)
    path = tmp_path / "mine.py"
    template.write(path, network)
    found = grade(Implementation(path, "backprop"), network, 1, 0, 5.0)
    assert found.verdict == "wrong"
    assert "nothing is derived there yet" in found.message
    assert "W^(1)  shape (3, 5)" in path.read_text()
    with pytest.raises(UsageError, match="exists already"):
        template.write(path, network)


def test_with_json_one_object_is_printed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["backprop-check", "--write-template", "t.py", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"wrote": "t.py"}
    assert main(["backprop-check", "--write-template", "u.py"]) == 0
    assert capsys.readouterr().out.startswith("wrote u.py; check it with: mlhw backprop-check")


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--write-template", "", "--write-template: is empty; give the name of a new file"),
        ("--implementation", "", "--implementation[0]: is empty; give a path"),
        ("--implementation", f"{'x' * 300}.py", "no such file"),
    ],
)
def test_a_name_that_is_none_is_refused_in_one_line(
    option: str, value: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backprop-check", option, value]) == 2
    (found,) = capsys.readouterr().err.splitlines()
    assert found.startswith("error: ")
    assert line in found
