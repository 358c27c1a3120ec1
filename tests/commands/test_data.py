"""``mlhw data FILE``: what a file of points holds, without a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.commands.main import main
from tests.conftest import shared
from tests.points.reading import case, written


def test_columns_class_missing_cells_spreads_and_separability_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"{i},{i * i % 7},{1000 * i}.5,{'no' if i % 3 else 'yes'}\n" for i in range(1, 9)
    )
    path = written(tmp_path, "p.csv", "rownames,a,b,label\n" + rows + "9,NA,1,no\n")
    assert main(["data", str(path), "--missing", "drop"]) == 0
    out = capsys.readouterr().out
    for part in (
        "line 1 is the header; the class is 'label'",
        "9 rows, 1 missing cells",
        "rownames  row numbers  0        1 to 9",
        "8 points; classes: no (6), yes (2)",
        "--standardize brings all features to 1",
        "ratio of spreads: ",
        "the classes overlap: the NLL has a minimum",
    ):
        assert part in out
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_used_is_shown_with_its_reasons_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", str(case("boolfeature.csv"))]) == 2
    shown = capsys.readouterr()
    assert "smoker  words   0        2 different: True, False" in shown.out
    assert f"error: {case('boolfeature.csv')}:2: smoker: 'True' is not a number" in shown.err


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(case("plain.csv")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["missing"], found["points"]) == (8, 0, 8)
    assert [column["kind"] for column in found["columns"]] == ["number", "number", "class"]
    assert found["classes"] == [{"class": 0, "points": 4}, {"class": 1, "points": 4}]
    assert found["separable"] is False
    assert found["errors"] == []
    assert main(["data", str(case("missing_first.csv")), "--json"]) == 2
    (line,) = json.loads(capsys.readouterr().out)["errors"]
    assert ":1: x1: '?' is not a number" in line


def test_built_in_points_and_the_options_of_experiments_are_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "iris", "--classes", "0,1", "--features", "0,2"]) == 0
    assert "the classes are separable" in capsys.readouterr().out
    assert main(["data", "iris"]) == 0
    assert "separability is judged for two classes; here there are 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["default.csv", "--label", "default", "--encode", "yes-no"],
        ["diabetes.arff"],
        ["ex2data1.txt"],
        ["head_injury.csv"],
        ["heart.csv", "--encode", "one-hot"],
        ["heart_scale"],
        ["horse_colic.csv", "--label", "22", "--features", "3,4", "--missing", "drop"],
        ["penguins.csv", "--label", "species", "--encode", "one-hot", "--missing", "drop"],
        ["wdbc.data", "--missing", "drop"],
        ["winequality.csv"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_public_file_has_a_command_that_reads_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = arguments
    assert main(["data", str(shared(f"data/points/{name}")), *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == []
    assert found["points"] > 0
