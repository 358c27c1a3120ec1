"""``mlhw backprop-check --write-template FILE``: what is printed, and which names are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.commands.main import main


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
