"""``mlhw grade --engine``: the same grades by workers, also where some of them are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.commands.marking import engine_grader, journal
from mlhw.commands.marking.engine_grader import PARTS
from mlhw.commands.marking.grader import ConfinedGrader
from mlhw.commands.marking.marked import ClassGrades
from mlhw.commands.marking.part import read_part, write_part
from mlhw.errors import DataError
from mlhw.grading.isolation.rungs import rung_in_words
from mlhw.grading.submissions.names import Owner
from mlhw.grading.submissions.submission import Submission
from tests.commands import dying_worker
from tests.commands.graded_class import HANGS, SIGN, Graded, hand_in, rows
from tests.conftest import PROGRAM, ROOT, mlhw_in
from tests.grading.handed_in import BATCHED, RIGHT

PREFIX = ("-q", "--no-plots", "--no-progress")


def but_seconds(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(run / "grades.csv")]


def nothing_left(run: Path) -> bool:
    return not [path.name for path in run.iterdir() if path.name.startswith(".")]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for runs; this process grades nobody."""

    def refuse(*_: object) -> None:
        raise AssertionError("graded by this process")

    monkeypatch.setattr(ConfinedGrader, "grade_all", refuse)
    monkeypatch.setenv("MLHW_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_workers_give_the_same_grades(done: Graded, elsewhere: Path) -> None:
    assert main(["grade", str(done.handed_in), "--engine", "local:2", *PREFIX]) == 0
    run = (elsewhere / "latest").resolve()
    assert but_seconds(run) == but_seconds(done.run)
    assert nothing_left(run)
    assert [path.name for path in elsewhere.iterdir() if path.name != "latest"] == [run.name]
    assert (
        json.loads((run / "result.json").read_text())["summary"]["isolation"]
        == (done.result["summary"]["isolation"])
    )


@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed (mlhw[slurm])")
@pytest.mark.slow
def test_jobs_of_slurms_give_the_same_grades(done: Graded, tmp_path: Path) -> None:
    engine = "slurm:local,at_once=2"
    (tmp_path / "right.py").write_text(BATCHED)
    words = ("grade", str(done.handed_in), "--engine", engine, "--reference", "right.py", *PREFIX)
    ran = mlhw_in(tmp_path)(*words)
    assert ran.returncode == 0, ran.stderr
    assert "4 claims hold" in ran.stdout
    run = (tmp_path / "runs/latest").resolve()
    assert f"2 parts, 2 at once by {engine}" in (run / "log.txt").read_text()
    assert but_seconds(run) == but_seconds(done.run)
    assert nothing_left(run)


@pytest.mark.slow
def test_workers_that_are_killed_cost_nobody_a_grade(
    done: Graded, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_grader, "WORKER", dying_worker.__name__)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Each worker is killed after the first grade of its own: in three tries at most three are graded, if
    # those before are not graded again.
    assert main(["grade", str(done.handed_in), "--engine", "local:2", *PREFIX]) == 0
    run = (elsewhere / "latest").resolve()
    assert but_seconds(run) == but_seconds(done.run)
    log = (run / "log.txt").read_text()
    assert log.count("was ended by SIGKILL; tried again, 2 of 3") == 2
    assert nothing_left(run)


@pytest.mark.slow
def test_a_part_that_nobody_can_grade_is_said(
    done: Graded,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engine_grader, "WORKER", dying_worker.__name__)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(dying_worker.AT_ONCE, "1")
    assert main(["grade", str(done.handed_in), "--engine", "local", *PREFIX]) == 1
    run = (elsewhere / "latest").resolve()
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert said == [
        "error: 5 submissions without a grade: the worker was ended by SIGKILL; "
        f"mlhw grade --resume {elsewhere / run.name} goes on"
    ]
    assert nothing_left(run)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("locl", "--engine: no engine 'locl', did you mean 'local'?"),
        ("local:none", "--engine local:none: must be local, or local:N with 1 to 1,024 workers"),
    ],
)
def test_an_engine_that_is_none_is_one_line(
    done: Graded, elsewhere: Path, capsys: pytest.CaptureFixture[str], engine: str, words: str
) -> None:
    assert main(["grade", str(done.handed_in), "--engine", engine, *PREFIX]) == 2
    assert capsys.readouterr().err == f"error: {words}\n"
    assert not elsewhere.exists()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_stops_the_workers_and_keeps_what_they_have_graded(
    tmp_path: Path, signum: signal.Signals
) -> None:
    handed_in = hand_in(tmp_path / "handed-in", {"a.py": SIGN, "z.py": HANGS})
    words = [str(PROGRAM), "grade", str(handed_in), "--engine", "local", *PREFIX]
    process = subprocess.Popen([*words, "--time-limit", "100"], cwd=tmp_path)

    def parts() -> list[Path]:
        return list((tmp_path / "runs").glob(f"2*/{PARTS}/0001"))

    try:
        until(lambda: bool(parts()) and len(journal.kept_grades(parts()[0])) == 1)
        (before,) = journal.kept_grades(parts()[0]).values()
        process.send_signal(signum)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    (run,) = (tmp_path / "runs").glob("2*")
    until(lambda: not workers_of(run))
    if signum == signal.SIGTERM:
        assert code == 143
        assert [row["student"] for row in rows(run / "grades.csv")] == ["a"]
        assert nothing_left(run)
        return
    (handed_in / "z.py").write_text(RIGHT)
    subprocess.run([str(PROGRAM), "grade", "--resume", run.name, *PREFIX], cwd=tmp_path, check=True)
    assert {row["student"]: row["verdict"] for row in rows(run / "grades.csv")} == {
        "a": "wrong",
        "z": "correct",
    }
    assert before.as_dict() in [one.as_dict() for one in journal.kept_grades(run).values()]
    log = (run / "log.txt").read_text()
    assert "1 submission graded by workers before" in log
    assert nothing_left(run)


def workers_of(run: Path) -> list[int]:
    """The processes that have the log of a part of this run open."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            files = [os.readlink(path) for path in Path("/proc", name, "fd").iterdir()]
        except OSError:
            continue
        if any(file.startswith(f"{run}/{PARTS}/") for file in files):
            found.append(int(name))
    return found


def test_a_part_is_read_as_it_was_written_without_names(tmp_path: Path) -> None:
    files = {"a b/\udc80.py": b"\x00\xff", "main.py": b"def backprop(): pass\n"}
    one = Submission("Anna", Owner("Anna", "12"), "anna", files, "main.py")
    write_part(tmp_path / "part", {"key": one})
    (file,) = (tmp_path / "part").iterdir()
    assert b"nna" not in file.read_bytes()
    found = read_part(tmp_path / "part")["key"]
    assert (found.files, found.main, found.digest) == (files, "main.py", one.digest)
    file.write_text('{"key": 1')
    with pytest.raises(DataError, match="is no submission of a part of a class"):
        read_part(tmp_path / "part")


def test_the_weakest_isolation_is_named_first() -> None:
    class Marked:
        def __init__(self, rung: str) -> None:
            self.graded = type("G", (), {"rung": rung})

    marked = [Marked(rung) for rung in ("bubblewrap", "uid", "", "limits")]
    e = ClassGrades([], marked, None, None)  # type: ignore[arg-type]
    assert e.rung == (
        f"{rung_in_words('limits')}; for some {rung_in_words('uid')} and "
        f"{rung_in_words('bubblewrap')}"
    )
    assert ClassGrades([], [], None, None).rung == "nothing was run"  # type: ignore[arg-type]
