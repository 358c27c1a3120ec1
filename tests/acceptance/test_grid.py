"""``mlhw grid`` as a user types it: one grid, and all that can be asked of it afterwards."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from mlhw.runs.history import Run, all_runs
from mlhw.system.digests import with_own_digest
from tests.conftest import Mlhw, mlhw_in
from tests.warm import PROGRAM

OVER = ("--over", "etas=[0.5],[0.05,0.01]", "--over", "epochs=2,6")
ASKED = ("sgd-sweep", *OVER, "--repeats", "2")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def here(home: Path) -> Mlhw:
    return mlhw_in(home)


@pytest.fixture(scope="module")
def done(here: Mlhw) -> subprocess.CompletedProcess[str]:
    found = here("grid", *ASKED, "--name", "first", "--engine", "local:1")
    assert found.returncode == 0, found.stderr
    return found


@pytest.fixture(scope="module")
def grid(home: Path, done: object) -> Run:
    return all_runs(home / "runs")[-1]


def records(grid: Run) -> dict[str, bytes]:
    return {run.name: (run.folder / "run.json").read_bytes() for run in grid.points}


def table(grid: Run) -> list[dict[str, str]]:
    with open(grid.folder / "grid.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_one_folder_a_point_one_row_and_one_report(
    grid: Run, done: subprocess.CompletedProcess[str]
) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-grid-sgd-sweep-first", grid.name)
    rows = table(grid)
    assert [row["point"] for row in rows] == [str(n) for n in range(1, 9)]
    assert list(rows[0])[:6] == ["point", "etas", "epochs", "repeat", "status", "exit_code"]
    assert "lowest NLL" in rows[0]
    assert [(r["etas"], r["epochs"], r["repeat"]) for r in rows[:4]] == [
        ("[0.5]", "2", "0"), ("[0.5]", "2", "1"), ("[0.5]", "6", "0"), ("[0.5]", "6", "1"),
    ]  # fmt: skip
    assert {run.name for run in grid.points} == {f"{n:04}" for n in range(1, 9)}
    for row, run in zip(rows, grid.points, strict=True):
        assert run.status == row["status"] == "finished"
        assert run.config["epochs"] == int(row["epochs"])
        assert run.config["seed"] == int(row["repeat"])
        assert float(row["lowest NLL"]) == run.headlines()["lowest NLL"]
    assert len(grid.table("attempts")) == 8
    assert (grid.folder / "plots" / "grid.png").stat().st_size > 5000
    page = (grid.folder / "report.html").read_text()
    assert "lowest NLL over etas and epochs" in page
    assert "8 of 8 points finished" in page
    assert not (grid.folder / "points" / "latest").is_symlink()
    for said in ("8 of 8 points finished", "not called the best", "report: "):
        assert said in done.stdout
    assert "point 8 of 8, etas [0.05, 0.01], epochs 6, repeat 1: finished" in done.stderr


def test_a_grid_that_has_finished_runs_nothing_again(here: Mlhw, grid: Run) -> None:
    # Of another version, which says nothing against its numbers.
    path = grid.folder / "points" / "0005" / "run.json"
    ours = path.read_text()
    path.write_text(
        json.dumps(with_own_digest(json.loads(ours.replace('"mlhw": "', '"mlhw": "0.0.'))))
    )
    before, numbers = records(grid), (grid.folder / "grid.csv").read_bytes()
    found = here("grid", "--resume", "latest", "--by", "lowest-nll:max", "--no-plots")
    assert found.returncode == 0, found.stderr
    assert "warning: point 5 was run by mlhw 0.0." in found.stderr
    assert "8 finished before, 0 to run" in found.stderr
    assert "higher is better" in found.stdout
    assert records(grid) == before
    assert (grid.folder / "grid.csv").read_bytes() == numbers
    path.write_text(ours)


def test_chosen_rows_are_run_again(here: Mlhw, grid: Run) -> None:
    before, numbers = records(grid), (grid.folder / "grid.csv").read_bytes()
    chosen = ("--where", "etas=[0.5]", "--where", "repeat=0,1", "--where", "epochs=2")
    found = here("grid", "--resume", str(grid.folder), *chosen, "--no-plots", "--quiet")
    assert found.returncode == 0, found.stderr
    after = records(grid)
    assert {name for name in before if before[name] != after[name]} == {"0001", "0002"}
    assert (grid.folder / "grid.csv").read_bytes() == numbers


def test_what_would_be_run_is_listed_and_timed(here: Mlhw, home: Path, grid: Run) -> None:
    found = here("grid", *ASKED, "--dry-run")
    assert found.returncode == 0, found.stderr
    assert len(re.findall(r"^\d+ +\[", found.stdout, re.M)) == 8
    assert "8 points to run" in found.stdout
    # Nothing in runs/ tells: points count as runs of their grid alone.
    assert "no finished run of sgd-sweep in" in found.stdout
    resumed = here("grid", "--resume", str(grid.folder), "--dry-run", "--json")
    told = json.loads(resumed.stdout)
    assert told["points"] == []
    assert told["seconds_of_one"] > 0
    assert len(all_runs(home / "runs")) == 1


def test_mlhw_runs_knows_grids(here: Mlhw, grid: Run) -> None:
    (listed,) = json.loads(here("runs", "list", "--json").stdout)
    assert listed["experiment"] == "grid"
    assert listed["headlines"]["points finished"] == "8 of 8"
    shown = here("runs", "show", "grid").stdout
    assert "and 8 run folders in points/" in shown
    assert "points/0001/metrics.csv" not in shown
    point = here("runs", "show", str(grid.folder / "points" / "0001"))
    assert "experiment  sgd-sweep" in re.sub(" {2,}", "  ", point.stdout)
    verified = here("runs", "verify", "grid")
    assert verified.returncode == 0, verified.stdout
    assert "8 points of 8 with nothing but whole files" in verified.stdout
    config = yaml.safe_load(
        here("grid", "-c", str(grid.folder / "config.yaml"), "--print-config").stdout
    )
    assert config["experiment"] == "sgd-sweep"


def test_a_changed_point_is_found_and_run_again(here: Mlhw, grid: Run) -> None:
    numbers = (grid.folder / "grid.csv").read_bytes()
    broken = grid.folder / "points" / "0004" / "result.json"
    broken.write_text("{")
    assert here("runs", "verify", "grid").returncode == 1
    found = here("grid", "--resume", "grid", "--no-plots")
    assert "7 finished before, 1 to run" in found.stderr
    assert (grid.folder / "grid.csv").read_bytes() == numbers
    assert here("runs", "verify", "grid").returncode == 0


def test_the_same_numbers_come_out_when_it_is_run_again(here: Mlhw, grid: Run, home: Path) -> None:
    again = ("--runs-dir", str(home / "rerun"), "--no-plots")
    found = here("runs", "rerun", str(grid.folder / "points" / "0008"), *again)
    assert "identical: every number of 0008 came out again" in found.stdout
    found = here("runs", "rerun", str(grid.folder), *again)  # as mlhw grid -c GRID/config.yaml
    assert f"identical: every number of {grid.name} came out again" in found.stdout
    assert found.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "grid: which experiment?"),
        (("lr-sweep",), "give a key and its values: --over KEY=VALUES"),
        (("lrsweep", "--over", "etas=[1]"), "no experiment 'lrsweep', did you mean 'lr-sweep'?"),
        (("lr-sweep", "--over", "lr=1"), "unknown key 'lr', did you mean 'etas'?"),
        (("lr-sweep", "--over", "etas"), "must be KEY=VALUES"),
        (("lr-sweep", "--over", "etas=[1"), "--over"),
        (("lr-sweep", "--over", "max_iterations=1", "--engine", "lokal"), "no engine 'lokal', did you mean"),
        (("lr-sweep", "--over", "max_iterations=1", "--engine", "local:0"), "local:N with 1 to"),
        (("lr-sweep", "--over", "max_iterations=1", "--data", "none.csv"), "none.csv: no such file"),
        (("lr-sweep", "--over", "max_iterations=1", "--where", "point=1"), "give --resume GRID"),
        (("lr-sweep", "--resume", "grid"), "leave COMMAND out"),
        (("--resume", "grid", "--repeats", "2"), "leave --repeats out"),
        (("--resume", "grid", "--where", "epoch=2"), "no column 'epoch', did you mean 'epochs'?"),
        (("--resume", "nothing"), "no run 'nothing'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    here: Mlhw, home: Path, grid: Run, arguments: tuple[str, ...], said: str
) -> None:
    before = sorted((home / "runs").iterdir())
    found = here("grid", *arguments)
    assert found.returncode == 2, found.stderr
    assert said in found.stderr
    assert all(line.startswith("error: ") for line in found.stderr.splitlines())
    assert found.stdout == ""
    assert sorted((home / "runs").iterdir()) == before


def test_a_number_that_no_point_has_loses_nothing(here: Mlhw, grid: Run) -> None:
    found = here("grid", "--resume", "grid", "--by", "nothing:min", "--no-plots")
    assert found.returncode == 2
    assert "--by nothing: no point has a headline number of this name" in found.stderr
    assert len(table(grid)) == 8


def test_a_signal_keeps_what_has_finished_and_another_number_of_workers_gives_the_same_table(
    here: Mlhw, home: Path, grid: Run
) -> None:
    runs = home / "stopped"
    command = [str(PROGRAM), "grid", *ASKED, "--runs-dir", str(runs), "--engine", "local:2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        first = process.stderr.readline()  # one has finished
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "finished" in first
    assert process.returncode == 130
    assert "error: interrupted by Ctrl-C" in err
    assert "Traceback" not in err
    assert "points finished" in out
    (stopped,) = all_runs(runs)
    assert stopped.status == "interrupted"
    rows = table(stopped)
    assert "finished" in {row["status"] for row in rows}
    assert {row["status"] for row in rows} <= {"finished", "interrupted"}
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    found = here("grid", "--resume", str(stopped.folder), "--no-plots", "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert (told["status"], told["exit_code"], told["run"]) == ("finished", 0, str(stopped.folder))
    assert told["summary"]["finished"] == 8
    assert told["summary"]["by"] == {"name": "lowest NLL", "better": "min"}
    assert (stopped.folder / "grid.csv").read_bytes() == (grid.folder / "grid.csv").read_bytes()
    assert len(stopped.points) == 8


def workers_of(pid: int) -> list[int]:
    time.sleep(0.1)
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return [one for one in found if os.path.exists(f"/proc/{one}")]
