"""The two sweeps as a user runs them: through the installed command, looking at files and codes."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DRAWN, PROGRAM, ROOT, Mlhw

FILES = {"config.yaml", "run.json", "log.txt", "metrics.csv", "result.json", "report.html", "plots"}


def rows(folder: Path, name: str = "metrics") -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def run(  # type: ignore[type-arg]
    mlhw: Mlhw,
    tmp_path: Path,
    *arguments: str,
    code: int = 0,
    env: dict[str, str] | None = None,
) -> tuple[dict, Path]:
    found = mlhw(*arguments, "--json", env=env)
    assert found.returncode == code, found.stderr
    printed = json.loads(found.stdout)
    return printed, tmp_path / printed["run"]


def test_lr_sweep_leaves_a_whole_run_folder_and_prints_its_answers(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    found = mlhw("lr-sweep", "--etas", "0.5,0.3,0.1")
    assert found.returncode == 0
    (folder,) = tmp_path.glob("runs/2*")
    assert {path.name for path in folder.iterdir()} == FILES | {"limits.csv"}
    assert {path.stem for path in (folder / "plots").glob("*.png")} == {
        path.stem for path in (folder / "plots").glob("*.svg")
    }
    assert len(list((folder / "plots").iterdir())) == 10
    assert "optimum: NLL 0.23008098" in found.stdout
    assert "holds: no rate below 2/L ever rises" in found.stdout
    assert f"\nrun folder: {folder}\n" in found.stdout
    assert found.stdout.rstrip().endswith(f"not applicable; report: {folder / 'report.html'}")
    assert "class 0 is t = 0, class 1 is t = 1" in found.stderr


def test_metrics_follow_the_summary_row_by_row(mlhw: Mlhw, tmp_path: Path) -> None:
    printed, folder = run(mlhw, tmp_path, "lr-sweep", "--no-plots")
    table = rows(folder)
    assert list(table[0]) == ["eta", "iteration", "nll", "w1", "w2", "bias"]
    for entry in printed["summary"]["runs"]:
        mine = [row for row in table if float(row["eta"]) == entry["eta"]]
        assert [int(row["iteration"]) for row in mine] == list(range(entry["iterations"]))
        assert float(mine[-1]["nll"]) == entry["nll"]
        assert [float(mine[-1][key]) for key in ("w1", "w2", "bias")] == entry["w"]
        nll = np.array([float(row["nll"]) for row in mine])
        assert int(np.sum(np.diff(nll) > 0)) == entry["increases"]
        assert [float(mine[0][key]) for key in ("w1", "w2", "bias")] == [0.1, 0.0, 0.0]
    assert set(printed["summary"]) >= {
        "classes",
        "optimum",
        "monotone_eta",
        "critical_eta",
        "runs",
    }


@pytest.mark.parametrize("name", ["lr-sweep", "sgd-sweep"])
def test_a_rerun_from_the_saved_configuration_gives_the_same_bytes(
    mlhw: Mlhw, tmp_path: Path, name: str, one_seed: dict[str, str]
) -> None:
    smoke = str(ROOT / "configs" / "smoke" / f"{name}.yaml")
    arguments = (name, "-c", smoke, "--seed", "random", "--no-plots")
    _, first = run(mlhw, tmp_path, *arguments, env=one_seed)
    assert f"seed: {DRAWN}\n" in (first / "config.yaml").read_text()
    _, second = run(mlhw, tmp_path, name, "-c", str(first / "config.yaml"), "--no-plots")
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    assert (first / "result.json").read_bytes() == (second / "result.json").read_bytes()
    assert (first / "config.yaml").read_bytes() == (second / "config.yaml").read_bytes()


@pytest.mark.parametrize("name", ["lr-sweep", "sgd-sweep"])
def test_the_smoke_configuration_runs_with_all_its_files(
    mlhw: Mlhw, tmp_path: Path, name: str
) -> None:
    smoke = str(ROOT / "configs" / "smoke" / f"{name}.yaml")
    printed, folder = run(mlhw, tmp_path, name, "-c", smoke)
    assert {path.name for path in folder.iterdir()} >= FILES
    assert all(claim["verdict"] != "fails" for claim in printed["claims"])
    record = json.loads((folder / "run.json").read_text())
    assert record["command"].startswith(f"mlhw {name} -c ")
    assert record["versions"]["numpy"] == np.__version__
    assert record["data_digest"].startswith("sha256:")


def test_ten_runs_started_at_once_get_ten_folders(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [PROGRAM, "lr-sweep", "-q", "--no-plots", "--max-iterations", "3", "--runs-dir", "r"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        for _ in range(10)
    ]
    assert [process.wait(timeout=120) for process in started] == [0] * 10
    folders = [path for path in (tmp_path / "r").iterdir() if not path.is_symlink()]
    assert len(folders) == 10
    assert all(json.loads((f / "run.json").read_text())["status"] == "finished" for f in folders)


def test_data_with_more_features_has_no_figures_of_two_dimensions_and_says_so(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    found = mlhw("lr-sweep", "--data", "iris", "--classes", "1,2", "--max-iterations", "20")
    assert found.returncode == 0, found.stderr
    (folder,) = tmp_path.glob("runs/2*")
    names = {path.stem for path in (folder / "plots").iterdir()}
    assert names == {"nll", "limit", "gap"}
    assert "4 features: the figures of two dimensions" in found.stderr
    assert list(rows(folder)[0])[3:] == ["w1", "w2", "w3", "w4", "bias"]


def test_separable_classes_have_no_optimum_and_that_is_said(mlhw: Mlhw, tmp_path: Path) -> None:
    printed, _ = run(
        *(mlhw, tmp_path, "lr-sweep", "--data", "iris", "--classes", "0,1", "--features", "0,2"),
        "--no-plots",
    )
    assert printed["summary"]["optimum"] is None
    assert printed["summary"]["critical_eta"] is None
    verdicts = {claim["id"]: claim["verdict"] for claim in printed["claims"]}
    assert printed["summary"]["separation"]["kind"] == "complete"
    assert verdicts["above-optimum"] == "holds"
    assert verdicts["monotone-below-2L"] == "holds"


def test_divergence_is_a_result_and_exits_0(mlhw: Mlhw, tmp_path: Path) -> None:
    printed, folder = run(mlhw, tmp_path, "lr-sweep", "--etas", "1e200,0.1")
    first, second = printed["summary"]["runs"]
    assert first["stopped"] == "diverged"
    assert second["iterations"] == 500
    assert len(rows(folder)) == first["iterations"] + 500


def test_a_file_of_ones_own_with_words_for_classes(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "length,label,width\n"
        + "".join(
            f"{1 + i % 5},{'cat' if i % 3 else 'dog'},{(i * 7) % 4 - (i % 3 > 0)}\n"
            for i in range(40)
        )
    )
    printed, _ = run(
        mlhw, tmp_path, "lr-sweep", "--data", "mine.csv", "--standardize", "--no-plots"
    )
    assert printed["summary"]["classes"] == ["cat", "dog"]
    assert printed["summary"]["features"] == ["length", "width"]
    assert len(printed["summary"]["scaling"]["mean"]) == 2


def test_a_rerun_on_changed_data_warns_with_both_digests(mlhw: Mlhw, tmp_path: Path) -> None:
    data = tmp_path / "p.csv"
    data.write_text("x,label\n1,0\n2,1\n3,0\n4,1\n")
    _, first = run(mlhw, tmp_path, "lr-sweep", "--data", "p.csv", "--no-plots")
    data.write_text("x,label\n1,0\n2,1\n3,0\n5,1\n")
    found = mlhw("lr-sweep", "-c", str(first / "config.yaml"), "-q", "--no-plots")
    assert found.returncode == 0
    (warning,) = found.stderr.splitlines()
    assert warning.startswith("warning: ")
    assert warning.count("sha256:") == 2


def test_the_courses_data_through_the_command(
    mlhw: Mlhw, tmp_path: Path, course_points: Path
) -> None:
    printed, _ = run(mlhw, tmp_path, "lr-sweep", "--data", str(course_points), "--no-plots")
    summary = printed["summary"]
    assert summary["optimum"]["nll"] == pytest.approx(0.23014649362, rel=1e-8)
    assert summary["optimum"]["w"] == pytest.approx(
        [2.075187044, -1.726598546, -12.463823358], rel=1e-8
    )
    by_eta = {entry["eta"]: entry for entry in summary["runs"]}
    assert (by_eta[0.5]["iterations"], by_eta[0.5]["increases"]) == (395, 197)
    assert by_eta[0.5]["nll"] == pytest.approx(0.2524446173, rel=1e-8)
    assert (by_eta[0.1]["iterations"], by_eta[0.1]["increases"]) == (500, 0)
    assert by_eta[0.1]["nll"] == pytest.approx(0.3613741837, rel=1e-8)
    assert summary["monotone_eta"] == pytest.approx(0.2013, abs=5e-5)
    assert summary["critical_eta"] == pytest.approx(0.7226, abs=5e-5)
    assert summary["local_eta_at_start"] == pytest.approx(0.227, abs=5e-4)
    assert all(claim["verdict"] != "fails" for claim in printed["claims"])


# ---------------------------------------------------------------- sgd-sweep


def test_sgd_sweep_records_and_logs_as_the_course_does(mlhw: Mlhw, tmp_path: Path) -> None:
    found = mlhw(
        "sgd-sweep", "--etas", "0.5,0.01", "--epochs", "120", "--repeats", "1", "--no-plots"
    )
    assert found.returncode == 0, found.stderr
    (folder,) = tmp_path.glob("runs/2*")
    table = rows(folder)
    assert list(table[0]) == ["eta", "repeat", "epoch", "nll_online", "nll", "w1", "w2", "bias"]
    assert len(table) == 240
    first = next(row for row in table if row["eta"] == "0.5" and row["epoch"] == "0")
    w = np.array([float(first[key]) for key in ("w1", "w2", "bias")])
    line = f"epoch 0, negative log-likelihood {float(first['nll_online']):.4f}, w={w}"
    log = (folder / "log.txt").read_text().splitlines()
    assert log[log.index("eta 0.5") + 1] == line
    assert sum(entry.startswith("epoch ") for entry in log) == 240
    on_screen = [entry for entry in found.stderr.splitlines() if entry.startswith("epoch ")]
    assert [entry.split(",")[0] for entry in on_screen] == 2 * ["epoch 0", "epoch 50", "epoch 100"]


def test_verbose_shows_every_epoch_and_repeats_log_only_the_first(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    found = mlhw(
        "sgd-sweep", "--etas", "0.1", "--epochs", "7", "--repeats", "3", "-v", "--no-plots"
    )
    assert found.returncode == 0, found.stderr
    assert sum(entry.startswith("epoch ") for entry in found.stderr.splitlines()) == 7
    (folder,) = tmp_path.glob("runs/2*")
    assert {row["repeat"] for row in rows(folder)} == {"0", "1", "2"}


def test_sgd_and_gd_are_compared_after_the_same_number_of_passes(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    options = ("--repeats", "3", "--epochs", "100", "--no-plots")
    printed, folder = run(mlhw, tmp_path, "sgd-sweep", *options)
    against = printed["summary"]["against_gd"]
    assert [(row["eta"], row["passes"]) for row in against[:3]] == [(0.5, 1), (0.5, 10), (0.5, 100)]
    assert len(against) == 15, "passes above epochs are left out"
    table = rows(folder)
    _, gd_folder = run(
        mlhw, tmp_path, "lr-sweep", "--tolerance", "0", "--max-iterations", "101", "--no-plots"
    )
    gd_rows = {(row["eta"], row["iteration"]): float(row["nll"]) for row in rows(gd_folder)}
    for row in against:
        mine = [
            float(entry["nll"])
            for entry in table
            if float(entry["eta"]) == row["eta"] and int(entry["epoch"]) == row["passes"] - 1
        ]
        assert len(mine) == 3
        assert row["sgd_nll"] == np.median(mine)
        expected = gd_rows[str(row["eta"]), str(row["passes"])]
        assert row["gd_nll"] == pytest.approx(expected, rel=1e-12)
        nlls = row["sgd_nll"], row["gd_nll"]
        winner = "sgd" if nlls[0] < nlls[1] else "gd"
        assert row["faster"] == ("equal" if len({f"{nll:.6g}" for nll in nlls}) == 1 else winner)


@pytest.mark.parametrize("name", ["lr-sweep", "sgd-sweep"])
def test_names_with_dollar_signs_are_drawn_as_they_are(
    mlhw: Mlhw, tmp_path: Path, name: str
) -> None:
    points = "a$_$,$\\frac$,label\n1,2,cheap\n2,3,$$\n1,1,cheap\n3,1,$$\n"
    (tmp_path / "prices.csv").write_text(points)
    _, folder = run(mlhw, tmp_path, name, "--data", str(tmp_path / "prices.csv"), "--etas", "0.1")
    assert (folder / "plots" / "separators.png").stat().st_size > 10_000
    assert "class $$ is t = 0" in (folder / "log.txt").read_text()
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("name", ["lr-sweep", "sgd-sweep"])
def test_numbers_too_large_or_too_small_to_square_are_refused(
    mlhw: Mlhw, tmp_path: Path, name: str
) -> None:
    for size, what in (("e200", "too large to work with"), ("e-300", "too small to work with")):
        lines = [f"{x}{size},{x % 2},{x % 3 % 2}" for x in range(1, 9)]
        (tmp_path / "p.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
        found = mlhw(name, "--data", str(tmp_path / "p.csv"))
        assert found.returncode == 2
        assert what in found.stderr
        assert found.stderr.count("\n") == 1
        found = mlhw(name, "--data", str(tmp_path / "p.csv"), "--standardize", "--no-plots", "-q")
        assert found.returncode == 0, found.stderr
    found = mlhw(name, "--w0=1e300,0,0")
    assert found.returncode == 2
    assert "w0: must be below 1e+100 in size" in found.stderr


def test_many_more_features_than_points_take_no_time(mlhw: Mlhw, tmp_path: Path) -> None:
    """The matrices are as large as the smaller dimension; with the larger one it is minutes."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.normal(size=(30, 4000)), y=np.arange(30) % 2)
    options = ("--etas", "0.1,0.01", "--max-iterations", "20", "--no-plots")
    printed, _ = run(mlhw, tmp_path, "lr-sweep", "--data", str(tmp_path / "wide.npz"), *options)
    assert printed["summary"]["optimum"] is None


def test_the_claims_of_sgd_sweep_hold_on_the_courses_data(
    mlhw: Mlhw, tmp_path: Path, course_points: Path
) -> None:
    printed, _ = run(mlhw, tmp_path, "sgd-sweep", "--data", str(course_points), "--no-plots")
    verdicts = {claim["id"]: claim["verdict"] for claim in printed["claims"]}
    assert verdicts.pop("separation-as-told") == "not applicable"  # the classes overlap
    assert set(verdicts.values()) == {"holds"}
