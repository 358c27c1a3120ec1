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


def test_what_some_command_alone_can_use_says_which_and_has_the_exit_code_of_the_sweeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "iris"]) == 2
    shown = capsys.readouterr()
    assert "separability is judged for two classes; here there are 3" in shown.out
    assert "error: iris: 3 classes, two needed (0, 1, 2); choose two with" in shown.err
    assert "softmax-regions --fit takes all 3 with two of the features" in shown.err
    one = written(tmp_path, "one.csv", "a,b,label\n1,2,0\n2,3,0\n")
    assert main(["data", str(one)]) == 2
    assert capsys.readouterr().err == f"error: {one}: only one class (0), two needed\n"


def test_numbers_too_large_for_squares_are_described_and_refused_as_by_the_sweeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "p.csv", "a,b,label\n1e308,-1e308,0\n-1e308,1,1\n1,2,0\n2,5,1\n")
    assert main(["data", str(path)]) == 2
    shown = capsys.readouterr()
    assert "-1e+308 to 1e+308, mean 0.75, standard deviation 7.07107e+307" in shown.out
    assert shown.err == (
        f"error: {path}: the feature 'a' is too large to work with (at most 1e+100 in size); "
        "--standardize scales it\n"
    )
    assert main(["data", str(path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["columns"][0]["deviation"] > 7e307


@pytest.mark.parametrize(
    "arguments",
    [
        ["default.csv", "--label", "default", "--encode", "yes-no"],
        ["diabetes.arff"],
        ["ex2data1.txt"],
        ["head_injury.csv"],
        ["heart.csv", "--encode", "one-hot"],
        ["heart_scale"],
        [
            *("horse_colic.csv", "--label", "22", "--classes", "1,2"),
            *("--features", "3,4", "--missing", "drop"),
        ],
        [
            *("penguins.csv", "--label", "species", "--classes", "Adelie,Gentoo"),
            *("--encode", "one-hot", "--missing", "drop"),
        ],
        ["wdbc.data", "--missing", "drop"],
        ["winequality.csv", "--classes", "5,6"],
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
