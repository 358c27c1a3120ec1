"""What the sweeps say and do about features of very different or of no spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlhw
from mlhw.commands.main import main
from mlhw.errors import DataError
from tests.points.reading import case, written


def table(tmp_path: Path, factor: float) -> str:
    rng = np.random.default_rng(0)
    rows = [f"{a},{factor * b},{int(a + b + c > 0)}" for a, b, c in rng.standard_normal((40, 3))]
    return str(written(tmp_path, "p.csv", "a,b,label\n" + "\n".join(rows) + "\n"))


def test_a_constant_feature_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--standardize", "--no-plots", "--runs-dir", str(tmp_path), "--etas", "0.5"]
    assert main(["lr-sweep", "--data", str(case("constant.csv")), *options]) == 0
    assert "'k' is constant: left out by standardize" in capsys.readouterr().err


def test_it_is_as_if_the_constant_feature_were_not_there() -> None:
    path = str(case("constant.csv"))
    for run in (mlhw.lr_sweep, mlhw.sgd_sweep):
        with_it = run(data=path, standardize=True, etas=[0.5]).summary
        without = run(data={"file": path, "drop": ["k"]}, standardize=True, etas=[0.5]).summary
        assert with_it["features"] == without["features"] == ["a", "b"]
        for key in ("scaling", "monotone_eta", "critical_eta"):
            assert with_it[key] == without[key]
        np.testing.assert_array_equal(with_it["optimum"]["w"], without["optimum"]["w"])


def test_only_constant_features_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", "k,label\n5,0\n5,1\n")
    with pytest.raises(DataError, match="every feature is constant"):
        mlhw.lr_sweep(data=str(path), standardize=True)


@pytest.mark.parametrize(("factor", "said"), [(1e5, True), (10.0, False)])
def test_very_different_spreads_recommend_scaling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, said: bool
) -> None:
    options = ["--no-plots", "--runs-dir", str(tmp_path / "runs"), "--etas", "1e-12"]
    for command in ("lr-sweep", "sgd-sweep"):
        main([command, "--data", table(tmp_path, factor), *options])
        lines = [line for line in capsys.readouterr().err.splitlines() if "--standardize" in line]
        assert len(lines) == said
        assert not said or "'b' and 'a' differ by a factor of" in lines[0]
        main([command, "--data", table(tmp_path, factor), "--standardize", *options])
        assert "--standardize brings" not in capsys.readouterr().err


def test_what_was_taken_as_what_is_one_line_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--no-plots", "--runs-dir", str(tmp_path), "--etas", "0.5", "--max-iterations", "9"]
    assert main(["lr-sweep", "--data", str(case("target.csv")), "--label", "target", *options]) == 0
    said = f"{case('target.csv')}: line 1 is the header; the class is 'target'; 2 features: a, b"
    assert capsys.readouterr().err.count(said) == 1
    fit = [
        "softmax-regions",
        "--fit",
        str(case("multi3.csv")),
        "--no-plots",
        "--runs-dir",
        str(tmp_path),
    ]
    assert main(fit) == 0
    assert "the class is 'label'; 2 features: a, b" in capsys.readouterr().err
