"""softmax-regions as a user runs it: through the installed command, looking at files and codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT, Mlhw

FILES = {
    "config.yaml",
    "run.json",
    "log.txt",
    "probes.csv",
    "boundaries.csv",
    "result.json",
    "report.html",
    "plots",
}


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def run(mlhw: Mlhw, tmp_path: Path, *arguments: str, code: int = 0) -> tuple[Any, Path]:
    found = mlhw("softmax-regions", *arguments, "--json")
    assert found.returncode == code, found.stderr
    printed = json.loads(found.stdout)
    return printed, tmp_path / printed["run"]


def test_the_default_leaves_a_whole_run_folder_and_prints_its_answers(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    found = mlhw("softmax-regions")
    assert found.returncode == 0
    (folder,) = tmp_path.glob("runs/2*")
    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.name for path in (folder / "plots").iterdir()} == {
        f"{name}.{kind}"
        for name in ("regions", "rays", "law", "probabilities", "max-p")
        for kind in ("png", "svg")
    }
    assert "all 3 classes meet at (3/22, -4/11)" in found.stdout
    assert "  fails: " not in found.stdout
    assert "  not applicable: " not in found.stdout
    *_, place, last = found.stdout.splitlines()
    assert place == f"run folder: {folder}"
    assert last.endswith(f" 0 fail, 0 are not applicable; report: {folder / 'report.html'}")


def test_tables_and_summary_have_the_columns_and_keys_that_scripts_rely_on(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    smoke = str(ROOT / "configs" / "smoke" / "softmax-regions.yaml")
    printed, folder = run(mlhw, tmp_path, "-c", smoke, "--no-plots")
    probes, boundaries = rows(folder, "probes"), rows(folder, "boundaries")
    assert list(probes[0]) == ["path", "distance", "x1", "x2", "p1", "p2", "p3", "p4", "p5"]
    assert list(boundaries[0]) == [
        "class_i",
        "class_j",
        "kind",
        "x1",
        "x2",
        "end_x1",
        "end_x2",
        "u1",
        "u2",
    ]
    summary = printed["summary"]
    for row, boundary in zip(boundaries, summary["boundaries"], strict=True):
        assert [int(row["class_i"]), int(row["class_j"])] == boundary["classes"]
        assert row["kind"] == boundary["kind"]
        assert [float(row["x1"]), float(row["x2"])] == boundary["x"]
        assert [float(row["u1"]), float(row["u2"])] == boundary["direction"]
        assert (row["end_x1"] == "") == (boundary["end"] is None) == (row["kind"] != "segment")
    assert [vertex["classes"] for vertex in summary["vertices"]] == [
        [1, 2, 4],
        [1, 3, 4],
        [2, 3, 4],
    ]
    assert [(r["class"], r["empty"], r["bounded"]) for r in summary["regions"]] == [
        (1, False, False),
        (2, False, False),
        (3, False, False),
        (4, False, True),
        (5, True, True),
    ]
    names = {row["path"] for row in probes}
    assert {"boundary 1-2 from 1", "boundary 1-4 from 2", "middle 3"} <= names
    assert len(names) == 3 + 2 * 3 + 3
    for vertex in summary["vertices"]:
        p = np.array(vertex["p"])[np.array(vertex["classes"]) - 1]
        np.testing.assert_allclose(p, p[0], atol=1e-15)


@pytest.mark.parametrize(
    "options",
    [
        ["-c", str(ROOT / "configs" / "smoke" / "softmax-regions.yaml")],
        ["--fit", "iris", "--features", "2,3"],
        ["--fit", "wine", "--features", "alcohol,hue", "--window", "11,15,0,2"],
    ],
)
def test_a_rerun_from_the_saved_configuration_gives_the_same_bytes(
    mlhw: Mlhw, tmp_path: Path, options: list[str]
) -> None:
    _, first = run(mlhw, tmp_path, *options, "--no-plots")
    _, second = run(mlhw, tmp_path, "-c", str(first / "config.yaml"), "--no-plots")
    for name in ("probes.csv", "boundaries.csv", "result.json", "config.yaml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_lists_on_the_command_line_are_the_lists_of_a_file(mlhw: Mlhw, tmp_path: Path) -> None:
    file = tmp_path / "planes.yaml"
    file.write_text("weights: [[1, 0], [-1, 0.5]]\nbiases: [0, 3e-1]\nnames: [left, right]\n")
    written, _ = run(mlhw, tmp_path, "-c", str(file), "--no-plots")
    for weights in ("1,0;-1,0.5", "[[1, 0], [-1, 0.5]]"):
        typed, _ = run(
            mlhw,
            tmp_path,
            *("--weights", weights, "--biases", "0,0.3", "--names", "left,right", "--no-plots"),
        )
        assert typed["summary"] == written["summary"]
    assert written["summary"]["names"] == ["left", "right"]


def test_a_fit_draws_its_points_and_reports_accuracy_and_digest(mlhw: Mlhw, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    draw = np.random.default_rng(1)
    lines = ["u,v,label"]
    for k, (a, b) in enumerate([(0, 0), (4, 0), (0, 4), (4, 4)]):
        for u, v in draw.normal((a, b), 1.0, (30, 2)).tolist():
            lines.append(f"{u},{v},{'abcd'[k]}")
    file.write_text("\n".join(lines) + "\n")
    printed, folder = run(mlhw, tmp_path, "--fit", str(file))
    assert printed["summary"]["names"] == ["a", "b", "c", "d"]
    assert printed["summary"]["fit"]["features"] == ["u", "v"]
    assert 0.9 < printed["summary"]["accuracy"] <= 1
    record = json.loads((folder / "run.json").read_text())
    assert record["data_digest"].startswith("sha256:")
    assert (folder / "plots" / "regions.png").stat().st_size > 10_000
    file.write_text(file.read_text().replace(",d\n", ",c\n", 1))
    again = mlhw("softmax-regions", "-c", str(folder / "config.yaml"), "--no-plots", "-q")
    assert again.returncode == 0
    assert "the data has changed" in again.stderr


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--weights", "1,0;0,x", "--biases", "0,0"],
            "error: --weights[1][1]: must be a number (got x)",
        ),
        (["--fit", "iris"], "error: iris: 4 features, two needed"),
        (["--fit", "no.csv"], "no.csv: no such file"),
        (["--set", "weight=1"], "did you mean 'weights'?"),
    ],
)
def test_bad_input_is_one_plain_line_and_leaves_no_folder(
    mlhw: Mlhw, tmp_path: Path, options: list[str], line: str
) -> None:
    found = mlhw("softmax-regions", *options)
    assert found.returncode == 2, found.stdout
    assert found.stdout == ""
    (printed,) = found.stderr.splitlines()
    assert line in printed
    assert not list(tmp_path.glob("runs/2*"))


def test_an_error_in_a_file_names_its_line(mlhw: Mlhw, tmp_path: Path) -> None:
    file = tmp_path / "planes.yaml"
    file.write_text("weights:\n  - [1, 0]\n  - [0, 1, 2]\nbiases: [1]\n")
    found = mlhw("softmax-regions", "-c", str(file))
    assert found.returncode == 2
    assert f"{file}:3: weights[1]: must have at most 2 items" in found.stderr


def test_names_in_any_script_are_taken_without_a_warning(mlhw: Mlhw, tmp_path: Path) -> None:
    found = mlhw("softmax-regions", "--names", "犬,猫,🦊", "--seed", "1", "-q")
    assert found.returncode == 0
    assert found.stderr == ""
    (folder,) = tmp_path.glob("runs/2*")
    assert "犬" in (folder / "plots" / "regions.svg").read_text()
