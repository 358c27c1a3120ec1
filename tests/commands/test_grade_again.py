"""A grading that goes on: nothing is graded twice, nothing that a teacher entered is lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.commands.marking import journal
from mlhw.commands.marking.cells import plain_cell
from tests.commands.graded_class import (
    HANGS,
    NO_SLOPE,
    SIGN,
    Graded,
    by_student,
    hand_in,
    rows,
)
from tests.conftest import PROGRAM
from tests.grading.handed_in import RIGHT


@pytest.fixture
def again(done: Graded, tmp_path: Path) -> Path:
    """A copy of the graded class, to be graded again: the run, whose submissions lie beside it."""
    shutil.copytree(done.run, tmp_path / "runs" / done.run.name)
    shutil.copytree(done.handed_in, tmp_path / "handed-in")
    return tmp_path / "runs" / done.run.name


def resume(run: Path, *more: str) -> int:
    where = ["--runs-dir", str(run.parent), "-q", "--no-plots"]
    return main(
        ["grade", str(run.parent.parent / "handed-in"), "--resume", run.name, *where, *more]
    )


def test_only_what_has_changed_is_graded_again(
    again: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_in = again.parent.parent / "handed-in"
    hand_in(handed_in, {"ben.py": RIGHT, "late.py": NO_SLOPE})
    (handed_in / "=1+1.py").unlink()
    before = by_student(again)
    assert resume(again) == 0
    assert "3 have not changed and were not graded again" in capsys.readouterr().out
    assert not rows(again / "alike.csv"), "nobody is like another any more"
    after = by_student(again)
    assert set(after) == {"anna", "ben", "<b>carl", "dora", "late"}
    assert after["anna"] == before["anna"], "to the second"
    assert after["ben"]["verdict"] == "correct"
    assert not (again / "feedback/1_1.html").exists(), "feedback of nobody"
    # With other settings a grade is another one.
    assert len(journal.kept_grades(again)) == 5


def test_more_time_is_for_those_that_timed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = f"import time\n{RIGHT}".replace("W1, W2, W3", "time.sleep(0.06)\n    W1, W2, W3")
    hand_in(tmp_path / "handed-in", {"slow.py": slow, "wrong.py": SIGN})
    words = ["grade", str(tmp_path / "handed-in"), "-q", "--no-plots"]
    words += ["--runs-dir", str(tmp_path / "runs")]
    assert main([*words, "--time-limit", "0.7"]) == 0
    run = (tmp_path / "runs/latest").resolve()
    assert by_student(run)["slow"]["verdict"] == "timeout"
    assert resume(run, "--time-limit", "0.5") == 0
    assert by_student(run)["slow"]["verdict"] == "timeout"
    assert "2 have not changed" in capsys.readouterr().out
    assert resume(run, "--time-limit", "60") == 0
    assert by_student(run)["slow"]["verdict"] == "correct"
    assert "1 have not changed" in capsys.readouterr().out


def test_points_changed_by_hand_are_kept(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (again / "overrides.csv").read_text() == "student,points,reason\n"
    by_hand = "student;points;reason\nben;9,5;a <good> try\n'=1+1;0;copied\n"
    (again / "overrides.csv").write_text(by_hand)
    assert resume(again) == 0
    assert (again / "overrides.csv").read_text() == by_hand
    after = by_student(again)
    assert (after["ben"]["score"], after["ben"]["by_rubric"]) == ("9.5", "7.75")
    assert after["=1+1"]["score"] == "0.0"
    page = (again / "feedback/ben.html").read_text(encoding="utf-8")
    assert "changed by hand from 7.75: a &lt;good&gt; try" in page
    assert json.loads((again / "gradescope/ben/results.json").read_text())["score"] == 9.5
    (again / "overrides.csv").write_text("student,points\nbenn,1\nanna,x\nben,1\nben,2\n")
    assert resume(again) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("overrides.csv:")[2] for line in lines] == [
        "2: student: nobody is called 'benn', did you mean 'ben'?",
        "3: points: must be a number of at least 0 (got 'x')",
        "5: student: 'ben' has a row already",
    ]
    assert by_student(again) == after, "nothing is lost"
    (again / "overrides.csv").write_text(
        'student,points,reason\nben,10,"two\nlines"\nanna,99,x\ndora,\uff19,x\n', "utf-8"
    )
    assert resume(again) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("overrides.csv:")[2] for line in lines] == [
        "4: points: must be at most 10, the rubric's total (got '99')",
        "5: points: must be a number of at least 0 (got '\uff19')",
    ]
    (again / "overrides.csv").write_text('student,points\nben,2\n"anna,1\ndora,1\n')
    assert resume(again) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('overrides.csv:3: a quote (") is opened and not closed; take it out')


def test_a_torn_or_changed_line_of_the_journal_is_graded_anew(again: Path) -> None:
    path = again / "graded.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace('"wrong"', '"correct"', 1).replace('"error"', '"correct"', 1)
    lines[1] = lines[1][:40]
    path.write_text("\n".join([*lines, "{}", "[1]", "null"]))
    assert len(journal.kept_grades(again)) in (3, 4)
    before = {name: row["verdict"] for name, row in by_student(again).items()}
    assert resume(again) == 0
    assert {name: row["verdict"] for name, row in by_student(again).items()} == before


def test_two_gradings_are_compared_student_by_student(
    again: Path, done: Graded, capsys: pytest.CaptureFixture[str]
) -> None:
    (again / "overrides.csv").write_text("student,points\nben,2\n")
    assert resume(again) == 0
    capsys.readouterr()
    assert main(["runs", "compare", str(done.run), str(again), "--json", "--no-plots"]) == 0
    found = json.loads(capsys.readouterr().out)["grades"]
    assert list(found) == ["ben"]
    assert list(found["ben"].values()) == [
        "7.75, wrong (missing_derivative)",
        "2.0, wrong (missing_derivative)",
    ]


def test_feedback_under_codes_names_nobody(again: Path) -> None:
    assert resume(again, "--anonymous") == 0
    codes = {plain_cell(row["student"]): row["code"] for row in rows(again / "names.csv")}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in again.glob("feedback/*")}
    assert set(codes.values()) == set(pages)
    assert not [name for name in ("anna", "ben", "dora") if any(name in p for p in pages.values())]
    (again.parent.parent / "handed-in" / "late.py").write_text(RIGHT)
    assert resume(again, "--anonymous") == 0
    later = {plain_cell(row["student"]): row["code"] for row in rows(again / "names.csv")}
    assert later.items() > codes.items(), "a code stays whose it is"


@pytest.mark.slow
def test_a_killed_grading_goes_on_and_grades_nothing_twice(tmp_path: Path) -> None:
    quick = {f"s{n}.py": SIGN for n in range(4)}
    handed_in = hand_in(tmp_path / "handed-in", quick | {"z.py": HANGS})
    arguments = [PROGRAM, "grade", str(handed_in), "--jobs", "1", "-q", "--no-plots"]
    process = subprocess.Popen([*arguments, "--time-limit", "60"], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            runs = list((tmp_path / "runs").glob("2*"))
            if runs and len(journal.kept_grades(runs[0])) == 4:
                break
            time.sleep(0.1)
        (run,) = (tmp_path / "runs").glob("2*")
        assert len(journal.kept_grades(run)) == 4
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    (handed_in / "z.py").write_text(RIGHT)
    done = subprocess.run(
        [PROGRAM, "grade", "--resume", run.name, "-q", "--no-plots"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "4 have not changed" in done.stdout
    assert {row["verdict"] for row in rows(run / "grades.csv")} == {"wrong", "correct"}


@pytest.mark.slow
def test_an_interrupted_grading_has_what_it_has(tmp_path: Path) -> None:
    handed_in = hand_in(tmp_path / "handed-in", {"a.py": SIGN, "z.py": HANGS})
    words = [PROGRAM, "grade", str(handed_in), "--jobs", "1", "-q", "--no-plots"]
    process = subprocess.Popen(
        [*words, "--time-limit", "100"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            runs = list((tmp_path / "runs").glob("2*"))
            if runs and journal.kept_grades(runs[0]):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    (run,) = (tmp_path / "runs").glob("2*")
    assert process.returncode == 143
    assert error.splitlines()[0] == "error: interrupted by SIGTERM"
    assert [row["student"] for row in rows(run / "grades.csv")] == ["a"]
    assert (run / "feedback/a.html").exists()
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
