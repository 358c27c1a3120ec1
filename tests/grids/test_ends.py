"""However a point ends it is a row, and only a worker that died is tried again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.grids.engines import local
from mlhw.grids.tasks import PointTask
from mlhw.grids.work import installed_version, work
from mlhw.runs.history import Run, all_runs
from tests.grids import odd_worker
from tests.grids.odd_worker import ENDS

DEPTHS = ",".join(str(4 + i) for i in range(len(ENDS)))


@dataclass
class Ran:
    code: int
    grid: Run
    out: str

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        """The rows of ``grid.csv`` by how their points were to end."""
        return {ENDS[int(row["point"]) - 1]: row for row in self.grid.table("grid")}

    @property
    def tries(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self.grid.table("attempts"):
            found.setdefault(ENDS[int(row["point"]) - 1], []).append(row["status"])
        return found


def run_odd(folder: Path, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLHW_RUNS_DIR", str(folder / "runs"))
        patch.setattr(local, "PROGRAM", (sys.executable, "-m", odd_worker.__name__))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        return main(["grid", *arguments])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("odd")
    code = run_odd(
        folder, "vanishing", "--over", f"depth={DEPTHS}", "--timeout", "2", "--engine", "local:4"
    )
    (grid,) = all_runs(folder / "runs")
    return Ran(code, grid, (grid.folder / "log.txt").read_text())


def test_every_end_is_a_row(ran: Ran) -> None:
    assert {end: (row["status"], row["exit_code"]) for end, row in ran.rows.items()} == {
        "finished": ("finished", "0"),
        "claim fails": ("finished", "3"),
        "crash": ("failed", "1"),
        "memory": ("failed", "1"),
        "diverges": ("failed", "1"),
        "killed": ("killed", ""),
        "dies once": ("finished", "0"),
        "too long": ("timeout", ""),
        "too long and deaf": ("timeout", ""),
    }


def test_only_a_worker_that_died_is_tried_again_and_twice(ran: Ran) -> None:
    assert ran.tries == {
        "finished": ["finished"],
        "claim fails": ["finished"],
        "crash": ["failed"],
        "memory": ["failed"],
        "diverges": ["failed"],
        "killed": ["died", "died", "died"],
        "dies once": ["died", "finished"],
        "too long": ["timeout"],
        "too long and deaf": ["timeout"],
    }


def test_the_worst_of_all_is_the_exit_code_and_the_reasons_are_told(ran: Ran) -> None:
    assert ran.code == 1
    assert ran.grid.record["exit_code"] == 1
    for reason in ("ValueError: no such thing", "out of memory", "the loss is NaN", "SIGKILL",
                   "SIGABRT; tried again, 2 of 3", "not finished within 2 s (--timeout)"):  # fmt: skip
        assert reason in ran.out


def test_an_attempt_that_died_is_counted_and_not_kept(ran: Ran) -> None:
    folders = sorted(p.name for p in (ran.grid.folder / "points").iterdir() if p.is_dir())
    assert folders == [f"{number:04}" for number in range(1, len(ENDS) + 1)]
    again = Run(ran.grid.folder / "points" / f"{1 + ENDS.index('dies once'):04}", {})
    assert again.table("gradients") == [{"layer": "2"}]


def test_columns_hold_nothing_that_differs_from_machine_to_machine(ran: Ran) -> None:
    columns = list(ran.rows["finished"])
    assert columns[:5] == ["point", "depth", "repeat", "status", "exit_code"]
    assert all("decades" in name or "zero" in name for name in columns[5:])
    assert list(ran.grid.table("attempts")[0])[5:] == ["started", "seconds", "host", "worker"]


def test_what_did_not_finish_is_run_again_and_nothing_else(ran: Ran) -> None:
    points = ran.grid.folder / "points"

    def seen() -> set[str]:
        return {path.name for path in points.glob(".*.seen")}

    before = seen()
    code = run_odd(ran.grid.folder.parent, "--resume", str(ran.grid.folder), "--retries", "0")
    assert code == 1
    ran_again = {int(name.split(".")[1]) for name in seen() - before}
    finished = {1 + ENDS.index(end) for end in ("finished", "claim fails", "dies once")}
    assert ran_again == set(range(1, len(ENDS) + 1)) - finished
    again = Ran(code, Run(ran.grid.folder, {}), "")
    assert again.tries["killed"] == ["died"] * 4


def test_fail_fast_stops_at_the_first_failure(tmp_path: Path, capsys) -> None:
    arguments = ("--over", f"depth={DEPTHS}", "--engine", "local:1", "--fail-fast", "--no-plots")
    assert run_odd(tmp_path, "vanishing", *arguments) == 1
    (grid,) = all_runs(tmp_path / "runs")
    statuses = [row["status"] for row in grid.table("grid")]
    assert statuses[:3] == ["finished", "finished", "failed"]
    # The next was begun when that was heard, and may have come to its own end.
    assert statuses[3:] in ([], ["interrupted"], ["failed"])
    assert grid.status == "failed"
    said = capsys.readouterr()
    assert "point 3 is failed and --fail-fast stops there" in said.err
    assert f"mlhw grid --resume {grid.folder}" in said.err
    assert f"2 of 9 points finished; {statuses.count('failed')} failed" in said.out


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., PointTask]:
    def make(**changes: object) -> PointTask:
        plain = {
            "point": 1, "attempt": 1, "experiment": "lr-sweep", "identity": "a" * 64,
            "config": {"max_iterations": 3, "etas": [0.1]}, "folder": str(tmp_path / "points" / "0001"),
            "version": installed_version(), "options": {"plots": False},
        }  # fmt: skip
        return PointTask(**{**plain, **changes})  # type: ignore[arg-type]

    return make


def test_a_finished_point_is_never_run_again(task: Callable[..., PointTask]) -> None:
    first = work(task())
    assert (first.status, first.exit_code) == ("finished", 0)
    record = Path(task().folder, "run.json").read_bytes()
    assert work(task()).status == "finished"
    assert Path(task().folder, "run.json").read_bytes() == record
    # Another identity is another point.
    assert work(task(identity="b" * 64)).status == "finished"
    assert Path(task().folder, "run.json").read_bytes() != record


def test_a_worker_with_another_version_refuses(task: Callable[..., PointTask]) -> None:
    end = work(task(version="0.0.1"))
    assert (end.status, end.exit_code) == ("failed", 2)
    assert (
        end.reason
        == f"this worker has mlhw {installed_version()}, the grid 0.0.1; install the same"
    )
    assert not Path(task().folder).exists()


def test_a_configuration_that_cannot_be_used_leaves_no_folder(
    task: Callable[..., PointTask],
) -> None:
    end = work(task(config={"etas": [-1]}))
    assert (end.status, end.exit_code) == ("failed", 2)
    assert "must be greater than 0" in str(end.reason)
    assert not Path(task().folder).exists()


def test_work_prints_nothing_and_says_how_a_person_runs_the_point(
    task: Callable[..., PointTask], capsys
) -> None:
    assert work(task()).status == "finished"
    said = capsys.readouterr()
    assert said.out == said.err == ""
    command = Run(Path(task().folder), {}).folder / "config.yaml"
    assert f"mlhw lr-sweep --config {command}" in Path(task().folder, "run.json").read_text()
