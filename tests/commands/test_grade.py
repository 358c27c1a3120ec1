"""``mlhw grade``: a folder of submissions in, grades and feedback out."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mlhw.commands.main import main
from mlhw.commands.marking import journal
from mlhw.commands.marking.cells import cell_text, safe_cell
from mlhw.grading.isolation.rungs import RUNGS, rung_in_words, why_no_rung
from tests.conftest import PROGRAM
from tests.grading.handed_in import BATCHED, RIGHT, changed

SIGN = changed(("a4 - t", "t - a4"))
NO_SLOPE = changed(("d3 = dh(a3) *", "d3 ="))
HANGS = "def backprop(w, x, t):\n    while True: pass\n"
CLASS = {
    "anna_11_assignsubmission_file_/backprop.py": BATCHED,
    "ben.py": NO_SLOPE,
    "<b>carl/hw.py": SIGN,
    "=1+1.py": SIGN,
    "dora.py": "def backprop(w, x, t):\n    raise ValueError('<script>alert(1)</script> =1')\n",
}


def hand_in(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_student(run: Path) -> dict[str, dict[str, str]]:
    return {cell_text(row["student"]): row for row in rows(run / "grades.csv")}


class Graded:
    """A class that is graded once for all tests that look at it."""

    def __init__(self, folder: Path) -> None:
        self.handed_in = hand_in(folder / "handed-in", CLASS)
        self.junit = folder / "claims.xml"
        self.runs = folder / "runs"
        arguments = ["grade", str(self.handed_in), "-q", "--jobs", "2", "--junit", str(self.junit)]
        self.code = main([*arguments, "--runs-dir", str(self.runs)])
        self.run = (self.runs / "latest").resolve()
        self.result: dict[str, Any] = json.loads((self.run / "result.json").read_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return Graded(tmp_path_factory.mktemp("class"))


def test_everybody_has_a_grade_and_a_wrong_one_is_no_failure(done: Graded) -> None:
    assert done.code == 0
    found = {name: (row["verdict"], row["codes"]) for name, row in by_student(done.run).items()}
    assert found == {
        "anna": ("correct", ""),
        "ben": ("wrong", "missing_derivative"),
        "<b>carl": ("wrong", "sign"),
        "=1+1": ("wrong", "sign"),
        "dora": ("error", ""),
    }
    header = list(rows(done.run / "grades.csv")[0])
    assert header[:6] == ["student", "score", "verdict", "codes", "first_wrong_layer", "seconds"]
    assert [row["score"] for row in by_student(done.run).values()].count("0.0") == 1
    assert by_student(done.run)["ben"]["first_wrong_layer"] == "2"
    verdicts = {claim["id"]: claim["verdict"] for claim in done.result["claims"]}
    assert verdicts.pop("reference") == "not applicable"
    assert {*verdicts.values()} == {"holds"}
    assert done.result["summary"]["verdicts"] == {
        "correct": 1,
        "wrong": 3,
        "error": 1,
        "timeout": 0,
    }


def test_no_cell_is_a_formula_and_no_name_is_markup(done: Graded) -> None:
    for table in done.run.glob("*.csv"):
        for row in rows(table):
            for cell in row.values():
                assert not cell.startswith(("=", "+", "@", "\t")), table
    for page in [*done.run.glob("feedback/*.html"), done.run / "report.html"]:
        text = page.read_text(encoding="utf-8")
        assert "<b>carl" not in text, page
        assert "<script>alert" not in text, page
    assert "&lt;b&gt;carl" in (done.run / "report.html").read_text(encoding="utf-8")
    for page in done.run.glob("feedback/*.md"):
        assert "<b>carl" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@x", "\t=1", "'=1", "plain", "", "'"])
def test_a_cell_is_read_as_it_was_written(name: str) -> None:
    assert cell_text(safe_cell(name)) == name
    assert not safe_cell(name).startswith(("=", "+", "-", "@", "\t"))


def test_feedback_says_what_is_right_and_wrong_and_works_one_entry_through(done: Graded) -> None:
    text = (done.run / "feedback/ben.md").read_text(encoding="utf-8")
    for part in (
        "**7.75 of 10**",
        "## What is right\n\n- `dE/dW^(3)`",
        "## What is wrong",
        "`missing_derivative`",
        "## One entry by hand: `dE/dw_11^(2)`",
        "δ_j^(3) = h'(a_j^(3)) Σ_k w_kj^(3) δ_k^(4)",
    ):
        assert part in text, part
    page = (done.run / "feedback/ben.html").read_text(encoding="utf-8")
    assert "ben: <strong>7.75 of 10</strong>" in page
    assert "<i>∂E/∂w</i><sub>11</sub><sup>(2)</sup>" in page
    assert page.count("<math") == 3
    assert "anna" not in page
    right = (done.run / "feedback/anna.md").read_text(encoding="utf-8")
    assert "**10 of 10**" in right
    assert "Yours:" not in right


def test_the_class_report_has_mistakes_clusters_and_failures(done: Graded) -> None:
    assert rows(done.run / "mistakes.csv")[0] | {"who": ""} == {
        "code": "sign",
        "students": "2",
        "who": "",
    }
    (cluster,) = rows(done.run / "alike.csv")
    assert (cluster["students"], cluster["last_bit"]) == ("2", "yes")
    (failed,) = rows(done.run / "failed.csv")
    assert failed["student"] == "dora"
    assert len(rows(done.run / "slowest.csv")) == 5
    page = (done.run / "report.html").read_text(encoding="utf-8")
    for words in (
        "Which mistakes how often",
        "alike.csv",
        "failed.csv",
        "slowest.csv",
        "reasons.csv",
    ):
        assert words in page
    assert sorted(path.stem for path in done.run.glob("plots/*.svg")) == ["mistakes", "scores"]


def test_gradescope_and_junit_have_everybody(done: Graded) -> None:
    results = json.loads((done.run / "gradescope/ben/results.json").read_text())
    assert results["score"] == 7.75
    assert results["output_format"] == "md"
    assert sum(test["score"] for test in results["tests"]) == pytest.approx(7.75)
    assert {test["status"] for test in results["tests"]} == {"passed", "failed"}
    assert {"name", "score", "max_score", "output", "visibility"} <= {*results["tests"][0]}
    suites = ElementTree.parse(done.junit).getroot()
    assert {suite.get("name") for suite in suites} == {"anna", "ben", "<b>carl", "=1+1", "dora"}
    counts = {s.get("name"): (s.get("failures"), s.get("errors")) for s in suites}
    assert counts["anna"] == ("0", "0")
    assert counts["ben"] == ("2", "0")
    assert counts["dora"] == ("0", "1")


def test_moodles_feedback_is_a_zip_by_moodles_folder(done: Graded) -> None:
    with zipfile.ZipFile(done.run / "moodle-feedback.zip") as archive:
        assert archive.namelist() == ["anna_11_assignsubmission_file_/feedback.html"]


def test_the_run_is_a_run_like_any_other(done: Graded, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs-dir", str(done.runs)]
    assert main(["runs", "list", *where]) == 0
    assert "mean score" in capsys.readouterr().out
    assert main(["runs", "verify", "grade", *where]) == 0
    assert main(["runs", "show", "grade", *where]) == 0
    assert "everybody who handed something in" in capsys.readouterr().out
    assert main(["runs", "rerun", "grade", *where]) == 2
    assert "mlhw runs compare says what differs" in capsys.readouterr().err
    saved = done.run / "config.yaml"
    assert main(["grade", "-c", str(saved), "--print-config"]) == 0
    assert capsys.readouterr().out == saved.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------- again


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
    hand_in(handed_in, {"ben.py": RIGHT, "late.py": SIGN})
    (handed_in / "=1+1.py").unlink()
    before = by_student(again)
    assert resume(again) == 0
    assert "3 have not changed and were not graded again" in capsys.readouterr().out
    after = by_student(again)
    assert set(after) == {"anna", "ben", "<b>carl", "dora", "late"}
    assert after["anna"] == before["anna"], "to the second"
    assert after["ben"]["verdict"] == "correct"
    assert not (again / "feedback/1_1.html").exists(), "feedback of nobody"
    # With other settings a grade is another one.
    assert len(journal.kept_grades(again)) == 5


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
    codes = {cell_text(row["student"]): row["code"] for row in rows(again / "names.csv")}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in again.glob("feedback/*")}
    assert set(codes.values()) == set(pages)
    assert not [name for name in ("anna", "ben", "dora") if any(name in p for p in pages.values())]
    (again.parent.parent / "handed-in" / "late.py").write_text(RIGHT)
    assert resume(again, "--anonymous") == 0
    later = {cell_text(row["student"]): row["code"] for row in rows(again / "names.csv")}
    assert later.items() > codes.items(), "a code stays whose it is"


# ------------------------------------------------------------------------------------- one student


def test_a_student_by_name_with_rubric_reference_and_worksheet(
    done: Graded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = (
        "\ufeffIdentifier,Full name,Grade,Maximum grade,Last modified (grade),Feedback comments\r\n"
        "Participant 11,anna,,20,-,\r\nParticipant 12,zoe,,20,-,\r\n"
    )
    (tmp_path / "sheet.csv").write_text(sheet)
    (tmp_path / "points.yaml").write_text("out_of: 20\n")
    (tmp_path / "right.py").write_text(BATCHED)
    options = ["--rubric", "points.yaml", "--reference", "right.py", "--worksheet", "sheet.csv"]
    options = [str(tmp_path / o) if "." in o else o for o in options]
    where = ["-q", "--no-plots", "--runs-dir", str(tmp_path / "runs")]
    assert main(["grade", str(done.handed_in), "--only", "anna", *options, *where]) == 0
    run = (tmp_path / "runs/latest").resolve()
    filled = (run / "moodle.csv").read_text(encoding="utf-8-sig")
    anna, zoe = list(csv.DictReader(filled.splitlines()))
    assert (anna["Grade"], zoe["Grade"], zoe["Full name"]) == ("20", "", "zoe")
    assert anna["Feedback comments"].startswith("correct: right in all")
    claims = json.loads((run / "result.json").read_text())["claims"]
    assert {claim["verdict"] for claim in claims} == {"holds"}
    capsys.readouterr()

    (tmp_path / "right.py").write_text(SIGN)
    assert main(["grade", str(done.handed_in), *options, *where]) == 2
    error = capsys.readouterr().err
    assert "right.py: gets 15 of 20 points" in error
    assert "nobody was graded" in error
    (tmp_path / "points.yaml").write_text("out_of: 10\n")
    assert main(["grade", str(done.handed_in), *options, *where]) == 2
    assert "write out_of: 20 into the rubric" in capsys.readouterr().err
    assert len(list((tmp_path / "runs").glob("2*"))) == 1, "no folder of a run that did not begin"


def test_wrong_input_is_one_line_and_exit_code_2(
    done: Graded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    (tmp_path / "no.yaml").write_text("deduct: {sgn: 1}\n")
    folder = str(done.handed_in)
    for arguments, words in {
        (): "SUBMISSIONS: give the folder of a class",
        (folder, "--rubric", "nosuch.yaml"): "no such file",
        (folder, "--rubric", f"{tmp_path}/no.yaml"): "there is no code sgn",
        (folder, "--overrides", f"{tmp_path}/no.csv"): "no column points and student",
        (folder, "--worksheet", f"{tmp_path}/no.csv"): "no column Identifier",
        (folder, "--only", "nobody"): "nobody of this name",
        (folder, "--function", "a b"): "must be the name of a function",
        (folder, "--jobs", "0"): "jobs",
        (folder, "--targets", "labels"): "needs a cross-entropy",
    }.items():
        code = main(["grade", *arguments, "--runs-dir", str(tmp_path / "runs")])
        error = capsys.readouterr().err
        assert code == 2, arguments
        assert words in error
        assert error.count("\n") == 1, error
    assert not (tmp_path / "runs").exists()


def test_the_default_rubric_is_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "points.yaml"
    assert main(["grade", "--write-rubric", str(path)]) == 0
    assert "output_layer: 3" in path.read_text()
    assert main(["grade", "--write-rubric", str(path)]) == 2
    assert "stays as it is" in capsys.readouterr().err


def test_a_class_by_an_adapter_of_the_teachers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_in = hand_in(
        tmp_path / "handed-in",
        {
            "anna.py": BATCHED.replace("def backprop(weights, x, t)", "def grads(x, t, weights)"),
            "ben/net.py": "class Net:\n    def forward(self): ...\n",
            "carl/a.py": "x = 1\nprint('hello')\n",
        },
    )
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        "def adapt(module, weights, x, t):\n    return module.grads(x, t, weights)\n"
    )
    words = ["grade", str(handed_in), "-q", "--no-plots", "--runs-dir", str(tmp_path / "runs")]
    assert main([*words, "--adapter", str(adapter)]) == 0
    run = (tmp_path / "runs/latest").resolve()
    found = by_student(run)
    assert {name: row["verdict"] for name, row in found.items()} == {
        "anna": "correct",
        "ben": "error",
        "carl": "error",
    }
    assert "grads" in found["ben"]["message"]
    assert (run / "printed/carl.txt").read_text() == "hello\n"
    assert "hello" not in (run / "feedback/carl.html").read_text(encoding="utf-8")
    assert main([*words, "--adapter", "nilsen"]) == 2
    assert "did you mean 'nielsen'" in capsys.readouterr().err
    assert main([*words, "--isolation", "cage"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("rung", RUNGS)
def test_the_isolation_that_is_asked_for_is_named(rung: str, done: Graded, tmp_path: Path) -> None:
    if reason := why_no_rung(rung):
        pytest.skip(reason)
    words = ["grade", str(done.handed_in), "--only", "ben", "-q", "--no-plots", "--isolation", rung]
    assert main([*words, "--runs-dir", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "latest/result.json").read_text())["summary"]
    assert summary["isolation"] == rung_in_words(rung)
    assert summary["verdicts"]["wrong"] == 1


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
